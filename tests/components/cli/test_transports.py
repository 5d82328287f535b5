"""The transports of `chat` and `load`: REST and a WebSocket, with a fake service on the other side. test_chat.py has SSE."""

import asyncio
import contextlib
import hashlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from pulumi_llm.cli.transports import Answer, ChatError, TransportName, UsageError, open_transport, websocket
from support.web_app import listening

# Not by `from`: the package has a function of this name, the command itself.
chat = importlib.import_module("pulumi_llm.cli.chat")

KEY = "sk-test-0123456789"
BODY: dict[str, object] = {"message": "Hello", "max_tokens": 50}
EVENTS: list[dict[str, Any]] = [
    {"type": "start", "request_id": "req-1", "model": "quick"},
    {"type": "reasoning", "text": "Hm."},
    {"type": "delta", "text": "Grüß "},
    {"type": "novelty"},
    {"type": "delta", "text": "dich"},
    {"type": "usage", "input_tokens": 1234, "output_tokens": 7},
    {"type": "done", "stop_reason": "end_turn"},
]
DATA_OF_AN_ERROR = {"type": "t", "code": "upstream_failed", "message": f"failed\nfor {KEY}", "request_id": "req-1"}


class Shown:
    """A display that remembers."""

    def __init__(self) -> None:
        self.text = ""
        self.thought = ""
        self.reconnects = 0

    def answer(self, text: str) -> None:
        self.text += text

    def reasoning(self, text: str) -> None:
        self.thought += text

    def reconnecting(self) -> None:
        self.reconnects += 1


@contextlib.asynccontextmanager
async def serving(path: str, handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve a path while the context lasts; gives host and port."""
    app = web.Application()
    app.router.add_route("*", path, handle)
    async with listening(app) as url:
        yield url.removeprefix("http://")


async def ask(name: TransportName, url: str, shown: Shown | None = None, body: dict[str, object] = BODY) -> Answer:
    transport = open_transport(name, url, KEY)
    try:
        return await transport.ask(body, shown or Shown())
    finally:
        await transport.close()


async def failure(name: TransportName, url: str) -> ChatError:
    with pytest.raises(ChatError) as failed:
        await ask(name, url)
    assert KEY not in str(failed.value)
    return failed.value


# Addresses.

WRONG: dict[str, tuple[TransportName, str, str]] = {
    "a WebSocket's for REST": (TransportName.REST, "wss://example.com/ws", "output api_gateway_url"),
    "a WebSocket's for SSE": (TransportName.SSE, "ws://127.0.0.1/ws", "output api_gateway_url"),
    "REST's for a WebSocket": (TransportName.WS, "https://example.com/api", "output websocket_url"),
    "none": (TransportName.WS, "example.com", "such as wss://"),
    "a key in it": (TransportName.WS, f"wss://example.com/ws?key={KEY}", "without a user name, a query"),
}


@pytest.mark.parametrize(("name", "url", "text"), WRONG.values(), ids=WRONG)
def test_refuses_a_wrong_endpoint(name: TransportName, url: str, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_transport(name, url, KEY)
    assert str(refused.value).startswith("error: invalid_endpoint: ")
    assert text in str(refused.value)
    assert KEY not in str(refused.value)


def test_the_command_takes_each_transport(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        for name, url in {"rest": f"http://{address}", "sse": f"http://{address}", "ws": f"ws://{address}/ws"}.items():
            options = {"message": "Hi", "model": "", "system_prompt": "", "max_tokens": 5}
            with pytest.raises(SystemExit) as exit:
                chat.run(endpoint=url, api_key=KEY, transport=TransportName(name), **options)
            assert exit.value.code == 1
            expected = f"error: connection_refused: nothing listens at {url}; is the service running?\n"
            assert capfd.readouterr().err == expected


# REST.

ANSWER = {
    "message": "Grüß dich",
    "reasoning": "Hm.",
    "model": "quick",
    "input_tokens": 1234,
    "output_tokens": 7,
    "stop_reason": "end_turn",
    "request_id": "req-1",
}


async def test_rest_gives_the_answer_in_one_piece() -> None:
    asked: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        # A CDN in front of a function URL needs the last two.
        names = ("authorization", "x-api-key", "x-amz-content-sha256")
        asked.append((*map(request.headers.get, names), await request.read()))
        return web.json_response(ANSWER)

    shown = Shown()
    async with serving("/api/chat", handle) as address:
        answer = await ask(TransportName.REST, f"http://{address}/api/", shown)
    ((*headers, body),) = asked
    assert headers == [f"Bearer {KEY}", KEY, hashlib.sha256(body).hexdigest()]
    assert json.loads(body) == BODY
    assert (shown.text, shown.thought, answer.text) == ("Grüß dich", "Hm.", "Grüß dich")
    assert (answer.model, answer.request_id, answer.input_tokens, answer.output_tokens) == ("quick", "req-1", 1234, 7)
    assert answer.jitter is None


REFUSALS: dict[str, tuple[int, str, dict[str, str], str, float | None]] = {
    "an error": (502, json.dumps({"error": DATA_OF_AN_ERROR}), {}, "upstream_failed: failed for *** (request req-1)", None),
    "throttled": (429, json.dumps({"error": {"code": "rate_limit_exceeded"}}), {"retry-after": "7"}, "rate_limit_exceeded", 7),
    "a date": (503, "", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, "http_503", 0),
    "another site": (200, "<html>", {}, "not_an_answer", None),
}


@pytest.mark.parametrize(("status", "text", "headers", "line", "wait"), REFUSALS.values(), ids=REFUSALS)
async def test_rest_reports_errors(status: int, text: str, headers: dict[str, str], line: str, wait: float | None) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    async with serving("/chat", handle) as address:
        error = await failure(TransportName.REST, f"http://{address}")
    assert str(error).startswith(f"error: {line}")
    assert error.retry_after == wait


# A WebSocket.


class Conversation:
    """The service's side of the WebSocket: what it got, and what it does with each connection, one script after the other."""

    def __init__(self, *scripts: "Script") -> None:
        self._scripts = list(scripts)
        self.keys: list[str | None] = []
        self.received: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("authorization"))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        await script(self, socket)
        return socket

    async def read(self, socket: web.WebSocketResponse) -> dict[str, Any]:
        self.received.append(json.loads(await socket.receive_str()))
        return self.received[-1]

    @property
    def actions(self) -> list[str]:
        return [message["action"] for message in self.received]


Script = Callable[[Conversation, web.WebSocketResponse], Awaitable[None]]


def sends(*numbers: int, also: dict[str, Any] | None = None, cut: bool = False) -> Script:
    """Take a message, and send the events with these numbers, from 1; then `also`, with its id."""

    async def script(service: Conversation, socket: web.WebSocketResponse) -> None:
        id = (await service.read(socket))["id"]
        for number in numbers:
            await socket.send_json({"id": id, "seq": number, **EVENTS[number - 1]})
        if also is not None:
            await socket.send_json({"id": id, **also})
        if cut:
            assert socket._req is not None  # a cut sends no close frame
            assert socket._req.transport is not None
            socket._req.transport.abort()

    return script


async def over_websocket(*scripts: Script) -> tuple[Conversation, Shown, Answer]:
    service, shown = Conversation(*scripts), Shown()
    async with serving("/ws", service.handle) as address:
        answer = await ask(TransportName.WS, f"ws://{address}/ws", shown)
    return service, shown, answer


ALL = range(1, len(EVENTS) + 1)


async def forgot_the_chat(service: Conversation, socket: web.WebSocketResponse) -> None:
    """The chat was lost with its connection: `resume` finds nothing, and the same chat is sent again."""
    message = await service.read(socket)
    error = {"code": "unknown_generation", "message": "there is none"}
    await socket.send_json({"id": message["id"], "type": "error", "error": error})
    await sends(*ALL)(service, socket)


async def took_the_chat(service: Conversation, socket: web.WebSocketResponse) -> None:
    """The chat was just being taken: it exists when it is sent again, so it is resumed."""
    for code in ("unknown_generation", "generation_exists"):
        message = await service.read(socket)
        await socket.send_json({"id": message["id"], "type": "error", "error": {"code": code, "message": "no"}})
    await sends(*ALL)(service, socket)


async def sends_again_at_once(service: Conversation, socket: web.WebSocketResponse) -> None:
    """An array in a frame begins too late, and is sent again when a place for it is free."""
    for first in (3, 2):
        id = (await service.read(socket))["id"]
        if first == 3:
            await socket.send_json({"id": id, "seq": 1, **EVENTS[0]})
        else:
            await socket.send_json({"id": id, "type": "error", "error": {"code": "too_many_resumes", "message": "wait"}})
            await service.read(socket)
        await socket.send_json([{"id": id, "seq": number, **EVENTS[number - 1]} for number in ALL[first - 1 :]])


async def leaves_a_gap(service: Conversation, socket: web.WebSocketResponse) -> None:
    await sends(1, 2, 4)(service, socket)
    await sends(*ALL)(service, socket)


async def lets_wait(service: Conversation, socket: web.WebSocketResponse) -> None:
    """The model is slow; meanwhile come messages that are no part of the answer."""
    id = (await service.read(socket))["id"]
    for other in ({"type": "waiting"}, {"type": "novelty"}):
        await socket.send_json({"id": id, **other})
    await socket.send_json({"id": None, "type": "error", "error": {"code": "invalid_request", "message": "of another"}})
    for number in ALL:
        await socket.send_json({"id": id, "seq": number, **EVENTS[number - 1]})


async def is_full(service: Conversation, socket: web.WebSocketResponse) -> None:
    """The connection has sent its messages of this minute, and then a table throttles: it is resumed when it is told to."""
    await sends(1, 3)(service, socket)
    message = await service.read(socket)
    error = {"message": "wait", "retry_after": 0.1}
    refused = asyncio.get_running_loop().time()
    for code in ("rate_limited", "generations_unavailable"):
        await socket.send_json({"id": message["id"], "type": "error", "error": {**error, "code": code}})
        if code == "rate_limited":
            message = await service.read(socket)
    await sends(*ALL)(service, socket)
    assert asyncio.get_running_loop().time() - refused > 0.19


# What each connection does -> what the client sends, and how often it connects again.
RUNS: dict[str, tuple[list[Script], list[str], int]] = {
    "undisturbed": ([sends(*ALL)], ["chat"], 0),
    "cut in the middle": ([sends(1, 2, 3, cut=True), sends(3, 4, 5, 6, 7)], ["chat", "resume"], 1),
    "cut again and again": (
        [sends(1, cut=True), sends(2, cut=True), sends(cut=True), sends(3, 4, 5, 6, 7)],
        ["chat", "resume", "resume", "resume"],
        3,
    ),
    "cut before it was taken": ([sends(cut=True), forgot_the_chat], ["chat", "resume", "chat"], 1),
    "cut while it was taken": ([sends(cut=True), took_the_chat], ["chat", "resume", "chat", "resume"], 1),
    "a message is missing": ([leaves_a_gap], ["chat", "resume"], 0),
    "many messages in a frame": ([sends_again_at_once], ["chat", "resume", "resume"], 0),
    "too many messages": ([is_full], ["chat", "resume", "resume", "resume"], 0),
    "a slow first token": ([lets_wait], ["chat"], 0),
}


@pytest.mark.parametrize(("scripts", "actions", "reconnects"), RUNS.values(), ids=RUNS)
async def test_an_answer_over_a_websocket(
    scripts: list[Script], actions: list[str], reconnects: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "REPLAY_PAUSE_SECONDS", 0.001)
    service, shown, answer = await over_websocket(*scripts)
    assert (shown.text, shown.thought, shown.reconnects) == ("Grüß dich", "Hm.", reconnects)
    assert (answer.text, answer.model, answer.output_tokens) == ("Grüß dich", "quick", 7)
    assert service.actions == actions
    assert service.received[0] == {"action": "chat", "id": service.received[0]["id"], **BODY}
    assert set(service.keys) == {f"Bearer {KEY}"}


async def refuses_without_id(service: Conversation, socket: web.WebSocketResponse) -> None:
    await service.read(socket)
    await socket.send_json({"id": None, "type": "error", "error": {"code": "invalid_request", "message": "no JSON"}})


FAILURES: dict[str, tuple[list[Script], str]] = {
    "an error of the generation": ([sends(1, also={"seq": 2, "type": "error", "error": DATA_OF_AN_ERROR})], "upstream_failed"),
    "an error of the message": ([sends(also={"type": "error", "error": {"code": "too_many_generations"}})], "too_many_gen"),
    "too many messages": (
        [sends(also={"type": "error", "error": {"code": "rate_limited", "message": "wait", "retry_after": 42}})],
        "rate_limited: wait",
    ),
    "a message that could not be read": ([refuses_without_id], "invalid_request"),
    "a killed function": ([sends(1, 2, also={"type": "error", "error": {"code": "function_failed"}})], "function_failed"),
    "throttled by API Gateway": ([sends(also={"message": "Too Many Requests"})], "rate_limit_exceeded"),
    "failed in API Gateway": ([sends(also={"message": "Internal server error"})], "internal_error"),
    "gone when resumed": (
        [sends(1, cut=True), sends(also={"type": "error", "error": {"code": "unknown_generation"}})],
        "unknown_generation",
    ),
}


@pytest.mark.parametrize(("scripts", "code"), FAILURES.values(), ids=FAILURES)
async def test_a_websocket_reports_errors(scripts: list[Script], code: str) -> None:
    async with serving("/ws", Conversation(*scripts).handle) as address:
        error = await failure(TransportName.WS, f"ws://{address}/ws")
    assert str(error).startswith(f"error: {code}")
    assert "\n" not in str(error)
    if code.startswith("rate_limited"):
        assert error.retry_after == 42


async def test_an_answer_is_resumed_when_its_key_may_connect_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service may still count the lost connection."""
    monkeypatch.setattr(websocket, "FIRST_PAUSE_SECONDS", 0.001)
    service, shown = Conversation(sends(1, cut=True), sends(*ALL)), Shown()
    statuses = [101, 429, 101]

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=429) if statuses.pop(0) == 429 else await service.handle(request)

    async with serving("/ws", handle) as address:
        answer = await ask(TransportName.WS, f"ws://{address}/ws", shown)
    assert (answer.text, service.actions, statuses) == ("Grüß dich", ["chat", "resume"], [])


async def test_a_connection_that_stays_lost_ends_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(websocket, "RESUME_SECONDS", 0.05)

    async def once(service: Conversation, socket: web.WebSocketResponse) -> None:
        await listener.cleanup()

    service = Conversation(once)
    app = web.Application()
    app.router.add_get("/ws", service.handle)
    listener = web.AppRunner(app, shutdown_timeout=0.01)
    await listener.setup()
    await web.TCPSite(listener, "127.0.0.1", 0).start()
    error = await failure(TransportName.WS, f"ws://127.0.0.1:{listener.addresses[0][1]}/ws")
    assert str(error) == "error: stream_interrupted: the answer broke off: no new connection within 0.05 s"


async def test_a_silent_connection_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.05)
    monkeypatch.setattr(websocket, "SILENCE_SECONDS", 0.2)

    async def is_silent(service: Conversation, socket: web.WebSocketResponse) -> None:
        await sends(1, 2)(service, socket)
        with contextlib.suppress(TypeError):  # the client gives up, and the message is none
            while True:
                await service.read(socket)

    service, shown, answer = await over_websocket(is_silent, sends(*ALL))
    assert (shown.reconnects, answer.text) == (1, "Grüß dich")
    assert service.actions[0] == "chat"
    assert set(service.actions[1:-1]) == {"ping"}
    assert service.actions[-1] == "resume"


async def test_a_generation_that_falls_silent_is_resumed_whatever_the_pongs_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.02)
    monkeypatch.setattr(websocket, "ANSWER_SECONDS", 0.3)

    async def answers_pings(service: Conversation, socket: web.WebSocketResponse) -> None:
        await sends(1, 2, 3)(service, socket)
        with contextlib.suppress(TypeError):  # the client gives up, and the message is none
            while True:
                await service.read(socket)
                await socket.send_json({"type": "pong"})

    service, shown, answer = await over_websocket(answers_pings, sends(*ALL))
    assert (shown.reconnects, answer.text) == (1, "Grüß dich")
    assert service.received[-1] == {"action": "resume", "id": service.received[0]["id"], "seq": 3}


OVERLOADED = {"type": "error", "error": {"code": "overloaded", "message": "busy"}}


@pytest.mark.parametrize(("answered", "sent"), [(True, ["chat"]), (False, ["chat", "cancel"])], ids=["answered", "dropped"])
async def test_a_chat_waits_for_its_function_on_one_connection(
    answered: bool, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda keeps it for a minute, and then it is `overloaded`; or it drops it without a word."""
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.02)
    monkeypatch.setattr(websocket, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(websocket, "FIRST_ANSWER_SECONDS", 30.0 if answered else 0.3)

    async def queues_the_chat(service: Conversation, socket: web.WebSocketResponse) -> None:
        id, pings = (await service.read(socket))["id"], 0
        with contextlib.suppress(TypeError):  # the client has its answer, and leaves
            while (await service.read(socket))["action"] == "ping":
                pings += 1
                await socket.send_json({"type": "pong"})
                if answered and pings == 20:
                    await socket.send_json({"id": id, **OVERLOADED})

    service = Conversation(queues_the_chat)
    async with serving("/ws", service.handle) as address:
        error = await failure(TransportName.WS, f"ws://{address}/ws")
    assert str(error).startswith("error: overloaded")
    assert [action for action in service.actions if action != "ping"] == sent
    assert len(service.keys) == 1


async def test_a_chat_whose_connections_are_all_lost_is_not_sent_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "FIRST_PAUSE_SECONDS", 0.001)

    async def loses_the_chat(service: Conversation, socket: web.WebSocketResponse) -> None:
        message = await service.read(socket)
        if message["action"] == "resume":
            error = {"code": "unknown_generation", "message": "there is none"}
            await socket.send_json({"id": message["id"], "type": "error", "error": error})
            await service.read(socket)

    service = Conversation(loses_the_chat)
    async with serving("/ws", service.handle) as address:
        error = await failure(TransportName.WS, f"ws://{address}/ws")
    assert str(error).startswith("error: overloaded")
    assert service.actions.count("chat") == 3


async def test_tries_to_connect_again_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    monkeypatch.setattr(websocket.random, "uniform", uniform)
    monkeypatch.setattr(websocket, "FIRST_PAUSE_SECONDS", 3600.0)
    await over_websocket(sends(1, cut=True), sends(*ALL[1:]))
    assert drawn == [(0.5, 1)]


REFUSED: dict[str, tuple[int, str, str]] = {
    "a wrong key": (401, '{"message": "Unauthorized"}', "error: invalid_api_key: the WebSocket API does not let this key in"),
    "too many connections": (429, '{"message": "Too Many Requests"}', "error: too_many_connections: this key has as many"),
    "another path": (403, '{"message": "Forbidden"}', "error: http_403: Forbidden"),
    "another site": (200, "<html>", "error: http_200: "),
}


@pytest.mark.parametrize(("status", "text", "line"), REFUSED.values(), ids=REFUSED)
async def test_a_refused_websocket(status: int, text: str, line: str) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text)

    async with serving("/ws", handle) as address:
        assert str(await failure(TransportName.WS, f"ws://{address}/ws")).startswith(line)


async def test_a_websocket_takes_no_key_to_another_host() -> None:
    asked: list[str] = []

    async def redirects(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=302, headers={"location": f"http://{request.host}/elsewhere"})

    async with serving("/{path:.*}", redirects) as address:
        error = await failure(TransportName.WS, f"ws://{address}/ws")
    assert (error.status, asked) == (302, ["/ws"])


async def test_a_websocket_has_a_limit_for_messages_and_frames() -> None:
    service = Conversation(sends(*ALL))
    async with serving("/ws", service.handle) as address:
        with pytest.raises(UsageError, match="message_too_large"):
            await ask(TransportName.WS, f"ws://{address}/ws", body={"message": "x" * 140_000})
        answer = await ask(TransportName.WS, f"ws://{address}/ws", body={"message": "ü" * 50_000})
    assert answer.text == "Grüß dich"
    assert service.received[0]["message"] == "ü" * 50_000


async def test_ctrl_c_stops_the_generation() -> None:
    started = asyncio.Event()
    cancelled = asyncio.Event()

    async def until_cancelled(service: Conversation, socket: web.WebSocketResponse) -> None:
        await sends(1, 2, 3)(service, socket)
        started.set()
        assert (await service.read(socket))["action"] == "cancel"
        cancelled.set()

    service = Conversation(until_cancelled)
    async with serving("/ws", service.handle) as address:
        command = [sys.executable, "-c", "from pulumi_llm.cli import main; main()", "chat", "--transport", "ws"]
        child = await asyncio.create_subprocess_exec(
            *command, "--endpoint", f"ws://{address}/ws", "-m", "A tale", stdout=subprocess.PIPE, env={**os.environ}
        )
        try:
            async with asyncio.timeout(60):
                await started.wait()
                assert child.stdout is not None
                assert await child.stdout.read(6) == "Grüß".encode()
                child.send_signal(signal.SIGINT)
                await cancelled.wait()
                assert await child.wait() == 130
        finally:
            if child.returncode is None:
                child.kill()
    assert service.received[-1]["id"] == service.received[0]["id"]
