"""Event source mappings: which messages are deleted, and which come back."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.event_log import EventLog
from pulumi_llm_local.services.event_source_mapping import MAPPING, EventSourceMapping, failed_messages
from pulumi_llm_local.services.lambda_function import FunctionError, FunctionThrottled
from pulumi_llm_local.services.local_run import LocalError
from pulumi_llm_local.services.moto import QUEUE

ARN = "arn:aws:sqs:us-east-1:123456789012:jobs"
URL = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:worker"
IDS = ["one", "two"]

ANSWERS: dict[str, tuple[Any, set[str]]] = {
    "null": (None, set()),
    "an empty object": ({}, set()),
    "an empty list": ({"batchItemFailures": []}, set()),
    "a null list": ({"batchItemFailures": None}, set()),
    "one": ({"batchItemFailures": [{"itemIdentifier": "two"}]}, {"two"}),
    "all": ({"batchItemFailures": [{"itemIdentifier": "one"}, {"itemIdentifier": "two"}]}, {"one", "two"}),
    "an empty id": ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"one", "two"}),
    "a null id": ({"batchItemFailures": [{"itemIdentifier": None}]}, {"one", "two"}),
    "another key": ({"batchItemFailures": [{"messageId": "one"}]}, {"one", "two"}),
    "an unknown id": ({"batchItemFailures": [{"itemIdentifier": "one"}, {"itemIdentifier": "three"}]}, {"one", "two"}),
    "a list of ids": ({"batchItemFailures": ["one"]}, {"one", "two"}),
    "no list": ({"batchItemFailures": "one"}, {"one", "two"}),
    "a text": ("done", {"one", "two"}),
    "a list": ([], {"one", "two"}),
    "an id that is a list": ({"batchItemFailures": [{"itemIdentifier": ["one"]}]}, {"one", "two"}),
}


@pytest.mark.parametrize(("answer", "failed"), ANSWERS.values(), ids=ANSWERS)
def test_which_messages_a_function_reports_as_failed(answer: Any, failed: set[str]) -> None:
    assert failed_messages(answer, IDS) == failed


class Worker:
    """A function that answers as it is told, and waits for `open` before."""

    name, arn, timeout = "worker", FUNCTION, 30.0

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.events: list[Any] = []
        self.open = asyncio.Event()
        self.open.set()
        self.running = self.most_running = 0

    async def invoke(self, event: Any) -> Any:
        self.events.append(event)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.open.wait()
        finally:
            self.running -= 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


class Queue:
    """A queue that gives what it has, and then nothing more."""

    def __init__(self, bodies: list[str]) -> None:
        self.waiting = [message(str(number), body) for number, body in enumerate(bodies)]
        self.deleted: list[str] = []
        self.asked: list[int] = []
        self.empty = asyncio.Event()

    def url(self, arn: str) -> str:
        return URL if arn == ARN else ""

    async def receive(self, url: str, most: int, wait_seconds: float) -> list[dict[str, Any]]:
        assert url == URL
        self.asked.append(most)
        if not self.waiting:
            self.empty.set()
            await asyncio.sleep(min(wait_seconds, 3600) if wait_seconds < 20 else 3600)
        given, self.waiting = self.waiting[: min(most, 10)], self.waiting[min(most, 10) :]
        return given

    async def delete(self, url: str, receipt_handles: list[str]) -> None:
        self.deleted += receipt_handles


def message(name: str, body: str) -> dict[str, Any]:
    return {
        "MessageId": name,
        "ReceiptHandle": f"handle-{name}",
        "Body": body,
        "MD5OfBody": "0",
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1", "SequenceNumber": "not for a standard queue"},
        "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "x"}},
    }


def mapping(queue: Queue, worker: Worker, tmp_path: Path, **inputs: Any) -> EventSourceMapping:
    given = {"eventSourceArn": ARN, "functionName": f"{FUNCTION}:live", **inputs}
    state = {"arn": ARN, "url": URL, "visibilityTimeoutSeconds": 30}
    graph = Graph("us-east-1", (Resource("q", QUEUE, "jobs", "q", {}, state),), {}, ())
    resource = Resource("m", MAPPING, "worker", "m", given, given)
    log = EventLog(tmp_path / "worker.log")
    return EventSourceMapping(resource, graph, cast("Any", queue), cast("Any", {"worker": worker}), log)


async def served(queue: Queue, worker: Worker, tmp_path: Path, **inputs: Any) -> None:
    """Poll until the queue has been found empty and every batch has been served."""
    made = mapping(queue, worker, tmp_path, **inputs)
    made.start()
    await queue.empty.wait()
    await until(lambda: not worker.running)
    await asyncio.sleep(0)
    await made.stop()


async def until(done: Callable[[], bool]) -> None:
    """Let the others run until something is so."""
    while not done():  # noqa: ASYNC110  # the mapping has no event to wait for
        await asyncio.sleep(0)


REPORTS = {"functionResponseTypes": ["ReportBatchItemFailures"]}


async def test_a_function_gets_messages_as_lambda_writes_them(tmp_path: Path) -> None:
    worker = Worker()
    await served(queue := Queue(["hello"]), worker, tmp_path)
    assert worker.events == [
        {
            "Records": [
                {
                    "messageId": "0",
                    "receiptHandle": "handle-0",
                    "body": "hello",
                    "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
                    "messageAttributes": {
                        "kind": {"stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
                    },
                    "md5OfBody": "0",
                    "eventSource": "aws:sqs",
                    "eventSourceARN": ARN,
                    "awsRegion": "us-east-1",
                }
            ]
        }
    ]
    assert queue.deleted == ["handle-0"]


OUTCOMES: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    "one failed": ({"batchItemFailures": [{"itemIdentifier": "0"}]}, REPORTS, ["handle-1"]),
    "not asked for failures": ({"batchItemFailures": [{"itemIdentifier": "0"}]}, {}, ["handle-0", "handle-1"]),
    "a wrong answer": ("done", REPORTS, []),
    "a wrong answer that nobody reads": ("done", {}, ["handle-0", "handle-1"]),
    "an error": (FunctionError("it died"), REPORTS, []),
}


@pytest.mark.parametrize(("answer", "inputs", "deleted"), OUTCOMES.values(), ids=OUTCOMES)
async def test_which_messages_are_deleted(answer: Any, inputs: dict[str, Any], deleted: list[str], tmp_path: Path) -> None:
    await served(queue := Queue(["a", "b"]), Worker(answer), tmp_path, **inputs)
    assert queue.deleted == deleted
    if isinstance(answer, FunctionError):
        assert "2 messages come back: it died" in (tmp_path / "worker.log").read_text()


async def test_a_throttled_batch_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulumi_llm_local.services.event_source_mapping._FIRST_PAUSE", 0.001)
    queue, worker = Queue(["a"]), Worker(FunctionThrottled("busy"), FunctionThrottled("busy"))
    made = mapping(queue, worker, tmp_path)
    made.start()
    await until(lambda: bool(queue.deleted))
    await made.stop()
    assert len(worker.events) == 3


async def test_no_more_invocations_at_once_than_the_maximum(tmp_path: Path) -> None:
    worker = Worker()
    worker.open.clear()
    queue = Queue([str(number) for number in range(9)])
    made = mapping(queue, worker, tmp_path, batchSize=1, scalingConfig={"maximumConcurrency": 3})
    made.start()
    await until(lambda: worker.running == 3)
    for _ in range(20):
        await asyncio.sleep(0)
    # Nothing is taken from the queue that nobody is free for: its visibility timeout would begin.
    assert (worker.running, len(queue.waiting)) == (3, 6)
    worker.open.set()
    await queue.empty.wait()
    await made.stop()
    assert worker.most_running == 3
    assert len(queue.deleted) == 9


async def test_a_window_gathers_a_batch(tmp_path: Path) -> None:
    worker = Worker()
    queue = Queue([str(number) for number in range(25)])
    made = mapping(queue, worker, tmp_path, batchSize=25, maximumBatchingWindowInSeconds=60)
    made.start()
    await until(lambda: bool(worker.events))
    await made.stop()
    assert [len(event["Records"]) for event in worker.events] == [25]


async def test_a_disabled_mapping_polls_nothing(tmp_path: Path) -> None:
    queue, worker = Queue(["a"]), Worker()
    made = mapping(queue, worker, tmp_path, enabled=False)
    made.start()
    await asyncio.sleep(0)
    await made.stop()
    assert queue.asked == []


async def test_an_invocation_ends_with_the_run_and_its_messages_stay(tmp_path: Path) -> None:
    queue, worker = Queue(["a"]), Worker()
    worker.open.clear()
    made = mapping(queue, worker, tmp_path)
    made.start()
    await until(lambda: worker.running == 1)
    await made.stop()
    assert (worker.running, queue.deleted) == (0, [])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another function": ({"functionName": "other"}, "other is no function of the program"),
    "another queue": ({"eventSourceArn": ARN + "-other"}, "jobs-other is not played"),
    "a large batch without a window": ({"batchSize": 11}, "Maximum batch window in seconds must be greater than 0"),
    "too large a batch": ({"batchSize": 10001, "maximumBatchingWindowInSeconds": 1}, "a batch has 1 to 10,000 messages"),
    "one at a time": ({"scalingConfig": {"maximumConcurrency": 1}}, "between 2 and 1,000, not 1"),
    "filters": ({"filterCriteria": {"filters": [{"pattern": "{}"}]}}, "filterCriteria is not played"),
    "pollers": ({"provisionedPollerConfig": {"minimumPollers": 2}}, "provisionedPollerConfig is not played"),
    "a stream's": ({"startingPosition": "LATEST"}, "startingPosition is not played"),
    "another response type": ({"functionResponseTypes": ["Other"]}, "the response type Other is unknown"),
}


@pytest.mark.parametrize(("inputs", "text"), REFUSED.values(), ids=REFUSED)
async def test_what_is_refused(inputs: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=text):
        mapping(Queue([]), Worker(), tmp_path, **inputs)


async def test_a_function_that_outlasts_the_visibility_timeout_is_refused(tmp_path: Path) -> None:
    worker = Worker()
    worker.timeout = 31.0
    with pytest.raises(LocalError, match="Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds"):
        mapping(Queue([]), worker, tmp_path)
