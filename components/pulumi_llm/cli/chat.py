"""The command `pulumi-llm chat`: one question from a shell, or a conversation at a prompt, both streamed."""

import asyncio
import contextlib
import errno
import io
import re
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
from rich.console import Console

from llm_gateway import http_client
from llm_gateway.http_client import HttpClient, HttpError, Response

CONNECT_SECONDS = 10.0
# Seconds without any byte after which an answer is given up. A service that waits for its model sends comments meanwhile.
SILENCE_SECONDS = 30.0

HELP = """\
/help          this list
/models        the models that the service has
/model NAME    go on with another model; without NAME, tell the present one
/system TEXT   how the model shall behave; without TEXT, the service's default
/clear         forget the conversation
/exit          leave, as do Ctrl-C and Ctrl-D at the prompt
A backslash at a line's end continues the message on the next line; Ctrl-C during an answer stops it."""


def run(*, endpoint: str, api_key: str, message: str, model: str, system_prompt: str, max_tokens: int) -> None:
    """Ask `message` once ("-" reads it from standard input), or hold a conversation where there is none.

    Exits with 1 after an error of the service or of the way to it, with 2 where an argument is wrong and with 130 after
    Ctrl-C during a single answer.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to stop
    conversation = Conversation(model, system_prompt, max_tokens)
    try:
        service = Service(endpoint, api_key)
        if not message:
            _talk(service, conversation)
            return
        question = sys.stdin.read() if message == "-" else message
        if not question.strip():
            raise UsageError("invalid_message", "the message is empty; give some text")
        asyncio.run(_ask_once(service, conversation.body(question)))
    except ChatError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


async def _ask_once(service: "Service", body: dict[str, object]) -> None:
    console = Console(stderr=True)
    screen = Screen(console if console.is_terminal else None)
    try:
        answer = await service.ask(body, screen)
    finally:
        screen.end()
        await service.client.close()
    screen.note(answer.summary())


def _talk(service: "Service", conversation: "Conversation") -> None:
    with contextlib.suppress(ImportError):
        import readline as readline  # noqa: PLC0414  # once imported, it gives input() line editing and a history
    screen = Screen(Console())
    # One loop for all turns; Ctrl-C cancels what runs in it.
    with asyncio.Runner() as runner:
        try:
            prompt = Prompt(service, conversation, screen, runner)
            screen.note(f"Connected to {service.base}; /help lists the commands.")
            while prompt.turn(_read()):
                pass
        except (EOFError, KeyboardInterrupt):
            screen.note("")
        finally:
            runner.run(service.client.close())
    screen.note("Goodbye.")


def _read() -> str:
    """One message: a line, and the next one after each line that ends with a backslash."""
    lines = [input("> ")]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input("... "))
    return "\n".join(lines).strip()


@dataclass
class Conversation:
    """What is sent with a message. An empty `model` or `system_prompt` leaves the choice to the service."""

    model: str
    system_prompt: str
    max_tokens: int
    history: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def body(self, message: str) -> dict[str, object]:
        chosen = {"model": self.model, "system_prompt": self.system_prompt, "history": self.history}
        return {"message": message, "max_tokens": self.max_tokens, **{k: v for k, v in chosen.items() if v}}

    def keep(self, message: str, answer: str) -> None:
        """Add a whole turn. One without any text is left out: the service takes no empty turn."""
        if answer.strip():
            self.history += [{"role": "user", "content": message}, {"role": "assistant", "content": answer}]


class Prompt:
    """What a line at the prompt does: it is a command or a message."""

    def __init__(self, service: "Service", conversation: Conversation, screen: "Screen", runner: asyncio.Runner) -> None:
        self._service = service
        self._conversation = conversation
        self._screen = screen
        self._runner = runner
        self._again = ""  # the message that an empty line sends again

    def turn(self, line: str) -> bool:
        """Act on what was typed. False: leave."""
        try:
            if command := re.fullmatch(r"(/[a-z]+)(?:\s+(.*))?", line, re.DOTALL):
                return self._command(command[1], command[2] or "")
            if message := line or self._again:
                self._message(message)
        except ChatError as error:
            self._screen.note(str(error), "red")
            if self._again:
                self._screen.note(f"Wait {error.retry_after}; Enter on an empty line sends the message again.")
        except KeyboardInterrupt:
            self._screen.note("Stopped; this turn is not kept.")
        return True

    def _message(self, message: str) -> None:
        self._again = ""
        try:
            answer = self._runner.run(self._service.ask(self._conversation.body(message), self._screen))
        except ChatError as error:
            self._again = message if error.retry_after else ""
            raise
        finally:
            self._screen.end()
        self._screen.note(answer.summary())
        self._conversation.keep(message, answer.text)

    def _command(self, name: str, argument: str) -> bool:
        conversation, note = self._conversation, self._screen.note
        self._again = ""
        match name:
            case "/exit":
                return False
            case "/help":
                note(HELP)
            case "/models":
                note("\n".join(self._runner.run(self._service.models())))
            case "/model" if argument:
                known = self._runner.run(self._service.models())
                if argument in known:
                    conversation.model = argument
                    note(f"The model is now {argument}.")
                else:
                    note(f"There is no model {argument!r} here; choose one of {', '.join(known)}.", "red")
            case "/model":
                note(conversation.model or "The service's first model; /models lists them.")
            case "/system":
                conversation.system_prompt = argument
                note("The system prompt is set." if argument else "The system prompt is the service's default.")
            case "/clear":
                conversation.history.clear()
                note("The conversation is forgotten.")
            case _:
                note(f"There is no {name}; /help lists the commands.", "red")
        return True


class Screen:
    """Where an answer appears as it streams: its text on stdout, all else on `notes` (None: nowhere)."""

    def __init__(self, notes: Console | None) -> None:
        self._notes = notes
        self._terminal = sys.stdout.isatty()
        # A single answer in a pipe is the answer's text as it is and nothing else.
        self._bare = not self._terminal and (notes is None or notes.stderr)
        self._shown = ""  # what the last piece was, and
        self._open = False  # whether it left its line open

    def note(self, text: str, style: str = "dim") -> None:
        if self._notes is not None:
            self._notes.out(_visible(text), style=style, highlight=False)

    def reasoning(self, text: str) -> None:
        if self._notes is not None:
            if self._shown == "answer":
                self.end()
            self._notes.out(_visible(text), style="dim", end="", highlight=False)
            self._shown, self._open = "reasoning", not text.endswith("\n")

    def answer(self, text: str) -> None:
        if self._notes is not None and self._shown == "reasoning":
            self.end()
            self._notes.line()  # a blank line between the two
        sys.stdout.write(_visible(text) if self._terminal else text)
        sys.stdout.flush()
        self._shown, self._open = "answer", not self._bare and not text.endswith("\n")

    def end(self) -> None:
        """End the line that is open."""
        if self._open:
            (sys.stdout if self._shown == "answer" or self._notes is None else self._notes.file).write("\n")
            sys.stdout.flush()
        self._shown, self._open = "", False


# Control characters but for tab and line feed: a model's text must not drive the terminal.
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A)}


def _visible(text: str) -> str:
    return text.translate(_CONTROLS)


class ChatError(Exception):
    """A call that failed; its text is one line. `retry_after` is how long the service asks to wait, such as "7 s"."""

    def __init__(self, code: str, message: str, request_id: str = "", retry_after: str = "") -> None:
        request = f" (request {request_id})" if request_id else ""
        super().__init__(_visible(" ".join(f"error: {code}: {message}{request}".split())))
        self.retry_after = retry_after


class UsageError(ChatError):
    """An argument is wrong; nothing was sent."""


@dataclass
class Answer:
    """A whole answer. `first_token` and `seconds` are in seconds from the moment before the request was sent."""

    request_id: str
    model: str = ""
    text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    first_token: float | None = None
    seconds: float = 0.0
    stop_reason: str = ""

    def summary(self) -> str:
        """One line. The rate is the output tokens over all the seconds, the wait for the first one included."""
        first = "" if self.first_token is None else f"first token {self.first_token:.2f} s · "
        rate = self.output_tokens / max(self.seconds, 0.001)
        reason = "" if self.stop_reason == "end_turn" else f" · stopped: {self.stop_reason}"
        tokens = f"{self.input_tokens:,} in, {self.output_tokens:,} out"
        return f"{self.model} · {tokens} · {first}{self.seconds:.2f} s · {rate:.1f} tokens/s{reason}"


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    request_id: str = ""


class _Data(msgspec.Struct):
    """Every field of an event, and of an error's body: the service's own shape or the bare message of what stands before it.

    A client reads leniently: a stop reason that it does not know is no failure.
    """

    request_id: str = ""
    model: str = ""
    text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    stop_reason: str = ""
    error: _Error = msgspec.field(default_factory=_Error)
    message: str = ""


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class Service:
    """The service at an endpoint. Raises `ChatError`, whose text never has the API key in it."""

    def __init__(self, endpoint: str, api_key: str) -> None:
        self.base = _base(endpoint)
        self.client = HttpClient(connect_timeout=CONNECT_SECONDS)
        self._key = api_key.strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise UsageError("invalid_api_key", "it has a character that an HTTP header cannot carry")

    async def models(self) -> list[str]:
        """The names of the models that this key may use."""
        try:
            async with await self._send("GET", "/v1/models", b"") as response:
                return [model.id for model in msgspec.json.decode(await response.read(), type=_Models).data]
        except HttpError as error:
            raise self._broken(error) from error
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._error("malformed_response", f"{self.base}/v1/models is no list of models") from None

    async def ask(self, body: dict[str, object], screen: Screen) -> Answer:
        """Stream an answer to `screen` and return it when it is whole."""
        try:
            content = msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise UsageError("invalid_message", "the text is not valid UTF-8") from None
        start = time.monotonic()
        try:
            async with await self._send("POST", "/chat/stream", content) as response:
                kind = response.headers.get("content-type", "no content type")
                if not kind.startswith("text/event-stream"):
                    what = f"{self.base} answered with {kind}, not with a stream of events"
                    raise self._error("not_a_stream", f"{what}; is it the service's URL (the output api_gateway_url)?")
                return await self._read(response, screen, start)
        except HttpError as error:
            raise self._broken(error) from error

    async def _read(self, response: Response, screen: Screen, start: float) -> Answer:
        answer = Answer(response.headers.get("x-request-id", ""))
        decoder = SseDecoder()
        async for chunk in response.chunks():
            for name, text in decoder.feed(chunk):
                if name not in ("start", "delta", "reasoning", "usage", "done", "error"):
                    continue
                try:
                    data = msgspec.json.decode(text, type=_Data)
                except msgspec.DecodeError as error:
                    raise self._error("malformed_event", f"the event {name!r}: {error}", answer.request_id) from None
                if name in ("delta", "reasoning") and answer.first_token is None:
                    answer.first_token = time.monotonic() - start
                match name:
                    case "start":
                        answer.model, answer.request_id = data.model, data.request_id or answer.request_id
                    case "delta":
                        answer.text += data.text
                        screen.answer(data.text)
                    case "reasoning":
                        screen.reasoning(data.text)
                    case "usage":
                        answer.input_tokens, answer.output_tokens = data.input_tokens, data.output_tokens
                    case "done":
                        answer.stop_reason, answer.seconds = data.stop_reason, time.monotonic() - start
                        return answer
                    case _:
                        told = data.error
                        raise self._error(told.code, told.message, told.request_id or answer.request_id)
        raise self._error("stream_interrupted", "the answer broke off before its end", answer.request_id)

    async def _send(self, method: str, path: str, body: bytes) -> Response:
        headers = [("accept", "text/event-stream, application/json"), ("user-agent", "pulumi-llm")]
        if body:
            headers.append(("content-type", "application/json"))
        if self._key:
            headers.append(("authorization", f"Bearer {self._key}"))
        response = await self.client.send(
            method, self.base + path, headers, body, response_timeout=SILENCE_SECONDS, read_timeout=SILENCE_SECONDS
        )
        if response.status == 200:
            return response
        async with response:
            raise self._refused(response.status, response.headers, await response.read())

    def _refused(self, status: int, headers: dict[str, str], body: bytes) -> ChatError:
        try:
            told = msgspec.json.decode(body, type=_Data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = _Data()
        wait = headers.get("retry-after", "") if status in (429, 503) else ""
        return self._error(
            told.error.code or f"http_{status}",
            told.error.message or told.message or f"{self.base} answered with the HTTP status {status} and no more",
            told.error.request_id or headers.get("x-request-id", ""),
            f"{wait} s" if wait.isdigit() else wait and f"until {wait}",
        )

    def _broken(self, error: HttpError) -> ChatError:
        """What a failure on the way to the service or back means to the one who waits."""
        match error:
            case http_client.ConnectError() if f"[Errno {errno.ECONNREFUSED}]" in str(error):
                return self._error("connection_refused", f"nothing listens at {self.base}; is the service running?")
            case http_client.ConnectError() | http_client.TlsError():
                return self._error("connection_failed", f"cannot connect to {self.base}: {error}")
            case http_client.ConnectTimeout() | http_client.ResponseTimeout() | http_client.ReadTimeout():
                return self._error("timeout", str(error))
            case http_client.ConnectionCut():
                return self._error("stream_interrupted", f"the answer broke off: {error}")
            case _:
                return self._error("malformed_response", str(error))

    def _error(self, code: str, message: str, request_id: str = "", retry_after: str = "") -> ChatError:
        texts = (code, message, request_id, retry_after)
        return ChatError(*(text.replace(self._key, "***") if self._key else text for text in texts))


def _base(endpoint: str) -> str:
    """The endpoint without a slash at its end. No error repeats it: a key may have been given in its place."""
    text = endpoint.strip()
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that isn't closed
        good = False
    if not good or not re.fullmatch(r"[\x21-\x7e]+", text) or re.search("[@?#]", text):
        what = "it must be a URL such as https://example.com/api, without a user name, a query or a fragment"
        raise UsageError("invalid_endpoint", what)
    return text.rstrip("/")


_LINE_END = re.compile(rb"\r\n|\n|\r")


class SseDecoder:
    """Server-Sent Events from bytes that may be split anywhere.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation; `id` and `retry` are not kept.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_return = False  # the last byte was \r: a \n that comes now belongs to it
        self._first = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """The names and the data of the events that `data` completes."""
        if not data:
            return []
        if self._after_return:
            data = data.removeprefix(b"\n")
        self._after_return = data.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + data)
        events: list[tuple[str, str]] = []
        for line in lines:
            text = line.decode("utf-8", "replace")
            if self._first:
                self._first, text = False, text.removeprefix("\ufeff")
            if text:
                self._field(text)
                continue
            if self._data:
                events.append((self._name or "message", "\n".join(self._data)))
            self._name, self._data = "", []
        return events

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")  # a comment's name is empty
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
