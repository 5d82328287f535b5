"""A whole text is never thrown away because something else is missing: what providers leave out, or write differently."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm_gateway.events import Delta, Done, Event, Reasoning, ReasoningSignature, ToolCall, ToolCallDelta, Usage
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.openai.dialect import OpenAICompatible
from wire import http
from wire.bedrock import Wire
from wire.conversations import BOTH, HELLO, answers_in_turn, ask_openai, user
from wire.providers import SPEAKERS
from wire.speaker import dumped

Read = tuple[str, str, list[tuple[str, str]], str, Usage]


def understood(events: list[Event]) -> Read:
    """Text, reasoning, calls (name, arguments), stop reason and usage."""
    calls: list[tuple[str, str]] = []
    for event in events:
        match event:
            case ToolCall(id=identifier, name=name):
                assert identifier
                calls.append((name, ""))
            case ToolCallDelta(index=index, arguments=arguments):
                calls[index] = (calls[index][0], calls[index][1] + arguments)
            case _:
                pass
    usage, done = events[-2:]
    assert isinstance(usage, Usage) and isinstance(done, Done)
    text = "".join(event.text for event in events if isinstance(event, Delta))
    reasoning = "".join(event.text for event in events if isinstance(event, Reasoning))
    return text, reasoning, calls, done.stop_reason, usage


def streamed(*chunks: Any, done: bool = True) -> list[Event]:
    """Read a stream of an OpenAI-compatible server."""
    data = b"".join(b"data: %s\n\n" % dumped(chunk) for chunk in chunks) + (b"data: [DONE]\n\n" if done else b"")
    events: list[Event] = []
    decoder = OpenAICompatible().decoder()
    decoder.feed(data, events)
    if not decoder.done:
        decoder.end(events)
    return events


def complete(answer: Any) -> list[Event]:
    return OpenAICompatible().read_complete(dumped(answer))


def chunk(delta: Any, reason: Any = None, **more: Any) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def message(content: Any, reason: Any = "stop", usage: Any = None, **more: Any) -> Any:
    return {"choices": [{"message": {"content": content, **more}, "finish_reason": reason}], "usage": usage}


def call(name: str, arguments: Any, **more: Any) -> Any:
    return {"tool_calls": [{"function": {"name": name, "arguments": arguments}, **more}]}


TEXT, COUNTED = "Hello there!", {"prompt_tokens": 5, "completion_tokens": 3}
ESTIMATED, EXACT = Usage(0, 3, estimated=True), Usage(5, 3)
REASONED = Usage(5, 3, reasoning_tokens=1)  # which are estimated where the provider tells only the sum
STOP = chunk({}, "stop", usage=COUNTED)
# what an OpenAI-compatible server sends -> what is understood
OPENAI: dict[str, tuple[Callable[[], list[Event]], Read]] = {
    "no usage": (lambda: complete(message(TEXT)), (TEXT, "", [], "end_turn", ESTIMATED)),
    "no usage in a stream": (lambda: streamed(chunk({"content": TEXT}, "stop")), (TEXT, "", [], "end_turn", ESTIMATED)),
    "a usage of nulls": (
        lambda: complete(message(TEXT, usage={"prompt_tokens": None, "completion_tokens": None, "total_tokens": None})),
        (TEXT, "", [], "end_turn", ESTIMATED),
    ),
    "half of a usage": (
        lambda: complete(message(TEXT, usage={"prompt_tokens": 5})),
        (TEXT, "", [], "end_turn", Usage(5, 3, estimated=True)),
    ),
    "half of a usage and the total": (
        lambda: complete(message(TEXT, usage={"prompt_tokens": 5, "total_tokens": 9})),
        (TEXT, "", [], "end_turn", Usage(5, 4, estimated=False)),
    ),
    "reasoning counted in the total only": (
        lambda: complete(
            message(TEXT, usage={**COUNTED, "total_tokens": 68, "completion_tokens_details": {"reasoning_tokens": 60}})
        ),
        (TEXT, "", [], "end_turn", Usage(5, 63, reasoning_tokens=60)),
    ),
    "tokens from the cache": (
        lambda: complete(message(TEXT, usage={**COUNTED, "prompt_tokens_details": {"cached_tokens": 4}})),
        (TEXT, "", [], "end_turn", Usage(5, 3, cached_tokens=4)),
    ),
    "tokens from DeepSeek's cache": (
        lambda: complete(message(TEXT, usage={**COUNTED, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": None})),
        (TEXT, "", [], "end_turn", Usage(5, 3, cached_tokens=4)),
    ),
    "choices of null": (
        lambda: streamed({"choices": None}, chunk({"content": TEXT}), {"choices": None, **STOP}),
        (TEXT, "", [], "end_turn", EXACT),
    ),
    "an unknown reason": (
        lambda: complete(message(TEXT, "eos_token", COUNTED)),
        (TEXT, "", [], "end_turn", EXACT),
    ),
    "no reason": (lambda: complete(message(TEXT, None, COUNTED)), (TEXT, "", [], "end_turn", EXACT)),
    "no reason in a stream that ends with its mark": (
        lambda: streamed(chunk({"content": TEXT}), {"choices": [], "usage": COUNTED}),
        (TEXT, "", [], "end_turn", EXACT),
    ),
    "empty reasons": (
        lambda: streamed(chunk({"content": "Hello "}, ""), chunk({"content": "there!"}, ""), STOP),
        (TEXT, "", [], "end_turn", EXACT),
    ),
    "a reason that is repeated": (
        lambda: streamed(chunk({"content": TEXT}, "stop"), chunk({}, "stop"), chunk({}, "", usage=COUNTED)),
        (TEXT, "", [], "end_turn", EXACT),
    ),
    "a reason in capitals": (lambda: complete(message(TEXT, "LENGTH", COUNTED)), (TEXT, "", [], "max_tokens", EXACT)),
    "content in parts": (
        lambda: complete(
            message(
                [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": TEXT},
                ],
                usage=COUNTED,
            )
        ),
        (TEXT, "Hm.", [], "end_turn", REASONED),
    ),
    "a call without an id": (
        lambda: complete(message(None, "tool_calls", COUNTED, **call("weather", '{"a":1}'))),
        ("", "", [("weather", '{"a":1}')], "tool_use", EXACT),
    ),
    "arguments as an object": (
        lambda: complete(message(None, "tool_calls", COUNTED, **call("weather", {"a": 1}, id="c1"))),
        ("", "", [("weather", '{"a":1}')], "tool_use", EXACT),
    ),
    "calls without ids, all with the index 0": (
        lambda: streamed(
            chunk(call("weather", '{"a":', index=0, id="")),
            chunk(call("weather", "1}", index=0)),
            chunk(call("weather", '{"a":2}', index=0, id="")),
            STOP,
        ),
        ("", "", [("weather", '{"a":1}'), ("weather", '{"a":2}')], "tool_use", EXACT),
    ),
    "an unknown reason after a call": (
        lambda: streamed(chunk(call("weather", None, id="c1")), chunk({}, "eos", usage=COUNTED)),
        ("", "", [("weather", "{}")], "tool_use", EXACT),
    ),
    "a filter after reasoning": (
        lambda: streamed(chunk({"reasoning": "Hm."}), chunk({}, "content_filter", usage=COUNTED)),
        ("", "Hm.", [], "content_filtered", REASONED),
    ),
}


@pytest.mark.parametrize(("read", "expected"), OPENAI.values(), ids=OPENAI)
def test_openai_compatible_servers(read: Callable[[], list[Event]], expected: Read) -> None:
    assert understood(read()) == expected


def anthropic(usage: Any, reason: Any, *blocks: Any) -> list[Event]:
    body = {"type": "message", "content": list(blocks), "stop_reason": reason, "usage": usage}
    return Anthropic().read_complete(dumped(body))


def anthropic_stream(*events: Any) -> list[Event]:
    found: list[Event] = []
    Anthropic().decoder().feed(b"".join(b"data: %s\n\n" % dumped(event) for event in events), found)
    return found


def bedrock(usage: Any, reason: Any, *blocks: Any) -> list[Event]:
    body = {"output": {"message": {"content": list(blocks)}}, "stopReason": reason, "usage": usage}
    return Converse().read_complete(dumped(body))


def bedrock_stream(*events: tuple[str, Any]) -> list[Event]:
    found: list[Event] = []
    decoder = Converse().decoder()
    decoder.feed(b"".join(Wire.frame("event", name, payload) for name, payload in events), found)
    if not decoder.done:
        decoder.end(found)
    return found


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": ""}
BLOCK, CACHED = {"type": "text", "text": TEXT}, Usage(10, 3, cached_tokens=3, cache_write_tokens=2)
CONVERSE_USAGE = {"inputTokens": 5, "outputTokens": 3}
START, DELTA = {"type": "message_start", "message": {}}, {"type": "content_block_delta", "delta": {"text": TEXT}}
OTHERS: dict[str, tuple[Callable[[], list[Event]], Read]] = {
    "Anthropic's format without usage": (lambda: anthropic(None, "end_turn", BLOCK), (TEXT, "", [], "end_turn", ESTIMATED)),
    "Anthropic's format without a reason": (
        lambda: anthropic({"input_tokens": 5, "output_tokens": 3}, None, BLOCK),
        (TEXT, "", [], "end_turn", EXACT),
    ),
    "thinking that Anthropic has not counted": (
        lambda: anthropic({"input_tokens": 5, "output_tokens": 3}, "end_turn", THOUGHT, BLOCK),
        (TEXT, "Hm.", [], "end_turn", REASONED),
    ),
    "thinking that Anthropic has counted": (
        lambda: anthropic(
            {"input_tokens": 5, "output_tokens": 3, "output_tokens_details": {"thinking_tokens": 2}}, "end_turn", THOUGHT, BLOCK
        ),
        (TEXT, "Hm.", [], "end_turn", Usage(5, 3, reasoning_tokens=2)),
    ),
    "thinking that Anthropic has counted in a stream": (
        lambda: anthropic_stream(
            {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}},
            {"type": "content_block_start", "content_block": THOUGHT},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 2}},
            },
            {"type": "message_stop"},
        ),
        ("", "Hm.", [], "end_turn", Usage(5, 3, reasoning_tokens=2)),
    ),
    "Anthropic's cache": (
        lambda: anthropic(
            {"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2},
            "end_turn",
            BLOCK,
        ),
        (TEXT, "", [], "end_turn", CACHED),
    ),
    "a stream in Anthropic's format that counts the prompt at its end": (
        lambda: anthropic_stream(
            {"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}},
            DELTA,
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {
                    "input_tokens": 5,
                    "output_tokens": 3,
                    "cache_read_input_tokens": 3,
                    "cache_creation_input_tokens": 2,
                },
            },
            {"type": "message_stop"},
        ),
        (TEXT, "", [], "end_turn", CACHED),
    ),
    "a stream in Anthropic's format that repeats a part of its counts": (
        lambda: anthropic_stream(
            {
                "type": "message_start",
                "message": {
                    "usage": {
                        "input_tokens": 5,
                        "output_tokens": 1,
                        "cache_read_input_tokens": 3,
                        "cache_creation_input_tokens": 2,
                    }
                },
            },
            DELTA,
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"input_tokens": 5, "output_tokens": 3}},
            {"type": "message_stop"},
        ),
        (TEXT, "", [], "end_turn", CACHED),
    ),
    "a stream in Anthropic's format with zeros at its end": (
        lambda: anthropic_stream(
            {
                "type": "message_start",
                "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}},
            },
            DELTA,
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"input_tokens": 0, "output_tokens": 3, "cache_read_input_tokens": 0},
            },
            {"type": "message_stop"},
        ),
        (TEXT, "", [], "end_turn", CACHED),
    ),
    "a stream in Anthropic's format without usage and with a new reason": (
        lambda: anthropic_stream(
            START, DELTA, {"type": "message_delta", "delta": {"stop_reason": "new"}}, {"type": "message_stop"}
        ),
        (TEXT, "", [], "end_turn", ESTIMATED),
    ),
    "a call in Anthropic's format without an id": (
        lambda: anthropic(
            {"input_tokens": 5, "output_tokens": 3}, "tool_use", {"type": "tool_use", "name": "weather", "input": '{"a":1}'}
        ),
        ("", "", [("weather", '{"a":1}')], "tool_use", EXACT),
    ),
    "Converse without usage": (lambda: bedrock(None, "end_turn", {"text": TEXT}), (TEXT, "", [], "end_turn", ESTIMATED)),
    "Converse without a reason": (lambda: bedrock(CONVERSE_USAGE, None, {"text": TEXT}), (TEXT, "", [], "end_turn", EXACT)),
    "Converse with a new reason": (lambda: bedrock(CONVERSE_USAGE, "new", {"text": TEXT}), (TEXT, "", [], "end_turn", EXACT)),
    "Converse's cache": (
        lambda: bedrock({**CONVERSE_USAGE, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 2}, "end_turn", {"text": TEXT}),
        (TEXT, "", [], "end_turn", CACHED),
    ),
    "ConverseStream without metadata": (
        lambda: bedrock_stream(("contentBlockDelta", {"delta": {"text": TEXT}}), ("messageStop", {"stopReason": "end_turn"})),
        (TEXT, "", [], "end_turn", ESTIMATED),
    ),
    "ConverseStream, a filter after reasoning": (
        lambda: bedrock_stream(
            ("contentBlockDelta", {"delta": {"reasoningContent": {"text": "Hm."}}}),
            ("messageStop", {"stopReason": "guardrail_intervened"}),
            ("metadata", {"usage": CONVERSE_USAGE}),
        ),
        ("", "Hm.", [], "content_filtered", REASONED),
    ),
}


@pytest.mark.parametrize(("read", "expected"), OTHERS.values(), ids=OTHERS)
def test_anthropic_and_bedrock(read: Callable[[], list[Event]], expected: Read) -> None:
    assert understood(read()) == expected


SIGNED = [Reasoning("Hm."), ReasoningSignature(signature="c2ln"), ReasoningSignature(data="ZGF0YQ==")]


def test_signed_and_encrypted_reasoning() -> None:
    thinking, redacted = (
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
    )
    assert anthropic(None, "end_turn", thinking, redacted, BLOCK)[:3] == SIGNED
    deltas = [{"type": "content_block_delta", "delta": delta} for delta in ({"thinking": "Hm."}, {"signature": "c2ln"})]
    start = {"type": "content_block_start", "content_block": redacted}
    assert anthropic_stream(START, *deltas, start)[:3] == SIGNED
    text = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}
    assert bedrock(None, "end_turn", text, {"reasoningContent": {"redactedContent": "ZGF0YQ=="}}, {"text": TEXT})[:3] == SIGNED
    parts = ({"text": "Hm."}, {"signature": "c2ln"}, {"redactedContent": "ZGF0YQ=="})
    events = [("contentBlockDelta", {"delta": {"reasoningContent": part}}) for part in parts]
    assert bedrock_stream(*events, ("messageStop", {"stopReason": "end_turn"}))[:3] == SIGNED


# The form of the answer is the other one, and the request's tokens are estimated.


@BOTH
@pytest.mark.parametrize("name", ["openai", "anthropic", "bedrock"])
async def test_the_other_form(gateway_for, fake, name: str, stream: bool) -> None:
    """A stream where a complete answer was asked for, and a complete answer in place of a stream."""
    speaker = SPEAKERS[name]
    service = await gateway_for(speaker, await fake(answers_in_turn(speaker.response(HELLO, stream=not stream))))
    assert await ask_openai(service, stream) == (HELLO, "stop")


async def test_the_tokens_of_the_request_are_estimated(gateway_for, fake) -> None:
    answer = http.response(200, dumped(message(TEXT)))
    upstream = await fake(answers_in_turn(answer))
    service = await gateway_for(SPEAKERS["openai"], upstream)
    response = await service.post("/v1/chat/completions", {"model": "model", "messages": [user("x" * 41)]})
    usage = json.loads(response.content)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["estimated"]) == (11, 3, True)
    assert "accept-encoding: identity" in upstream.heads[0]
