"""Bedrock's answers on the wire: event-stream messages, the events of ConverseStream, Converse's documents, and errors.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal

from pulumi_llm_local.upstreams.bedrock.errors import BedrockError
from pulumi_llm_local.upstreams.model import (
    Finish,
    Json,
    Piece,
    ReasoningDelta,
    SignatureDelta,
    TextDelta,
    ToolUseDelta,
    ToolUseStart,
    tool_input,
)

EVENT_STREAM = "application/vnd.amazon.eventstream"

# Messages of an event stream.


def event_message(name: str, payload: Json) -> bytes:
    return raw_message("event", name, json.dumps(payload, ensure_ascii=False).encode())


def exception_message(error: BedrockError) -> bytes:
    """Return the message that reports an error within a stream."""
    code = error.code if error.code in _STREAM_EXCEPTIONS else "ModelStreamErrorException"
    payload: Json = {"message": error.message}
    if code == "ModelStreamErrorException":
        payload |= {"originalStatusCode": error.status, "originalMessage": error.message}
    return raw_message("exception", code[0].lower() + code[1:], json.dumps(payload).encode())


# The exceptions in the models of ConverseStreamOutput and ResponseStream. Any other becomes the model's stream error.
_STREAM_EXCEPTIONS = frozenset(
    {
        "InternalServerException",
        "ModelStreamErrorException",
        "ValidationException",
        "ThrottlingException",
        "ServiceUnavailableException",
    }
)


def raw_message(kind: Literal["event", "exception"], name: str, body: bytes) -> bytes:
    """Return one message of application/vnd.amazon.eventstream: prelude, its CRC, headers, payload, the message's CRC."""
    headers = b"".join(
        struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", _STRING_HEADER, len(value)) + value.encode()
        for key, value in ((f":{kind}-type", name), (":content-type", "application/json"), (":message-type", kind))
    )
    prelude = struct.pack("!II", _FRAME_BYTES + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))


_STRING_HEADER = 7
_FRAME_BYTES = 16  # two lengths and two CRCs


def chunk_message(body: bytes) -> bytes:
    """Return one message of InvokeModelWithResponseStream: the model's own chunk, as base64, and padding."""
    return event_message("chunk", {"bytes": base64.b64encode(body).decode(), "p": "abcdef"})


def invocation_metrics(input_tokens: int, output_tokens: int, *, latency_ms: int, first_byte_ms: int) -> Json:
    """Return what Bedrock measured, which the last chunk has as `amazon-bedrock-invocationMetrics`."""
    return {
        "inputTokenCount": input_tokens,
        "outputTokenCount": output_tokens,
        "invocationLatency": latency_ms,
        "firstByteLatency": first_byte_ms,
    }


# The events of ConverseStream.

Event = tuple[str, Json]


class ConverseEvents:
    """Turns the pieces of one answer into the events of ConverseStream: the name and the payload of each."""

    def __init__(self) -> None:
        self._index = -1
        self._block = ""

    def of(self, piece: Piece, latency_ms: int = 0) -> Iterator[Event]:
        """Yield the events of the next piece. `latency_ms` is told at the end of the answer."""
        if not self._block:
            yield "messageStart", {"role": "assistant"}
        block, delta = _block_and_delta(piece)
        if block != self._block or isinstance(piece, ToolUseStart):
            if self._index >= 0:
                yield "contentBlockStop", {"contentBlockIndex": self._index}
            self._index, self._block = self._index + 1, block
        match piece:
            case ToolUseStart():  # Bedrock sends a contentBlockStart for tool calls only
                start = {"toolUse": {"toolUseId": piece.id, "name": piece.name}}
                yield "contentBlockStart", {"contentBlockIndex": self._index, "start": start}
            case Finish():
                yield "messageStop", {"stopReason": piece.stop_reason}
                yield "metadata", {"usage": _usage(piece), "metrics": {"latencyMs": latency_ms}}
            case _:
                yield "contentBlockDelta", {"contentBlockIndex": self._index, "delta": delta}


def _block_and_delta(piece: Piece) -> tuple[str, Json]:
    """Return the kind of block that the piece belongs to, and what it adds to the block."""
    match piece:
        case TextDelta():
            return "text", {"text": piece.text}
        case ReasoningDelta():
            return "reasoningContent", {"reasoningContent": {"text": piece.text}}
        case SignatureDelta():
            return "reasoningContent", {"reasoningContent": {"signature": piece.signature}}
        case ToolUseStart():
            return "toolUse", {}
        case ToolUseDelta():
            return "toolUse", {"toolUse": {"input": piece.input}}
        case Finish():
            return "none", {}


def _usage(finish: Finish) -> Json:
    return {
        "inputTokens": finish.input_tokens,
        "outputTokens": finish.output_tokens,
        "totalTokens": finish.input_tokens + finish.output_tokens,
    }


# The answer of Converse.


def render_complete(events: Iterable[Event]) -> Json:
    """Put the answer of Converse together from the events of ConverseStream."""
    answer: Json = {}
    blocks: dict[int, Json] = {}
    for name, payload in events:
        if name == "contentBlockStart":
            blocks[payload["contentBlockIndex"]] = {"toolUse": {**payload["start"]["toolUse"], "input": ""}}
        elif name == "contentBlockDelta":
            _extend(blocks.setdefault(payload["contentBlockIndex"], {}), payload["delta"])
        elif name in ("messageStop", "metadata"):
            answer.update(payload)
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = tool_input(block["toolUse"]["input"])
    return {"output": {"message": {"role": "assistant", "content": list(blocks.values())}}, **answer}


def _extend(block: Json, delta: Json) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        reasoning = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        for key, text in delta["reasoningContent"].items():
            reasoning[key] = reasoning.get(key, "") + text
