"""Bedrock's streams on the wire: AWS event-stream messages, and errors within a stream and before it."""

import json
import struct
import zlib
from typing import Literal

from pulumi_llm_local.upstreams.model import BedrockError, Json

EVENT_STREAM = "application/vnd.amazon.eventstream"

# The exceptions that ConverseStreamOutput and ResponseStream model; another one becomes the model's stream error.
_STREAM_EXCEPTIONS = frozenset(
    {
        "InternalServerException",
        "ModelStreamErrorException",
        "ValidationException",
        "ThrottlingException",
        "ServiceUnavailableException",
    }
)


def outside_a_stream(error: BedrockError) -> BedrockError:
    if error.code == "ModelStreamErrorException":
        return BedrockError(424, "ModelErrorException", error.message)
    return error


def exception_message(error: BedrockError) -> bytes:
    code = error.code if error.code in _STREAM_EXCEPTIONS else "ModelStreamErrorException"
    payload: Json = {"message": error.message}
    if code == "ModelStreamErrorException":
        payload |= {"originalStatusCode": error.status, "originalMessage": error.message}
    return event_message("exception", code[0].lower() + code[1:], payload)


def event_message(kind: Literal["event", "exception"], name: str, payload: Json) -> bytes:
    """One message of application/vnd.amazon.eventstream: prelude, its CRC, headers, payload, the message's CRC."""
    return raw_message(kind, name, json.dumps(payload).encode())


def raw_message(kind: Literal["event", "exception"], name: str, body: bytes) -> bytes:
    """The same with any bytes as its payload."""
    headers = b"".join(
        struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", _STRING_HEADER, len(value)) + value.encode()
        for key, value in ((f":{kind}-type", name), (":content-type", "application/json"), (":message-type", kind))
    )
    prelude = struct.pack("!II", _FRAME_BYTES + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))


_STRING_HEADER = 7
_FRAME_BYTES = 16  # two lengths and two CRCs
