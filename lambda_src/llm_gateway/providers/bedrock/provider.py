"""Amazon Bedrock: Converse and ConverseStream, and InvokeModel for imported models."""

from collections.abc import AsyncGenerator
from urllib.parse import quote

import msgspec

from llm_gateway.aws.client import Aws
from llm_gateway.call import ModelCall
from llm_gateway.events import Event
from llm_gateway.http.client import Response
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.bedrock.invoke_model import InvokeModel
from llm_gateway.providers.exchange import read_answer

_HEADERS = (("content-type", "application/json"),)

_encode = msgspec.json.Encoder().encode

_DIALECTS = {"converse": Converse(), "invoke_model": InvokeModel()}


class Bedrock:
    """Foundation models, inference profiles, provisioned throughput and imported models, by id or ARN."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._paths: dict[str, str] = {}

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        dialect = _DIALECTS[call.target.api]
        return read_answer(self._send, call, dialect, self._aws.redact)

    async def _send(self, call: ModelCall) -> Response:
        dialect = _DIALECTS[call.target.api]
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
