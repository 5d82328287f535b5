"""Jobs over the whole local run: from the API by the table's stream, a pipe, a bus and a queue to a worker."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from system.local.conftest import COMMAND, LocalStack, command_line, descendants, events, local_stack

pytestmark = pytest.mark.timeout(900)

# Jobs are asked for until they have ended: more often than a key may ask by default.
OFTEN = {"api.throttle": {"rate_limit": 1_000, "burst_limit": 1_000}, "api.daily_quota": 1_000_000}
# How long a job may take, and for how long the queue hides a message that no worker hides, in seconds.
TIMEOUT = 60
INVISIBLE = 6 * TIMEOUT
CONFIG = {"async_inference.enabled": True, "async_inference.timeout_seconds": TIMEOUT, **OFTEN}
ENDED = ("succeeded", "failed", "cancelled")
# A whole answer of the stand-in takes some 20 seconds: a worker looks every 15 whether a job is to be stopped.
LONG = {"message": "Tell me a long story"}
SHORT = {"message": "Hello", "max_tokens": 5}
DELAY = 0.25


@contextlib.contextmanager
def stack_with_jobs(*arguments: str, **config: Any) -> Iterator[LocalStack]:
    """Start the stack. Its outputs are the API's URL and key, the variables by which an SDK calls the queues, and its logs."""
    settings = [part for name, value in (CONFIG | config).items() for part in ("--config", f"{name}={json.dumps(value)}")]
    with local_stack(*settings, *arguments, json_output=False) as stack:
        assert stack.process.stdout is not None
        lines: list[str] = []
        while "Ctrl-C" not in (line := stack.process.stdout.readline()):
            lines.append(line)
        text = "".join(lines)
        told = httpx.get(text.partition("  status   ")[2].split()[0], timeout=60).text
        stack.outputs.update(
            api_gateway_url=text.partition(" s: ")[2].split()[0],
            api_key_value=text.partition("x-api-key: ")[2].partition("'")[0],
            queues=dict(each.split("=", 1) for each in text.partition("  queues   ")[2].splitlines()[0].split()),
            logs=text.partition("  logs     ")[2].split()[0],
            page=told,
            dead_letters=told.partition("jobs_dead_letter_queue_arn</th><td><code>")[2].partition("<")[0],
        )
        yield stack


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    """A stack whose models refuse every tenth call."""
    with stack_with_jobs("--model-delay", f"0,{DELAY}", "--fault", "throttle:0.1") as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def left(stack: LocalStack) -> list[str]:
    """Jobs whose workers were killed. Their leases, of a minute, go by while the other tests run."""
    ids = command(stack, "submit", "--file", "-", stdin="\n".join([json.dumps(LONG)] * 12)).stdout.splitlines()
    assert len(ids) == 12
    for id in ids:  # a worker that dies before it has hidden its messages: see INVISIBLE
        until(stack, id, lambda each: each["attempts"] > 0)
    killed = [pid for pid in descendants(stack.process.pid) if "llm_functions.worker.handler" in command_line(pid)]
    assert killed
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):  # its parent's end is its own
            os.kill(pid, signal.SIGKILL)
    return ids


def job(stack: LocalStack, id: str) -> dict[str, Any]:
    answer = httpx.get(f"{stack.url}/jobs/{id}", headers={"x-api-key": stack.key}, timeout=60)
    assert answer.status_code == 200
    return answer.json()


def until(stack: LocalStack, id: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask for a job until something is so. After `INVISIBLE`, the queue shows a message again that no worker has hidden."""
    ends = time.monotonic() + INVISIBLE + 60
    while not done(found := job(stack, id)):
        assert time.monotonic() < ends, f"{found}\n{(Path(stack.outputs['logs']) / 'jobs-worker-function.log').read_text()}"
        time.sleep(0.1)
    return found


def command(stack: LocalStack, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run `pulumi-llm jobs`."""
    service = {"PULUMI_LLM_ENDPOINT": stack.url, "PULUMI_LLM_API_KEY": stack.key}
    environment = {**os.environ, **service, **stack.outputs["queues"]}
    done = subprocess.run(
        [*COMMAND, "jobs", *arguments], input=stdin, capture_output=True, text=True, check=False, env=environment
    )
    assert "Traceback" not in done.stderr
    return done


def burst(stack: LocalStack, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Submit jobs, wait until all have ended, and return them."""
    done = command(stack, "submit", "--wait", "--file", "-", stdin="\n".join(map(json.dumps, bodies)))
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def answers(stack: LocalStack) -> Counter[str]:
    """How often the workers have had an answer of a model for each job, by their log."""
    log = (Path(stack.outputs["logs"]) / "jobs-worker-function.log").read_text()
    records = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    done = [each for each in records if each.get("message") == "chat" and each.get("level") == "INFO"]
    return Counter(re.sub("-[0-9a-f]{8}$", "", each["request_id"]) for each in done)


def test_a_job_from_its_submission_to_its_answer(stack: LocalStack) -> None:
    first, again = (stack.post("/jobs", SHORT, idempotency_key="one") for _ in range(2))
    assert (first.status_code, first.json()["status"], "idempotent-replayed" in first.headers) == (202, "queued", False)
    id = first.json()["id"]
    assert (again.status_code, again.json()["id"], again.headers["idempotent-replayed"]) == (202, id, "true")
    ended = until(stack, id, lambda each: each["status"] in ENDED)
    assert (ended["status"], ended["result"]["usage"]) == ("succeeded", ended["usage"])
    assert ended["result"]["message"].startswith("Hello")
    headers = {"x-api-key": stack.key}
    listed = httpx.get(f"{stack.url}/jobs?status=succeeded", headers=headers, timeout=60).json()["jobs"]
    assert id in [each["id"] for each in listed]
    none = httpx.get(f"{stack.url}/jobs/job_{0:032x}", headers=headers, timeout=60)
    assert (none.status_code, none.json()["error"]["code"]) == (404, "unknown_job")
    assert httpx.get(f"{stack.url}/jobs", timeout=60).status_code == 401


def test_a_job_is_followed(stack: LocalStack) -> None:
    id = stack.post("/jobs", SHORT).json()["id"]
    with httpx.stream("GET", f"{stack.url}/jobs/{id}/events", headers={"x-api-key": stack.key}, timeout=60) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = events(list(response.iter_lines()))
    assert (seen[-1][1], seen[-1][2]["id"]) == ("succeeded", id)
    assert [number for number, _, _ in seen] == sorted({number for number, _, _ in seen})


def test_a_job_that_runs_is_cancelled(stack: LocalStack) -> None:
    id = stack.post("/jobs", LONG).json()["id"]
    until(stack, id, lambda each: each["status"] == "running")
    answer = httpx.delete(f"{stack.url}/jobs/{id}", headers={"x-api-key": stack.key}, timeout=60)
    assert (answer.status_code, answer.json()["cancelling"]) == (200, True)
    ended = until(stack, id, lambda each: each["status"] in ENDED)
    assert (ended["status"], "result" in ended) == ("cancelled", False)
    later = httpx.delete(f"{stack.url}/jobs/{id}", headers={"x-api-key": stack.key}, timeout=60).json()
    assert (later["status"], later["ended"]) == ("cancelled", ended["ended"])


def test_of_a_burst_every_job_ends_once(stack: LocalStack) -> None:
    jobs = burst(stack, [SHORT | {"message": f"job {number}"} for number in range(200)])
    assert len({each["id"] for each in jobs}) == 200
    assert Counter(each["status"] for each in jobs) == {"succeeded": 200}
    had = answers(stack)
    assert {had[each["id"]] for each in jobs} == {1}


def test_dead_letters_are_run_again() -> None:
    with stack_with_jobs("--model-delay", "0", "--fault", "500", **{"async_inference.max_tries": 2}) as stack:
        (ended,) = burst(stack, [SHORT])
        assert (ended["status"], ended["error"]["code"], ended["attempts"]) == ("failed", "retries_exhausted", 2)
        moved = ""
        while not moved.startswith("1 "):  # the worker sends it when the job has failed
            time.sleep(0.2)
            done = command(stack, "redrive", stack.outputs["dead_letters"])
            assert (done.returncode, done.stderr) == (0, "")
            moved = done.stdout
        again = until(stack, ended["id"], lambda each: each["attempts"] > 2 and each["status"] == "failed")
        assert again["error"]["code"] == "retries_exhausted"


def test_a_worker_that_is_killed_loses_no_job(stack: LocalStack, left: list[str]) -> None:
    ended = [until(stack, id, lambda each: each["status"] in ENDED) for id in left]
    assert Counter(each["status"] for each in ended) == {"succeeded": len(left)}
    assert max(each["attempts"] for each in ended) > 1
    had = answers(stack)
    assert {had[id] for id in left} == {1}
