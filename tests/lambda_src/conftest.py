"""The function as a whole: the application under uvicorn, in front of the local Bedrock or of a fake that plays a script.

Everything runs in the test's own loop, and everything is closed when the test ends.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from llm_functions.compose import (
    batch_store,
    cache,
    cancels,
    idempotency,
    job_store,
    key_store,
    ledger,
    policy,
    providers,
    ticket_table,
    tracer,
    usage_history,
)
from llm_functions.http.application import Application
from llm_gateway import demand, router, telemetry
from llm_gateway.aws import dynamodb as dynamodb_module
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.aws.s3 import Bucket
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpClient
from llm_gateway.router import Provider, Router
from llm_gateway.routes import Alias, Routes, Target
from pulumi_llm_local.upstreams.fault import Fault
from pulumi_llm_local.upstreams.model import ModelTraits
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from support import websocket_api
from support.clock import Clock, Now
from support.gateway_service import ORIGIN, PATIENCE, Service, serve
from support.jobs_table import BUCKET
from support.jobs_table import TABLE as JOBS
from support.local_bedrock import KEYS, REGION, running
from support.websocket_api import JOURNAL, LEDGER, TICKETS, USAGE
from wire.bedrock import Wire
from wire.http import Fake, Script

PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/r1profile"
ARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef123456"
_SAMPLING = ("max_tokens", "temperature", "top_p", "stop", "system")
_ALL = (*_SAMPLING, "tools", "stream_tools", "forced_tools")


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
_LOCAL = frozenset(_ALL) - {"stream_tools", "forced_tools"}
MODELS = {
    "test.all-v1:0": ModelTraits(_LOCAL),
    "test.bare-v1": ModelTraits(frozenset({"max_tokens"}), max_output_tokens=100),
    "test.exclusive-v1": ModelTraits(_LOCAL, exclusive=frozenset({"temperature", "top_p"})),
    PROFILE: ModelTraits(frozenset({"max_tokens", "temperature", "top_p", "system"}), reasoning=True),
    "test.whole-tools-v1": ModelTraits(_LOCAL),
}


# What runs.


@pytest.fixture
async def opened() -> AsyncIterator[contextlib.AsyncExitStack]:
    """What is closed at the test's end, the last first."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def clock(monkeypatch) -> AsyncIterator[Clock]:
    """The time of the loop, of the router and of the demand, which leaps."""
    loop = asyncio.get_running_loop()
    with Clock(loop).installed() as clock:
        for module in (router, demand):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=loop.time))
        yield clock


@pytest.fixture
def records(monkeypatch) -> list[dict[str, Any]]:
    """The lines that telemetry writes."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "write_log", lambda fields: lines.append(dict(fields)))
    return lines


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
    """Start the gateway in front of the Bedrock at `upstream`, or of a provider given whole.

    With `dynamodb`, the URL of the table of keys, it checks keys itself. With `tickets`, the URL of a DynamoDB with that table,
    it issues tickets. With `journal`, the URL of one with that table, it keeps answers to requests that name keys. `cached` is
    that of one where the routes have a cache of answers. `jobs` is that of a DynamoDB and an S3 with those of jobs, and with
    `batches` those of batches. `usage` is that of one with what was used on past days, all of which
    `tenant_readers` may read. `limits` is that of a DynamoDB, where the routes have some, counted in the windows of `now`.
    `secrets` is the URL of Secrets Manager, `xray` that of X-Ray and of its daemon.
    """

    async def start(
        upstream: str = "http://127.0.0.1:9",
        *,
        provider: Provider | None = None,
        authorization: str = "none",
        debug: bool = False,
        routes: Routes = ROUTES,
        origins: str = ORIGIN,
        path_prefix: str = "",
        dynamodb: str = "",
        tickets: str = "",
        limits: str = "",
        now: Now | None = None,
        journal: str = "",
        cached: str = "",
        jobs: str = "",
        batches: bool = False,
        usage: str = "",
        tenant_readers: str = "[]",
        secrets: str = "",
        xray: str = "",
        bounds: Mapping[str, str] | None = None,
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
            "CORS_ALLOW_ORIGIN": origins,
            "PATH_PREFIX": path_prefix,
            **({"KEYS_TABLE": "the-keys", "AWS_ENDPOINT_URL_DYNAMODB": dynamodb} if dynamodb else {}),
            **({"AWS_ENDPOINT_URL_SECRETSMANAGER": secrets} if secrets else {}),
            **({"AWS_ENDPOINT_URL_XRAY": xray, "AWS_XRAY_DAEMON_ADDRESS": xray.partition("//")[2]} if xray else {}),
            **({"TICKETS_TABLE": TICKETS, "AWS_ENDPOINT_URL_DYNAMODB": tickets} if tickets else {}),
            **({"LEDGER_TABLE": LEDGER, "AWS_ENDPOINT_URL_DYNAMODB": limits} if limits else {}),
            **({"JOURNAL_TABLE": JOURNAL, "AWS_ENDPOINT_URL_DYNAMODB": journal} if journal else {}),
            **({"JOBS_TABLE": JOBS, "JOBS_BUCKET": BUCKET, "AWS_ENDPOINT_URL_S3": jobs} if jobs else {}),
            **({"AWS_ENDPOINT_URL_DYNAMODB": jobs} if jobs else {}),
            **({"USAGE_TABLE": USAGE, "USAGE_TENANT_READERS": tenant_readers} if usage else {}),
            **({"AWS_ENDPOINT_URL_DYNAMODB": usage} if usage else {}),
            **({"CACHE_TABLE": JOURNAL, "AWS_ENDPOINT_URL_DYNAMODB": cached} if cached else {}),
            **(bounds or {}),
        }
        known = providers(routes.endpoints, client, environ) | ({} if provider is None else {"bedrock": provider})
        counted = ledger(routes, client, environ)
        if counted is not None and now is not None:
            counted.clock = now
        answers = cache(routes, client, environ)
        if answers is not None and now is not None:
            answers.clock = now
        application = Application(
            Gateway(
                routes,
                Router(known),
                ledger=counted,
                policy=policy(routes),
                cache=answers,
                tracer=tracer(routes, client, environ),
            ),
            environ,
            keys=key_store(client, environ),
            tickets=ticket_table(client, environ),
            idempotency=idempotency(client, environ),
            cancels=cancels(client, environ),
            jobs=job_store(client, environ),
            batches=batch_store(client, environ) if batches else None,
            usage=usage_history(client, environ),
        )
        url = await opened.enter_async_context(serve(application))
        http = httpx.AsyncClient(base_url=url, verify=False, trust_env=False, timeout=PATIENCE)
        await opened.enter_async_context(http)
        clients = await opened.enter_async_context(contextlib.AsyncExitStack())
        return Service(url, http, clients)

    return start


# DynamoDB, with its tables made anew for each test.


@pytest.fixture(scope="session")
def dynamodb_url() -> Iterator[str]:
    with websocket_api.dynamodb_server() as url:
        yield url


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def http(opened: contextlib.AsyncExitStack) -> HttpClient:
    return await opened.enter_async_context(HttpClient())


@pytest.fixture
async def dynamodb(http: HttpClient, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> DynamoDB:
    # Many calls at once wait for the one thread of a stand-in on a busy machine.
    monkeypatch.setattr(dynamodb_module, "_ATTEMPT_SECONDS", 60.0)
    monkeypatch.setattr(dynamodb_module, "_CALL_SECONDS", 60.0)
    client = DynamoDB(websocket_api.aws(http, AWS_ENDPOINT_URL_DYNAMODB=dynamodb_url))
    await websocket_api.create_tables(client)
    return client


@pytest.fixture
async def bucket(http: HttpClient, dynamodb_url: str) -> Bucket:
    """The bucket of jobs, without objects of its own test."""
    aws = websocket_api.aws(http, AWS_ENDPOINT_URL_S3=dynamodb_url)
    made = await aws.send("s3", "PUT", aws.bucket(BUCKET), "/", b"", response_timeout=60.0, read_timeout=60.0)
    assert made.status in (200, 409), await made.read()
    await made.read()
    return Bucket(aws, BUCKET)
