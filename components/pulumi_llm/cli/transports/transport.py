"""What every transport has: the answer, its errors, and the call that all of them serve."""

import datetime
import email.utils
import re
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

import msgspec

from llm_gateway import errors
from pulumi_llm.cli.chat_screen import visible

CONNECT_SECONDS = 10.0

_RETRY_AFTER = {kind.code: kind.retry_after for kind in (*errors.ERROR_KINDS, *errors.WEBSOCKET_ERROR_KINDS)}


class TransportName(StrEnum):
    """The transports, as the command names them."""

    REST = "rest"
    SSE = "sse"
    WS = "ws"


class ChatError(Exception):
    """A call failed; the text is one line.

    `status` is the HTTP status of a refusal, 0 if there was none. `retry_after` is how many seconds the service asks to wait.
    """

    def __init__(
        self, code: str, message: str, request_id: str = "", retry_after: float | None = None, status: int = 0
    ) -> None:
        request = f" (request {request_id})" if request_id else ""
        super().__init__(visible(" ".join(f"error: {code}: {message}{request}".split())))
        self.code = code
        self.status = status
        self.retry_after = retry_after


class UsageError(ChatError):
    """An argument is wrong; nothing was sent."""


class Display(Protocol):
    """Shows an answer while it comes."""

    def answer(self, text: str) -> None: ...

    def reasoning(self, text: str) -> None: ...

    def reconnecting(self) -> None:
        """The connection was lost, and a new one is being opened."""
        ...


@dataclass
class Answer:
    """An answer. Times are in seconds since just before the request was sent.

    `arrivals` has the time of each piece of the text or of the reasoning. The web client defines its figures alike
    (frontend/src/runs/figures.ts).
    """

    request_id: str = ""
    model: str = ""
    text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    arrivals: list[float] = field(default_factory=list[float])
    seconds: float = 0.0
    stop_reason: str = ""

    @property
    def first_chunk(self) -> float | None:
        """When the first piece came; None if none did."""
        return self.arrivals[0] if self.arrivals else None

    @property
    def rate(self) -> float | None:
        """Tokens per second of the total time; None of an answer without tokens."""
        return self.output_tokens / self.seconds if self.output_tokens and self.seconds else None

    @property
    def jitter(self) -> float | None:
        """The standard deviation of the pauses between two pieces, in seconds; None if there are fewer than two pauses."""
        pauses = [later - earlier for earlier, later in pairwise(self.arrivals)]
        return statistics.pstdev(pauses) if len(pauses) > 1 else None

    def summary(self) -> str:
        """One line about the answer."""
        first = "" if self.first_chunk is None else f"first token {self.first_chunk:.2f} s · "
        reason = "" if self.stop_reason == "end_turn" else f" · stopped: {self.stop_reason}"
        tokens = f"{self.input_tokens:,} in, {self.output_tokens:,} out"
        return f"{self.model} · {tokens} · {first}{self.seconds:.2f} s · {self.rate or 0:.1f} tokens/s{reason}"


class ErrorData(msgspec.Struct):
    code: str = ""
    message: str = ""
    request_id: str = ""
    retry_after: float | None = None  # over HTTP it is a header


class Data(msgspec.Struct):
    """The fields of a complete answer, of all events and messages, and of an error's body, which is the service's own, or only
    a `message` of API Gateway.

    The client is lenient: an unknown stop reason is not an error.
    """

    type: str = ""
    id: str | None = None
    seq: int | None = None
    request_id: str = ""
    model: str = ""
    text: str = ""
    reasoning: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    stop_reason: str = ""
    error: ErrorData = msgspec.field(default_factory=ErrorData)
    message: str = ""


class Reading:
    """Makes an answer of its events as they come, and shows it."""

    def __init__(self, display: Display) -> None:
        self.answer = Answer()
        self._display = display
        self._start = time.monotonic()

    def take(self, kind: str, data: Data) -> bool:
        """Add an event. Returns whether the answer is complete. An event of an unknown kind is ignored."""
        answer = self.answer
        if kind in ("delta", "reasoning"):
            answer.arrivals.append(time.monotonic() - self._start)
        match kind:
            case "start":
                answer.model, answer.request_id = data.model, data.request_id or answer.request_id
            case "delta":
                answer.text += data.text
                self._display.answer(data.text)
            case "reasoning":
                self._display.reasoning(data.text)
            case "usage":
                answer.input_tokens, answer.output_tokens = data.input_tokens, data.output_tokens
            case "done":
                answer.stop_reason, answer.seconds = data.stop_reason, time.monotonic() - self._start
                return True
            case _:
                pass
        return False


class Service:
    """A service at an endpoint. Its methods raise `ChatError`, whose text never contains the API key."""

    schemes: ClassVar[tuple[str, str]] = ("http", "https")
    # What else the URL of the endpoint may be for, by its schemes.
    wrong_scheme: ClassVar[str] = ""

    def __init__(self, endpoint: str, api_key: str) -> None:
        self.base = self._base(endpoint)
        self._key = api_key.strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise UsageError(errors.invalid_api_key.code, "it has a character that an HTTP header cannot carry")

    def _headers(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self._key}")] if self._key else []

    def _error(
        self, code: str, message: str, request_id: str = "", retry_after: float | None = None, status: int = 0
    ) -> ChatError:
        code, message, request_id = (
            text.replace(self._key, "***") if self._key else text for text in (code, message, request_id)
        )
        retry_after = _RETRY_AFTER.get(code) if retry_after is None else retry_after
        return ChatError(code, message, request_id, retry_after, status)

    def _reported(self, error: ErrorData, request_id: str) -> ChatError:
        """The error for one that the service reports within an answer."""
        return self._error(error.code, error.message, error.request_id or request_id, error.retry_after)

    def _refused(self, status: int, headers: Mapping[str, str], body: bytes) -> ChatError:
        """The error for an HTTP response that is none of the service's answers."""
        try:
            data = msgspec.json.decode(body, type=Data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            data = Data()
        return self._error(
            data.error.code or f"http_{status}",
            data.error.message or data.message or f"{self.base} answered with the HTTP status {status} and no more",
            data.error.request_id or headers.get("x-request-id", ""),
            _seconds(headers.get("retry-after", "")),
            status,
        )

    @classmethod
    def _base(cls, endpoint: str) -> str:
        """The endpoint without its final slash. Errors do not repeat it, because the user may have given a key by mistake."""
        text = endpoint.strip()
        scheme = ""
        try:
            parts = urlsplit(text)
            scheme = parts.scheme
            good = bool(scheme) and bool(parts.hostname) and parts.port != 0
        except ValueError:  # the port is not a number, or a bracket is not closed
            good = False
        if good and cls.wrong_scheme and scheme in {"http", "https", "ws", "wss"} - set(cls.schemes):
            raise UsageError("invalid_endpoint", cls.wrong_scheme)
        if not good or scheme not in cls.schemes or not re.fullmatch(r"[\x21-\x7e]+", text) or re.search("[@?#]", text):
            what = f"it must be a URL such as {cls.schemes[1]}://example.com/api, without a user name, a query or a fragment"
            raise UsageError("invalid_endpoint", what)
        return text.rstrip("/")


class Transport(Service, ABC):
    """A service that answers. It serves one call at a time. If the task of a call is cancelled, the generation is stopped where
    the transport can.
    """

    @abstractmethod
    async def models(self) -> list[str] | None:
        """Return the names of the models that this key may use; None where this way does not tell."""

    @abstractmethod
    async def ask(self, body: dict[str, object], display: Display) -> Answer:
        """Show the answer as it comes, and return it when it is complete."""

    @abstractmethod
    async def close(self) -> None:
        """Close what is open."""


def encoded(body: Mapping[str, object]) -> bytes:
    """Return the JSON of a request. Raises `UsageError` for a text that has none."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        raise UsageError("invalid_message", "the text is not valid UTF-8") from None


def _seconds(retry_after: str) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date; None of anything else."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until - datetime.datetime.now(datetime.UTC)).total_seconds())
