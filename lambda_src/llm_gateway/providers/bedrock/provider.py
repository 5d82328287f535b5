"""Amazon Bedrock: Converse and ConverseStream, and InvokeModel for imported models."""

from collections.abc import AsyncGenerator, Awaitable
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from llm_gateway.aws.client import Aws
from llm_gateway.call import ModelCall
from llm_gateway.events import Event
from llm_gateway.http.client import Response
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.exchange import read_answer

if TYPE_CHECKING:  # only requests for embeddings or to imported models load it
    from llm_gateway.embeddings import EmbeddingCall
    from llm_gateway.providers.bedrock.invoke_model import InvokeModel

_HEADERS = (("content-type", "application/json"),)

_encode = msgspec.json.Encoder().encode

_CONVERSE = Converse()


class Bedrock:
    """Foundation models, inference profiles, provisioned throughput and imported models, by id or ARN."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._paths: dict[str, str] = {}

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        return read_answer(self._send, call, _dialect(call), self._aws.redact)

    def embed(self, call: "EmbeddingCall") -> AsyncGenerator[list[Event], None]:
        from llm_gateway.providers.bedrock.embeddings import DIALECTS
        from llm_gateway.providers.embeddings import embed

        def send(body: bytes) -> Awaitable[Response]:
            return self._post(call, "invoke", body)

        return embed(call, DIALECTS[call.target.api], send, self._aws.redact)

    async def _send(self, call: ModelCall) -> Response:
        dialect = _dialect(call)
        return await self._post(call, dialect.operations[call.stream], _encode(dialect.body(call)))

    async def _post(self, call: "ModelCall | EmbeddingCall", operation: str, body: bytes) -> Response:
        model = call.target.model
        path = self._paths.get(model)
        if path is None:
            path = self._paths[model] = f"/model/{quote(model, safe='')}/"
        return await self._aws.post(
            "bedrock-runtime",
            path + operation,
            _HEADERS,
            body,
            read_timeout=call.stall_seconds,
            deadline=call.deadline,
        )


def _dialect(call: ModelCall) -> "Converse | InvokeModel":
    """Return that of a target for chats, which has one of two."""
    if call.target.api == "converse":
        return _CONVERSE
    from llm_gateway.providers.bedrock.invoke_model import InvokeModel

    return InvokeModel()
