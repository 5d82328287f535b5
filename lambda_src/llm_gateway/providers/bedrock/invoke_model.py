"""Bedrock's InvokeModel for imported models, in OpenAI's chat format.

https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
"""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from llm_gateway import errors
from llm_gateway.aws.event_stream import EventStreamDecoder
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Event
from llm_gateway.providers.bedrock.errors import refusal, stream_exception
from llm_gateway.providers.openai import chat_completions


class InvokeModel:
    """The dialect of InvokeModel and InvokeModelWithResponseStream."""

    media_type = "application/vnd.amazon.eventstream"
    operations = ("invoke", "invoke-with-response-stream")
    call_id = chat_completions.CALL_ID

    def body(self, call: ModelCall) -> dict[str, Any]:
        body = chat_completions.body(call)
        del body["model"]  # it is in the path
        return body

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return refusal(status, headers, body)

    def read_complete(self, body: bytes) -> list[Event]:
        return chat_completions.read_complete(body)

    def decoder(self) -> "_Stream":
        return _Stream()


class _Chunk(msgspec.Struct):
    bytes: str


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class _Stream:
    """Decodes chunks of OpenAI's format, each in Base64 in an event. The end of the body ends the answer."""

    def __init__(self) -> None:
        self.done = False
        self._frames = EventStreamDecoder()
        self._chunks = chat_completions.ChunkReader()

    def feed(self, data: bytes, events: list[Event]) -> None:
        for headers, payload in self._frames.feed(data):
            if headers.get(":event-type") == "chunk":
                self._chunks.read(base64.b64decode(_decode_chunk(payload).bytes), events)
            elif headers.get(":message-type") != "event":
                raise stream_exception(headers, payload)

    def end(self, events: list[Event]) -> None:
        if self._frames.pending:
            raise errors.stream_interrupted(detail="the stream ended in the middle of an event")
        self._chunks.end(events)
