"""A gateway in front of upstreams that fail as the table says."""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from llm_functions import compose
from llm_functions.compose import gateway_of
from llm_functions.http.application import Application
from llm_gateway.http.client import HttpClient
from llm_gateway.retrieval import Retrieval
from llm_gateway.routes import Alias, Endpoint, Routes, Target
from llm_gateway.safety import Safety
from support.gateway_service import ORIGIN, Service, serve
from support.local_bedrock import KEYS, REGION
from wire import guardrails, knowledge_bases
from wire.bedrock import Wire
from wire.failures import Failure
from wire.http import Fake
from wire.provider_responses import KEY, ProviderResponses
from wire.replying import Reply, ReplyingUpstream

# Below the 10 s after which a silent stream's head is sent: the head can still tell which target answers.
FIRST_TOKEN_SECONDS = 6.0


@dataclass
class ProviderAt:
    """A provider at an address. Nobody answers there where `upstream` is None."""

    provider: ProviderResponses
    url: str
    upstream: ReplyingUpstream | None = None

    @property
    def target(self) -> str:
        """The name of the target that stands for it."""
        return self.provider.target.name


def secret(value: Any = KEY) -> Reply:
    """What Secrets Manager answers: the secret's text, or other members."""
    members = {"SecretString": value} if isinstance(value, str) else value
    return Reply(Wire.response(200, {"ARN": "arn:of:it", "Name": "a-key", "VersionId": "v1", **members}))


class Harness:
    """Starts what a test needs: upstreams, addresses at which nobody answers, and a gateway in front of them.

    `stack` closes all of it. `tls` is a server's context with a certificate that nobody trusts, `trust` the gateway's.
    """

    secrets: ReplyingUpstream

    def __init__(self, stack: contextlib.AsyncExitStack, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
        self._stack = stack
        self._tls = tls
        self._trust = trust

    async def upstream(self, *replies: Callable[[bool], Reply]) -> ReplyingUpstream:
        started = ReplyingUpstream(*replies)
        await started.start()
        self._stack.push_async_callback(started.stop)
        return started

    async def healthy(self, provider: ProviderResponses) -> ProviderAt:
        return await self.replying(provider, provider.answer)

    async def replying(self, provider: ProviderResponses, *replies: Callable[[bool], Reply]) -> ProviderAt:
        upstream = await self.upstream(*replies)
        return ProviderAt(provider, upstream.url, upstream)

    async def failing(self, provider: ProviderResponses, failure: Failure) -> ProviderAt:
        match failure.address:
            case "listens":
                reply = failure.reply
                assert reply is not None
                return await self.replying(provider, lambda stream: reply)
            case "refuses":
                bound = self._stack.enter_context(socket.socket())  # and not listening: nobody else gets the port meanwhile
                bound.bind(("127.0.0.1", 0))
                return ProviderAt(provider, f"http://127.0.0.1:{bound.getsockname()[1]}")
            case "never accepts":
                return ProviderAt(provider, self._never_accepts())
            case "self-signed":
                server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=self._tls)
                self._stack.callback(server.close)
                return ProviderAt(provider, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    def _never_accepts(self) -> str:
        """A listener that accepts nobody, with as many in its queue as it holds: the next one waits."""
        listener = self._stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = self._stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def gateway(
        self,
        *behind: ProviderAt,
        debug: bool = False,
        secrets: Sequence[Callable[[bool], Reply]] = (lambda stream: secret(),),
        sqs: str = "",
        safety: Safety | None = None,
        guardrail: Fake | None = None,
        retrieval: Retrieval | None = None,
        knowledge_base: Fake | None = None,
        **alias: Any,
    ) -> Service:
        """A gateway whose only alias, ``main``, has these targets, in this order, each with a larger context than the last.

        `sqs` is the address of SQS. `safety` is what conversations are checked for, and `guardrail` answers ApplyGuardrail.
        `retrieval` is how passages are looked for, and `knowledge_base` answers Retrieve.
        """
        self.secrets = await self.upstream(*secrets)
        environ = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AWS_ENDPOINT_URL_SECRETSMANAGER": self.secrets.url,
            "AWS_ENDPOINT_URL_SQS": sqs,
            "AUTHORIZATION": "none",
            "DEBUG": "true" if debug else "false",
            "CORS_ALLOW_ORIGIN": ORIGIN,
        }
        targets: list[Target] = []
        endpoints: list[Endpoint] = []
        for number, each in enumerate(behind, 1):
            provider = each.provider
            targets.append(msgspec.structs.replace(provider.target, context_tokens=100_000 * number))
            if provider.endpoint is None:
                environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = each.url
            else:
                endpoints.append(msgspec.structs.replace(provider.endpoint, base_url=each.url + provider.base_path))
        values: dict[str, Any] = {"retries": 0, "first_token_seconds": FIRST_TOKEN_SECONDS, **alias}
        routes = Routes(aliases=(Alias(name="main", targets=tuple(targets), **values),), endpoints=tuple(endpoints))
        routes = msgspec.structs.replace(routes, safety=safety, retrieval=retrieval)
        if knowledge_base is not None:
            await knowledge_base.start()
            self._stack.push_async_callback(knowledge_base.stop)
            environ |= {"KNOWLEDGE_BASE_ID": knowledge_bases.ID, "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME": knowledge_base.url}
        environ |= {"GUARDRAIL_ARN": guardrails.ARN, "GUARDRAIL_VERSION": guardrails.VERSION}
        client = HttpClient(ssl_context=self._trust)
        self._stack.push_async_callback(client.close)
        gateway = gateway_of(routes, client, environ, random.Random(1))
        if guardrail is not None:  # at an address of its own, though it is Bedrock's
            await guardrail.start()
            self._stack.push_async_callback(guardrail.stop)
            at_guardrail = {**environ, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": guardrail.url}
            gateway = msgspec.structs.replace(gateway, safety=compose.safety(routes, client, at_guardrail))
        application = Application(gateway, environ)
        url = await self._stack.enter_async_context(serve(application))
        # Without limits of its own: the loop's time leaps.
        http = httpx.AsyncClient(base_url=url, verify=self._trust, trust_env=False, timeout=None)
        await self._stack.enter_async_context(http)
        return Service(url, http, self._stack)
