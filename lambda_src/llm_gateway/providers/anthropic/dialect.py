"""Anthropic's Messages API.

https://docs.anthropic.com/en/api/messages, https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.estimate import reasoning_tokens_of, tokens_of
from llm_gateway.events import (
    Delta,
    Done,
    Event,
    Reasoning,
    ReasoningSignature,
    StopReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llm_gateway.http.sse import SseDecoder
from llm_gateway.providers import exchange
from llm_gateway.providers.anthropic.content import ContentBlocks, cache_control
from llm_gateway.providers.prompt_cache import has_cache_points, with_cache_points
from llm_gateway.providers.reasoning import claude_fields
from llm_gateway.providers.tool_schemas import without_unions
from llm_gateway.request import Tool
from llm_gateway.tool_calls import strict_schemas

if TYPE_CHECKING:
    from llm_gateway.embeddings import EmbeddingCall

# https://docs.anthropic.com/en/api/versioning
_VERSION = "2023-06-01"

# The names of the sampling parameters.
_SAMPLING = {"max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p", "stop": "stop_sequences"}

_STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "refusal": "content_filtered",
    "model_context_window_exceeded": "context_window_exceeded",
}

# pause_turn is for tools that run at Anthropic: the answer is not complete.
_INCOMPLETE = ("pause_turn",)


class Anthropic:
    """Anthropic's Messages API. The base URL is without ``/v1``."""

    media_type = "text/event-stream"
    path = "/v1/messages"
    call_id = re.compile(r"[a-zA-Z0-9_-]+")

    def headers(self, key: str, call: "ModelCall | EmbeddingCall") -> list[tuple[str, str]]:
        headers = [("content-type", "application/json"), ("anthropic-version", _VERSION), exchange.IDENTITY]
        if isinstance(call, ModelCall) and call.tools and (betas := _betas(call.tools)):
            headers.append(("anthropic-beta", ",".join(betas)))
        return [*headers, ("x-api-key", key)] if key else headers

    def body(self, call: ModelCall) -> dict[str, Any]:
        return _body(call)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return _error(_decode_refusal(body).error, status, headers)

    def read_complete(self, body: bytes) -> list[Event]:
        answer = _decode_message(body)
        if answer.content is None:
            raise ValueError("the answer has no content")
        reader = _BlockReader()
        events: list[Event] = []
        for block in answer.content:
            reader.start(block, events)
            reader.stop(events)
        reader.finish(answer.stop_reason or "", answer.stop_sequence or "", answer.usage or _Usage(), events)
        return events

    def decoder(self) -> "_Stream":
        return _Stream()


# The request.


def _body(call: ModelCall) -> dict[str, Any]:
    if has_cache_points(call):
        call = with_cache_points(call)
    if "system_messages" in call.target.accepts:
        from llm_gateway.system_messages import before_answers

        call = msgspec.structs.replace(call, messages=tuple(before_answers(call.messages)))
    body: dict[str, Any] = {
        "model": call.target.model,
        "messages": exchange.alternating_turns(call, ContentBlocks(call).of),
        **call.sampling.named(_SAMPLING),
    }
    if call.system:
        body["system"] = call.system
        if call.cache_system:
            body["system"] = [{"type": "text", "text": call.system, **cache_control(call.cache_system)}]
    if tools := (*call.tools, *exchange.undeclared_tools(call)):
        strict = strict_schemas(call)
        body["tools"] = [_tool(tool, strict.get(tool.name)) for tool in tools]
        body["tool_choice"] = _tool_choice(call) if call.tools else {"type": "none"}
    if call.response_format is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": call.response_format.schema}}
    for name, value in claude_fields(call).items():
        body[name] = {**body.get(name, {}), **value}
    if call.hints:
        body |= _hints(call.hints)
    if call.stream:
        body["stream"] = True
    return body


def _hints(hints: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if user := hints.get("safety_identifier") or hints.get("user"):
        refused = len(user) > _LONGEST_USER_ID or _is_personal(user)
        found["metadata"] = {"user_id": exchange.digest(user) if refused else user}
    tier = {"auto": "auto", "default": "standard_only"}.get(hints.get("service_tier", ""))
    return {**found, "service_tier": tier} if tier else found


# https://platform.claude.com/docs/en/api/messages/create: an opaque id; one with an email address or a phone number is refused.
_LONGEST_USER_ID = 256
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE = re.compile(r"\+?[\d\s()./-]{7,}")


def _is_personal(user: str) -> bool:
    return _EMAIL.search(user) is not None or _PHONE.fullmatch(user) is not None


def _betas(tools: Iterable[Tool]) -> list[str]:
    """Return the betas of Anthropic's own tools: that of the computer has its date, and so had the first version of the others.

    https://platform.claude.com/docs/en/agents-and-tools/tool-use/computer-use-tool
    """
    kinds = [tool.anthropics["type"] for tool in tools if tool.anthropics]
    dates = {kind[-8:] for kind in kinds if kind.startswith("computer_") or kind.endswith("_20241022")}
    return [f"computer-use-{date[:4]}-{date[4:6]}-{date[6:]}" for date in sorted(dates)]


def _tool(tool: Tool, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a tool, with the closed schema that its arguments have to follow."""
    if tool.anthropics:
        return {**tool.anthropics, **cache_control(tool.cache)}
    tool = without_unions(tool)
    found: dict[str, Any] = {"name": tool.name, "input_schema": schema or tool.parameters}
    if schema is not None:
        found["strict"] = True
    if tool.description.strip():
        found["description"] = tool.description
    return {**found, **cache_control(tool.cache)} if tool.cache else found


def _tool_choice(call: ModelCall) -> dict[str, Any]:
    alone = {} if call.parallel_tool_calls else {"disable_parallel_tool_use": True}
    match call.tool_choice.mode:
        case "required":
            return {"type": "any", **alone}
        case "tool":
            return {"type": "tool", "name": call.tool_choice.name, **alone}
        case "none":
            return {"type": "none"}
        case "auto":
            return {"type": "auto", **alone}


# The answer, in the names of the API. msgspec ignores all other fields.


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int


class _Usage(msgspec.Struct):
    """The tokens read from and written to the prompt cache are not part of `input_tokens`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None

    def updated(self, later: "_Usage") -> "_Usage":
        """Return the counts with those that come later, at the end of a stream; they are totals."""
        counts = {name: value for name, value in msgspec.structs.asdict(later).items() if value is not None}
        # Anthropic counts the prompt again, after a search for example. Other servers repeat some of the counts, or tell zeros.
        if not (later.input_tokens or later.cache_creation_input_tokens or later.cache_read_input_tokens):
            counts = {name: value for name, value in counts.items() if name.startswith("output")}
        return msgspec.structs.replace(self, **counts)


class _Block(msgspec.Struct):
    """A block of an answer; `data` is reasoning that is encrypted."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class _Message(msgspec.Struct):
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _StreamEvent(msgspec.Struct):
    type: str
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


class _Refusal(msgspec.Struct):
    error: Any


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_event = msgspec.json.Decoder(_StreamEvent).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode


class _Stream:
    def __init__(self) -> None:
        self.done = False
        self._sse = SseDecoder()
        self._blocks = _BlockReader()
        self._usage = _Usage()
        self._stop_reason = self._stop_sequence = ""

    def feed(self, data: bytes, events: list[Event]) -> None:
        self._read_events(self._sse.feed(data), events)

    def end(self, events: list[Event]) -> None:
        self._read_events(self._sse.end(), events)
        if not self.done:
            raise errors.stream_interrupted(detail="the stream ended without message_stop")

    def _read_events(self, found: list[bytes], events: list[Event]) -> None:
        for data in found:
            event = _decode_event(data)
            match event.type:
                case "content_block_delta" if event.delta is not None:
                    self._blocks.add(event.delta, events)
                case "content_block_start" if event.content_block is not None:
                    self._blocks.start(event.content_block, events)
                case "content_block_stop":
                    self._blocks.stop(events)
                case "message_start" if event.message is not None and event.message.usage is not None:
                    # Its count of output tokens is only that of the first ones.
                    self._usage = msgspec.structs.replace(event.message.usage, output_tokens=None)
                case "message_delta":
                    if event.delta is not None:
                        self._stop_reason = event.delta.stop_reason or self._stop_reason
                        self._stop_sequence = event.delta.stop_sequence or ""
                    if event.usage is not None:
                        self._usage = self._usage.updated(event.usage)
                case "message_stop":
                    self._blocks.finish(self._stop_reason, self._stop_sequence, self._usage, events)
                    self.done = True
                    return
                case "error":
                    raise _error(event.error, 0, {})
                case _:  # ping, and events that may be added: clients must ignore unknown ones
                    pass


class _BlockReader:
    """Reads the blocks of an answer. They come one after another, so each part belongs to the block that began last."""

    def __init__(self) -> None:
        self._calls = 0
        self._in_call = False  # the current block is a call; tools that run at Anthropic have blocks of other types
        self._characters = 0  # of text and calls
        self._reasoning_characters = 0
        self._arguments: str | None = None  # those with which a call begins; they are sent if no part of them comes

    def start(self, block: _Block, events: list[Event]) -> None:
        self._in_call = block.type == "tool_use"
        if self._in_call:
            if not block.name:
                raise ValueError("a tool_use block has no name")
            self._arguments = exchange.arguments_text(block.input) or "{}"
            self._characters += len(block.name)
            events.append(ToolCall(index=self._calls, id=block.id or exchange.new_call_id(), name=block.name))
            self._calls += 1
        elif block.type in ("text", "thinking"):
            self.add(_Delta(text=block.text, thinking=block.thinking), events)
            if block.signature:
                events.append(ReasoningSignature(signature=block.signature))
        elif block.type == "redacted_thinking" and block.data:
            events.append(ReasoningSignature(data=block.data))

    def add(self, part: _Delta, events: list[Event]) -> None:
        if part.text:
            self._characters += len(part.text)
            events.append(Delta(part.text))
        elif part.thinking:
            self._reasoning_characters += len(part.thinking)
            events.append(Reasoning(part.thinking))
        elif part.partial_json and self._in_call:
            self._arguments = None
            self._characters += len(part.partial_json)
            events.append(ToolCallDelta(index=self._calls - 1, arguments=part.partial_json))
        elif part.signature:
            events.append(ReasoningSignature(signature=part.signature))

    def stop(self, events: list[Event]) -> None:
        if self._arguments is not None:
            self._characters += len(self._arguments)
            events.append(ToolCallDelta(index=self._calls - 1, arguments=self._arguments))
            self._arguments = None

    def finish(self, reason: str, sequence: str, counted: _Usage, events: list[Event]) -> None:
        meaning = _STOP_REASONS.get(reason)
        if reason in _INCOMPLETE or (meaning is None and not self._characters):
            raise errors.upstream_failed(detail=f"the model stopped with {reason!r}")
        if meaning is None:  # an answer is not thrown away for a reason that is new
            meaning = "tool_use" if self._calls else "end_turn"
        usage = _usage(counted, self._characters, self._reasoning_characters)
        if meaning == "content_filtered" and not self._characters and not self._reasoning_characters:
            error = errors.content_filter(detail=f"stop_reason {reason}")
            error.usage = usage
            raise error
        events.append(usage)
        events.append(Done(meaning, sequence))


def _usage(counts: _Usage, characters: int, of_reasoning: int) -> Usage:
    """Return the usage; what the server has not counted is an estimate.

    `characters` are those of the answer, besides those `of_reasoning`.
    """
    details = counts.output_tokens_details
    output = tokens_of(characters + of_reasoning) if counts.output_tokens is None else counts.output_tokens
    read, written = counts.cache_read_input_tokens or 0, counts.cache_creation_input_tokens or 0
    return Usage(
        input_tokens=(counts.input_tokens or 0) + read + written,
        output_tokens=output,
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=reasoning_tokens_of(of_reasoning, output) if details is None else details.thinking_tokens,
        estimated=counts.input_tokens is None or counts.output_tokens is None,
    )


# The errors. https://docs.anthropic.com/en/api/errors


def _error(error: Any, status: int, headers: Mapping[str, str]) -> GatewayError:
    """Return the error for Anthropic's. `status` is 0 for an event of a stream."""
    kind, message = str(error["type"]), str(error["message"])
    detail = f"{kind}: {message}"
    after = exchange.retry_after(headers)
    match kind:
        case "rate_limit_error":
            return errors.upstream_throttled(retry_after=after, detail=detail)
        case "overloaded_error":
            return errors.upstream_unavailable(retry_after=after, detail=detail)
        case "timeout_error":
            return errors.upstream_timeout(detail=detail)
        case "authentication_error" | "permission_error" | "not_found_error" | "billing_error":
            return errors.upstream_misconfigured(detail=detail)
        case "invalid_request_error" | "request_too_large" if exchange.says_too_long(message) or status == 413:
            return errors.context_length_exceeded(detail=detail)
        case "invalid_request_error" if "credit balance" in message:
            return errors.upstream_misconfigured(detail=detail)
        case "invalid_request_error" if "content filtering policy" in message:
            return errors.content_filter(detail=detail)
        case "invalid_request_error":
            return errors.upstream_rejected(reason=message, detail=detail)
        case _ if status:
            return exchange.by_status(status, headers, detail)
        case _:
            return errors.stream_interrupted(detail=detail)
