"""A provider with an address and a key of its own, for any dialect."""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec

from llm_gateway.aws.secrets import Secrets
from llm_gateway.call import ModelCall
from llm_gateway.events import Event
from llm_gateway.http.client import HttpClient, Response
from llm_gateway.providers.exchange import Dialect, read_answer
from llm_gateway.routes import Endpoint

_encode = msgspec.json.Encoder().encode


class EndpointDialect(Dialect, Protocol):
    """The form of a provider's requests and answers."""

    path: str
    """What follows the base URL."""

    def headers(self, key: str) -> list[tuple[str, str]]:
        """Return the headers of a request. `key` is empty if the provider needs none."""
        ...

    def body(self, call: ModelCall) -> dict[str, Any]: ...


class EndpointProvider:
    """One endpoint of the routes document."""

    def __init__(self, client: HttpClient, endpoint: Endpoint, secrets: Secrets, dialect: EndpointDialect) -> None:
        self._client = client
        self._url = endpoint.base_url + dialect.path
        self._secret_arn = endpoint.secret_arn
        self._secrets = secrets
        self._dialect = dialect

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        return read_answer(self._send(call), call, self._dialect, self._redact)

    async def _send(self, call: ModelCall) -> Response:
        key = await self._secrets.get(self._secret_arn, call.deadline) if self._secret_arn else ""
        return await self._client.send(
            "POST",
            self._url,
            self._dialect.headers(key),
            _encode(self._dialect.body(call)),
            read_timeout=call.stall_seconds,
            deadline=call.deadline,
        )

    def _redact(self, status: int, body: bytes) -> bytes:
        """Return the body of an error without the key, which the provider may repeat. A refused key is read again."""
        if status == 401:
            self._secrets.forget(self._secret_arn)
        return self._secrets.redact(self._secret_arn, body)
