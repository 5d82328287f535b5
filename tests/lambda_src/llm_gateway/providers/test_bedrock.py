"""Bedrock as the gateway's upstream: what each of its failures becomes, what is sent to it, what of it is ignored."""

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from botocore import validate
from botocore.loaders import Loader
from botocore.model import ServiceModel

from lambda_src.conftest import ROUTES
from llm_functions.http import application
from llm_gateway.routes import Routes
from pulumi_llm_local.upstreams import fault
from pulumi_llm_local.upstreams.fault import Fault

pytestmark = pytest.mark.timeout(20)

HELLO = {"message": "Hello, who is there?"}
# The same routes, whose targets may stand still for a moment only.
IMPATIENT = Routes(tuple(msgspec.structs.replace(alias, stall_seconds=0.05) for alias in ROUTES.aliases))
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@dataclass
class Outcome:
    """How a call of /chat or /chat/stream ended: with the whole answer `text`, or with one typed error after `text`."""

    status: int
    headers: Any
    text: str
    error: dict[str, Any] | None

    @property
    def code(self) -> str:
        return "" if self.error is None else self.error["code"]


async def call(service: Any, stream: bool) -> Outcome:
    response = await service.post("/chat/stream" if stream else "/chat", HELLO)
    status, headers = response.status_code, response.headers
    if status != 200:
        return Outcome(status, headers, "", service.error_of(response))
    if not stream:
        answer = response.json()
        assert answer["stop_reason"] and answer["usage"]
        return Outcome(status, headers, answer["message"], None)
    frames = [frame.split("\n") for frame in response.text.removesuffix("\n\n").split("\n\n")]
    events = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for _, name, data in frames[1:]]
    names = [name for name, _ in events]
    assert names[0] == "start" and len({"done", "error"}.intersection(names)) == 1
    text = "".join(data["text"] for name, data in events if name == "delta")
    if names[-1] == "error":
        assert names.count("error") == 1
        return Outcome(status, headers, text, events[-1][1]["error"])
    assert names[-2:] == ["usage", "done"]
    return Outcome(status, headers, text, None)


# Each exception of Converse.

INVALID, LIMIT, UPSTREAM = "invalid_request_error", "rate_limit_error", "upstream_error"
# name -> HTTP status of Bedrock's; our status, type, code, Retry-After
EXCEPTIONS: dict[str, tuple[int, int, str, str, str | None]] = {
    "ThrottlingException": (429, 429, LIMIT, "upstream_throttled", "1"),
    "ServiceQuotaExceededException": (400, 429, LIMIT, "upstream_throttled", "1"),
    "TooManyRequestsException": (429, 429, LIMIT, "upstream_throttled", "1"),
    "ModelNotReadyException": (429, 503, UPSTREAM, "model_not_ready", "30"),
    "ServiceUnavailableException": (503, 503, UPSTREAM, "upstream_unavailable", "1"),
    "ModelTimeoutException": (408, 504, UPSTREAM, "upstream_timeout", None),
    "ModelErrorException": (424, 502, UPSTREAM, "upstream_failed", None),
    "ModelStreamErrorException": (424, 502, UPSTREAM, "stream_interrupted", None),
    "InternalServerException": (500, 502, UPSTREAM, "upstream_failed", None),
    "ValidationException": (400, 400, INVALID, "upstream_rejected", None),
    "AccessDeniedException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "ResourceNotFoundException": (404, 502, UPSTREAM, "upstream_misconfigured", None),
    "ConflictException": (400, 502, UPSTREAM, "upstream_misconfigured", None),
    "UnrecognizedClientException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "InvalidSignatureException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "MissingAuthenticationTokenException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "IncompleteSignatureException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "ExpiredTokenException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "ExceptionOfTomorrow": (500, 502, UPSTREAM, "upstream_failed", None),
    "ThrottlingOfTomorrow": (429, 429, LIMIT, "upstream_throttled", "1"),
    "OutageOfTomorrow": (503, 503, UPSTREAM, "upstream_unavailable", "1"),
}


@BOTH
@pytest.mark.parametrize("form", ["header", "header with a URL", "__type", "__type with a namespace"])
@pytest.mark.parametrize(("name", "expected"), EXCEPTIONS.items(), ids=EXCEPTIONS)
async def test_an_exception_by_http(gateway, fake, wire, name: str, expected: Any, form: str, stream: bool) -> None:
    status, *ours = expected
    body: dict[str, Any] = {"message": "The cause"}
    headers: dict[str, str] = {}
    match form:
        case "header":
            headers["x_amzn_errortype"] = name
        case "header with a URL":
            headers["x_amzn_errortype"] = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"
        case "__type":
            body["__type"] = name
        case _:
            body = {"__type": f"com.amazon.bedrock#{name}", "Message": "The cause"}
    refusal = wire.response(status, body, **headers)
    outcome = await call(await gateway((await fake(wire.plays(refusal))).url, debug=True), stream)
    error = outcome.error
    assert [outcome.status, error["type"], error["code"], outcome.headers.get("retry-after")] == ours
    assert error["detail"] == f"{name}: The cause"


# in a stream Bedrock names these, beginning small; there an InternalServerException breaks off what had begun
IN_STREAM = {
    "throttlingException": EXCEPTIONS["ThrottlingException"],
    "serviceUnavailableException": EXCEPTIONS["ServiceUnavailableException"],
    "modelStreamErrorException": EXCEPTIONS["ModelStreamErrorException"],
    "internalServerException": (500, 502, UPSTREAM, "stream_interrupted", None),
    "validationException": EXCEPTIONS["ValidationException"],
    "exceptionOfTomorrow": EXCEPTIONS["ExceptionOfTomorrow"],
}


@pytest.mark.parametrize("began", [False, True], ids=["before the first event", "after deltas"])
@pytest.mark.parametrize(("name", "expected"), IN_STREAM.items(), ids=IN_STREAM)
async def test_an_exception_in_the_stream(gateway, fake, wire, name: str, expected: Any, began: bool) -> None:
    _, status, kind, code, retry_after = expected
    first = wire.event("messageStart", {"role": "assistant"})
    deltas = [wire.text("Hel"), wire.text("lo")] if began else []
    stream = wire.stream(first, *deltas, wire.exception(name, "The cause"))
    service = await gateway((await fake(wire.plays(stream, wait=True))).url, debug=True)
    outcome = await call(service, stream=True)
    error = outcome.error
    assert (outcome.status, outcome.text) == ((200, "Hello") if began else (status, ""))
    assert outcome.headers.get("retry-after") == (None if began else retry_after)
    assert (error["type"], error["code"], error["detail"]) == (kind, code, f"{name}: The cause")


# what Bedrock's ValidationException says -> our status and code
VALIDATION = {
    "The provided model identifier is invalid.": (502, "upstream_misconfigured"),
    "Invocation of model ID x with on-demand throughput isn’t supported. Retry with an inference profile.": (
        502,
        "upstream_misconfigured",
    ),
    "This model version has reached the end of its life. Please refer to the AWS documentation.": (
        502,
        "upstream_misconfigured",
    ),
    "Input is too long for requested model.": (400, "context_length_exceeded"),
    "The model returned the following errors: prompt is too long: 208310 tokens > 200000 maximum": (
        400,
        "context_length_exceeded",
    ),
    "input length and `max_tokens` exceed context limit: 198000 + 4096 > 200000": (400, "context_length_exceeded"),
    "This model's maximum context length is 131072 tokens.": (400, "context_length_exceeded"),
    "Too many input tokens. Max input tokens: 8192": (400, "context_length_exceeded"),
    "This model doesn't support tool use.": (400, "upstream_rejected"),
    "": (400, "upstream_rejected"),
}


@pytest.mark.parametrize(("message", "expected"), VALIDATION.items())
@pytest.mark.assumes("validation-text")
async def test_a_validation_exception_by_what_it_says(gateway, fake, wire, message: str, expected: Any) -> None:
    refusal = wire.response(400, {"message": message}, x_amzn_errortype="ValidationException")
    outcome = await call(await gateway((await fake(wire.plays(refusal))).url), stream=False)
    assert (outcome.status, outcome.code) == expected
    assert (message in outcome.error["message"]) == (outcome.code == "upstream_rejected")


# Failures of the transport and answers that are none.


def _whole(wire: Any, **changes: Any) -> bytes:
    answer = wire.converse({"text": "Hello"}) | changes
    return wire.response(200, {name: value for name, value in answer.items() if value != "left out"})


def _corrupt(wire: Any) -> bytes:
    frame = wire.frame("event", "contentBlockDelta", {"delta": {"text": "lo"}})
    return wire.chunk(frame[:-6] + b"XX" + frame[-4:])


def _payload(wire: Any, name: str, payload: Any) -> bytes:
    return wire.chunk(wire.frame("event", name, payload))


EVENTSTREAM = "application/vnd.amazon.eventstream"
# whole answers: what comes -> our status and code
BROKEN_WHOLE = {
    "closed before the head": (lambda w: b"", 502, "upstream_failed"),
    "cut inside the head": (lambda w: b"HTTP/1.1 200 OK\r\ncontent-", 502, "upstream_failed"),
    "cut inside the body": (lambda w: _whole(w)[:-20], 502, "upstream_failed"),
    "cut inside an error's body": (lambda w: w.response(429, {"message": "slow down"})[:-5], 502, "upstream_failed"),
    "no HTTP": (lambda w: b"SSH-2.0-OpenSSH_9.6\r\n", 502, "upstream_failed"),
    "HTML": (lambda w: w.response(200, b"<html>Sorry</html>", content_type="text/html"), 502, "upstream_failed"),
    "an empty body": (lambda w: w.response(200, b""), 502, "upstream_failed"),
    "half of a JSON": (lambda w: w.response(200, b'{"output": {"mess'), 502, "upstream_failed"),
    "no UTF-8": (lambda w: _whole(w).replace(b"Hello", b"\xff\xff\xff\xff\xff"), 502, "upstream_failed"),
    "a list": (lambda w: w.response(200, []), 502, "upstream_failed"),
    "no output": (lambda w: _whole(w, output="left out"), 502, "upstream_failed"),
    "an empty output": (lambda w: _whole(w, output={}), 502, "upstream_failed"),
    "no content": (lambda w: _whole(w, output={"message": {"content": None}}), 502, "upstream_failed"),
    "content of texts": (lambda w: _whole(w, output={"message": {"content": ["Hello"]}}), 502, "upstream_failed"),
    "no usage": (lambda w: _whole(w, usage="left out"), 502, "upstream_failed"),
    "no stop reason": (lambda w: _whole(w, stopReason="left out"), 502, "upstream_failed"),
    "an unknown stop reason": (lambda w: _whole(w, stopReason="bored"), 502, "upstream_failed"),
    "a malformed model output": (lambda w: _whole(w, stopReason="malformed_model_output"), 502, "upstream_failed"),
    "an error without a name": (lambda w: w.response(500, b""), 502, "upstream_failed"),
    "an error page": (lambda w: w.response(503, b"<html>", content_type="text/html"), 503, "upstream_unavailable"),
    "an error that is a list": (lambda w: w.response(429, []), 429, "upstream_throttled"),
    "an error that is no UTF-8": (lambda w: w.response(429, b'{"message": "\xff"}'), 429, "upstream_throttled"),
    "a redirect": (lambda w: w.response(302, b"", location="/elsewhere"), 502, "upstream_failed"),
}


@pytest.mark.parametrize(("sent", "status", "code"), BROKEN_WHOLE.values(), ids=BROKEN_WHOLE)
async def test_a_broken_whole_answer(gateway, fake, wire, sent: Any, status: int, code: str) -> None:
    outcome = await call(await gateway((await fake(wire.plays(sent(wire)))).url), stream=False)
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
    "no metadata": (
        lambda w: w.stream(w.text("Hello"), w.event("messageStop", {"stopReason": "end_turn"})),
        "stream_interrupted",
        "Hello",
    ),
    "no messageStop": (
        lambda w: w.stream(w.text("Hello"), w.event("metadata", {"usage": dict(w.USAGE)})),
        "stream_interrupted",
        "Hello",
    ),
    "metadata without usage": (
        lambda w: w.stream(w.text("Hello"), w.event("messageStop", {"stopReason": "end_turn"}), w.event("metadata", {})),
        "stream_interrupted",
        "Hello",
    ),
    "an unknown stop reason": (lambda w: w.stream(w.text("Hello"), w.ending("bored")), "upstream_failed", "Hello"),
    "a malformed tool use": (lambda w: w.stream(w.ending("malformed_tool_use")), "upstream_failed", ""),
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
    "no event stream": (lambda w: w.response(200, w.converse({"text": "Hello"})), "upstream_failed", ""),
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
    outcome = await call(await gateway((await fake(wire.plays(sent(wire)))).url), stream=True)
    assert (outcome.code, outcome.text) == (code, text)
    assert outcome.status == (200 if text else 502 if code != "upstream_throttled" else 429)


@BOTH
async def test_a_refused_connection(gateway, stream: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    outcome = await call(await gateway(f"http://127.0.0.1:{port}"), stream)
    assert (outcome.status, outcome.code, outcome.headers["retry-after"]) == (503, "upstream_unavailable", "1")


@BOTH
async def test_no_head_in_time(gateway, fake, wire, monkeypatch, stream: bool) -> None:
    monkeypatch.setattr(application, "DEFAULT_DEADLINE_SECONDS", application.DEADLINE_MARGIN_SECONDS + 0.05)
    upstream = await fake(wire.plays(wire.STREAM_HEAD[:10], wait=True))
    outcome = await call(await gateway(upstream.url), stream)
    assert (outcome.status, outcome.code) == (504, "upstream_timeout")
    await upstream.left.wait()


async def test_a_whole_answer_that_stands_still(gateway, fake, wire) -> None:
    upstream = await fake(wire.plays(_whole(wire)[:-10], wait=True))
    outcome = await call(await gateway(upstream.url, routes=IMPATIENT), stream=False)
    assert (outcome.status, outcome.code) == (504, "upstream_timeout")
    await upstream.left.wait()


@pytest.mark.parametrize(("began", "status"), [(False, 504), (True, 200)])
async def test_a_stream_that_stands_still(gateway, fake, wire, began: bool, status: int) -> None:
    sent = wire.STREAM_HEAD + (wire.text("Hello") if began else b"")
    upstream = await fake(wire.plays(sent, wait=True))
    outcome = await call(await gateway(upstream.url, routes=IMPATIENT), stream=True)
    assert (outcome.status, outcome.code, outcome.text) == (status, "upstream_timeout", "Hello" if began else "")
    await upstream.left.wait()


async def test_a_usage_that_is_none_is_an_error_event(gateway, fake, wire) -> None:
    """What fails in the rendering, after the stream has begun, is told like any other failure."""
    usage = {"inputTokens": None, "outputTokens": 2}
    events = [wire.text("Hi"), wire.event("messageStop", {"stopReason": "end_turn"}), wire.event("metadata", {"usage": usage})]
    service = await gateway((await fake(wire.plays(wire.stream(*events)))).url)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    body = {"model": "full", "messages": [{"role": "user", "content": "Hi"}], **options}
    last = (await service.sse("/v1/chat/completions", body))[-1]
    assert last.data["error"]["code"] in ("upstream_failed", "stream_interrupted", "internal_error")


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
    answer = (await service.post("/chat", HELLO)).json()
    assert (answer["message"], answer["usage"]) == ("Hello", {"input_tokens": 3, "output_tokens": 2})
    events = await service.sse("/chat/stream", HELLO)
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
    outcome = await call(service, stream=True)
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
            "inferenceConfig": {"maxTokens": 4000},
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
        {"inferenceConfig": {"maxTokens": 4000, "temperature": 0.0, "topP": 0.0}},
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
        {"tools": [tool("t"), tool("u", description="", parameters=None)]},
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
        {"toolConfig": {"tools": [spec("old")]}},
    ),
    "beside those that are offered": (
        {"messages": CALLED, "tools": [tool("new")]},
        {"toolConfig": {"tools": [spec("new", NO_ARGUMENTS), spec("old")]}},
    ),
    "even where none may be called": (
        {"messages": CALLED, "tools": [tool("old")], "tool_choice": "none"},
        {"toolConfig": {"tools": [spec("old", NO_ARGUMENTS)]}},
    ),
    "an empty result": (
        {"messages": [*CALLED[:2], result("c1", "")]},
        {
            "messages": [
                turn("user", "Hi"),
                turn("assistant", USE),
                turn("user", {"toolResult": {"toolUseId": "c1", "content": [{"text": ""}]}}),
            ]
        },
    ),
    "a model's own bound": ({"model": "bare"}, {"inferenceConfig": {"maxTokens": 100}}),
}
_CONVERSE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")


@BOTH
@pytest.mark.parametrize(("said", "expected"), SENT.values(), ids=SENT)
async def test_what_is_sent_is_a_valid_converse_request(gateway, fake, wire, said: Any, expected: Any, stream: bool) -> None:
    answers = wire.stream(wire.text("Hi"), wire.ending()), wire.response(200, wire.converse({"text": "Hi"}))
    upstream = await fake(wire.plays(answers[0 if stream else 1]))
    service = await gateway(upstream.url)
    response = await service.post("/v1/chat/completions", {"model": "full", "messages": [user()], "stream": stream, **said})
    assert response.status_code == 200, response.text
    (body,) = upstream.bodies
    assert {name: body.get(name) for name in expected} == expected
    operation = _CONVERSE.operation_model("ConverseStream" if stream else "Converse")
    assert set(body) <= set(operation.input_shape.members)
    validate.validate_parameters({"modelId": "a-model", **body}, operation.input_shape)


@BOTH
async def test_the_models_id_is_one_segment_of_the_path(gateway, fake, wire, stream: bool) -> None:
    upstream = await fake(wire.plays(b""))
    service = await gateway(upstream.url)
    await service.post(f"/chat{'/stream' if stream else ''}", {**HELLO, "model": "arn"})
    operation = "converse-stream" if stream else "converse"
    assert upstream.paths == [
        f"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aprovisioned-model%2Fabcdef123456/{operation}"
    ]
    head = upstream.heads[0].lower()
    assert "content-type: application/json\r\n" in head
    assert "/us-east-1/bedrock/aws4_request" in head and "test-secret" not in head


# The local Bedrock's faults, under concurrent calls.

REQUESTS = 10
# the fault -> its rate, and what a struck call ends with (whole, streamed); None: it does not fail
FAULTS: dict[str, tuple[float, str | None, str | None]] = {
    "throttle": (0.3, "upstream_throttled", "upstream_throttled"),
    "not-ready": (0.3, "model_not_ready", "model_not_ready"),
    "500": (0.5, "upstream_failed", "upstream_failed"),
    "503": (0.3, "upstream_unavailable", "upstream_unavailable"),
    "cut-stream": (0.5, "upstream_failed", "stream_interrupted"),
    "stream-error": (0.5, "upstream_failed", "stream_interrupted"),
    "slow": (0.5, None, None),
}


@BOTH
@pytest.mark.parametrize(("kind", "expected"), FAULTS.items(), ids=FAULTS)
async def test_under_a_fault_each_call_ends_whole_or_in_one_error(
    gateway, bedrock, monkeypatch, kind: Any, expected: Any, stream: bool
) -> None:
    rate, *codes = expected
    monkeypatch.setattr(fault, "SLOW_FIRST_PIECE_S", 0.001)
    monkeypatch.setattr(fault, "SLOW_PIECE_S", 0.001)
    sane = await gateway((await bedrock()).url)
    answer = (await sane.post("/chat", HELLO)).json()["message"]
    service = await gateway((await bedrock(None, Fault(kind, rate))).url)
    outcomes = await asyncio.gather(*(call(service, stream) for _ in range(REQUESTS)))
    code = codes[1 if stream else 0]
    assert sum(bool(outcome.error) for outcome in outcomes) == (0 if code is None else round(rate * REQUESTS))
    for outcome in outcomes:
        if outcome.error:
            assert outcome.code == code and answer.startswith(outcome.text) and outcome.text != answer
        else:
            assert outcome.text == answer


@BOTH
async def test_a_stalled_bedrock_is_left(gateway, bedrock, monkeypatch, stream: bool) -> None:
    monkeypatch.setattr(application, "DEFAULT_DEADLINE_SECONDS", application.DEADLINE_MARGIN_SECONDS + 0.1)
    service = await gateway((await bedrock(None, Fault("stall"))).url)
    outcome = await call(service, stream)
    assert outcome.code == "upstream_timeout" and bool(outcome.text) == stream


async def test_faults_reach_openai_callers_as_the_sdks_errors(gateway, bedrock) -> None:
    import openai

    service = await gateway((await bedrock(None, Fault("stream-error"))).url)
    stream = await service.openai().chat.completions.create(
        model="full", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    pieces = 0
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in stream:
            pieces += 1
    assert pieces
