"""Converse and ConverseStream: answers that are none, what is ignored of an answer, and what is sent."""

from typing import Any

import pytest
from botocore import validate
from botocore.loaders import Loader
from botocore.model import ServiceModel

from llm_gateway.routes import Alias, Routes, Target
from wire.callers import CHAT, CHAT_STREAM
from wire.conversations import answers_in_turn

# Answers that are none.


def _complete(wire: Any, **changes: Any) -> bytes:
    answer = wire.converse({"text": "Hello"}) | changes
    return wire.response(200, {name: value for name, value in answer.items() if value != "left out"})


def _corrupt(wire: Any) -> bytes:
    frame = wire.frame("event", "contentBlockDelta", {"delta": {"text": "lo"}})
    return wire.chunk(frame[:-6] + b"XX" + frame[-4:])


def _payload(wire: Any, name: str, payload: Any) -> bytes:
    return wire.chunk(wire.frame("event", name, payload))


EVENTSTREAM = "application/vnd.amazon.eventstream"
# complete answers: what comes -> our status and code
BROKEN_COMPLETE = {
    "closed before the head": (lambda w: b"", 502, "upstream_failed"),
    "cut inside the head": (lambda w: b"HTTP/1.1 200 OK\r\ncontent-", 502, "upstream_failed"),
    "cut inside the body": (lambda w: _complete(w)[:-20], 502, "upstream_failed"),
    "cut inside an error's body": (lambda w: w.response(429, {"message": "slow down"})[:-5], 502, "upstream_failed"),
    "no HTTP": (lambda w: b"SSH-2.0-OpenSSH_9.6\r\n", 502, "upstream_failed"),
    "HTML": (lambda w: w.response(200, b"<html>Sorry</html>", content_type="text/html"), 502, "upstream_failed"),
    "an empty body": (lambda w: w.response(200, b""), 502, "upstream_failed"),
    "half of a JSON": (lambda w: w.response(200, b'{"output": {"mess'), 502, "upstream_failed"),
    "no UTF-8": (lambda w: _complete(w).replace(b"Hello", b"\xff\xff\xff\xff\xff"), 502, "upstream_failed"),
    "a list": (lambda w: w.response(200, []), 502, "upstream_failed"),
    "no output": (lambda w: _complete(w, output="left out"), 502, "upstream_failed"),
    "an empty output": (lambda w: _complete(w, output={}), 502, "upstream_failed"),
    "no content": (lambda w: _complete(w, output={"message": {"content": None}}), 502, "upstream_failed"),
    "content of texts": (lambda w: _complete(w, output={"message": {"content": ["Hello"]}}), 502, "upstream_failed"),
    "an unknown stop reason, and no text": (
        lambda w: _complete(w, output={"message": {"content": []}}, stopReason="bored"),
        502,
        "upstream_failed",
    ),
    "a malformed model output": (lambda w: _complete(w, stopReason="malformed_model_output"), 502, "invalid_output"),
    "an error without a name": (lambda w: w.response(500, b""), 502, "upstream_failed"),
    "an error page": (lambda w: w.response(503, b"<html>", content_type="text/html"), 503, "upstream_unavailable"),
    "an error that is a list": (lambda w: w.response(429, []), 429, "upstream_throttled"),
    "an error that is no UTF-8": (lambda w: w.response(429, b'{"message": "\xff"}'), 429, "upstream_throttled"),
    "a redirect": (lambda w: w.response(302, b"", location="/elsewhere"), 502, "upstream_failed"),
}


@pytest.mark.parametrize(("sent", "status", "code"), BROKEN_COMPLETE.values(), ids=BROKEN_COMPLETE)
async def test_a_broken_complete_answer(gateway, fake, wire, sent: Any, status: int, code: str) -> None:
    outcome = await CHAT.call(await gateway((await fake(wire.plays(sent(wire)))).url))
    assert (outcome.status, outcome.code) == (status, code)


# streamed answers: what comes -> our code, and the text before the error ("" for an error with its own status, 502)
BROKEN_STREAM = {
    "closed before the head": (lambda w: b"", "upstream_failed", ""),
    "cut before the first event": (lambda w: w.STREAM_HEAD, "stream_interrupted", ""),
    "ended before the first event": (lambda w: w.stream(), "stream_interrupted", ""),
    "cut between events": (lambda w: w.STREAM_HEAD + w.text("Hello"), "stream_interrupted", "Hello"),
    "cut inside an event": (lambda w: w.STREAM_HEAD + w.text("Hello") + w.text("lost")[:30], "stream_interrupted", "Hello"),
    "ended inside an event": (
        lambda w: w.stream(w.text("Hello"), w.chunk(w.frame("event", "x", {})[:20])),
        "stream_interrupted",
        "Hello",
    ),
    "ended after a delta": (lambda w: w.stream(w.text("Hello")), "stream_interrupted", "Hello"),
    "no messageStop": (
        lambda w: w.stream(w.text("Hello"), w.event("metadata", {"usage": dict(w.USAGE)})),
        "stream_interrupted",
        "Hello",
    ),
    "an unknown stop reason, and no text": (lambda w: w.stream(w.ending("bored")), "upstream_failed", ""),
    "a malformed tool use": (lambda w: w.stream(w.ending("malformed_tool_use")), "invalid_output", ""),
    "a corrupt event": (lambda w: w.stream(w.text("Hello"), _corrupt(w), w.ending()), "stream_interrupted", "Hello"),
    "a corrupt first event": (lambda w: w.stream(_corrupt(w), w.ending()), "stream_interrupted", ""),
    "no JSON": (
        lambda w: w.stream(w.text("Hello"), _payload(w, "contentBlockDelta", b'{"delta"')),
        "stream_interrupted",
        "Hello",
    ),
    "no UTF-8": (
        lambda w: w.stream(w.text("Hello"), _payload(w, "contentBlockDelta", b'{"delta": {"text": "\xff"}}')),
        "stream_interrupted",
        "Hello",
    ),
    "a payload that is a list": (
        lambda w: w.stream(w.text("Hello"), _payload(w, "contentBlockDelta", [])),
        "stream_interrupted",
        "Hello",
    ),
    "a delta without delta": (
        lambda w: w.stream(w.text("Hello"), w.event("contentBlockDelta", {})),
        "stream_interrupted",
        "Hello",
    ),
    "an exception without a message": (
        lambda w: w.stream(w.text("Hello"), w.chunk(w.frame("exception", "throttlingException", b""))),
        "upstream_throttled",
        "Hello",
    ),
    "an error event": (
        lambda w: w.stream(w.text("Hello"), w.chunk(w.frame("error", "x", b""))),
        "stream_interrupted",
        "Hello",
    ),
    "HTML": (lambda w: w.response(200, b"<html>Sorry</html>", content_type="text/html"), "upstream_failed", ""),
    "rubbish in the event stream": (
        lambda w: w.response(200, b"rubbish that is no event", content_type=EVENTSTREAM),
        "stream_interrupted",
        "",
    ),
    "a broken chunk": (lambda w: w.STREAM_HEAD + w.text("Hello") + b"zz\r\n", "stream_interrupted", "Hello"),
}


@pytest.mark.parametrize(("sent", "code", "text"), BROKEN_STREAM.values(), ids=BROKEN_STREAM)
async def test_a_broken_stream(gateway, fake, wire, sent: Any, code: str, text: str) -> None:
    outcome = await CHAT_STREAM.call(await gateway((await fake(wire.plays(sent(wire)))).url))
    assert (outcome.code, outcome.text) == (code, text)
    assert outcome.status == (200 if text else 502 if code != "upstream_throttled" else 429)


# What is new or not ours is ignored.


async def test_unknown_members_and_events_are_ignored(gateway, fake, wire) -> None:
    async def script(peer: Any) -> None:
        await peer.request()
        content = ({"text": "Hel"}, {"blockOfTomorrow": {"text": "x"}}, {"text": "lo", "newMember": 1}, {"text": ""})
        answer = wire.converse(*content, metrics={"latencyMs": 3}, memberOfTomorrow={"a": 1})
        await peer.send(wire.response(200, answer))
        await peer.request()
        stream = wire.stream(
            wire.event("messageStart", {"role": "assistant", "more": 1}),
            wire.event("contentBlockStart", {"contentBlockIndex": 0, "start": {"blockOfTomorrow": {}}}),
            wire.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"deltaOfTomorrow": {"text": "x"}}}),
            wire.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "s"}}}),
            wire.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"citation": {"title": "x"}}}),
            wire.text("Hel"),
            wire.event("eventOfTomorrow", {"a": [1, 2]}),
            wire.event("emptyEvent", b""),
            wire.text(""),
            wire.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo"}, "p": "padding"}),
            wire.event("contentBlockStop", {"contentBlockIndex": 0}),
            wire.event("messageStop", {"stopReason": "end_turn", "additionalModelResponseFields": {"a": 1}}),
            wire.event("metadata", {"usage": {**wire.USAGE, "cacheReadInputTokens": 0}, "metrics": {}, "trace": {}}),
        )
        await peer.send(stream)

    service = await gateway((await fake(script)).url)
    answer = (await service.post("/chat", CHAT.body)).json()
    assert (answer["message"], answer["usage"]) == ("Hello", {"input_tokens": 3, "output_tokens": 2})
    events = await service.sse("/chat/stream", CHAT.body)
    assert [(event.name, event.data) for event in events[2:]] == [
        ("delta", {"type": "delta", "text": "Hel"}),
        ("delta", {"type": "delta", "text": "lo"}),
        ("usage", {"type": "usage", "input_tokens": 3, "output_tokens": 2}),
        ("done", {"type": "done", "stop_reason": "end_turn"}),
    ]


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_events_arrive_in_pieces_of_any_size(gateway, fake, wire, size: int) -> None:
    frames = [wire.frame("event", "contentBlockDelta", {"delta": {"text": text}}) for text in ("Grüße ", "你好", " 🙂")]
    frames.append(wire.frame("event", "messageStop", {"stopReason": "end_turn"}))
    frames.append(wire.frame("event", "metadata", {"usage": dict(wire.USAGE)}))
    data = b"".join(frames)
    pieces = [wire.chunk(data[i : i + size]) for i in range(0, len(data), size)]
    service = await gateway((await fake(wire.plays(wire.STREAM_HEAD, *pieces, wire.STREAM_END))).url)
    outcome = await CHAT_STREAM.call(service)
    assert (outcome.text, outcome.error) == ("Grüße 你好 🙂", None)


# What is sent.


def user(text: str = "Hi") -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str | None, *calls: tuple[str, str, str]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": i, "type": "function", "function": {"name": name, "arguments": arguments}} for i, name, arguments in calls
        ]
    return message


def result(identifier: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": text}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def spec(name: str, schema: Any = None, **more: Any) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": schema or {"type": "object"}}, **more}}


def turn(role: str, *content: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"text": block} if isinstance(block, str) else block for block in content]}


NO_CALL = "Answer in words now. Do not call a tool."
USE = {"toolUse": {"toolUseId": "c1", "name": "old", "input": {"a": 1}}}
RESULT = {"toolResult": {"toolUseId": "c1", "content": [{"text": "one"}]}}
NO_ARGUMENTS = {"type": "object", "properties": {}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALLED = [user(), assistant(None, ("c1", "old", '{"a": 1}')), result("c1", "one")]
# what a caller of the OpenAI route says -> the members of Converse's body that it determines; None: not there
SENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a message": (
        {},
        {
            "messages": [turn("user", "Hi")],
            "inferenceConfig": {"maxTokens": 4096},
            "system": None,
            "toolConfig": None,
        },
    ),
    "sampling": (
        {"temperature": 0.5, "top_p": 0.25, "max_tokens": 7, "stop": ["a", "b"]},
        {"inferenceConfig": {"maxTokens": 7, "temperature": 0.5, "topP": 0.25, "stopSequences": ["a", "b"]}},
    ),
    "zeros are values": (
        {"temperature": 0, "top_p": 0},
        {"inferenceConfig": {"maxTokens": 4096, "temperature": 0.0, "topP": 0.0}},
    ),
    "system": ({"messages": [{"role": "system", "content": "Be brief."}, user()]}, {"system": [{"text": "Be brief."}]}),
    "an empty system text is none": ({"messages": [{"role": "system", "content": ""}, user()]}, {"system": None}),
    "neighbors of one role are one turn": (
        {"messages": [user("a"), user("b"), assistant("c"), assistant("d"), user("e")]},
        {"messages": [turn("user", "a", "b"), turn("assistant", "c", "d"), turn("user", "e")]},
    ),
    "a tool": (
        {"tools": [tool("t", description="Does it", parameters=SCHEMA)]},
        {"toolConfig": {"tools": [spec("t", SCHEMA, description="Does it")]}},
    ),
    "a tool without parameters or description": (
        {"tools": [tool("t"), tool("u", description=" ", parameters=None)]},
        {"toolConfig": {"tools": [spec("t", NO_ARGUMENTS), spec("u", NO_ARGUMENTS)]}},
    ),
    "the tool's choice is the model's": (
        {"tools": [tool("t")], "tool_choice": "auto"},
        {"toolConfig": {"tools": [spec("t", NO_ARGUMENTS)]}},
    ),
    "a tool must be called": (
        {"tools": [tool("t")], "tool_choice": "required"},
        {"toolConfig": {"tools": [spec("t", NO_ARGUMENTS)], "toolChoice": {"any": {}}}},
    ),
    "this tool must be called": (
        {"tools": [tool("t"), tool("u")], "tool_choice": {"type": "function", "function": {"name": "u"}}},
        {
            "toolConfig": {
                "tools": [spec("t", NO_ARGUMENTS), spec("u", NO_ARGUMENTS)],
                "toolChoice": {"tool": {"name": "u"}},
            }
        },
    ),
    "no tool may be called": ({"tools": [tool("t")], "tool_choice": "none"}, {"toolConfig": None}),
    "a call and its result": (
        {"messages": CALLED, "tools": [tool("old")]},
        {
            "messages": [turn("user", "Hi"), turn("assistant", USE), turn("user", RESULT)],
            "toolConfig": {"tools": [spec("old", NO_ARGUMENTS)]},
        },
    ),
    "text beside a call, and after a result": (
        {"messages": [user(), assistant("Let me look.", ("c1", "old", '{"a": 1}')), result("c1", "one"), user("And?")]},
        {"messages": [turn("user", "Hi"), turn("assistant", "Let me look.", USE), turn("user", RESULT, "And?")]},
    ),
    "a tool that only the history knows is declared": (
        {"messages": CALLED},
        {"toolConfig": {"tools": [spec("old")]}, "system": [{"text": NO_CALL}]},
    ),
    "beside those that are offered": (
        {"messages": CALLED, "tools": [tool("new")]},
        {"toolConfig": {"tools": [spec("new", NO_ARGUMENTS), spec("old")]}, "system": None},
    ),
    "even where none may be called": (
        {"messages": [{"role": "system", "content": "Be brief."}, *CALLED], "tools": [tool("old")], "tool_choice": "none"},
        {"toolConfig": {"tools": [spec("old", NO_ARGUMENTS)]}, "system": [{"text": f"Be brief.\n\n{NO_CALL}"}]},
    ),
    "an empty result": (
        {"messages": [*CALLED[:2], result("c1", "")]},
        {
            "messages": [
                turn("user", "Hi"),
                turn("assistant", USE),
                turn("user", {"toolResult": {"toolUseId": "c1", "content": [{"text": "(no output)"}]}}),
            ]
        },
    ),
    "a model's own bound": ({"model": "bare"}, {"inferenceConfig": {"maxTokens": 100}}),
}
_CONVERSE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")


@pytest.mark.parametrize(("said", "expected"), SENT.values(), ids=SENT)
async def test_what_is_sent_is_a_valid_converse_request(gateway, fake, wire, said: Any, expected: Any) -> None:
    upstream = await fake(wire.plays(wire.response(200, wire.converse({"text": "Hi"}))))
    service = await gateway(upstream.url)
    response = await service.post("/v1/chat/completions", {"model": "full", "messages": [user()], **said})
    assert response.status_code == 200, response.text
    (body,) = upstream.bodies
    assert {name: body.get(name) for name in expected} == expected
    operation = _CONVERSE.operation_model("Converse")
    assert set(body) <= set(operation.input_shape.members)
    validate.validate_parameters({"modelId": "a-model", **body}, operation.input_shape)


@pytest.mark.assumes("tool-rules")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_where_none_may_be_made(gateway, fake, wire, stream: bool) -> None:
    """The last step of an agent: it is asked again, and what it says then is the answer. No call reaches the caller."""
    use = {"toolUseId": "c2", "name": "old", "input": {}}
    calls = [wire.response(200, wire.converse({"toolUse": use}, reason="tool_use"))]
    words = [wire.response(200, wire.converse({"text": "It is 1."}))]
    if stream:
        start = {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "c2", "name": "old"}}}
        end = wire.event("contentBlockStop", {"contentBlockIndex": 0})
        calls = [wire.stream(wire.event("contentBlockStart", start), end, wire.ending("tool_use"))]
        words = [wire.stream(wire.text("It is 1."), wire.ending())]
    upstream = await fake(answers_in_turn(*calls, *words))
    accepts: Any = ("max_tokens", "system", "tools", "stream_tools", "forced_tools")
    target = Target("bedrock/full", "bedrock", "test.all-v1:0", 4096, 100_000, accepts)
    service = await gateway(upstream.url, routes=Routes((Alias("full", (target,), retries=1),)))
    create = service.openai().chat.completions.create
    said = {"model": "full", "messages": CALLED, "tools": [tool("old")], "tool_choice": "none"}
    if stream:
        choices = [choice async for chunk in await create(**said, stream=True) for choice in chunk.choices]
        assert not any(choice.delta.tool_calls for choice in choices) and choices[-1].finish_reason == "stop"
        assert "".join(choice.delta.content or "" for choice in choices) == "It is 1."
    else:
        (choice,) = (await create(**said)).choices
        assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == ("It is 1.", None, "stop")
    assert len(upstream.bodies) == 2
