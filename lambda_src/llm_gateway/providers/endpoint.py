"""A provider with an address and a key of its own, for any dialect."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from llm_gateway import errors
from llm_gateway.aws.secrets import Secrets
from llm_gateway.call import ModelCall
from llm_gateway.events import Event
from llm_gateway.http.client import HttpClient, Response
from llm_gateway.providers.exchange import Dialect, read_answer
from llm_gateway.routes import Endpoint
from llm_gateway.trace import current as trace_of_request

if TYPE_CHECKING:
    from llm_gateway.embeddings import EmbeddingCall
    from llm_gateway.providers.stickiness import Stickiness

_encode = msgspec.json.Encoder().encode


class EndpointDialect(Dialect, Protocol):
    """The form of a provider's requests and answers."""

    path: str
    """What follows the base URL."""

    def headers(self, key: str, call: "ModelCall | EmbeddingCall") -> list[tuple[str, str]]:
        """Return the headers of a call's request. `key` is empty if the provider needs none."""
        ...

    def body(self, call: ModelCall) -> dict[str, Any]: ...


class EndpointProvider:
    """One endpoint of the routes document. `stickiness` has the cookies of its conversations, where it sets any."""

    def __init__(
        self,
        client: HttpClient,
        endpoint: Endpoint,
        secrets: Secrets,
        dialect: EndpointDialect,
        stickiness: "Stickiness | None" = None,
    ) -> None:
        self._client = client
        self._base_url = endpoint.base_url
        self._url = endpoint.base_url + dialect.path
        self._secret_arn = endpoint.secret_arn
        self._secrets = secrets
        self._dialect = dialect
        self._stickiness = stickiness
        self._may_sleep = bool(endpoint.wake_queue_url)
        self._cache_salt = endpoint.cache_salt
        self._trace_context = endpoint.trace_context

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        return read_answer(self._send, call, self._dialect, self._redact)

    def embed(self, call: "EmbeddingCall") -> AsyncGenerator[list[Event], None]:
        """Embed by OpenAI's protocol, the only one of the registry that has embeddings."""
        from llm_gateway.providers.embeddings import embed
        from llm_gateway.providers.openai.embeddings import PATH, Embeddings

        def send(body: bytes) -> Awaitable[Response]:
            return self._post(call, self._base_url + PATH, body)

        return embed(call, Embeddings(), send, self._redact)

    async def _send(self, call: ModelCall) -> Response:
        cookie = self._stickiness.cookie(call) if self._stickiness is not None else ""
        response = await self._post(call, self._url, _encode(self._body(call)), cookie)
        if self._stickiness is not None and (set_cookie := response.headers.get("set-cookie")):
            self._stickiness.remember(call, set_cookie)
        return response

    async def _post(self, call: "ModelCall | EmbeddingCall", url: str, body: bytes, cookie: str = "") -> Response:
        key = await self._secrets.get(self._secret_arn, call.deadline) if self._secret_arn else ""
        headers = self._dialect.headers(key, call)
        if cookie:
            headers = [*headers, ("cookie", cookie)]
        if self._trace_context and (trace := trace_of_request()) is not None:
            headers = [*headers, *trace.headers()]
        response = await self._client.send(
            "POST",
            url,
            headers,
            body,
            read_timeout=call.stall_seconds,
            deadline=call.deadline,
        )
        if response.status == 401:  # the key is read again: it may have been replaced
            self._secrets.forget(self._secret_arn)
        if self._may_sleep and _has_no_server(response):
            await response.read()
            raise errors.model_not_ready(detail="status 503: the load balancer has no server for it")
        return response

    def _body(self, call: ModelCall) -> dict[str, Any]:
        body = self._dialect.body(call)
        if self._cache_salt:
            body["cache_salt"] = _salt_of(call.caller.tenant)
        return body

    def _redact(self, text: str) -> str:
        return self._secrets.redact(self._secret_arn, text)


def _salt_of(tenant: str) -> str:
    """What keeps a tenant's prompts apart in a prefix cache that all share: no caller chooses it, for the body is written here.

    https://docs.vllm.ai/en/stable/design/prefix_caching/#cache-isolation-for-security
    """
    return hashlib.sha256(tenant.encode()).hexdigest()


def _has_no_server(response: Response) -> bool:
    """Whether a load balancer answers by itself: with a page, where a server that refuses would answer with JSON.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-503-issues
    """
    return response.status == 503 and response.headers.get("content-type", "").startswith("text/")
