"""The HTTP client of `pulumi-llm chat`: reads the service's stream event by event."""

import errno
import re
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from llm_gateway import errors
from llm_gateway.http import client as http_client
from llm_gateway.http.client import HttpClient, HttpError, Response
from llm_gateway.operations import PATHS
from pulumi_llm.cli.chat_screen import Screen, visible

CONNECT_SECONDS = 10.0
# Give up after this many seconds without any byte. A service that waits for its model sends comments in the meantime.
SILENCE_SECONDS = 30.0


class ChatError(Exception):
    """A call failed; the text is one line. `retry_after` is how long the service asks to wait, such as "7 s"."""

    def __init__(self, code: str, message: str, request_id: str = "", retry_after: str = "") -> None:
        request = f" (request {request_id})" if request_id else ""
        super().__init__(visible(" ".join(f"error: {code}: {message}{request}".split())))
        self.retry_after = retry_after


class UsageError(ChatError):
    """An argument is wrong; nothing was sent."""


@dataclass
class Answer:
    """A complete answer. `first_token` and `seconds` are in seconds since just before the request was sent."""

    request_id: str
    model: str = ""
    text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    first_token: float | None = None
    seconds: float = 0.0
    stop_reason: str = ""

    def summary(self) -> str:
        """One line about the answer. The token rate includes the wait for the first token."""
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
    """The fields of all events and of an error's body, which is the service's own, or only a `message` of API Gateway.

    The client is lenient: an unknown stop reason is not an error.
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
    """The service at an endpoint. Its methods raise `ChatError`, whose text never contains the API key."""

    def __init__(self, endpoint: str, api_key: str) -> None:
        self.base = _base(endpoint)
        self.client = HttpClient(connect_timeout=CONNECT_SECONDS)
        self._key = api_key.strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise UsageError(errors.invalid_api_key.code, "it has a character that an HTTP header cannot carry")

    async def models(self) -> list[str]:
        """The names of the models that this key may use."""
        try:
            async with await self._send("GET", PATHS["models"], b"") as response:
                return [model.id for model in msgspec.json.decode(await response.read(), type=_Models).data]
        except HttpError as error:
            raise self._broken(error) from error
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._error("malformed_response", f"{self.base}{PATHS['models']} is no list of models") from None

    async def ask(self, body: dict[str, object], screen: Screen) -> Answer:
        """Stream the answer to `screen`, and return it when it is complete."""
        try:
            content = msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise UsageError("invalid_message", "the text is not valid UTF-8") from None
        start = time.monotonic()
        try:
            async with await self._send("POST", PATHS["chat_stream"], content) as response:
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
                        error = data.error
                        raise self._error(error.code, error.message, error.request_id or answer.request_id)
        raise self._error(errors.stream_interrupted.code, "the answer broke off before its end", answer.request_id)

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
            data = msgspec.json.decode(body, type=_Data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            data = _Data()
        wait = headers.get("retry-after", "") if status in (429, 503) else ""
        return self._error(
            data.error.code or f"http_{status}",
            data.error.message or data.message or f"{self.base} answered with the HTTP status {status} and no more",
            data.error.request_id or headers.get("x-request-id", ""),
            f"{wait} s" if wait.isdigit() else wait and f"until {wait}",
        )

    def _broken(self, error: HttpError) -> ChatError:
        """The error to show for a failure of the connection."""
        match error:
            case http_client.ConnectError() if f"[Errno {errno.ECONNREFUSED}]" in str(error):
                return self._error("connection_refused", f"nothing listens at {self.base}; is the service running?")
            case http_client.ConnectError() | http_client.TlsError():
                return self._error("connection_failed", f"cannot connect to {self.base}: {error}")
            case http_client.ConnectTimeout() | http_client.ResponseTimeout() | http_client.ReadTimeout():
                return self._error("timeout", str(error))
            case http_client.ConnectionCut():
                return self._error(errors.stream_interrupted.code, f"the answer broke off: {error}")
            case _:
                return self._error("malformed_response", str(error))

    def _error(self, code: str, message: str, request_id: str = "", retry_after: str = "") -> ChatError:
        texts = (code, message, request_id, retry_after)
        return ChatError(*(text.replace(self._key, "***") if self._key else text for text in texts))


def _base(endpoint: str) -> str:
    """The endpoint without its final slash. Errors do not repeat it, because the user may have given a key by mistake."""
    text = endpoint.strip()
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or a bracket is not closed
        good = False
    if not good or not re.fullmatch(r"[\x21-\x7e]+", text) or re.search("[@?#]", text):
        what = "it must be a URL such as https://example.com/api, without a user name, a query or a fragment"
        raise UsageError("invalid_endpoint", what)
    return text.rstrip("/")


_LINE_END = re.compile(rb"\r\n|\n|\r")


class SseDecoder:
    """Decodes Server-Sent Events from bytes that may be split anywhere. `id` and `retry` are ignored.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_return = False  # the last byte was \r; a \n at the start of the next data belongs to it
        self._first = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Return (name, data) of each event that `data` completes."""
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
