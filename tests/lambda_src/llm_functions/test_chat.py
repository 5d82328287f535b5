"""POST /chat and /chat/stream, from a raw HTTP caller to the local Bedrock and back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from llm_functions.api_formats import chat as chat_api
from llm_functions.http import application, event_stream
from llm_gateway import telemetry
from pulumi_llm_local.upstreams.model import Finish, GenerationRequest, Piece, TextDelta
from pulumi_llm_local.upstreams.tokens import count_tokens

HELLO = {"message": "Hello, who is there?"}


def text_of(events: list[Any]) -> str:
    return "".join(event.data["text"] for event in events if event.name == "delta")


def names(events: list[Any]) -> list[str]:
    """The events' names in their order, neighbors of one name told once."""
    return [event.name for i, event in enumerate(events) if i == 0 or events[i - 1].name != event.name]


class Controlled:
    """A model that says "Hello", and " world" when it is told to."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent
        self.go_on = asyncio.Event()
        self.whole = False

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        if not self.silent:
            yield TextDelta("Hello")
        await self.go_on.wait()
        yield TextDelta("Hello world" if self.silent else " world")
        self.whole = True
        yield Finish("end_turn", 5, 2)


# Whole answers.


async def test_a_whole_answer_has_exactly_the_documented_shape(gateway, bedrock) -> None:
    upstream = await bedrock()
    service = await gateway(upstream.url)
    response = await service.post("/chat", HELLO)
    answer = response.json()
    read, written = count_tokens(chat_api.SYSTEM_PROMPT) + count_tokens(HELLO["message"]), count_tokens(answer["message"])
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.headers["access-control-allow-origin"] == "https://chat.example.com"
    assert HELLO["message"] in answer["message"]
    assert answer == {
        "message": answer["message"],
        "model": "full",
        "usage": {"input_tokens": read, "output_tokens": written},
        "input_tokens": read,
        "output_tokens": written,
        "stop_reason": "end_turn",
        "request_id": response.headers["x-request-id"],
    }


async def test_the_request_id_is_api_gateways(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    headers = service.context(request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef")
    whole = await service.post("/chat", HELLO, headers)
    assert whole.json()["request_id"] == whole.headers["x-request-id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    async with service.streaming("/chat/stream", HELLO, headers) as (response, events):
        ids = {event.data["request_id"] async for event in events if event.name == "start"}
    assert ids == {response.headers["x-request-id"]} == {"c6af9ac6-7b61-11e6-9a41-93e8deadbeef"}


async def test_two_requests_without_a_request_id_have_their_own(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    one, two = [(await service.post("/chat", HELLO)).json()["request_id"] for _ in range(2)]
    assert one != two


async def test_prompt_is_a_synonym_of_message(gateway, bedrock) -> None:
    upstream = await bedrock()
    service = await gateway(upstream.url)
    answers = [(await service.post("/chat", {name: "One of two names"})).json() for name in ("message", "prompt")]
    assert answers[0]["message"] == answers[1]["message"]
    assert upstream.calls[0] == upstream.calls[1]


async def test_null_counts_as_not_given(gateway, bedrock) -> None:
    upstream = await bedrock()
    service = await gateway(upstream.url)
    names = ("prompt", "model", "system_prompt", "max_tokens", "temperature", "top_p", "stop", "history")
    response = await service.post("/chat", {**HELLO, **dict.fromkeys(names)})
    assert response.status_code == 200
    await service.post("/chat", HELLO)
    assert upstream.calls[0] == upstream.calls[1]


# what the caller said besides the message -> the model asked, and what it got
SENT = {
    "the first model, and the documented defaults": (
        {},
        "test.all-v1:0",
        {"system": ("You are a helpful AI assistant.",), "max_tokens": 1000, "temperature": 0.7, "top_p": 0.9, "stop": ()},
    ),
    "explicit values win": (
        {"system_prompt": "Be brief.", "max_tokens": 7, "temperature": 0, "top_p": 1, "stop": "END", "model": "full"},
        "test.all-v1:0",
        {"system": ("Be brief.",), "max_tokens": 7, "temperature": 0, "top_p": 1, "stop": ("END",)},
    ),
    "no default goes where the model does not take it, nor more than its bound": (
        {"model": "bare"},
        "test.bare-v1",
        {"system": (), "max_tokens": 100, "temperature": None, "top_p": None, "stop": ()},
    ),
    "of exclusive defaults the temperature": ({"model": "exclusive"}, "test.exclusive-v1", {"temperature": 0.7, "top_p": None}),
    "of exclusive parameters the explicit one": (
        {"model": "exclusive", "top_p": 0.5},
        "test.exclusive-v1",
        {"temperature": None, "top_p": 0.5},
    ),
    "a temperature at the model's bound": ({"temperature": 1}, "test.all-v1:0", {"temperature": 1}),
    "several stops": ({"stop": ["one", "two"]}, "test.all-v1:0", {"stop": ("one", "two")}),
    "an empty system prompt is none": ({"system_prompt": ""}, "test.all-v1:0", {"system": ()}),
    "a blank system prompt is none": ({"system_prompt": " \n"}, "test.all-v1:0", {"system": ()}),
}


@pytest.mark.parametrize(("said", "model", "expected"), SENT.values(), ids=SENT)
@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
async def test_what_the_model_is_sent(gateway, bedrock, path: str, said: Any, model: str, expected: dict[str, Any]) -> None:
    upstream = await bedrock()
    service = await gateway(upstream.url)
    response = await service.post(path, {**HELLO, **said})
    assert response.status_code == 200, response.text
    (call,) = upstream.calls
    assert call.model_id == model
    assert {name: getattr(call, name) for name in expected} == expected


async def test_the_history_comes_before_the_message(gateway, bedrock) -> None:
    upstream = await bedrock()
    service = await gateway(upstream.url)
    history = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "Are you there?"},
    ]
    assert (await service.post("/chat", {"message": "What is my name?", "history": history})).status_code == 200
    (call,) = upstream.calls
    assert [(turn.role, [block.text for block in turn.content]) for turn in call.messages] == [
        ("user", ["My name is Ada."]),
        ("assistant", ["Hello Ada."]),
        ("user", ["Are you there?", "What is my name?"]),
    ]


async def test_reasoning_stands_beside_the_answer(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    answer = (await service.post("/chat", {**HELLO, "model": "r1"})).json()
    assert "stand-in" in answer["reasoning"] and answer["reasoning"] not in answer["message"]
    events = await service.sse("/chat/stream", {**HELLO, "model": "r1"})
    assert names(events) == ["", "start", "reasoning", "delta", "usage", "done"]
    assert "".join(event.data["text"] for event in events if event.name == "reasoning") == answer["reasoning"]
    assert text_of(events) == answer["message"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [({}, "end_turn"), ({"max_tokens": 3}, "max_tokens"), ({"stop": ["local"]}, "stop_sequence")],
)
async def test_stop_reasons(gateway, bedrock, said: Any, reason: str) -> None:
    service = await gateway((await bedrock()).url)
    whole = (await service.post("/chat", {**HELLO, **said})).json()
    events = await service.sse("/chat/stream", {**HELLO, **said})
    assert whole["stop_reason"] == reason
    assert events[-1].data == {"type": "done", "stop_reason": reason}
    assert text_of(events) == whole["message"] and ("local" in whole["message"]) == (reason == "end_turn")
    assert whole["output_tokens"] == count_tokens(whole["message"])


async def test_text_of_every_script_survives(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    message = 'Grüße 你好 🙂 \u2028 "quoted" \\ end'
    assert "你好 🙂" in (await service.post("/chat", {"message": message})).json()["message"]
    assert "你好 🙂" in text_of(await service.sse("/chat/stream", {"message": message}))


async def test_the_mock_provider_answers_too(gateway) -> None:
    service = await gateway()
    answer = (await service.post("/chat", {"message": "one two", "model": "mock"})).json()
    assert (answer["message"], answer["usage"]) == ("You said: one two", {"input_tokens": 2, "output_tokens": 4})


# Streamed answers.


async def test_a_stream_is_retry_start_deltas_usage_done_with_ids_from_1(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    whole = (await service.post("/chat", HELLO)).json()
    async with service.streaming("/chat/stream", HELLO) as (response, stream):
        events = [event async for event in stream]
    retry, start, *_, usage, done = events
    assert (retry.name, retry.retry, retry.id) == ("", 3000, None)
    assert names(events) == ["", "start", "delta", "usage", "done"]
    assert [event.id for event in events[1:]] == list(range(1, len(events)))
    assert all(event.data["type"] == event.name for event in events[1:])
    assert start.data.pop("first_token_ms") > 0 and start.data.pop("waited_ms") >= 0
    said = {"request_id": response.headers["x-request-id"], "model": "full", "target": "bedrock/full", "attempts": 1}
    assert start.data == {"type": "start", **said}
    assert usage.data == {"type": "usage", **whole["usage"]}
    assert done.data == {"type": "done", "stop_reason": "end_turn"}
    assert text_of(events) == whole["message"]
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["access-control-allow-origin"] == "https://chat.example.com"
    assert "content-length" not in response.headers


async def test_of_several_origins_a_response_names_the_requests_own(gateway, bedrock) -> None:
    upstream = await bedrock()
    service = await gateway(upstream.url, origins="https://a.example.com,https://b.example.com")
    for origin, allowed in (
        ("https://a.example.com", "https://a.example.com"),
        ("https://b.example.com", "https://b.example.com"),
        ("https://evil.example.com", "https://a.example.com"),
        ("https://b.example.com.evil.example", "https://a.example.com"),
    ):
        for path, body in (("/chat", HELLO), ("/chat/stream", HELLO), ("/chat", {}), ("/nothing", {})):
            response = await service.post(path, body, headers={"origin": origin})
            assert response.headers["access-control-allow-origin"] == allowed, (path, origin)
            assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("path", "resource", "status"),
    [
        ("/chat", "/chat", 200),
        ("/llm/chat", "/chat", 200),
        ("/chat/chat", "/chat", 200),
        ("/v1/chat", "/chat", 200),
        ("/llm/v1/chat/completions", "/v1/chat/completions", 400),
        ("/llm/chat", "/llm/chat", 404),
        ("/chat/", "/chat", 404),
        ("/llm/chat", None, 404),
        ("/ai/chat", "/ai/chat", 200),
        ("/llm/ai/chat", "/ai/chat", 200),
    ],
)
async def test_neither_a_base_path_nor_the_prefix_is_part_of_the_route(gateway, bedrock, path, resource, status) -> None:
    service = await gateway((await bedrock()).url, path_prefix="/ai")
    context = json.dumps({"requestId": "r", **({"resourcePath": resource} if resource else {})})
    response = await service.post(path, HELLO, headers={"x-amzn-request-context": context})
    assert response.status_code == status


@pytest.mark.parametrize("base", ["", "/llm", "/v1"])
async def test_neither_is_part_of_a_parameter(gateway, base) -> None:
    service = await gateway(path_prefix="/ai")
    context = {"x-amzn-request-context": json.dumps({"requestId": "r", "resourcePath": "/ai/v1/models/{id}"})}
    assert (await service.http.get(f"{base}/ai/v1/models/full", headers=context)).json()["id"] == "full"
    unknown = await service.http.get(f"{base}/ai/v1/models/meta%2Fllama", headers=context)
    assert "'meta/llama'" in service.error_of(unknown)["message"]


async def test_the_first_delta_arrives_while_the_model_still_generates(gateway, bedrock) -> None:
    model = Controlled()
    service = await gateway((await bedrock(model)).url)
    async with service.streaming("/chat/stream", HELLO) as (_, stream):
        first = [await anext(stream) for _ in range(3)]
        assert [event.name for event in first] == ["", "start", "delta"]
        assert first[-1].data["text"] == "Hello" and not model.whole
        model.go_on.set()
        rest = [event async for event in stream]
    assert text_of([*first, *rest]) == "Hello world" and rest[-1].name == "done"


@pytest.mark.parametrize("silent", [True, False], ids=["before the first event", "between events"])
async def test_a_silent_model_is_covered_by_comments(gateway, bedrock, monkeypatch, silent: bool) -> None:
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.02)
    model = Controlled(silent=silent)
    service = await gateway((await bedrock(model)).url)
    comments = 0
    async with service.streaming("/chat/stream", HELLO) as (_, stream):
        events = [await anext(stream)]
        assert events[0].retry == 3000  # first of all, also before a comment
        while comments < 3:
            event = await anext(stream)
            comments += event.name == ":"
            events += [event] if event.name != ":" else []
        model.go_on.set()
        events += [event async for event in stream if event.name != ":"]
    assert text_of(events) == "Hello world"
    assert [event.id for event in events[1:]] == list(range(1, len(events)))


# Failures: before the stream is open, after a comment opened it, and in its midst.


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
async def test_an_error_before_the_first_event_has_its_own_status(gateway, fake, wire, path: str) -> None:
    refusal = wire.response(429, {"message": "slow down"}, x_amzn_errortype="ThrottlingException")
    service = await gateway((await fake(wire.plays(refusal))).url)
    response = await service.post(path, HELLO)
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert service.error_of(response)["code"] == "upstream_throttled"


async def test_an_error_event_as_the_first_event_has_its_own_status_too(gateway, fake, wire) -> None:
    stream = wire.stream(wire.exception("throttlingException", "slow down"))
    service = await gateway((await fake(wire.plays(stream))).url)
    response = await service.post("/chat/stream", HELLO)
    assert response.status_code == 429 and service.error_of(response)["code"] == "upstream_throttled"


async def test_an_error_after_a_comment_is_an_event(gateway, fake, wire, monkeypatch) -> None:
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.02)
    opened = asyncio.Event()

    async def script(peer: Any) -> None:
        await peer.request()
        await opened.wait()
        await peer.send(wire.response(429, {"message": "slow down"}, x_amzn_errortype="ThrottlingException"))

    service = await gateway((await fake(script)).url)
    async with service.streaming("/chat/stream", HELLO) as (response, stream):
        assert [(await anext(stream)).retry, (await anext(stream)).name] == [3000, ":"]
        opened.set()
        (error,) = [event async for event in stream if event.name != ":"]
    assert (error.name, error.id) == ("error", 1)
    assert error.data["error"]["code"] == "upstream_throttled"
    assert error.data["error"]["request_id"] == response.headers["x-request-id"]


async def test_an_error_after_deltas_is_the_last_event(gateway, fake, wire) -> None:
    stream = wire.stream(wire.text("Hel"), wire.text("lo"), wire.exception("modelStreamErrorException", "broken"))
    service = await gateway((await fake(wire.plays(stream))).url)
    events = await service.sse("/chat/stream", HELLO)
    assert names(events) == ["", "start", "delta", "error"]
    assert text_of(events) == "Hello"
    assert [event.id for event in events[1:]] == [1, 2, 3, 4]
    assert (events[-1].data["error"]["type"], events[-1].data["error"]["code"]) == ("upstream_error", "stream_interrupted")


@pytest.mark.parametrize("debug", [True, False])
async def test_an_error_event_tells_its_cause_only_with_debug(gateway, fake, wire, debug: bool) -> None:
    stream = wire.stream(wire.text("Hel"), wire.exception("modelStreamErrorException", "node 17 broke"))
    service = await gateway((await fake(wire.plays(stream))).url, debug=debug)
    error = (await service.sse("/chat/stream", HELLO))[-1].data["error"]
    assert ("node 17 broke" in json.dumps(error)) == debug


# A caller that leaves.


@pytest.mark.parametrize("began", [True, False], ids=["after a delta", "before the first event"])
@pytest.mark.parametrize("dialect", ["chat", "openai"])
async def test_a_caller_that_leaves_ends_the_upstream_call(gateway, fake, wire, monkeypatch, dialect: str, began: bool) -> None:
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.02 if not began else 10.0)
    records: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    monkeypatch.setattr(telemetry, "write_log", lambda fields: records.put_nowait(dict(fields)))
    upstream = await fake(wire.plays(*([wire.STREAM_HEAD, wire.text("Hello")] if began else []), wait=True))
    service = await gateway(upstream.url)
    path, body = {
        "chat": ("/chat/stream", HELLO),
        "openai": ("/v1/chat/completions", {"model": "full", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}),
    }[dialect]
    async with service.streaming(path, body) as (_, stream):
        await anext(stream)  # something has come: the call is under way
    await upstream.left.wait()
    assert (await records.get())["error.type"] == "abandoned"


@pytest.mark.parametrize("path", ["/chat", "/v1/chat/completions"])
async def test_a_caller_that_leaves_ends_the_upstream_call_of_a_complete_answer(
    gateway, fake, wire, monkeypatch, path: str
) -> None:
    monkeypatch.setattr(application, "_WATCH_AFTER", 0.01)
    records: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    monkeypatch.setattr(telemetry, "write_log", lambda fields: records.put_nowait(dict(fields)))
    asked = asyncio.Event()

    async def silent(peer: Any) -> None:
        await peer.request()
        asked.set()
        await peer.gone()

    upstream = await fake(silent)
    service = await gateway(upstream.url)
    body = HELLO if path == "/chat" else {"model": "full", "messages": [{"role": "user", "content": "Hi"}]}
    calling = asyncio.ensure_future(service.http.post(path, json=body))
    await asked.wait()
    calling.cancel()
    await upstream.left.wait()
    assert (await records.get())["error.type"] == "abandoned"


# The deadline.


INVOCATION_SECONDS = 10.0


def invocation(seconds: float = INVOCATION_SECONDS) -> dict[str, str]:
    """The header that tells when the invocation ends."""
    deadline = int((time.time() + seconds) * 1000)
    return {"x-amzn-lambda-context": json.dumps({"deadline": deadline, "request_id": "lambda-1"})}


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
async def test_a_model_that_is_too_slow_is_a_504_before_the_invocation_ends(gateway, fake, wire, clock, path: str) -> None:
    upstream = await fake(wire.plays(wait=True))
    service = await gateway(upstream.url)
    began = clock.now()
    response = await service.post(path, HELLO, invocation())
    assert clock.now() - began < INVOCATION_SECONDS - 0.5
    assert response.status_code == 504 and service.error_of(response)["code"] == "upstream_timeout"
    await upstream.left.wait()


async def test_a_model_that_does_not_finish_is_an_error_event_before_the_invocation_ends(gateway, fake, wire, clock) -> None:
    upstream = await fake(wire.plays(wire.STREAM_HEAD, wire.text("Hello"), wait=True))
    service = await gateway(upstream.url)
    began = clock.now()
    events = await service.sse("/chat/stream", HELLO, invocation())
    assert clock.now() - began < INVOCATION_SECONDS - 0.5
    assert names(events) == ["", "start", "delta", "error"]
    assert events[-1].data["error"]["code"] == "upstream_timeout"
    await upstream.left.wait()


async def test_a_far_deadline_changes_nothing(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    assert (await service.post("/chat", HELLO, invocation(60.0))).status_code == 200


# What needs no model.


@pytest.mark.parametrize("authorization", ["none", "api_key"])
async def test_health_and_the_description_are_open_to_all(gateway, authorization: str) -> None:
    service = await gateway(authorization=authorization)
    health = await service.http.get("/health")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert health.headers["cache-control"] == "no-store"
    described = await service.http.get("/openapi.json")
    assert described.headers["cache-control"] == "max-age=0, s-maxage=300"  # a CDN may keep it
    document = described.json()
    assert {"/chat", "/chat/stream", "/v1/chat/completions", "/v1/models", "/health"} <= set(document["paths"])
    assert ("securitySchemes" in document["components"]) == (authorization != "none")
