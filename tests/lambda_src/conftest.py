"""The function as a whole: the application under uvicorn, in front of the local Bedrock or of a fake that plays a script.

Everything runs in the test's own loop, and everything is closed when the test ends.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
import openai
import pytest
import uvicorn

from llm_functions.compose import providers
from llm_functions.http import server as http_server
from llm_functions.http.application import Application
from llm_gateway.http.client import HttpClient
from llm_gateway.pipeline import Gateway
from llm_gateway.router import Provider, Router
from llm_gateway.routes import Alias, Routes, Target
from pulumi_llm_local.upstreams.fault import Fault
from pulumi_llm_local.upstreams.model import ModelTraits
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from support.local_bedrock import KEYS, REGION, running
from wire.bedrock import Wire
from wire.http import Fake, Script

PATIENCE = 20.0  # no test waits this long: it is what keeps a broken one from hanging
ORIGIN = "https://chat.example.com"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/r1profile"
ARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef123456"
_SAMPLING = ("max_tokens", "temperature", "top_p", "stop", "system")
_ALL = (*_SAMPLING, "tools", "stream_tools")


def _alias(name: str, model: str, accepts: tuple[Any, ...], **more: Any) -> Alias:
    """One target that is asked once."""
    values: dict[str, Any] = {"provider": "bedrock", "max_output_tokens": 4096, "context_tokens": 100_000, **more}
    return Alias(name=name, targets=(Target(name=f"bedrock/{name}", model=model, accepts=accepts, **values),), retries=0)


ROUTES = Routes(
    aliases=(
        _alias("full", "test.all-v1:0", _ALL, stop_max=4),
        _alias("bare", "test.bare-v1", ("max_tokens",), max_output_tokens=100),
        _alias("exclusive", "test.exclusive-v1", _ALL, exclusive=("temperature", "top_p")),
        _alias("r1", PROFILE, ("max_tokens", "temperature", "top_p", "system")),
        _alias("whole-tools", "test.whole-tools-v1", (*_SAMPLING, "tools")),
        _alias("arn", ARN, ("max_tokens",)),
        _alias("mock", "mock", _SAMPLING, provider="mock"),
    )
)
_LOCAL = frozenset(_ALL) - {"stream_tools"}
MODELS = {
    "test.all-v1:0": ModelTraits(_LOCAL),
    "test.bare-v1": ModelTraits(frozenset({"max_tokens"}), max_output_tokens=100),
    "test.exclusive-v1": ModelTraits(_LOCAL, exclusive=frozenset({"temperature", "top_p"})),
    PROFILE: ModelTraits(frozenset({"max_tokens", "temperature", "top_p", "system"}), reasoning=True),
    "test.whole-tools-v1": ModelTraits(_LOCAL),
}


# The caller's side.


@dataclass
class Sse:
    """One event of a stream, or a comment (its `name` is ":")."""

    name: str
    data: Any
    id: int | None = None
    retry: int | None = None


async def sse_events(response: Any) -> AsyncIterator[Sse]:
    """The events as they come."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            yield Sse(":", line[1:].strip())
        elif line:
            name, _, value = line.partition(": ")
            assert name in ("id", "event", "data", "retry") and name not in fields, line
            fields[name] = value
        elif fields:
            if fields.get("data") == "[DONE]":
                yield Sse("[DONE]", None)
            else:
                data = json.loads(fields["data"]) if "data" in fields else None
                retry = int(fields["retry"]) if "retry" in fields else None
                yield Sse(fields.get("event", ""), data, int(fields["id"]) if "id" in fields else None, retry)
            fields = {}
    assert not fields, "the last event is not ended"


@dataclass
class Service:
    """A running gateway and its callers."""

    url: str
    http: httpx.AsyncClient
    clients: contextlib.AsyncExitStack = field(repr=False)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    @contextlib.asynccontextmanager
    async def streaming(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[httpx.Response, AsyncIterator[Sse]]]:
        async with self.http.stream("POST", path, json=body, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield response, sse_events(response)

    async def sse(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> list[Sse]:
        """All events of a stream, comments left out."""
        async with self.streaming(path, body, headers) as (_, events):
            return [event async for event in events if event.name != ":"]

    def openai(self, **options: Any) -> openai.AsyncOpenAI:
        http = httpx2.AsyncClient(verify=False, trust_env=False, timeout=PATIENCE)
        self.clients.push_async_callback(http.aclose)
        options = {"api_key": "test-key", "max_retries": 0, "base_url": f"{self.url}/v1", **options}
        return openai.AsyncOpenAI(http_client=http, **options)

    @staticmethod
    def error_of(response: httpx.Response) -> dict[str, Any]:
        """The error in a response, which must be in the one shape, with what every answer carries."""
        assert response.headers["content-type"] == "application/json"
        assert response.headers["access-control-allow-origin"] == ORIGIN
        document = response.json()
        assert list(document) == ["error"]
        error = document["error"]
        assert (
            {"type", "code", "message", "request_id"}
            <= set(error)
            <= {
                "type",
                "code",
                "message",
                "request_id",
                "param",
                "detail",
            }
        )
        assert all(isinstance(value, str) and value for value in error.values())
        assert error["request_id"] == response.headers["x-request-id"]
        return error

    @staticmethod
    def context(caller: Mapping[str, str] | None = None, request_id: str = "request-1") -> dict[str, str]:
        """The header with what API Gateway and its authorizer know."""
        context: dict[str, Any] = {"requestId": request_id}
        if caller is not None:
            context["authorizer"] = dict(caller)
        return {"x-amzn-request-context": json.dumps(context)}


# What runs.


@pytest.fixture
async def opened() -> AsyncIterator[contextlib.AsyncExitStack]:
    """What is closed at the test's end, the last first."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def wire() -> type[Wire]:
    return Wire


@pytest.fixture
def fake(opened: contextlib.AsyncExitStack) -> Callable[[Script], Awaitable[Fake]]:
    """Start an upstream that plays a script."""

    async def start(script: Script) -> Fake:
        upstream = Fake(script)
        await upstream.start()
        opened.push_async_callback(upstream.stop)
        return upstream

    return start


class Recorded:
    """A model that keeps the requests that it gets."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.calls: list[Any] = []

    def generate(self, request: Any) -> AsyncIterator[Any]:
        self.calls.append(request)
        return self.model.generate(request)


@dataclass
class LocalBedrock:
    url: str
    calls: list[Any]


@pytest.fixture
def bedrock(opened: contextlib.AsyncExitStack) -> Callable[..., Awaitable[LocalBedrock]]:
    """Start the local Bedrock; a model other than the stand-in, and faults, as arguments."""

    async def start(model: Any = None, *faults: Fault) -> LocalBedrock:
        recorded = Recorded(model or StandInModel())
        return LocalBedrock(await opened.enter_async_context(running(recorded, *faults, models=MODELS)), recorded.calls)

    return start


@pytest.fixture
def gateway(opened: contextlib.AsyncExitStack) -> Callable[..., Awaitable[Service]]:
    """Start the gateway in front of the Bedrock at `upstream`, or of a provider given whole."""

    async def start(
        upstream: str = "http://127.0.0.1:9",
        *,
        provider: Provider | None = None,
        authorization: str = "none",
        debug: bool = False,
        routes: Routes = ROUTES,
    ) -> Service:
        client = HttpClient()
        opened.push_async_callback(client.close)
        environ = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream,
            "AUTHORIZATION": authorization,
            "DEBUG": "true" if debug else "false",
            "CORS_ALLOW_ORIGIN": ORIGIN,
        }
        known = providers(routes.endpoints, client, environ) | ({} if provider is None else {"bedrock": provider})
        application = Application(Gateway(routes, Router(known)), environ)
        url = await opened.enter_async_context(_served(application))
        http = httpx.AsyncClient(base_url=url, verify=False, trust_env=False, timeout=PATIENCE)
        await opened.enter_async_context(http)
        clients = await opened.enter_async_context(contextlib.AsyncExitStack())
        return Service(url, http, clients)

    return start


@contextlib.asynccontextmanager
async def _served(application: Any) -> AsyncIterator[str]:
    """The application as `llm_functions.http.main` serves it, but on any free port and without signals."""
    # With the protocol named, for asyncio sets TCP_NODELAY only then, as it does for the address that `main` gives.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = http_server.config(application, log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:  # Server.shutdown does this too, with a pause of 0.1 s in it
        for each in server.servers:
            each.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        if server.server_state.tasks:
            await asyncio.wait(set(server.server_state.tasks), timeout=PATIENCE)
        for connection in list(server.server_state.connections):
            connection.transport.abort()
