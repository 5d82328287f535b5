"""The feature flags of a process that Lambda freezes as soon as each answer has been sent, and thaws for the next request."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from llm_functions.http.application import Application
from llm_gateway.aws.appconfig import Received
from llm_gateway.errors import GatewayError
from llm_gateway.feature_flags import FeatureFlags
from llm_gateway.gateway import Gateway
from llm_gateway.jobs.store import JobStore
from llm_gateway.jobs.table import JobTable
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Routes
from support.clock import Now
from support.jobs_table import TABLE, Objects, Table
from support.scripted_provider import Scripted, target

OFF = {"service": {"enabled": False, "message": "Back at noon."}}
UNKEPT = {"rules": {"private": {"tenants": ["anonymous"], "retention": "none"}}}
ENVIRON = {"AUTHORIZATION": "none", "CORS_ALLOW_ORIGIN": "https://a.example.com"}
ROUTES = Routes((Alias("main", (target("a"),)),))


class Slow:
    """AppConfig, whose answer comes after so many turns of the loop."""

    def __init__(self, document: Any, turns: int = 100) -> None:
        self._document = json.dumps(document).encode()
        self._turns = turns

    async def latest(self) -> Received:
        for _ in range(self._turns):
            await asyncio.sleep(0)
        return Received(self._document, "", 60.0)


class Frozen:
    """A process whose loop runs from the beginning of a request to the last byte of its answer, and no further."""

    def __init__(self, runner: asyncio.Runner, source: Slow) -> None:
        self._runner, self.now, self.table, self.objects = runner, Now(), Table(), Objects()
        jobs = JobStore(JobTable(self.table, TABLE, clock=self.now), self.objects)
        self.flags = FeatureFlags(Gateway(ROUTES, Router({"p": Scripted()})), source, print, clock=self.now)
        self._application = Application(self.flags.deployed, ENVIRON, jobs=lambda: jobs)
        self._requests: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start as the entry point does: Lambda freezes the process as soon as it listens."""

        async def listen() -> None:
            self.flags.current()

        self._runner.run(listen())

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self._runner.run(self._ask(method, path, b"" if body is None else json.dumps(body).encode()))

    async def _ask(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        status, answer = 0, b""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, answer
            status, answer = message.get("status", status), answer + message.get("body", b"")
            if message["type"] == "http.response.body" and not message.get("more_body"):
                ended.set_result(None)

        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
        self._requests.append(asyncio.get_running_loop().create_task(self._application(scope, receive, send)))
        await ended
        return status, json.loads(answer or b"null")

    @property
    def is_off(self) -> bool:
        try:
            self.flags.admit("main")
        except GatewayError:
            return True
        return False


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


JOB = "/jobs/job_" + "0" * 32
# Requests that call no model, and their statuses.
REQUESTS: dict[str, tuple[str, str, Any, int]] = {
    "the aliases": ("GET", "/v1/models", None, 200),
    "an alias": ("GET", "/v1/models/main", None, 200),
    "no alias": ("GET", "/v1/models/gone", None, 404),
    "tokens": ("POST", "/v1/messages/count_tokens", {"model": "main", "messages": [{"role": "user", "content": "Hi"}]}, 200),
    "no job": ("GET", JOB, None, 404),
    "cancel": ("DELETE", JOB, None, 404),
    "a wrong job": ("POST", "/jobs", {"message": ""}, 400),
}


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS.values(), ids=REQUESTS)
def test_the_flags_come_with_seldom_requests_of_any_kind(
    runner: asyncio.Runner, method: str, path: str, body: Any, status: int
) -> None:
    process = Frozen(runner, Slow(OFF))
    assert process.ask(method, path, body)[0] == status
    assert process.is_off
    process.now.seconds += 20
    process.ask(method, path, body)
    assert process.is_off


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/openapi.json", 200), ("GET", "/nothing", 404), ("POST", "/chat", 400), ("GET", JOB + "/events", 404)],
)
def test_any_first_request_waits_for_what_the_start_has_begun(
    runner: asyncio.Runner, method: str, path: str, status: int
) -> None:
    process = Frozen(runner, Slow(OFF))
    process.start()
    process.now.seconds += 1
    assert process.ask(method, path, {} if method == "POST" else None)[0] == status
    assert process.is_off


def test_the_check_that_a_process_has_started_does_not_wait(runner: asyncio.Runner) -> None:
    process = Frozen(runner, Slow(OFF, turns=10**9))
    process.start()
    assert process.ask("GET", "/health") == (200, {"status": "ok"})
    assert not process.is_off


@pytest.mark.parametrize(("document", "status", "code"), [(OFF, 503, "service_disabled"), (UNKEPT, 403, "denied_by_rule")])
@pytest.mark.parametrize("idle", [0.0, 1.0, 20.0])
def test_nothing_is_kept_of_a_job_that_the_flags_forbid(
    runner: asyncio.Runner, document: Any, status: int, code: str, idle: float
) -> None:
    process = Frozen(runner, Slow(document))
    process.start()
    process.now.seconds += idle
    refused, answer = process.ask("POST", "/jobs", {"message": "Hi"})
    assert (refused, answer["error"]["code"]) == (status, code)
    assert process.objects.kept == {}


def test_a_job_is_kept_where_appconfig_does_not_answer(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_gateway.feature_flags._END_SECONDS", 0.01)
    process = Frozen(runner, Slow(OFF, turns=10**9))
    status, job = process.ask("POST", "/jobs", {"message": "Hi"})
    assert (status, job["status"]) == (202, "queued")
