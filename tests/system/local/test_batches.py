"""Batches over the whole local run, by the official `openai` client: from the upload of a file to its answers."""

import contextlib
import io
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import openai
import pytest
from openai.types import Batch

from system.local.conftest import LocalStack, command_line, descendants, local_stack

pytestmark = pytest.mark.timeout(900)

CONFIG: Mapping[str, Any] = {
    "async_inference.enabled": True,
    "async_inference.batches": {"maximum_concurrency": 3, "lines_per_call": 4},
    # Batches are asked for until they have ended: more often than a key may ask by default.
    "api.throttle": {"rate_limit": 1_000, "burst_limit": 1_000},
    "api.keys": [{"name": "one"}, {"name": "two"}],
}
ENDPOINT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")
SECONDS = 300
FUNCTION = "llm_functions.batch.handler"


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    """A stack whose models take a moment, and now and then refuse."""
    settings = [part for name, value in CONFIG.items() for part in ("--config", f"{name}={json.dumps(value)}")]
    with local_stack(*settings, "--model-delay", "0,0.02", "--fault", "throttle:0.05") as running:
        yield running


@pytest.fixture
def client(stack: LocalStack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.outputs["api_keys"]["one"], timeout=60) as made:
        yield made


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    asked = {"model": "deepseek-v3-2", "messages": [{"role": "user", "content": custom_id}], "max_tokens": 5, **body}
    return {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": asked}


def submit(client: openai.OpenAI, *lines: Any, **fields: Any) -> Batch:
    """Upload the lines, and make a batch of them."""
    content = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    file = client.files.create(file=("questions.jsonl", io.BytesIO(content.encode())), purpose="batch")
    assert (file.bytes, file.purpose, file.filename) == (len(content), "batch", "questions.jsonl")
    return client.batches.create(input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", **fields)


def until(client: openai.OpenAI, batch: Batch, done: Callable[[Batch], bool]) -> Batch:
    """Ask for a batch until something is so."""
    ends = time.monotonic() + SECONDS
    while not done(batch):
        assert time.monotonic() < ends, batch
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    return batch


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    return until(client, batch, lambda each: each.status in ENDED)


def content(client: openai.OpenAI, id: str | None) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [] if id is None else [json.loads(text) for text in client.files.content(id).text.splitlines()]


def counts(batch: Batch) -> tuple[int, int, int]:
    assert batch.request_counts is not None
    return batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed


def test_a_batch_from_its_file_to_its_answers(client: openai.OpenAI) -> None:
    batch = submit(client, *(line(f"q{number}") for number in range(25)), metadata={"run": "7"})
    assert (batch.object, batch.status, batch.endpoint, batch.metadata) == ("batch", "validating", ENDPOINT, {"run": "7"})
    done = ended(client, batch)
    assert (done.status, done.errors, done.error_file_id, counts(done)) == ("completed", None, None, (25, 25, 0))
    output = content(client, done.output_file_id)
    assert sorted(each["custom_id"] for each in output) == sorted(f"q{number}" for number in range(25))
    for each in output:
        response = each["response"]
        assert (each["error"], response["status_code"], response["body"]["object"]) == (None, 200, "chat.completion")
        assert response["body"]["choices"][0]["message"]["content"]
    assert batch.id in [each.id for each in client.batches.list()]
    assert done.output_file_id in [each.id for each in client.files.list()]


def test_a_line_with_an_error_is_in_the_error_file(client: openai.OpenAI) -> None:
    done = ended(client, submit(client, line("good"), line("bad", temperature=9), line("unknown", model="gpt-9")))
    assert (done.status, counts(done)) == ("completed", (3, 1, 2))
    assert [each["custom_id"] for each in content(client, done.output_file_id)] == ["good"]
    errors = {each["custom_id"]: each["response"] for each in content(client, done.error_file_id)}
    assert {id: response["status_code"] for id, response in errors.items()} == {"bad": 400, "unknown": 404}
    assert "temperature" in errors["bad"]["body"]["error"]["message"]


def test_a_file_with_a_line_that_is_none_fails(client: openai.OpenAI) -> None:
    done = ended(client, submit(client, line("one"), "no JSON", line("one"), line("two") | {"url": "/v1/embeddings"}))
    assert (done.status, done.output_file_id, done.error_file_id) == ("failed", None, None)
    assert done.errors is not None
    assert done.errors.data is not None
    assert [(each.code, each.line) for each in done.errors.data] == [
        ("invalid_json_line", 2),
        ("duplicate_custom_id", 3),
        ("url_mismatch", 4),
    ]


def test_a_batch_that_is_cancelled_keeps_what_is_answered(client: openai.OpenAI) -> None:
    batch = submit(client, *(line(f"q{number}", max_tokens=200) for number in range(400)))
    until(client, batch, lambda each: each.request_counts is not None and each.request_counts.completed > 0)
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = ended(client, batch)
    total, completed, failed = counts(done)
    assert (done.status, total, failed) == ("cancelled", 400, 0)
    assert 0 < completed < 400
    assert len(content(client, done.output_file_id)) == completed


def test_another_caller_sees_nothing(stack: LocalStack, client: openai.OpenAI) -> None:
    batch = submit(client, line("mine"))
    done = ended(client, batch)
    assert done.output_file_id is not None
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.outputs["api_keys"]["two"], timeout=60) as other:
        tries: list[Callable[[], Any]] = [
            lambda: other.batches.retrieve(batch.id),
            lambda: other.batches.cancel(batch.id),
            lambda: other.files.retrieve(batch.input_file_id),
            lambda: other.files.content(str(done.output_file_id)),
            lambda: other.files.delete(batch.input_file_id),
        ]
        for attempt in tries:
            with pytest.raises(openai.NotFoundError):
                attempt()
        with pytest.raises((openai.NotFoundError, openai.BadRequestError)):
            other.batches.create(input_file_id=batch.input_file_id, endpoint=ENDPOINT, completion_window="24h")
        assert list(other.batches.list()) == []
        assert list(other.files.list()) == []
    assert content(client, batch.input_file_id)


def test_functions_that_are_killed_lose_and_double_nothing(stack: LocalStack, client: openai.OpenAI) -> None:
    batch = submit(client, *(line(f"q{number}", max_tokens=20) for number in range(200)))
    killed = 0
    for wanted in (10, 60, 120):
        until(
            client,
            batch,
            lambda each, wanted=wanted: each.request_counts is not None and each.request_counts.completed >= wanted,
        )
        for pid in descendants(stack.process.pid):
            if FUNCTION in command_line(pid):
                killed += 1
                with contextlib.suppress(ProcessLookupError):  # its parent's end is its own
                    os.kill(pid, signal.SIGKILL)
    assert killed
    done = ended(client, batch)
    assert (done.status, counts(done), done.error_file_id) == ("completed", (200, 200, 0), None)
    had = Counter(each["custom_id"] for each in content(client, done.output_file_id))
    assert had == Counter(f"q{number}" for number in range(200))
