"""How every provider that is called over HTTP is asked, and what each way of failing means.

A provider brings a `Dialect`: what an error says, and how an answer is read, whole or piece by piece.
"""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Event
from llm_gateway.http import client as http_client
from llm_gateway.http.client import Response
from llm_gateway.request import Message, Tool

# What reading an answer that is not as documented raises. Its texts are bytes that may be no UTF-8, or nested without end.
UNREADABLE = (msgspec.DecodeError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Decoder(Protocol):
    """Reads a stream. What `feed` raises besides `GatewayError` is an event that cannot be read."""

    done: bool
    """Whether the answer is whole; what comes after it means nothing."""

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Add the events that this piece completes, maybe none."""
        ...

    def end(self, events: list[Event]) -> None:
        """Add what the end of the body completes. Raises 502 where the answer is not whole."""
        ...


class Dialect(Protocol):
    """How a provider words its answers."""

    media_type: str
    """The content type of a stream."""

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """What an answer other than 200 means. May raise what is `UNREADABLE`."""
        ...

    def read_complete(self, body: bytes) -> list[Event]:
        """The events of a whole answer."""
        ...

    def decoder(self) -> Decoder: ...


def turns(messages: Sequence[Message], blocks: Callable[[Message], Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """User and assistant in turn, as Bedrock and Anthropic want them: neighbors of one role become one message of many blocks.

    A tool's results are the user's, and so stand together in the turn after its calls.
    """
    found: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if not found or found[-1]["role"] != role:
            found.append({"role": role, "content": []})
        found[-1]["content"].extend(blocks(message))
    return found


def undeclared(call: ModelCall) -> tuple[Tool, ...]:
    """The tools that only the history holds calls of. Bedrock and Anthropic want them declared, offered now or not."""
    used = {use.name for message in call.messages for use in message.tool_calls}
    missing = used - {tool.name for tool in call.tools}
    return tuple(Tool(name=name, description="", parameters={"type": "object"}) for name in sorted(missing))


async def exchange(
    sending: Awaitable[Response],
    call: ModelCall,
    dialect: Dialect,
    refused: Callable[[int, bytes], bytes] = lambda _, body: body,
) -> AsyncGenerator[list[Event], None]:
    """The events that answer a request which `sending` sends. Raises `GatewayError` for every failure.

    `refused` is told of a refusal's status and body, and takes out of the body what nobody may see.
    """
    response: Response | None = None
    try:
        response = await sending
        if response.status != 200:
            raise _refusal(response, refused(response.status, await response.read()), dialect)
        if call.stream:
            media_type = response.headers.get("content-type", "")
            if not media_type.startswith(dialect.media_type):
                raise errors.upstream_failed(detail=f"a stream of {dialect.media_type} was asked for, {media_type!r} came")
            decoder = dialect.decoder()
            while not decoder.done:
                events: list[Event] = []
                data = await response.chunk()
                try:
                    if data:
                        decoder.feed(data, events)
                    else:
                        decoder.end(events)
                        decoder.done = True
                except (GatewayError, *UNREADABLE) as error:
                    if events:
                        yield events
                    if isinstance(error, GatewayError):
                        raise
                    raise errors.stream_interrupted(detail=f"an event cannot be read: {error!r}") from error
                if decoder.done:
                    response.release()
                if events:
                    yield events
        else:
            body = await response.read()
            try:
                events = dialect.read_complete(body)
            except UNREADABLE as error:
                raise errors.upstream_failed(detail=f"the answer cannot be read: {error!r}") from error
            yield events
    except http_client.HttpError as error:
        raise _transport_error(error, streaming=call.stream and response is not None) from error
    finally:
        if response is not None:
            response.close()


def _refusal(response: Response, body: bytes, dialect: Dialect) -> GatewayError:
    try:
        return dialect.refusal(response.status, response.headers, body)
    except UNREADABLE:
        detail = f"status {response.status}: {body[:200].decode(errors='replace')}"
        return by_status(response.status, response.headers, detail)


def by_status(status: int, headers: Mapping[str, str], detail: str) -> GatewayError:
    """What a status means where the body says nothing more. 529 is Anthropic's for "overloaded"."""
    match status:
        case 401 | 402 | 403 | 404 | 405:
            return errors.upstream_misconfigured(detail=detail)
        case 408 | 504:
            return errors.upstream_timeout("the model's provider took too long", detail=detail)
        case 429:
            return errors.upstream_throttled(retry_after=retry_after(headers), detail=detail)
        case 503 | 529:
            return errors.upstream_unavailable(retry_after=retry_after(headers), detail=detail)
        case _ if 400 <= status < 500:
            return errors.upstream_rejected(f"the model's provider refused the request with status {status}", detail=detail)
        case _:
            return errors.upstream_failed(detail=detail)


# How providers say that a conversation does not fit, in text alone.
_TOO_LONG = (
    "too long",
    "context length",
    "context window",
    "maximum context",
    "too many input tokens",
    "context limit",
)


def says_too_long(message: str) -> bool:
    lower = message.lower()
    return any(part in lower for part in _TOO_LONG)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds after which the upstream wants to be asked again, None where it does not say so.

    ``retry-after-ms`` is OpenAI's and Azure's; ``retry-after`` is seconds or a date.
    https://www.rfc-editor.org/rfc/rfc9110.html#name-retry-after
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _within(milliseconds / 1000)
    value = headers.get("retry-after", "")
    seconds = _until(value) if value[:1].isalpha() else _number(value)
    return None if seconds is None else _within(seconds)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _until(date: str) -> float | None:
    """The seconds from now to a date of HTTP."""
    import time

    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def _within(seconds: float) -> float:
    """Between 0 and a day; nothing else is a time that a caller could act on."""
    return min(max(seconds, 0.0), 86_400.0)


def _transport_error(error: http_client.HttpError, *, streaming: bool) -> GatewayError:
    detail = f"{type(error).__name__}: {error}"
    match error:
        case http_client.ResponseTimeout() | http_client.ReadTimeout():
            return errors.upstream_timeout("the model's provider stopped answering", detail=detail)
        case http_client.ConnectError() | http_client.ConnectTimeout() | http_client.TlsError():
            return errors.upstream_unavailable(detail=detail)
        case _ if streaming:
            return errors.stream_interrupted(detail=detail)
        case _:
            return errors.upstream_failed(detail=detail)
