"""Anthropic's Messages API.

https://docs.anthropic.com/en/api/messages, https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Reasoning, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.http.sse import SseDecoder
from llm_gateway.providers import exchange
from llm_gateway.request import Message

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

_encode = msgspec.json.Encoder().encode


class Anthropic:
    """Anthropic's Messages API. The base URL is without ``/v1``."""

    media_type = "text/event-stream"
    path = "/v1/messages"

    def headers(self, key: str) -> list[tuple[str, str]]:
        headers = [("content-type", "application/json"), ("anthropic-version", _VERSION)]
        return [*headers, ("x-api-key", key)] if key else headers

    def body(self, call: ModelCall) -> dict[str, Any]:
        return _body(call)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return _error(_decode_refusal(body).error, status, headers)

    def read_complete(self, body: bytes) -> list[Event]:
        answer = _decode_message(body)
        if answer.usage is None or answer.stop_reason is None:
            raise ValueError("the answer has no usage or no stop_reason")
        reader = _BlockReader()
        events: list[Event] = []
        for block in answer.content:
            reader.start(block, events)
            reader.stop(events)
        reader.finish(answer.stop_reason, answer.usage.all_input_tokens(), answer.usage.output_tokens, events)
        return events

    def decoder(self) -> "_Stream":
        return _Stream()


# The request.


def _body(call: ModelCall) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": call.target.model,
        "messages": exchange.alternating_turns(call.messages, _content_blocks),
        **call.sampling.named(_SAMPLING),
    }
    if call.system:
        body["system"] = call.system
    if tools := (*call.tools, *exchange.undeclared_tools(call)):
        body["tools"] = [
            {
                "name": tool.name,
                "input_schema": tool.parameters,
                **({"description": tool.description} if tool.description else {}),
            }
            for tool in tools
        ]
        body["tool_choice"] = _tool_choice(call) if call.tools else {"type": "none"}
    if call.stream:
        body["stream"] = True
    return body


def _content_blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.text}
        return
    if message.text.strip():
        yield {"type": "text", "text": message.text}
    for use in message.tool_calls:
        yield {"type": "tool_use", "id": use.id, "name": use.name, "input": use.arguments}


def _tool_choice(call: ModelCall) -> dict[str, str]:
    match call.tool_choice.mode:
        case "required":
            return {"type": "any"}
        case "tool":
            return {"type": "tool", "name": call.tool_choice.name}
        case mode:
            return {"type": mode}


# The answer, in the names of the API. msgspec ignores all other fields.


class _Usage(msgspec.Struct):
    """The tokens read from and written to the prompt cache are not part of `input_tokens`."""

    input_tokens: int | None = None
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    def all_input_tokens(self) -> int:
        return (self.input_tokens or 0) + (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = {}


class _Message(msgspec.Struct):
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


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
        self._input_tokens = 0
        self._output_tokens = 0
        self._stop_reason = ""

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
                    self._input_tokens = event.message.usage.all_input_tokens()
                case "message_delta" if event.delta is not None and event.usage is not None:
                    self._stop_reason = event.delta.stop_reason or self._stop_reason
                    self._output_tokens = event.usage.output_tokens
                    # They are counted again after a search, for example.
                    self._input_tokens = event.usage.all_input_tokens() or self._input_tokens
                case "message_stop":
                    self._blocks.finish(self._stop_reason, self._input_tokens, self._output_tokens, events)
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
        self._has_content = False
        self._input: dict[str, Any] | None = None  # the input of a call if no part of it has come: none is sent for {}

    def start(self, block: _Block, events: list[Event]) -> None:
        self._in_call = block.type == "tool_use"
        if self._in_call:
            if not block.id or not block.name:
                raise ValueError("a tool_use block has no id or no name")
            self._has_content = True
            self._input = block.input
            events.append(ToolCall(index=self._calls, id=block.id, name=block.name))
            self._calls += 1
        elif block.type in ("text", "thinking"):
            self.add(_Delta(text=block.text, thinking=block.thinking), events)

    def add(self, part: _Delta, events: list[Event]) -> None:
        if part.text:
            self._has_content = True
            events.append(Delta(part.text))
        elif part.thinking:
            events.append(Reasoning(part.thinking))
        elif part.partial_json and self._in_call:
            self._input = None
            events.append(ToolCallDelta(index=self._calls - 1, arguments=part.partial_json))

    def stop(self, events: list[Event]) -> None:
        if self._input is not None:
            events.append(ToolCallDelta(index=self._calls - 1, arguments=_encode(self._input).decode()))
            self._input = None

    def finish(self, reason: str, input_tokens: int, output_tokens: int, events: list[Event]) -> None:
        meaning = _STOP_REASONS.get(reason)
        if meaning is None:  # pause_turn, for tools that run at Anthropic, or none
            raise errors.upstream_failed(detail=f"the model stopped with {reason!r}")
        if meaning == "content_filtered" and not self._has_content:
            raise errors.content_filter(detail="stop_reason refusal")
        events.append(Usage(input_tokens=input_tokens, output_tokens=output_tokens))
        events.append(Done(meaning))


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
