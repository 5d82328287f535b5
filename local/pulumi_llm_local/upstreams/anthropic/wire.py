"""Anthropic's Messages API on the wire: the events of a stream, complete messages, errors, SSE frames.

https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

import json
import uuid
from collections.abc import Iterable, Iterator

from pulumi_llm_local.upstreams.model import (
    Finish,
    Json,
    Piece,
    ReasoningDelta,
    SignatureDelta,
    StopReason,
    TextDelta,
    ToolUseDelta,
    ToolUseStart,
    tool_input,
)

EVENT_STREAM = "text/event-stream; charset=utf-8"


def frame(event: Json) -> bytes:
    """Return one Server-Sent Event."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


class MessageEvents:
    """Turns the pieces of one answer into the events of its stream.

    Args:
        model: The name of the model, as the answer tells it.
        input_tokens: The tokens of the request, which the first event tells.
        tool_use_prefix: How the id of a tool call begins.
    """

    def __init__(self, model: str, input_tokens: int, *, tool_use_prefix: str = "toolu_") -> None:
        self._model = model
        self._input_tokens = input_tokens
        self._tool_use_prefix = tool_use_prefix
        self._index = -1
        self._kind = ""

    def of(self, piece: Piece) -> Iterator[Json]:
        """Yield the events of the next piece. As from Anthropic, a ping follows the first start of a block."""
        if not self._kind:
            yield {"type": "message_start", "message": self._message()}
        block, delta = self._block_and_delta(piece)
        if block["type"] != self._kind or isinstance(piece, ToolUseStart):
            if self._index >= 0:
                yield {"type": "content_block_stop", "index": self._index}
            self._index, self._kind = self._index + 1, block["type"]
            if not isinstance(piece, Finish):
                yield {"type": "content_block_start", "index": self._index, "content_block": block}
                if self._index == 0:
                    yield {"type": "ping"}
        if isinstance(piece, Finish):
            yield from _ending(piece)
        elif delta:
            yield {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _message(self) -> Json:
        return {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**_usage(self._input_tokens, 1), "service_tier": "standard"},
        }

    def _block_and_delta(self, piece: Piece) -> tuple[Json, Json]:
        """Return the block that the piece belongs to, as the block begins, and what the piece adds to it."""
        match piece:
            case TextDelta():
                return {"type": "text", "text": ""}, {"type": "text_delta", "text": piece.text}
            case ReasoningDelta():
                return _THINKING, {"type": "thinking_delta", "thinking": piece.text}
            case SignatureDelta():
                return _THINKING, {"type": "signature_delta", "signature": piece.signature}
            case ToolUseStart():
                id_ = self._tool_use_prefix + piece.id.removeprefix("tooluse_")
                return {"type": "tool_use", "id": id_, "name": piece.name, "input": {}}, {}
            case ToolUseDelta():
                return {"type": "tool_use"}, {"type": "input_json_delta", "partial_json": piece.input}
            case Finish():
                return {"type": "none"}, {}


def _ending(finish: Finish) -> Iterator[Json]:
    stopped: Json = {"stop_reason": _STOP_REASONS[finish.stop_reason], "stop_sequence": finish.stop_sequence}
    if finish.stop_reason == "content_filtered":
        stopped["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    yield {"type": "message_delta", "delta": stopped, "usage": _usage(finish.input_tokens, finish.output_tokens)}
    yield {"type": "message_stop"}


_STOP_REASONS: dict[StopReason, str] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "content_filtered": "refusal",
}


def _usage(input_tokens: int, output_tokens: int) -> Json:
    return {
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }


_THINKING: Json = {"type": "thinking", "thinking": "", "signature": ""}


def render_complete(events: Iterable[Json]) -> Json:
    """Put the message together from the events of its stream."""
    message: Json = {}
    blocks: list[Json] = []
    inputs: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                blocks.append(dict(event["content_block"]))
            case "content_block_delta" if event["delta"]["type"] == "input_json_delta":
                inputs[event["index"]] = inputs.get(event["index"], "") + event["delta"]["partial_json"]
            case "content_block_delta":
                ((name, text),) = ((name, text) for name, text in event["delta"].items() if name != "type")
                blocks[-1][name] += text
            case "message_delta":
                counted = {name: tokens for name, tokens in event["usage"].items() if tokens is not None}
                message = {**message, **event["delta"], "usage": {**message["usage"], **counted}}
            case _:
                pass
    for index, text in inputs.items():
        blocks[index]["input"] = tool_input(text)
    return {**message, "content": blocks}
