"""The exchange with a provider that is called over HTTP: reading its answer, and the error for each way in which it fails.

A provider's `Dialect` reads its errors and its answers, complete or streamed.
"""

import hashlib
import math
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall, is_claude
from llm_gateway.errors import GatewayError
from llm_gateway.estimate import request_tokens
from llm_gateway.events import Event, Usage
from llm_gateway.http.client import (
    ConnectError,
    ConnectTimeout,
    HttpError,
    ReadTimeout,
    Response,
    ResponseTimeout,
    TlsError,
)
from llm_gateway.providers.signatures import with_own_reasoning, with_signer
from llm_gateway.providers.tool_names import fitted, with_names
from llm_gateway.request import Message, Tool

if TYPE_CHECKING:  # only requests of tools to Claude load it
    from llm_gateway.providers.tool_properties import CallersProperties

# A provider that sends compressed answers unasked is asked not to. https://www.rfc-editor.org/rfc/rfc9110.html#name-accept-encoding
IDENTITY = ("accept-encoding", "identity")

_encode = msgspec.json.Encoder().encode

# The exceptions of a request that has not left.
_NOT_SENT = (ConnectError, ConnectTimeout, TlsError)
# The exceptions of reading an answer that is not as documented: it may not be UTF-8, or it may be nested too deeply.
UNREADABLE = (msgspec.DecodeError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Decoder(Protocol):
    """Decodes a stream. Any exception of `feed` besides `GatewayError` means that an event cannot be read."""

    done: bool
    """Whether the answer is complete. The bytes after it have no meaning."""

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Add the events that `data` completes, maybe none."""
        ...

    def end(self, events: list[Event]) -> None:
        """Add the events that the end of the body completes. Raises the error 502 if the answer is not complete."""
        ...


class Dialect(Protocol):
    """The form of a provider's answers."""

    media_type: str
    """The content type of its streams."""
    call_id: re.Pattern[str]
    """What it takes as the id of a tool call."""

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """Return the error for an answer with another status than 200. May raise any of `UNREADABLE`."""
        ...

    def read_complete(self, body: bytes) -> list[Event]:
        """Return the events of an answer that is not streamed. May raise any of `UNREADABLE`.

        A usage that the provider does not give is an estimate, as in a stream; without a count of the request it has 0
        `input_tokens`.
        """
        ...

    def decoder(self) -> Decoder: ...


# What a tool answers that has answered nothing, where a text must not be blank.
NO_OUTPUT = "(no output)"
# What the user says where a conversation begins or ends with the assistant, and the model takes only the user there.
_BEGIN, _CONTINUE = Message(role="user", text="Begin."), Message(role="user", text="Continue.")


def alternating_turns(call: ModelCall, blocks: Callable[[Message], Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return messages in which user and assistant alternate, as Bedrock and Anthropic require, with those of the system.

    The user begins, and ends unless the target goes on with an answer that is begun. Adjacent messages of one role become one
    message with several blocks. The results of tools belong to the user, so they are together in the turn after the calls.
    `blocks` returns the blocks of a message.
    """
    messages = call.messages
    if messages[0].role == "assistant":
        messages = (_BEGIN, *messages)
    if messages[-1].role == "assistant":
        if "prefill" in call.target.accepts:  # Claude refuses one that ends with white space
            messages = (*messages[:-1], msgspec.structs.replace(messages[-1], text=messages[-1].text.rstrip()))
        else:
            messages = (*messages, _CONTINUE)
    found: list[dict[str, Any]] = []
    for message in messages:
        role = "user" if message.role == "tool" else message.role
        if not found or found[-1]["role"] != role:
            found.append({"role": role, "content": []})
        found[-1]["content"].extend(blocks(message))
    return found


def undeclared_tools(call: ModelCall) -> tuple[Tool, ...]:
    """Return the tools that are called in the history but not offered now. Bedrock and Anthropic require them declared."""
    used = {use.name for message in call.messages for use in message.tool_calls}
    missing = used - {tool.name for tool in call.tools}
    return tuple(Tool(name=name, description="", parameters={"type": "object"}) for name in sorted(missing))


async def read_answer(
    send: Callable[[ModelCall], Awaitable[Response]],
    call: ModelCall,
    dialect: Dialect,
    redact: Callable[[str], str],
) -> AsyncGenerator[list[Event], None]:
    """Yield the events of a provider's answer, in batches.

    Args:
        send: Sends the request of a call and returns the response when its head has come.
        redact: Takes the provider's key out of a text, for whatever the provider sends may repeat it.

    Raises:
        GatewayError: For every failure.
    """
    response: Response | None = None
    call, names = fitted(call, dialect.call_id)
    call, signer = with_own_reasoning(call)
    call, properties = _with_own_properties(call)
    try:
        response = await _response(send, call, dialect)
        if _is_stream(response, call, dialect):
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
                    if events and (told := _told(events, names, signer, properties)):
                        yield told
                    if isinstance(error, GatewayError):
                        raise
                    raise errors.stream_interrupted(detail=f"an event cannot be read: {error!r}") from error
                if decoder.done:
                    response.release()
                    _complete_usage(events, call)
                if events and (told := _told(events, names, signer, properties)):
                    yield told
        else:
            body = await response.read()
            try:
                events = dialect.read_complete(body)
            except UNREADABLE as error:
                raise errors.upstream_failed(detail=f"the answer cannot be read: {error!r}") from error
            _complete_usage(events, call)
            yield _told(events, names, signer, properties)
    except HttpError as error:
        failure = transport_error(error, streaming=call.stream and response is not None)
        failure.redact(redact)
        raise failure from error
    except GatewayError as error:
        error.may_be_billed = response is not None  # it had accepted the request
        error.redact(redact)
        raise
    finally:
        if response is not None:
            response.close()


def _with_own_properties(call: ModelCall) -> "tuple[ModelCall, CallersProperties | None]":
    if not call.tools or not is_claude(call.target):
        return call, None
    from llm_gateway.providers.tool_properties import CallersProperties, as_claude_takes

    call, renamed = as_claude_takes(call)
    return call, CallersProperties(renamed) if renamed else None


def _told(events: list[Event], names: Mapping[str, str], signer: str, properties: "CallersProperties | None") -> list[Event]:
    if properties is not None:
        events = properties.read(events)
    if signer:
        events = with_signer(events, signer)
    return with_names(events, names) if names else events


async def _response(send: Callable[[ModelCall], Awaitable[Response]], call: ModelCall, dialect: Dialect) -> Response:
    """Return the response of an answer. A provider that refuses the thinking of earlier turns is asked once more without it."""
    response = await send(call)
    if response.status == 200:
        return response
    error = await _refused(response, dialect)
    if not _refuses_thinking(error, call):
        raise error
    response = await send(_without_thinking(call))
    if response.status == 200:
        return response
    raise await _refused(response, dialect)


async def _refused(response: Response, dialect: Dialect) -> GatewayError:
    try:
        return refusal_of(response, await response.read(), dialect.refusal)
    finally:
        response.close()


def _refuses_thinking(error: GatewayError, call: ModelCall) -> bool:
    """Whether it is the signed thinking of earlier turns that the provider refuses.

    It belongs to the model and the account that made it, and to all that stood before it.
    https://platform.claude.com/docs/en/build-with-claude/preserved-thinking
    """
    if error.status != 400 or not any(message.reasoning_blocks for message in call.messages):
        return False
    text = f"{error.detail} {error.message}".lower()
    return any(part in text for part in ("`thinking`", "in thinking block", "bound to a different", "thinking blocks"))


def _without_thinking(call: ModelCall) -> ModelCall:
    messages = (msgspec.structs.replace(message, reasoning_blocks=(), order=()) for message in call.messages)
    return msgspec.structs.replace(call, messages=tuple(messages))


def _is_stream(response: Response, call: ModelCall, dialect: Dialect) -> bool:
    """Whether the answer is a stream. Some servers stream a complete answer, or answer completely where a stream was asked for.

    Raises the error 502 for an answer that is neither.
    """
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise errors.upstream_failed(detail=f"the answer is compressed ({encoding}), which was not asked for")
    media_type = response.headers.get("content-type", "")
    if media_type.startswith(dialect.media_type):
        return True
    if call.stream and media_type and not media_type.startswith("application/json"):
        raise errors.upstream_failed(detail=f"a stream of {dialect.media_type} was asked for, {media_type!r} came")
    return call.stream and not media_type


def _complete_usage(events: list[Event], call: ModelCall) -> None:
    """Estimate the tokens of the request in the usage, if the provider has not counted them."""
    usage = events[-2]
    if isinstance(usage, Usage) and usage.estimated and not usage.input_tokens:
        tokens = request_tokens(call.system, call.messages, call.tools)
        events[-2] = msgspec.structs.replace(usage, input_tokens=tokens)


def new_call_id() -> str:
    """Return an id for a tool call that has none: a caller needs one to send the result back."""
    return f"call_{os.urandom(12).hex()}"


def digest(identifier: str) -> str:
    """Return what stands for an id that a provider does not take: always the same for the same id, and 64 characters long."""
    return hashlib.sha256(identifier.encode()).hexdigest()


def arguments_text(arguments: Any) -> str:
    """Return the JSON text of a call's arguments, which some servers send as an object. Empty for none."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else _encode(arguments).decode()


def refusal_of(
    response: Response, body: bytes, refusal: Callable[[int, Mapping[str, str], bytes], GatewayError]
) -> GatewayError:
    """Return the error for an answer with another status than 200, by its dialect's `refusal` or by the status alone."""
    try:
        return refusal(response.status, response.headers, body)
    except UNREADABLE:
        detail = f"status {response.status}: {body[:200].decode(errors='replace')}"
        return by_status(response.status, response.headers, detail)


def by_status(status: int, headers: Mapping[str, str], detail: str) -> GatewayError:
    """Return the error for a status if the body says no more. Anthropic sends 529 when it is overloaded."""
    match status:
        case 401 | 402 | 403 | 404 | 405:
            return errors.upstream_misconfigured(detail=detail)
        case 408 | 504:
            return errors.upstream_timeout(detail=detail)
        case 429:
            return errors.upstream_throttled(retry_after=retry_after(headers), detail=detail)
        case 503 | 529:
            return errors.upstream_unavailable(retry_after=retry_after(headers), detail=detail)
        case _ if 400 <= status < 500:
            return errors.upstream_rejected(reason=f"status {status}", detail=detail)
        case _:
            return errors.upstream_failed(detail=detail)


# Texts by which providers say that a conversation is too long, where there is no code for it: Anthropic, Bedrock, OpenAI,
# vLLM (vllm/renderers, vllm/v1/engine), llama.cpp (tools/server), SGLang, xAI, Groq, Gemini.
_TOO_LONG = (
    "prompt is too long",
    "input is too long",
    "conversation is too long",
    "context length",
    "context window",
    "context size",
    "context limit",
    "maximum context",
    "maximum model length",
    "too many input tokens",
    "maximum prompt length",
    "maximum number of tokens allowed",
    "requested token count exceeds",
    "reduce the length of the",
)


def says_too_long(message: str) -> bool:
    """Whether an error is about the length of the whole conversation, not about that of one field."""
    lower = message.lower()
    return any(part in lower for part in _TOO_LONG)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which the provider may be asked again, None if it does not say.

    ``retry-after-ms`` is sent by OpenAI and Azure. ``retry-after`` holds seconds or a date.
    https://www.rfc-editor.org/rfc/rfc9110.html#name-retry-after
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _clamped(milliseconds / 1000)
    value = headers.get("retry-after", "")
    seconds = _seconds_until(value) if value[:1].isalpha() else _number(value)
    return None if seconds is None else _clamped(seconds)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _seconds_until(date: str) -> float | None:
    """Return the seconds from now until an HTTP date."""
    import time
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def _clamped(seconds: float) -> float:
    """Limit to between 0 and a day: a caller could not use any other time."""
    return min(max(seconds, 0.0), 86_400.0)


def transport_error(error: HttpError, *, streaming: bool = False) -> GatewayError:
    """Return the error for a connection that failed."""
    failure = _transport_error(error, streaming=streaming)
    failure.may_be_billed = not isinstance(error, _NOT_SENT)
    return failure


def _transport_error(error: HttpError, *, streaming: bool) -> GatewayError:
    detail = f"{type(error).__name__}: {error}"
    match error:
        case ResponseTimeout() | ReadTimeout():
            return errors.upstream_timeout(detail=detail)
        case _ if isinstance(error, _NOT_SENT):
            return errors.upstream_unavailable(detail=detail)
        case _ if streaming:
            return errors.stream_interrupted(detail=detail)
        case _:
            return errors.upstream_failed(detail=detail)
