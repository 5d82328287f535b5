"""What is sent for `reasoning_effort`, by the family of the model."""

from typing import Any

import msgspec
import pytest

from llm_gateway.call import ModelCall
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.openai.dialect import OpenAICompatible
from llm_gateway.request import Message, ReasoningBlock, Sampling, Tool, ToolChoice, ToolUse
from llm_gateway.routes import Target
from pulumi_llm_local.upstreams.anthropic.request import read_messages
from pulumi_llm_local.upstreams.model import ModelTraits
from wire.speaker import dumped

HI = (Message("user", "Hi"),)
CALLED = (*HI, Message("assistant", tool_calls=(ToolUse("c1", "look", {}),)), Message("tool", "Seen.", tool_call_id="c1"))
SIGNED = tuple(
    msgspec.structs.replace(each, reasoning_blocks=(ReasoningBlock("Hm.", "c2ln"),)) if each.tool_calls else each
    for each in CALLED
)
LOOK = Tool("look", "", {"type": "object"})
ACCEPTS = ("max_tokens", "temperature", "tools", "reasoning_effort", "reasoning_content")


def call(model: str, effort: str, messages: Any = HI, mode: Any = "auto", **sampling: Any) -> ModelCall:
    target = Target(f"there/{model}", "there", model, 64_000, 200_000, ACCEPTS)  # pyright: ignore[reportArgumentType]
    chosen = Sampling(**{"max_tokens": 40_000, "reasoning_effort": effort, **sampling})
    return ModelCall(target, messages, None, chosen, (LOOK,), ToolChoice(mode), False, 0.0, 1.0)


def sent(request: ModelCall) -> Any:
    body = Anthropic().body(request)
    traits = ModelTraits(frozenset(ACCEPTS), reasoning=True, max_output_tokens=64_000)
    read_messages(dumped(body), {request.target.model: traits})  # it refuses what Anthropic would
    return body.get("thinking"), body.get("output_config")


def budget(tokens: int) -> Any:
    return {"type": "enabled", "budget_tokens": tokens}, None


def adaptive(effort: str) -> Any:
    return {"type": "adaptive", "display": "summarized"}, {"effort": effort}


OLD, NEW, FIRST = "claude-haiku-4-5-20251001", "claude-opus-5-5", "claude-sonnet-4-6"
NOTHING = (None, None)
# the call -> thinking and output_config
CLAUDE: dict[str, tuple[ModelCall, Any]] = {
    "an older model": (call(OLD, "high"), budget(16_384)),
    "the oldest": (call("claude-3-7-sonnet-20250219", "low"), budget(1024)),
    "without a minor version": (call("claude-sonnet-4-20250514", "medium"), budget(4096)),
    "none": (call(OLD, "none"), NOTHING),
    "half of the answer at most": (call(OLD, "high", max_tokens=4000), budget(2000)),
    "an answer that is too short": (call(OLD, "high", max_tokens=1500), NOTHING),
    "a newer model": (call(NEW, "medium"), adaptive("medium")),
    "as little as there is": (call(NEW, "minimal"), adaptive("low")),
    "as much as there is": (call(NEW, "xhigh"), adaptive("xhigh")),
    "the first of them has no xhigh": (call(FIRST, "xhigh"), ({"type": "adaptive"}, {"effort": "high"})),
    "none of a newer model": (call(NEW, "none"), (None, {"effort": "low"})),
    "a tool that must be called": (call(FIRST, "high", mode="required"), NOTHING),
    "a call whose thinking did not come back": (call(OLD, "high", CALLED), NOTHING),
    "a call whose thinking came back": (call(OLD, "high", SIGNED), budget(16_384)),
    "a temperature that is the model's": (call(OLD, "low", temperature=1.0), budget(1024)),
}


DISABLED, EFFORT = {"type": "disabled"}, {"effort": "low"}
HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"
# the model and what the caller says in Anthropic's words -> thinking and output_config
IN_ANTHROPICS_WORDS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "off where it is on by default": (HAIKU, DISABLED, (DISABLED, None)),
    "off with an effort": (HAIKU, {**DISABLED, **EFFORT}, (DISABLED, EFFORT)),
    "off with more effort than it takes": (HAIKU, {**DISABLED, "effort": "max"}, (DISABLED, {"effort": "high"})),
    "off in an older model": (OLD, {**DISABLED, **EFFORT}, NOTHING),
    "off where it is off by default": (FIRST, DISABLED, NOTHING),
    "off where it cannot be": (NEW, DISABLED, (None, EFFORT)),
    "off but for notes": (SONNET, DISABLED, ({"type": "between_tools"}, None)),
    "between tools": (SONNET, {"type": "between_tools"}, ({"type": "between_tools"}, None)),
    "between tools elsewhere": (HAIKU, {"type": "between_tools"}, ({"type": "adaptive"}, None)),
    "no effort is the model's own": (HAIKU, {"type": "adaptive"}, ({"type": "adaptive"}, None)),
    "shown": (HAIKU, {"type": "adaptive", "display": "summarized"}, ({"type": "adaptive", "display": "summarized"}, None)),
    "as much as there is": (FIRST, {"type": "adaptive", "effort": "max"}, ({"type": "adaptive"}, {"effort": "max"})),
    "an effort alone": (HAIKU, EFFORT, (None, EFFORT)),
    "an effort alone starts no thinking": (OLD, EFFORT, NOTHING),
    "a budget": (OLD, {"type": "enabled", "budget_tokens": 10_000}, budget(10_000)),
    "a budget beyond the answer": (OLD, {"type": "enabled", "budget_tokens": 50_000}, budget(39_999)),
}


@pytest.mark.parametrize(("model", "asked", "expected"), IN_ANTHROPICS_WORDS.values(), ids=IN_ANTHROPICS_WORDS)
def test_claude_in_anthropics_words(model: str, asked: dict[str, Any], expected: Any) -> None:
    assert sent(msgspec.structs.replace(call(model, "medium"), thinking=asked)) == expected


@pytest.mark.parametrize(("request_", "expected"), CLAUDE.values(), ids=CLAUDE)
def test_claude(request_: ModelCall, expected: Any) -> None:
    assert sent(request_) == expected


# the model and the effort -> additionalModelRequestFields
ON_BEDROCK: dict[str, tuple[str, str, Any]] = {
    "gpt-oss": ("openai.gpt-oss-120b-1:0", "minimal", {"reasoning_effort": "low"}),
    "Claude": ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "low", {"thinking": budget(1024)[0]}),
    "a newer Claude": (
        "us.anthropic.claude-opus-5-5-v1:0",
        "high",
        {"thinking": adaptive("high")[0], "output_config": {"effort": "high"}},
    ),
    "Nova": ("us.amazon.nova-2-lite-v1:0", "high", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}),
    "Nova without": ("us.amazon.nova-2-lite-v1:0", "none", {"reasoningConfig": {"type": "disabled"}}),
}


@pytest.mark.parametrize(("model", "effort", "expected"), ON_BEDROCK.values(), ids=ON_BEDROCK)
def test_bedrock(model: str, effort: str, expected: Any) -> None:
    assert Converse().body(call(model, effort))["additionalModelRequestFields"] == expected


def test_an_openai_compatible_server_is_sent_the_effort_and_deepseek_its_own_switch() -> None:
    assert OpenAICompatible().body(call("gpt-5", "none"))["reasoning_effort"] == "none"
    assert OpenAICompatible().body(call("deepseek-v4-flash", "low"))["reasoning_effort"] == "low"
    body = OpenAICompatible().body(call("deepseek-v4-flash", "none"))
    assert body["thinking"] == {"type": "disabled"} and "reasoning_effort" not in body
