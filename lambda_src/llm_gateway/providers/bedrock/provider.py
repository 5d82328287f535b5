"""Amazon Bedrock: Converse and ConverseStream, and for imported models InvokeModel in OpenAI's chat format.

https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
"""

import base64
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from llm_gateway import errors
from llm_gateway.aws.client import Aws
from llm_gateway.aws.event_stream import EventStreamDecoder
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Event
from llm_gateway.http.client import Response
from llm_gateway.providers import exchange
from llm_gateway.providers.bedrock import converse
from llm_gateway.providers.bedrock import errors as bedrock_errors
from llm_gateway.providers.openai import chat_completions

_HEADERS = (("content-type", "application/json"),)

_encode = msgspec.json.Encoder().encode


class Bedrock:
    """Foundation models, inference profiles, provisioned throughput and imported models, by id or ARN."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._paths: dict[str, str] = {}

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        dialect = _CONVERSE if call.target.api == "converse" else _INVOKE_MODEL
        return exchange.exchange(self._send(call, dialect), call, dialect)

    async def _send(self, call: ModelCall, dialect: "_Converse | _InvokeModel") -> Response:
        model = call.target.model
        path = self._paths.get(model)
        if path is None:
            path = self._paths[model] = f"/model/{quote(model, safe='')}/"
        return await self._aws.post(
            "bedrock-runtime",
            path + dialect.operations[call.stream],
            _HEADERS,
            _encode(dialect.body(call)),
            read_timeout=call.stall_seconds,
            deadline=call.deadline,
        )


class _Converse:
    media_type = "application/vnd.amazon.eventstream"
    operations = ("converse", "converse-stream")

    def body(self, call: ModelCall) -> dict[str, Any]:
        return converse.body(call)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return bedrock_errors.refusal(status, headers, body)

    def whole(self, body: bytes) -> list[Event]:
        return converse.whole(body)

    def decoder(self) -> converse.Stream:
        return converse.Stream()


class _InvokeModel:
    media_type = "application/vnd.amazon.eventstream"
    operations = ("invoke", "invoke-with-response-stream")

    def body(self, call: ModelCall) -> dict[str, Any]:
        body = chat_completions.body(call)
        del body["model"]  # it stands in the path
        return body

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return bedrock_errors.refusal(status, headers, body)

    def whole(self, body: bytes) -> list[Event]:
        return chat_completions.whole(body)

    def decoder(self) -> "_InvokeModelStream":
        return _InvokeModelStream()


_CONVERSE = _Converse()
_INVOKE_MODEL = _InvokeModel()


class _Chunk(msgspec.Struct):
    bytes: str


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class _InvokeModelStream:
    """Chunks of OpenAI's format, each in Base64 in an event. The body's end is the answer's."""

    def __init__(self) -> None:
        self.done = False
        self._frames = EventStreamDecoder()
        self._chunks = chat_completions.Chunks()

    def feed(self, data: bytes, events: list[Event]) -> None:
        for headers, payload in self._frames.feed(data):
            if headers.get(":event-type") == "chunk":
                self._chunks.read(base64.b64decode(_decode_chunk(payload).bytes), events)
            elif headers.get(":message-type") != "event":
                raise bedrock_errors.stream_exception(headers, payload)

    def end(self, events: list[Event]) -> None:
        if self._frames.pending:
            raise errors.stream_interrupted(detail="the stream ended in the middle of an event")
        self._chunks.end(events)
