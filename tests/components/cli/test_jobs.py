"""`pulumi-llm jobs`, with a fake service, and with SQS in moto."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from pulumi_llm.cli.command import app

# Not by `from`: the package has a function of this name.
jobs = importlib.import_module("pulumi_llm.cli.jobs")

KEY = "sk-test-0123456789"
DEADLINE = 60.0


def job(number: int, status: str = "queued", **more: Any) -> dict[str, Any]:
    return {"id": f"job_{number:032x}", "status": status, "model": "quick", "created": "2026-01-01T00:00:00.000Z"} | more


FAILED = {"error": {"code": "retries_exhausted", "message": "it failed\x1b[31m"}}
RESULT = {"result": {"message": "Grüß dich", "model": "quick"}}


class Service:
    """A fake of the service: what each request is answered with, and what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.refusals: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        self.submitted: list[list[Any]] = []
        self.keys: list[str | None] = []
        self.callers: list[str | None] = []
        self.states: dict[str, list[dict[str, Any]]] = {}
        self.queries: list[str] = []
        self.streams: list[list[str]] = []
        self.last_events: list[str | None] = []

    def application(self) -> web.Application:
        made = web.Application()
        made.router.add_post("/api/jobs", self._submit)
        made.router.add_get("/api/jobs", self._page)
        made.router.add_get("/api/jobs/{id}", self._get)
        made.router.add_delete("/api/jobs/{id}", self._cancel)
        made.router.add_get("/api/jobs/{id}/events", self._follow)
        return made

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("idempotency-key"))
        self.callers.append(request.headers.get("authorization"))
        if self.refusals:
            status, body, headers = self.refusals.pop(0)
            return web.json_response(body, status=status, headers=headers)
        asked = (await request.json())["jobs"]
        first = sum(map(len, self.submitted))
        self.submitted.append(asked)
        return web.json_response({"jobs": [job(first + index) for index in range(len(asked))]}, status=202)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(request.query_string)
        return web.json_response({"jobs": [job(1, "failed", **FAILED), job(0, "running")], "next": "more"})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        states = self.states.get(request.match_info["id"])
        if states is None:
            return web.json_response({"error": {"code": "unknown_job", "message": "there is no such job"}}, status=404)
        return web.json_response(states.pop(0) if len(states) > 1 else states[0])

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(job(7, "cancelled"))

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        self.last_events.append(request.headers.get("last-event-id"))
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for frame in self.streams.pop(0):
            await response.write(frame.encode())
        return response


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    loop = asyncio.new_event_loop()
    fake = Service()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(fake.application(), shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
        return runner

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(DEADLINE)
    monkeypatch.setenv("PULUMI_LLM_ENDPOINT", fake.url)
    monkeypatch.setenv("PULUMI_LLM_API_KEY", KEY)
    monkeypatch.setattr(jobs, "_PAUSE", 0.01)
    monkeypatch.setattr(jobs, "_ROUND_SECONDS", 0.01)
    yield fake
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(DEADLINE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["jobs", *arguments], input=stdin)


def test_one_job_is_submitted(service: Service) -> None:
    done = run("submit", "-m", "Hello", "--model", "quick")
    assert (done.exit_code, done.stdout) == (0, f"{job(0)['id']}\n")
    assert service.submitted == [[{"model": "quick", "message": "Hello"}]]
    assert service.callers == [f"Bearer {KEY}"]


def test_many_jobs_are_submitted_in_parts(service: Service, tmp_path: Path) -> None:
    other = {"endpoint": "/v1/chat/completions", "body": {"model": "clever", "messages": []}}
    lines = [json.dumps({"message": str(number), "model": "clever"}) for number in range(249)] + [json.dumps(other)]
    (tmp_path / "jobs.jsonl").write_text("\n".join([*lines, "", ""]))
    done = run("submit", "--file", str(tmp_path / "jobs.jsonl"), "--model", "quick")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [job(number)["id"] for number in range(250)]
    assert [len(part) for part in service.submitted] == [100, 100, 50]
    assert (service.submitted[0][0], service.submitted[2][-1]) == ({"message": "0", "model": "clever"}, other)
    assert len(set(service.keys)) == 3


def test_what_may_succeed_later_is_asked_again_with_the_same_key(service: Service) -> None:
    service.refusals = [
        (503, {"error": {"code": "jobs_unavailable", "message": "later"}}, {"retry-after": "0"}),
        (429, {"message": "Too Many Requests"}, {"retry-after": "0"}),
    ]
    done = run("submit", "-f", "-", stdin='{"message": "Hello"}\n')
    assert (done.exit_code, done.stdout) == (0, f"{job(0)['id']}\n")
    assert len(service.keys) == 3
    assert len(set(service.keys)) == 1


def test_jobs_wait_until_there_is_room(service: Service) -> None:
    service.refusals = [(429, {"error": {"code": "too_many_jobs", "message": "wait"}}, {"retry-after": "0"})] * 20
    done = run("submit", "-f", "-", stdin='{"message": "Hello"}\n')
    assert (done.exit_code, done.stdout) == (0, f"{job(0)['id']}\n")
    assert len(service.keys) == 21 and len(set(service.keys)) == 1


def test_a_refusal_ends_the_command(service: Service) -> None:
    service.refusals = [(400, {"error": {"code": "invalid_value", "message": f"model: {KEY}"}}, {})]
    done = run("submit", "-m", "Hello")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "error: invalid_value: model: ***\n"


WRONG: dict[str, tuple[list[str], str, str]] = {
    "nothing": ([], "", "give --message or --file"),
    "both": (["-m", "a", "-f", "-"], "", "give --message or --file"),
    "an empty message": (["-m", "-"], " \n", "the message is empty"),
    "an empty file": (["-f", "-"], "\n\n", "has no line"),
    "a file that is not there": (["-f", "/nowhere.jsonl"], "", "cannot be read"),
    "a line that is no JSON": (["-f", "-"], '{"message": "a"}\n{', "line 2: it is not JSON"),
    "a line that is no object": (["-f", "-"], "[]", "line 1: it is no JSON object"),
    "a WebSocket": (["-m", "a", "--endpoint", "wss://example.com/ws"], "", "jobs need the URL of the REST API"),
}


@pytest.mark.parametrize(("arguments", "stdin", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument(arguments: list[str], stdin: str, text: str, service: Service) -> None:
    done = run("submit", *arguments, stdin=stdin)
    assert done.exit_code == 2
    assert text in done.stderr
    assert service.submitted == []


@pytest.mark.parametrize("last", ["succeeded", "failed"])
def test_the_command_waits_until_all_have_ended(last: str, service: Service) -> None:
    ids = [job(number)["id"] for number in range(25)]
    service.states = {
        id: [job(number), job(number, "running"), job(number, "succeeded", **RESULT)] for number, id in enumerate(ids)
    }
    service.states[ids[3]] = [*[job(3)] * 5, job(3, last)]
    done = run("submit", "--wait", "-f", "-", stdin='{"message": "Hello"}\n' * 25)
    assert done.exit_code == (0 if last == "succeeded" else 1)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(each["id"] for each in found) == ids
    assert found[0]["result"]["message"] == "Grüß dich"
    assert found[-1] == job(3, last)


def test_the_newest_jobs_are_listed(service: Service) -> None:
    done = run("status", "--status", "failed", "--limit", "2")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"{job(1)['id']}  failed     quick  2026-01-01T00:00:00.000Z  retries_exhausted: it failed[31m",
        f"{job(0)['id']}  running    quick  2026-01-01T00:00:00.000Z",
    ]
    assert service.queries == ["limit=2&status=failed"]


def test_a_job_is_shown_with_all_that_it_has(service: Service) -> None:
    known = job(1, "succeeded", **RESULT)
    service.states = {known["id"]: [known]}
    done = run("status", known["id"])
    assert json.loads(done.stdout) == known
    unknown = run("status", "job_0/../x")
    assert (unknown.exit_code, unknown.stderr) == (1, "error: unknown_job: there is no such job\n")


def frame(number: int, described: dict[str, Any]) -> str:
    return f"id: {number}\nevent: {described['status']}\ndata: {json.dumps(described)}\n\n"


def test_a_job_is_followed_to_its_end(service: Service) -> None:
    service.streams = [
        [": wait\n\n", frame(1, job(1)), frame(2, job(1, "running"))],  # the function had to end
        [frame(3, job(1, "succeeded", **RESULT))],
    ]
    done = run("tail", job(1)["id"])
    assert (done.exit_code, done.stdout) == (0, "Grüß dich\n")
    assert done.stderr.splitlines() == ["queued", "running", "succeeded"]
    assert service.last_events == [None, "2"]


FOLLOWED: dict[str, tuple[list[str], str]] = {
    "failed": ([frame(3, job(1, "failed", **FAILED))], "failed retries_exhausted: it failed[31m"),
    "cancelled": ([frame(3, job(1, "cancelled"))], "cancelled"),
    "an error of the service": (
        ['event: error\ndata: {"error": {"code": "jobs_unavailable", "message": "later"}}\n\n'],
        "error: jobs_unavailable: later",
    ),
    "something else": (["data: hello\n\n"], "error: malformed_response"),
}


@pytest.mark.parametrize(("frames", "text"), FOLLOWED.values(), ids=FOLLOWED)
def test_a_job_that_does_not_succeed(frames: list[str], text: str, service: Service) -> None:
    service.streams = [frames]
    done = run("tail", job(1)["id"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(text)


def test_jobs_are_cancelled(service: Service) -> None:
    done = run("cancel", job(7)["id"])
    assert (done.exit_code, done.stdout) == (0, f"{job(7)['id']}  cancelled\n")


class Sqs:
    """SQS as the command calls it; its tasks are looked at as often as there are states."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = list(states)
        self.started: list[dict[str, Any]] = []

    def get_queue_url(self, QueueName: str) -> dict[str, str]:
        return {"QueueUrl": f"https://sqs.eu-west-1.amazonaws.com/123456789012/{QueueName}"}

    def list_dead_letter_source_queues(self, QueueUrl: str) -> dict[str, list[str]]:
        return {"queueUrls": [QueueUrl.replace("dead", "jobs")]}

    def start_message_move_task(self, **arguments: Any) -> None:
        self.started.append(arguments)

    def list_message_move_tasks(self, **_: Any) -> dict[str, Any]:
        return {"Results": [self.states.pop(0)]}


ARN = "arn:aws:sqs:eu-west-1:123456789012:dead"
RUNNING = {"Status": "RUNNING", "ApproximateNumberOfMessagesMoved": 5, "ApproximateNumberOfMessagesToMove": 1200}
COMPLETED = {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 1200}
TASK_FAILED = {"Status": "FAILED", "FailureReason": "AccessDenied", "ApproximateNumberOfMessagesMoved": 7}
REDRIVEN: dict[str, tuple[list[dict[str, Any]], int, str, str]] = {
    "done": ([RUNNING, COMPLETED], 0, "1,200 messages were given back\n", "5 of 1,200\n"),
    "failed": ([TASK_FAILED], 1, "7 messages were given back\n", "error: the task is FAILED: AccessDenied\n"),
}


@pytest.mark.parametrize(("states", "code", "out", "err"), REDRIVEN.values(), ids=REDRIVEN)
def test_dead_letters_are_given_back(
    states: list[dict[str, Any]], code: int, out: str, err: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    sqs = Sqs(*states)
    made: Callable[..., Sqs] = lambda _, service, region_name: asked.append((service, region_name)) or sqs  # noqa: E731
    monkeypatch.setattr("botocore.session.Session.create_client", made)
    monkeypatch.setattr("pulumi_llm.cli.redrive._LOOK_SECONDS", 0)
    done = run("redrive", ARN, "--rate", "50")
    assert (done.exit_code, done.stdout, done.stderr) == (code, out, err)
    assert asked == [("sqs", "eu-west-1")]
    jobs = ARN.replace("dead", "jobs")  # where SQS has not made them dead letters, it cannot know where they came from
    assert sqs.started == [{"SourceArn": ARN, "DestinationArn": jobs, "MaxNumberOfMessagesPerSecond": 50}]


def test_a_queue_is_given_by_its_arn() -> None:
    done = run("redrive", "https://sqs.eu-west-1.amazonaws.com/123456789012/dead")
    assert done.exit_code == 2
    assert "give the queue by its ARN" in done.stderr


def test_an_error_of_aws_is_one_line() -> None:
    """Nothing listens there."""
    address = {"AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    command = [sys.executable, "-c", "from pulumi_llm.cli import main; main()", "jobs", "redrive", ARN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **keys, **address})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Could not connect to the endpoint URL")
    assert done.stderr.count("\n") == 1
