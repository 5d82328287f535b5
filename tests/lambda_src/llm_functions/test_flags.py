"""The feature flags over every operation: what is switched off, and AppConfig that is down, on each transport."""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from llm_functions.compose import flagged
from llm_functions.http.application import Application
from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Done, Embeddings, Event, Usage
from llm_gateway.feature_flags import FeatureFlags
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpClient
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Routes, Target
from pulumi_llm.api_edge.flags import validator
from support.appconfig import CONFIGURATION, Deployed
from support.gateway_service import ORIGIN, PATIENCE, Service, serve
from support.local_bedrock import KEYS, REGION

HI = [{"role": "user", "content": "Hi"}]
# An operation that generates, and a body.
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("/chat", {"message": "Hi"}),
    ("/chat/stream", {"message": "Hi"}),
    ("/v1/chat/completions", {"model": "main", "messages": HI}),
    ("/v1/chat/completions", {"model": "main", "messages": HI, "stream": True}),
    ("/v1/completions", {"model": "main", "prompt": "Hi"}),
    ("/v1/completions", {"model": "main", "prompt": "Hi", "stream": True}),
    ("/v1/responses", {"model": "main", "input": "Hi"}),
    ("/v1/responses", {"model": "main", "input": "Hi", "stream": True}),
    ("/v1/messages", {"model": "main", "messages": HI, "max_tokens": 9}),
    ("/v1/messages", {"model": "main", "messages": HI, "max_tokens": 9, "stream": True}),
    ("/v1/embeddings", {"input": "Hi", "model": "vectors"}),
]


class Model:
    """A provider that keeps the models that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        self.asked.append(call.target.model)
        yield [Delta("Hello"), Usage(3, 2), Done("end_turn")]

    async def embed(self, call: Any) -> AsyncGenerator[list[Event], None]:
        self.asked.append(call.target.model)
        yield [Embeddings(([0.5],)), Usage(3, 0), Done("end_turn")]


def _alias(name: str, **more: Any) -> Alias:
    values: dict[str, Any] = {"max_output_tokens": 4096, "context_tokens": 100_000, "accepts": ("max_tokens", "system"), **more}
    return Alias(name, tuple(Target(f"p/{name}-{n}", "p", f"{name}-{n}", **values) for n in "12"), retries=0)


ROUTES = Routes((_alias("main"), _alias("other"), _alias("vectors", kind="embedding", max_output_tokens=0, accepts=())))
VALIDATOR = validator(ROUTES)


class Flagged:
    """A service with feature flags."""

    def __init__(self, service: Service, flags: FeatureFlags, model: Model) -> None:
        self.service, self.flags, self.model = service, flags, model

    async def fetched(self) -> None:
        """Have the document fetched, as the start of a process does, and wait for what a request does not wait for."""
        self.flags.current()
        fetching = vars(self.flags)["_fetching"]
        await fetching

    async def again(self) -> None:
        vars(self.flags)["_asked_at"] = 0.0  # a minute ago
        await self.fetched()


Start = Callable[[str], Awaitable[Flagged]]


@pytest.fixture
def start(opened: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> Start:
    async def start(url: str) -> Flagged:
        client, model = HttpClient(), Model()
        opened.push_async_callback(client.close)
        environ = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AWS_ENDPOINT_URL_APPCONFIGDATA": url,
            "FLAGS_CONFIGURATION": CONFIGURATION,
            "AUTHORIZATION": "none",
            "CORS_ALLOW_ORIGIN": ORIGIN,
        }
        gateway = flagged(Gateway(ROUTES, Router({"p": model})), client, environ)
        flags = gateway.flags
        assert isinstance(flags, FeatureFlags)
        served = await opened.enter_async_context(serve(Application(gateway, environ)))
        http = httpx.AsyncClient(base_url=served, trust_env=False, timeout=PATIENCE)
        await opened.enter_async_context(http)
        clients = await opened.enter_async_context(contextlib.AsyncExitStack())
        return Flagged(Service(served, http, clients), flags, model)

    return start


@pytest.fixture
async def appconfig(opened: contextlib.AsyncExitStack) -> Deployed:
    return await opened.enter_async_context(Deployed(VALIDATOR).serve())


@pytest.mark.parametrize(("path", "body"), OPERATIONS, ids=lambda part: part if isinstance(part, str) else None)
async def test_a_service_that_is_switched_off_answers_so_on_every_operation(
    appconfig: Deployed, start: Start, path: str, body: dict[str, Any]
) -> None:
    appconfig.put({"service": {"enabled": False, "message": "Back at noon.", "retry_after": 120}})
    run = await start(appconfig.url)
    await run.fetched()
    refused = await run.service.post(path, body)
    error = run.service.error_of(refused)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "120")
    assert error["message"] == "the service is switched off for now: Back at noon."
    assert error["code"] == "service_disabled" and error["type"] in ("server_error", "overloaded_error")
    assert run.model.asked == []
    for open_path in ("/health", "/v1/models", "/openapi.json"):
        assert (await run.service.http.get(open_path)).status_code == 200


async def test_an_alias_and_a_target_that_are_switched_off(appconfig: Deployed, start: Start) -> None:
    appconfig.put({"models": {"main": {"enabled": False}, "other": {"targets": {"p/other-1": {"enabled": False}}}}})
    run = await start(appconfig.url)
    await run.fetched()
    answers = [await run.service.post("/chat", {"message": "Hi", "model": name}) for name in ("main", "other")]
    assert [answer.status_code for answer in answers] == [503, 200]
    assert answers[0].json()["error"]["code"] == "model_disabled"
    assert run.model.asked == ["other-2"]
    appconfig.put({})
    await run.again()
    assert (await run.service.post("/chat", {"message": "Hi"})).status_code == 200


@pytest.mark.parametrize(("path", "body"), OPERATIONS, ids=lambda part: part if isinstance(part, str) else None)
async def test_a_rule_of_the_document_holds_on_every_operation(
    appconfig: Deployed, start: Start, path: str, body: dict[str, Any]
) -> None:
    appconfig.put({"rules": {"incident": {"tenants": ["anonymous"], "models": ["other"]}}})
    run = await start(appconfig.url)
    await run.fetched()
    refused = await run.service.post(path, {**body, "model": body.get("model", "main")})
    error = run.service.error_of(refused)
    assert (refused.status_code, error["code"], error["param"]) == (403, "denied_by_rule", "model")
    assert error["message"].startswith("the rule 'incident' does not allow the model")
    assert run.model.asked == []
    listed = await run.service.http.get("/v1/models")
    assert [model["id"] for model in listed.json()["data"]] == ["other"]
    statuses = [(await run.service.http.get(f"/v1/models/{name}")).status_code for name in ("main", "other")]
    counted = await run.service.post("/v1/messages/count_tokens", {"model": "main", "messages": HI})
    assert [*statuses, counted.status_code] == [403, 200, 403]
    appconfig.put({})
    await run.again()
    assert (await run.service.post(path, body)).status_code == 200


async def test_a_document_that_the_validator_refuses_is_not_deployed(appconfig: Deployed, start: Start) -> None:
    appconfig.put({"models": {"main": {"enabled": False}}})
    with pytest.raises(Exception, match="does not satisfy the validators"):
        appconfig.put({"models": {"main": {"enabled": True}, "gone": {}}})
    run = await start(appconfig.url)
    await run.fetched()
    assert (await run.service.post("/chat", {"message": "Hi"})).status_code == 503


@pytest.mark.parametrize(("path", "body"), OPERATIONS, ids=lambda part: part if isinstance(part, str) else None)
@pytest.mark.parametrize("down", ["nobody listens", "nothing is deployed", "a wrong document"])
async def test_what_is_wrong_with_appconfig_changes_no_answer(
    opened: contextlib.AsyncExitStack, start: Start, path: str, body: dict[str, Any], down: str
) -> None:
    appconfig = await opened.enter_async_context(Deployed().serve())  # no validator stands before it
    if down == "a wrong document":
        appconfig.put({"models": {"main": {"enabled": False}, "gone": {}}})
    run = await start("http://127.0.0.1:9" if down == "nobody listens" else appconfig.url)
    await run.fetched()
    answer = await run.service.post(path, body)
    assert answer.status_code == 200, answer.text
    assert run.model.asked == ["vectors-1" if path == "/v1/embeddings" else "main-1"]


async def test_a_request_starts_the_question_and_does_not_wait_for_it(appconfig: Deployed, start: Start) -> None:
    appconfig.put({"models": {"main": {"targets": {"p/main-1": {"enabled": False}}}}})
    run = await start(appconfig.url)
    assert (await run.service.post("/chat", {"message": "Hi"})).status_code == 200
    assert run.model.asked == ["main-1"]  # as deployed
    await vars(run.flags)["_fetching"]
    await run.service.post("/chat", {"message": "Hi"})
    assert run.model.asked == ["main-1", "main-2"]


async def test_what_is_not_accepted_is_no_secret_in_the_log(
    opened: contextlib.AsyncExitStack, start: Start, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    appconfig = await opened.enter_async_context(Deployed().serve())
    appconfig.put('{"service": {"message": {"password": "SECRET"}}}')
    run = await start(appconfig.url)
    await run.fetched()
    (line,) = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines() if b"flags" in line]
    assert line["level"] == "WARN" and line["message"].endswith("wrong is service.message") and "SECRET" not in str(line)


START = """
import os, sys
import llm_functions.http.__main__
from llm_functions.compose import gateway_of
from llm_gateway.http.client import HttpClient
from llm_gateway.routes import Alias, Routes, Target

target = Target("mock", "mock", "m", max_output_tokens=9, context_tokens=9, accepts=())
gateway = gateway_of(Routes((Alias("m", (target,)),)), HttpClient(), os.environ)
print(*(name for name in sys.modules if "flags" in name or "appconfig" in name))
"""


@pytest.mark.parametrize(
    ("configured", "loaded"),
    [({}, set()), ({"FLAGS_CONFIGURATION": "a/b/c"}, {"feature_flags", "flags", "aws.appconfig"})],
    ids=["off", "on"],
)
def test_a_start_without_flags_loads_nothing_of_them(configured: dict[str, str], loaded: set[str]) -> None:
    keys = {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": KEYS.access_key, "AWS_SECRET_ACCESS_KEY": KEYS.secret_key}
    done = subprocess.run([sys.executable, "-c", START], env={**keys, **configured}, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {f"llm_gateway.{name}" for name in loaded}
