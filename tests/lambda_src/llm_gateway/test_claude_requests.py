"""What callers may ask for and Claude refuses: it is asked for in another way."""

from typing import Any, ClassVar

import msgspec
import pytest

from llm_gateway import errors
from llm_gateway.call import ModelCall, model_call
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, ToolCall, ToolCallDelta, Usage
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.exchange import read_answer
from llm_gateway.request import ChatRequest, Message, ReasoningBlock, Sampling, Tool, ToolChoice
from llm_gateway.routes import Alias, Target
from llm_gateway.tool_calls import asked_in_words, with_a_call
from pulumi_llm_local.upstreams.anthropic.request import read_messages
from pulumi_llm_local.upstreams.bedrock.converse_request import read_converse
from pulumi_llm_local.upstreams.model import ModelTraits
from wire.speaker import dumped

ACCEPTS: Any = ("max_tokens", "stop", "system", "tools", "reasoning_effort", "reasoning_content")
TARGET = Target("there/claude-opus-5-5", "there", "claude-opus-5-5", 64_000, 200_000, ACCEPTS)
HI = (Message("user", "Hi"),)
A, B = {"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}}}
UNION = Tool("look", "Looks.", {"anyOf": [{"$ref": "#/$defs/A"}, B], "allOf": [A], "$defs": {"A": A}}, strict=True)


def call(*tools: Tool, mode: Any = "auto", messages: tuple[Message, ...] = HI) -> ModelCall:
    return ModelCall(TARGET, messages, None, Sampling(max_tokens=9), tools, ToolChoice(mode), False, 0.0, 1.0)


def test_a_union_at_the_top_of_a_tools_schema() -> None:
    traits = {TARGET.model: ModelTraits(frozenset(ACCEPTS))}
    body = Anthropic().body(call(UNION))
    read_messages(dumped(body), traits)
    schema = body["tools"][0]["input_schema"]
    assert schema == {
        "type": "object",
        "properties": {**A["properties"], **B["properties"]},
        "required": ["a"],
        "$defs": {"A": A},
    }
    assert '"anyOf"' in body["tools"][0]["description"] and "strict" not in body["tools"][0]
    body = Converse().body(call(UNION))
    read_converse(TARGET.model, dumped(body), traits)
    assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"] == schema


def test_a_tool_choice_in_words() -> None:
    asked = asked_in_words(call(UNION, mode="required"))
    body = Converse().body(asked)
    assert "toolChoice" not in body["toolConfig"] and "Answer only by calling one of your tools" in body["system"][0]["text"]
    assert asked.must_call == ToolChoice("required")


USAGE = Usage(1, 1)
CALLED: Any = [ToolCall(0, "c", "look"), ToolCallDelta(0, "{}")]


async def batches(*events: Any) -> Any:
    yield list(events)


async def test_an_answer_without_the_call_that_was_asked_for() -> None:
    required = ToolChoice("required")
    answer = [batch async for batch in with_a_call(batches(Delta("So: "), *CALLED, USAGE, Done("tool_use")), required)]
    assert answer == [[Delta("So: "), *CALLED, USAGE, Done("tool_use")]]
    cut = [batch async for batch in with_a_call(batches(Delta("So"), USAGE, Done("max_tokens")), required)]
    assert cut == [[Delta("So"), USAGE, Done("max_tokens")]]
    for events, choice in (
        ([Delta("No."), USAGE, Done("end_turn")], required),
        ([*CALLED, USAGE, Done("tool_use")], ToolChoice("tool", "see")),
    ):
        with pytest.raises(GatewayError) as failed:
            async for _ in with_a_call(batches(*events), choice):
                pass
        assert failed.value.code == "invalid_output"


async def test_calls_that_were_not_allowed_are_left_out() -> None:
    none = ToolChoice("none")
    answer = [each async for each in with_a_call(batches(Delta("It is 5."), *CALLED, USAGE, Done("tool_use")), none)]
    assert answer == [[Delta("It is 5."), USAGE, Done("end_turn")]]
    with pytest.raises(GatewayError) as failed:
        async for _ in with_a_call(batches(Delta("\n"), *CALLED, USAGE, Done("tool_use")), none):
            pass
    assert (failed.value.code, failed.value.usage) == ("invalid_output", USAGE)


def test_stop_sequences_of_white_space_are_cut_here() -> None:
    request = ChatRequest(HI, sampling=Sampling(stop=("\n\n", "END")))
    made = model_call(request, Alias("full", (TARGET,)), TARGET, 0.0)
    assert (made.sampling.stop, made.cut) == (("END",), ("\n\n",))
    other = msgspec.structs.replace(TARGET, name="there/a", model="a")
    made = model_call(request, Alias("full", (other,)), other, 0.0)
    assert (made.sampling.stop, made.cut) == (("\n\n", "END"), ())


class _Refusing:
    """A response with Anthropic's refusal of the thinking of another conversation."""

    status = 400
    headers: ClassVar[dict[str, str]] = {}

    async def read(self) -> bytes:
        return b'{"error": {"type": "invalid_request_error", "message": "messages.1: Invalid `signature` in `thinking` block"}}'

    def close(self) -> None:
        pass


async def test_thinking_that_is_refused_is_left_out_once() -> None:
    sent: list[ModelCall] = []

    async def send(call: ModelCall) -> Any:
        sent.append(call)
        return _Refusing()

    turn = Message("assistant", "A", reasoning_blocks=(ReasoningBlock("Hm.", "c2ln"),))
    for messages, blocks in ((HI, [0]), ((*HI, turn, *HI), [1, 0])):
        sent.clear()
        with pytest.raises(GatewayError, match=errors.upstream_rejected(reason="messages").message[:20]):
            async for _ in read_answer(send, call(messages=messages), Anthropic(), str):
                pass
        assert [sum(len(message.reasoning_blocks) for message in each.messages) for each in sent] == blocks
