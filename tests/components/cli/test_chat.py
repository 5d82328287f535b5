"""The command `chat`: one-shot as a shell sees it, interactive through a pseudo-terminal, and its decoder."""

import asyncio
import contextlib
import importlib
import itertools
import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_llm.cli.transports import TransportName, http, sse

# Not by `from`: the package has a function of this name, the command itself.
chat = importlib.import_module("pulumi_llm.cli.chat")

KEY = "sk-test-0123456789"
MODELS = ["quick", "clever"]
DEADLINE = 60.0  # seconds after which a terminal that does not show what is awaited fails the test; a busy machine is slow

Script = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """A fake of the service: each /chat/stream gets the next script, the last one again and again."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.released = asyncio.Event()  # what a script waits for that is to hang
        self.url = ""

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/chat/stream", self._stream)
        app.router.add_get("/api/v1/models", self._models)
        return app

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("authorization"))
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        return await script(request)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})


@pytest.fixture
def service() -> Iterator[Service]:
    loop = asyncio.new_event_loop()
    fake = Service()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(fake.application(), shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        fake.url = f"http://127.0.0.1:{port}/api"
        return runner

    async def stop(runner: web.AppRunner) -> None:
        fake.released.set()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(DEADLINE)
    yield fake
    asyncio.run_coroutine_threadsafe(stop(runner), loop).result(DEADLINE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def frame(number: int, name: str, **data: Any) -> bytes:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


async def opened(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req-1"})
    await response.prepare(request)
    await response.write(b"retry: 3000\n\n: keep-alive\n\n" + frame(1, "start", request_id="req-1", model="quick"))
    return response


def answers(*pieces: str, reasoning: str = "", stop_reason: str = "end_turn") -> Script:
    async def script(request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        if reasoning:
            await response.write(frame(2, "reasoning", text=reasoning))
        for piece in pieces:
            await response.write(frame(3, "delta", text=piece))
        await response.write(b"event: novelty\ndata: not JSON\n\n")
        await response.write(frame(4, "usage", input_tokens=1234, output_tokens=7))
        await response.write(frame(5, "done", stop_reason=stop_reason))
        return response

    return script


def refuses(status: int, code: str, message: str, **headers: str) -> Script:
    async def script(request: web.Request) -> web.StreamResponse:
        error = {"type": "t", "code": code, "message": message, "request_id": "req-9"}
        return web.json_response({"error": error}, status=status, headers=headers)

    return script


async def sends_an_error(request: web.Request) -> web.StreamResponse:
    response = await opened(request)
    await response.write(frame(2, "delta", text="Half"))
    error = {"type": "t", "code": "upstream_failed", "message": f"failed\nfor {KEY} \x1b[31m", "request_id": "req-1"}
    await response.write(frame(3, "error", error=error))
    return response


async def ends_early(request: web.Request) -> web.StreamResponse:
    response = await opened(request)
    await response.write(frame(2, "delta", text="Half"))
    return response


async def is_cut(request: web.Request) -> web.StreamResponse:
    response = await ends_early(request)
    assert request.transport is not None
    request.transport.close()
    return response


async def is_garbled(request: web.Request) -> web.StreamResponse:
    response = await opened(request)
    await response.write(b"event: delta\ndata: {oops\n\n")
    return response


def hangs(service: Service, *pieces: str, every: float | None = None) -> Script:
    """Sends the pieces and then nothing more, or a comment every so many seconds, until the test ends."""

    async def script(request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        for piece in pieces:
            await response.write(frame(2, "delta", text=piece))
        while not service.released.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(service.released.wait(), every)
            with contextlib.suppress(ConnectionResetError):  # the client has gone
                await response.write(b": keep-alive\n\n")
        return response

    return script


def answers_text(status: int, text: str, kind: str) -> Script:
    async def script(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=kind)

    return script


def ask(
    url: str,
    *,
    key: str = KEY,
    message: str = "Hello",
    model: str = "",
    system_prompt: str = "",
) -> int:
    """The exit code of one call of the command, in this process."""
    try:
        chat.run(
            endpoint=url,
            api_key=key,
            transport=TransportName.SSE,
            message=message,
            model=model,
            system_prompt=system_prompt,
            max_tokens=50,
        )
    except SystemExit as exit:
        assert isinstance(exit.code, int)
        return exit.code
    return 0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from pulumi_llm.cli import main; main()", "chat", *arguments]


# One question.


def test_prints_the_answer_alone(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    service.scripts = [answers("Grüß ", "\tdich\r\n", "[red]🎉[/red]", reasoning="Hm.")]
    assert ask(f"{service.url}/", model="clever", system_prompt="Be brief.") == 0
    out, err = capfd.readouterr()
    assert out == "Grüß \tdich\r\n[red]🎉[/red]"
    assert err == ""
    assert service.requests == [{"message": "Hello", "max_tokens": 50, "model": "clever", "system_prompt": "Be brief."}]
    assert service.keys == [f"Bearer {KEY}"]


def test_leaves_to_the_service_what_is_not_given(service: Service) -> None:
    service.scripts = [answers("Hi")]
    assert ask(service.url, key="") == 0
    assert service.requests == [{"message": "Hello", "max_tokens": 50}]
    assert service.keys == [None]


ERRORS: dict[str, tuple[Script, str, str]] = {
    "an error before the stream": (
        refuses(429, "quota_exceeded", "the daily quota is used up", **{"Retry-After": "7"}),
        "",
        "error: quota_exceeded: the daily quota is used up (request req-9)\n",
    ),
    "an unknown key": (
        refuses(401, "invalid_api_key", f"{KEY} is wrong"),
        "",
        "error: invalid_api_key: *** is wrong (request req-9)\n",
    ),
    "an error event": (sends_an_error, "Half", "error: upstream_failed: failed for *** [31m (request req-1)\n"),
    "a stream that ends early": (
        ends_early,
        "Half",
        "error: stream_interrupted: the answer broke off before its end (request req-1)\n",
    ),
    "a connection that is cut": (is_cut, "Half", "error: stream_interrupted: the answer broke off: "),
    "an event that is no JSON": (is_garbled, "", "error: malformed_event: the event 'delta': "),
    "a bare message": (
        answers_text(403, '{"message": "Forbidden"}', "application/json"),
        "",
        "error: http_403: Forbidden\n",
    ),
    "an error page": (answers_text(502, "<html>", "text/html"), "", "error: http_502: "),
    "another site": (answers_text(200, "<html>", "text/html"), "", "error: not_a_stream: "),
}


@pytest.mark.parametrize("case", ERRORS)
def test_tells_an_error_on_one_line(case: str, service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    script, answer, line = ERRORS[case]
    service.scripts = [script]
    assert ask(service.url) == 1
    out, err = capfd.readouterr()
    assert out == answer
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert KEY not in out + err


def test_gives_up_a_silent_service(
    service: Service, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (http, sse):
        monkeypatch.setattr(module, "SILENCE_SECONDS", 0.1)
    service.scripts = [hangs(service)]
    assert ask(service.url) == 1
    assert capfd.readouterr().err.startswith("error: timeout: ")


def test_tells_that_nothing_listens(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert ask(url) == 1
    assert capfd.readouterr().err == f"error: connection_refused: nothing listens at {url}; is the service running?\n"


WRONG_ENDPOINTS = ["", "localhost:8787", "ftp://host", "http://", "http://host:port", "http://[::1", "http://ho st"]
WRONG_ENDPOINTS += ["http://hö.st", "http://host/?a=b", f"https://u:{KEY}@host", KEY]


@pytest.mark.parametrize("endpoint", WRONG_ENDPOINTS)
def test_refuses_a_wrong_endpoint(endpoint: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(endpoint) == 2
    err = capfd.readouterr().err
    assert err.startswith("error: invalid_endpoint: ")
    assert KEY not in err


@pytest.mark.parametrize("arguments", [{"key": "kéy"}, {"key": "a\nb"}, {"message": " \n"}, {"message": "\udc80"}])
def test_refuses_a_wrong_argument(arguments: dict[str, str], service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(service.url, **arguments) == 2
    assert capfd.readouterr().err.startswith("error: invalid_")
    assert service.requests == []


def test_reads_standard_input_and_works_in_a_pipe(service: Service) -> None:
    service.scripts = [answers("One. ", "Two.", reasoning="Hm.")]
    result = subprocess.run(
        command("-m", "-"),
        input=b"Two lines,\nplease",
        capture_output=True,
        env={**os.environ, "PULUMI_LLM_ENDPOINT": service.url, "PULUMI_LLM_API_KEY": KEY},
        timeout=DEADLINE,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"One. Two.", b"")
    assert service.requests == [{"message": "Two lines,\nplease", "max_tokens": 1000}]


def test_shows_reasoning_and_figures_on_a_terminal(service: Service) -> None:
    service.scripts = [answers("It is ", "four.", "\x1b[2J", reasoning="Two and two…", stop_reason="max_tokens")]
    with terminal("--endpoint", service.url, "-m", "2+2?") as screen:
        assert screen.leave() == 0
    assert screen.text.startswith("Two and two…\n\nIt is four.[2J\nquick · 1,234 in, 7 out · first token ")
    assert screen.text.endswith(" tokens/s · stopped: max_tokens\n")


# A conversation.


class Terminal:
    """A child behind a pseudo-terminal: what it shows, without the escape sequences, and what is typed."""

    def __init__(self, master: int, child: "subprocess.Popen[bytes]") -> None:
        self._master = master
        self._child = child
        self._raw = b""
        self._seen = 0
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, text: str) -> str:
        """Read until `text` is shown after what an earlier call has seen; returns all that stands before it."""
        deadline = time.monotonic() + DEADLINE
        while (at := self.text.find(text, self._seen)) < 0:
            assert self._read(deadline - time.monotonic()), f"no {text!r} in {self.text!r}"
        shown, self._seen = self.text[self._seen : at], at + len(text)
        return shown

    def leave(self) -> int:
        """The exit code, after all that is shown until then."""
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline - time.monotonic()):
            pass
        return self._child.wait(DEADLINE)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], max(0, seconds))[0]:
            return False
        try:
            self._raw += os.read(self._master, 65536)
        except OSError:  # EIO: the child has closed its side
            return False
        shown = self._raw.decode("utf-8", "ignore").replace("\r\n", "\n")
        self.text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", shown)
        return True


@contextlib.contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    # The terminal must be the child's controlling one, or Ctrl-C would reach nobody.
    start = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from pulumi_llm.cli import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", start, "chat", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "PULUMI_LLM_API_KEY": KEY, "TERM": "xterm", "COLUMNS": "200", "INPUTRC": os.devnull},
    )
    os.close(slave)
    try:
        yield Terminal(master, child)
    finally:
        child.kill()
        child.wait()
        os.close(master)


def turns(*messages: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(messages)]


def test_holds_a_conversation(service: Service) -> None:
    service.scripts = [answers("Two", ".", reasoning="Sum."), answers("Four."), answers("")]
    with terminal("--endpoint", service.url) as screen:
        screen.until("> ")
        screen.type("1+1?\n")
        screen.until("Sum.\n\nTwo.\nquick · 1,234 in, 7 out · first token ")
        screen.until(" tokens/s\n")
        screen.until("> ")
        screen.type("and\\\n")
        screen.until("... ")
        screen.type("2+2?\n")
        screen.until("Four.\nquick")
        screen.until("> ")
        screen.type("/etc/passwd?\n")  # no command
        screen.until("> ")
        screen.type("/clear\n")
        screen.until("forgotten.\n> ")
        screen.type("Again\n")
        screen.until("tokens/s\n> ")
        screen.type("/exit\n")
        screen.until("Goodbye.")
        assert screen.leave() == 0
    first = turns("1+1?", "Two.")
    second = turns("and\n2+2?", "Four.")
    assert [(r["message"], r.get("history")) for r in service.requests] == [
        ("1+1?", None),
        ("and\n2+2?", first),
        ("/etc/passwd?", first + second),
        ("Again", None),
    ]
    assert KEY not in screen.text


def test_changes_model_and_system_prompt(service: Service) -> None:
    service.scripts = [answers("Aye.")]
    with terminal("--endpoint", service.url) as screen:
        screen.until("> ")
        for typed, shown in {
            "/help": "/system TEXT",
            "/models": "quick\nclever\n",
            "/model": "service's first model",
            "/model wise": "There is no model 'wise' here; choose one of quick, clever.",
            "/model clever": "The model is now clever.",
            "/system  Be a pirate.": "The system prompt is set.",
            "/dance": "There is no /dance; /help",
            "Ahoy": "Aye.\n",
        }.items():
            screen.type(f"{typed}\n")
            screen.until(shown)
            screen.until("> ")
        screen.type("\x04")
        screen.until("Goodbye.")
        assert screen.leave() == 0
    assert service.requests == [{"message": "Ahoy", "max_tokens": 1000, "model": "clever", "system_prompt": "Be a pirate."}]


def test_changes_the_model_where_nothing_lists_them() -> None:
    """A WebSocket API has no list; a wrong name is the service's to refuse. Nothing is asked, so no service is there."""
    with terminal("--endpoint", "ws://127.0.0.1:9/ws", "--transport", "ws") as screen:
        screen.until("> ")
        for typed, shown in {"/models": "does not list its models", "/model wise": "The model is now wise."}.items():
            screen.type(f"{typed}\n")
            screen.until(shown)
            screen.until("> ")
        screen.type("\x04")
        screen.until("Goodbye.")
        assert screen.leave() == 0


def test_stops_an_answer_and_keeps_no_part_of_it(service: Service) -> None:
    # The comments turn the client's loop: a signal that comes right before it waits is seen at its next turn.
    service.scripts = [hangs(service, "Once upon", every=0.05), sends_an_error, answers("Done.")]
    with terminal("--endpoint", service.url) as screen:
        screen.until("> ")
        screen.type("A tale\n")
        screen.until("Once upon")
        screen.type("\x03")
        screen.until("\nStopped; this turn is not kept.\n> ")
        screen.type("Another\n")
        screen.until("Half\nerror: upstream_failed: ")
        screen.until("> ")
        screen.type("A third\n")
        screen.until("Done.\n")
        screen.until("> ")
        # For the same reason the line's end: Python notices no signal between readline's prompt and its wait for a key.
        screen.type("\x03\n")
        screen.until("Goodbye.")
        assert screen.leave() == 0
    assert [(r["message"], "history" in r) for r in service.requests] == [
        ("A tale", False),
        ("Another", False),
        ("A third", False),
    ]


def test_offers_a_message_again(service: Service) -> None:
    wait = {"Retry-After": "7"}
    service.scripts = [refuses(503, "model_not_ready", "loading", **wait), answers("Here.")]
    with terminal("--endpoint", service.url) as screen:
        screen.until("> ")
        screen.type("\n")  # nothing to send
        screen.until("> ")
        screen.type("Wake up\n")
        screen.until("error: model_not_ready: loading (request req-9)\nWait 7 s; Enter on an empty line sends")
        screen.until("> ")
        screen.type("\n")
        screen.until("Here.\n")
        screen.until("> ")
        screen.type("\n")
        screen.until("> ")
        screen.type("/exit\n")
        assert screen.leave() == 0
    assert [r["message"] for r in service.requests] == ["Wake up", "Wake up"]


def test_converses_over_pipes(service: Service) -> None:
    service.scripts = [answers("Here", "."), answers("There.")]
    result = subprocess.run(
        command("--endpoint", service.url), input="One\nTwo\n", capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "> Here.\nquick · " in result.stdout
    assert result.stdout.endswith("Goodbye.\n")
    assert service.requests[1]["history"] == turns("One", "Here.")


# The decoder.

LINES = st.lists(
    st.one_of(
        st.sampled_from(["", "", ": note", "data", "data:", "data: ", "data:  x", "event: delta", "id: 1", "retry: 9", "x: y"]),
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",))).map("data: {}".format),
    )
)


def decoded(*pieces: bytes) -> list[tuple[str, str]]:
    decoder = sse.SseDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@settings(deadline=None)
@given(LINES, st.lists(st.sampled_from(["\n", "\r", "\r\n"]), min_size=1), st.lists(st.integers(0, 400)))
def test_any_split_gives_the_same_events(lines: list[str], ends: list[str], cuts: list[int]) -> None:
    body = "".join(line + ends[i % len(ends)] for i, line in enumerate(lines)).encode()
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[a:b] for a, b in itertools.pairwise(places)]
    bytewise = [body[i : i + 1] for i in range(len(body))]
    assert decoded(*pieces) == decoded(*bytewise) == decoded(body)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["delta", "message"]), LINES.map("\n".join))))
def test_what_was_written_is_read(events: list[tuple[str, str]]) -> None:
    body = ""
    for name, data in events:
        body += f"event: {name}\n" + "".join(f"data: {line}\n" for line in data.split("\n")) + "\n"
    assert decoded(body.encode()) == events


def test_decodes_as_the_standard_says() -> None:
    body = b"\xef\xbb\xbfdata: a\ndata: b\n\nevent: lost\n\n: note\r\rdata:c\r\ndata\r\n\r\n"
    body += b"id: 3\nevent: e\ndata: {}\n\ndata: unfinished\n"
    assert decoded(body) == [("message", "a\nb"), ("message", "c\n"), ("e", "{}")]
