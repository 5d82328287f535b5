"""How much a model reasons, in the words of each family of models. OpenAI's `reasoning_effort` is what callers say."""

import re
from collections.abc import Mapping
from typing import Any

from llm_gateway.call import ModelCall
from llm_gateway.errors import Problem, invalid_request
from llm_gateway.request import Message
from llm_gateway.routes import Target

_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
# Since then, Claude decides itself how long it thinks, and is told an effort. The models before are told a number of tokens,
# which the later ones refuse. https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
_ADAPTIVE = (4, 6)
# The first that has the effort "xhigh".
_XHIGH = (4, 7)
# The tokens of an answer that are for thinking. The least that Claude takes is 1,024.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768}
_LEAST_BUDGET = 1024


def claude_fields(call: ModelCall) -> dict[str, Any]:
    """Return the fields of Anthropic's request for the effort of a call; none if Claude has to answer without thinking.

    It cannot think where a tool must be called, or where its last turn was a call of a tool and its thinking has not come back.
    """
    effort = call.sampling.reasoning_effort
    if effort is None:
        return {}
    version = _claude_version(call.target)
    adaptive = version >= _ADAPTIVE
    if effort == "none" or call.tool_choice.mode in ("required", "tool") or _thinking_is_lost(call.messages):
        return {"output_config": {"effort": "low"}} if adaptive and effort == "none" else {}
    if adaptive:
        known = {"minimal": "low", "xhigh": "xhigh" if version >= _XHIGH else "high"}
        fields: dict[str, Any] = {"thinking": {"type": "adaptive"}, "output_config": {"effort": known.get(effort, effort)}}
    else:
        budget = min(_BUDGETS[effort], (call.sampling.max_tokens or 0) // 2)
        if budget < _LEAST_BUDGET:
            return {}
        fields = {"thinking": {"type": "enabled", "budget_tokens": budget}}
    for name, least in (("temperature", 1.0), ("top_p", 0.95)):
        given = getattr(call.sampling, name)
        if given is not None and given < least:
            raise invalid_request([Problem(name, "must be left out where reasoning_effort is given")])
    return fields


def converse_fields(call: ModelCall) -> Mapping[str, Any]:
    """Return what Converse passes on to the model as `additionalModelRequestFields` for the effort of a call.

    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-reasoning.html; the shapes for each family are those of
    langchain-aws (langchain-ai/docs#5239)
    """
    effort = call.sampling.reasoning_effort
    if effort is None:
        return {}
    family = f"{call.target.name} {call.target.model}"
    if "claude" in family:
        return claude_fields(call)
    if "nova-2" in family:
        if effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        # With "high", Nova takes no bound of the answer, and there always is one.
        # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
        known = "low" if effort in ("minimal", "low") else "medium"
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": known}}
    # gpt-oss has three. https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html
    return {"reasoning_effort": {"none": "low", "minimal": "low", "xhigh": "high"}.get(effort, effort)}


def _claude_version(target: Target) -> tuple[int, int]:
    """Return the version in the names of a target. A name without one is taken for the latest."""
    for name in (target.model, target.name):
        if (match := _CLAUDE.search(name)) is not None:
            return int(match[1]), int(match[2] or 0)
    return (99, 0)


def _thinking_is_lost(messages: tuple[Message, ...]) -> bool:
    """Whether the results of tools are sent to Claude without the thinking with which it called them."""
    for message in reversed(messages):
        if message.role == "assistant":
            return not any(block.signature or block.data for block in message.reasoning_blocks)
        if message.role != "tool":
            break
    return False
