"""Writes answers in the format of Anthropic's Messages API, whole and streamed, its counts of tokens, and its errors.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from llm_functions.api_formats.answer_ids import MESSAGE
from llm_functions.api_formats.complete import CollectedCall, collect, retrieval_fields
from llm_gateway import errors
from llm_gateway.errors import GatewayError
from llm_gateway.estimate import request_tokens
from llm_gateway.events import (
    Delta,
    Done,
    Event,
    Reasoning,
    ReasoningSignature,
    Start,
    StopReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llm_gateway.request import ChatRequest, ReasoningBlock

STOP_REASONS: dict[StopReason, str] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "content_filtered": "refusal",
    "context_window_exceeded": "model_context_window_exceeded",
    "cancelled": "max_tokens",  # of the reasons that clients know, the one of an answer that is cut
}
# Anthropic's types of errors; ours are the same where they are not named here.
# https://platform.claude.com/docs/en/api/errors
ERROR_TYPES = {errors.UPSTREAM: "api_error", errors.SERVER: "api_error"}
ERROR_TYPES_BY_STATUS = {413: "request_too_large", 503: "overloaded_error", 504: "timeout_error"}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def render_count(tokens: int) -> bytes:
    return _encode({"input_tokens": tokens})


def error_body(error: GatewayError, request_id: str, *, debug: bool = False) -> dict[str, Any]:
    """Return an error in Anthropic's shape, with our code and the field beside Anthropic's type."""
    found = error.body(request_id, debug=debug)["error"]
    if error.code == errors.context_length_exceeded.code:  # Claude Code compacts a conversation when it reads these words
        found = {**found, "message": f"prompt is too long: {found['message']}"}
    kind = ERROR_TYPES_BY_STATUS.get(error.status) or ERROR_TYPES.get(error.type, error.type)
    return {"type": "error", "error": {**found, "type": kind}, "request_id": request_id}


async def render_complete(batches: AsyncIterator[list[Event]], thinking: bool, stop: Sequence[str]) -> tuple[Start, bytes]:
    """Return the event that begins the answer, and the complete answer as a message.

    `thinking`: the model's is shown. `stop` are the request's stop sequences.
    """
    answer = await collect(batches)
    content: list[dict[str, Any]] = []
    for part in answer.order:
        if isinstance(part, int):
            call = answer.calls[part]
            content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": _arguments(call)})
        elif isinstance(part, str):
            content.append({"type": "text", "text": part})
        elif thinking:
            content.append(_thinking(part))
    message = _message(answer.start, content, STOP_REASONS[answer.stop_reason], _usage(answer.usage))
    message["stop_sequence"] = _stop_sequence(answer.stop_reason, answer.stop_sequence, stop)
    return answer.start, _encode(message)


def _stop_sequence(reason: StopReason, told: str, stop: Sequence[str]) -> str | None:
    """Return the stop sequence that ended an answer. Not every provider tells which of several it was."""
    if reason != "stop_sequence":
        return None
    return told or (stop[0] if len(stop) == 1 else None)


def _thinking(block: ReasoningBlock) -> dict[str, str]:
    if block.data:
        return {"type": "redacted_thinking", "data": block.data}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature}


def _arguments(call: CollectedCall) -> dict[str, Any]:
    """Return a call's arguments. Those that the limit of tokens has cut are wrapped, as Anthropic advises.

    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
    """
    try:
        return _decode(call.arguments or "{}")
    except msgspec.DecodeError:
        return {"INVALID_JSON": call.arguments}


def _message(start: Start, content: list[dict[str, Any]], stop_reason: str | None, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": MESSAGE + start.request_id,
        "type": "message",
        "role": "assistant",
        "model": start.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
        **retrieval_fields(start),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    """Anthropic's input tokens are those that the cache has nothing to do with. `estimated` is ours."""
    found: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        found["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.estimated:
        found["estimated"] = True
    return found


# It is nowhere else in an event.
_MARK = "\x00"


class StreamRenderer:
    """Renders the answer as the stream of events that Anthropic's SDKs read: each block starts, has deltas, and stops.

    `thinking`: the model's is shown.
    """

    def __init__(self, request_id: str, request: ChatRequest, thinking: bool) -> None:
        self._request_id = request_id
        self._request = request
        self._thinking = thinking
        self._index = -1
        self._kind = ""  # of the block that is open, empty for none
        self._calls: dict[int, int] = {}  # the index of a call's block
        self._usage: Usage | None = None
        self._before = self._after = b""  # the bytes before and after the text of a delta of the open block

    def opening(self) -> bytes:
        return b""

    def closing(self) -> bytes:
        return _event({"type": "message_stop"})

    def error(self, error: GatewayError, *, debug: bool) -> bytes:
        return _event(error_body(error, self._request_id, debug=debug))

    def events(self, batch: list[Event]) -> bytes:
        return b"".join([self._event(event) for event in batch])

    def _event(self, event: Event) -> bytes:
        match event:
            case Delta(text=part):  # first, and with a fast path: most events are deltas
                opened = b"" if self._kind == "text" else self._open("text", {"type": "text", "text": ""})
                if opened:
                    delta = {"type": "text_delta", "text": _MARK}
                    self._before, self._after = self._delta(self._index, delta).split(_encode(_MARK))
                return opened + self._before + _encode(part) + self._after
            case Start():
                # Anthropic has counted the prompt by now, and clients show how full the context is by it. The provider's count
                # comes at the end.
                request = self._request
                tokens = request_tokens(request.system, request.messages, request.tools)
                usage = _usage(Usage(input_tokens=tokens, output_tokens=1))
                return _event({"type": "message_start", "message": _message(event, [], None, usage)})
            case Reasoning(text=part) if self._thinking:
                return self._open_thinking() + self._delta(self._index, {"type": "thinking_delta", "thinking": part})
            case ReasoningSignature(signature=signature, data=data) if self._thinking:
                if data:
                    return self._open("redacted_thinking", {"type": "redacted_thinking", "data": data}) + self._close()
                # The newest models sign thinking whose text they leave out.
                opened = self._open_thinking()
                return opened + self._delta(self._index, {"type": "signature_delta", "signature": signature}) + self._close()
            case ToolCall(index=index, id=identifier, name=name):
                opened = self._open("tool_use", {"type": "tool_use", "id": identifier, "name": name, "input": {}})
                self._calls[index] = self._index
                return opened
            case ToolCallDelta(index=index, arguments="{}") if not (self._kind and self._calls[index] == self._index):
                return b""  # of a block that is closed, and has an empty object already
            case ToolCallDelta(index=index, arguments=part):
                return self._delta(self._calls[index], {"type": "input_json_delta", "partial_json": part})
            case Usage():
                self._usage = event
            case Done(stop_reason=reason, stop_sequence=told):
                usage = _usage(self._usage or Usage(input_tokens=0, output_tokens=0))
                stop = self._request.sampling.stop
                delta = {"stop_reason": STOP_REASONS[reason], "stop_sequence": _stop_sequence(reason, told, stop)}
                return self._close() + _event({"type": "message_delta", "delta": delta, "usage": usage})
            case _:
                pass
        return b""

    def _open_thinking(self) -> bytes:
        if self._kind == "thinking":
            return b""
        return self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        closed = self._close()
        self._kind = kind
        self._index += 1
        return closed + _event({"type": "content_block_start", "index": self._index, "content_block": block})

    def _close(self) -> bytes:
        if not self._kind:
            return b""
        self._kind = ""
        return _event({"type": "content_block_stop", "index": self._index})

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _event(data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (data["type"].encode(), _encode(data))
