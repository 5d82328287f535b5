"""How much a model reasons, in the words of each family of models. OpenAI's `reasoning_effort` is what callers say."""

import re
from collections.abc import Mapping
from typing import Any

from llm_gateway.call import ModelCall, is_claude
from llm_gateway.request import Message
from llm_gateway.routes import Target

_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
# Since then, Claude decides itself how long it thinks, and is told an effort. The models before are told a number of tokens,
# which the later ones refuse. https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
_ADAPTIVE = (4, 6)
# The first that has the effort "xhigh".
_XHIGH = (4, 7)
# The first that leaves the text of its thinking out unless it is asked for it.
_OMITTING = (4, 7)
# The tokens of an answer that are for thinking. The least that Claude takes is 1,024.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768}
_LEAST_BUDGET = 1024


def claude_fields(call: ModelCall) -> dict[str, Any]:
    """Return the fields of Anthropic's request for the thinking and the effort of a call.

    The models before 4.6 cannot think where a tool must be called, or where their last turn was a call of a tool and its
    thinking has not come back. There the later ones are left to decide.
    """
    asked = call.thinking
    effort = asked.get("effort") if asked else call.sampling.reasoning_effort
    if effort is None and not asked:
        return {}
    version = claude_version(call.target)
    kind = asked.get("type") if asked else "disabled" if effort == "none" else "adaptive"
    unable = call.tool_choice.mode in ("required", "tool") or _thinking_is_lost(call.messages)
    fields: dict[str, Any] = {}
    if version < _ADAPTIVE:
        budget = 0 if unable or kind in (None, "disabled") else _budget(call)
        if budget >= _LEAST_BUDGET:
            fields["thinking"] = {"type": "enabled", "budget_tokens": budget}
    elif kind == "disabled":
        off = _off(call.target, version)
        if off:
            fields["thinking"] = off
        if effort in (None, "none"):
            effort = "low" if not off and version >= (5, 0) else None
        elif effort in ("xhigh", "max"):
            effort = "high"
    elif not unable:
        if kind == "between_tools" and _off(call.target, version) == _BETWEEN_TOOLS:
            fields["thinking"] = dict(_BETWEEN_TOOLS)
        elif kind:
            fields["thinking"] = {"type": "adaptive"}
        # The formats of OpenAI's show reasoning; Anthropic's leaves it to the caller.
        display = asked.get("display") if asked else "summarized" if version >= _OMITTING else None
        if display and kind:
            fields["thinking"]["display"] = display
        if effort is None and kind == "enabled":
            effort = call.sampling.reasoning_effort  # the one that is like the budget
    elif not asked:
        return {}
    if effort and version >= _ADAPTIVE:
        known = {"minimal": "low", "xhigh": "xhigh" if version >= _XHIGH else "high"}
        fields["output_config"] = {"effort": known.get(effort, effort)}
    return fields


_DISABLED = {"type": "disabled"}
_BETWEEN_TOOLS = {"type": "between_tools"}


def _budget(call: ModelCall) -> int:
    """Return the tokens for thinking: as the caller says, less than the whole answer's, else at most half of them."""
    most = call.sampling.max_tokens or 0
    if given := call.thinking.get("budget_tokens"):
        return min(given, most - 1)
    return min(_BUDGETS[call.sampling.reasoning_effort or "medium"], most // 2)


def _off(target: Target, version: tuple[int, int]) -> dict[str, str] | None:
    """Return what turns thinking off in a model that thinks where nobody asks; None where that cannot be, or need not be.

    https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5
    """
    name = f"{target.name} {target.model}"
    if not (5, 0) <= version <= (5, 5) or "fable" in name or ("opus" in name and version == (5, 5)):
        return None
    return _BETWEEN_TOOLS if "sonnet" in name and version == (5, 5) else _DISABLED


def converse_fields(call: ModelCall) -> Mapping[str, Any]:
    """Return what Converse passes on to the model as `additionalModelRequestFields` for the effort of a call.

    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-reasoning.html; the shapes for each family are those of
    langchain-aws (langchain-ai/docs#5239)
    """
    effort = call.sampling.reasoning_effort
    if effort is None and not call.thinking:
        return {}
    if is_claude(call.target):
        return claude_fields(call)
    if effort is None:
        return {}
    if "nova-2" in f"{call.target.name} {call.target.model}":
        if effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        # With "high", Nova takes no bound of the answer, and there always is one.
        # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
        known = "low" if effort in ("minimal", "low") else "medium"
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": known}}
    # gpt-oss has three. https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html
    return {"reasoning_effort": {"none": "low", "minimal": "low", "xhigh": "high"}.get(effort, effort)}


def claude_version(target: Target) -> tuple[int, int]:
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
