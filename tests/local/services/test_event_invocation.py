"""Asynchronous invocations: attempts, and the record that a destination gets."""

import asyncio
from typing import Any

import pytest

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import event_invocation
from pulumi_llm_local.services.event_invocation import EVENT_INVOKE_CONFIG, EventInvocations
from pulumi_llm_local.services.lambda_function import FunctionError, FunctionThrottled
from pulumi_llm_local.services.local_run import LocalError

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


class Played:
    """A function that fails as its list says, and then succeeds."""

    def __init__(self, name: str, *failures: FunctionError) -> None:
        self.name, self.arn = name, ARN + name
        self.failures = list(failures)
        self.events: list[Any] = []
        self.called = asyncio.Event()

    async def invoke(self, event: Any) -> Any:
        self.events.append(event)
        if self.failures:
            raise self.failures.pop(0)
        self.called.set()


def invocations(functions: list[Played], **state: Any) -> Any:
    configured = {"functionName": "worker", "qualifier": "live", **state}
    graph = Graph("us-east-1", (Resource("urn", EVENT_INVOKE_CONFIG, "c", "c", {}, configured),), {}, ())
    made: Any = EventInvocations
    return made(graph, {function.name: function for function in functions})


def on_failure(arn: str) -> dict[str, Any]:
    return {"destinationConfig": {"onFailure": {"destination": arn}}}


async def test_a_failure_goes_to_the_destination_with_the_event() -> None:
    worker, failures = Played("worker", FunctionError("it died")), Played("failures")
    events = invocations([worker, failures], maximumRetryAttempts=0, **on_failure(ARN + "failures:live"))
    events.accept(worker, "live", {"n": 1})
    await failures.called.wait()
    (record,) = failures.events
    assert (record["requestPayload"], record["responsePayload"]["errorMessage"]) == ({"n": 1}, "it died")
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == (
        "RetriesExhausted",
        1,
    )
    assert record["requestContext"]["functionArn"] == ARN + "worker:live"
    assert worker.events == [{"n": 1}]


async def test_a_busy_function_is_tried_again_until_the_event_is_too_old(monkeypatch) -> None:
    monkeypatch.setattr(event_invocation, "_FIRST_BUSY_PAUSE", 0.001)
    worker, failures = Played("worker", *[FunctionThrottled("busy")] * 3), Played("failures")
    events = invocations([worker, failures], maximumRetryAttempts=0, **on_failure(ARN + "failures"))
    events.accept(worker, "live", {})
    await worker.called.wait()
    assert len(worker.events) == 4
    monkeypatch.setattr(event_invocation, "_FIRST_BUSY_PAUSE", 99)
    worker.failures = [FunctionThrottled("busy")]
    events = invocations([worker, failures], maximumEventAgeInSeconds=60, **on_failure(ARN + "failures"))
    events.accept(worker, "live", {})
    await failures.called.wait()
    assert failures.events[0]["requestContext"]["condition"] == "EventAgeExceeded"
    assert "responsePayload" not in failures.events[0]


async def test_without_a_configuration_it_is_tried_three_times(monkeypatch) -> None:
    monkeypatch.setattr(event_invocation, "_PAUSES", (0.001, 0.001))
    worker = Played("worker", FunctionError("one"), FunctionError("two"))
    invocations([worker]).accept(worker, None, {})
    await worker.called.wait()
    assert len(worker.events) == 3


def test_a_large_event_is_refused() -> None:
    worker = Played("worker")
    with pytest.raises(FunctionError, match="larger than 1,048,576 bytes"):
        invocations([worker]).accept(worker, None, {"text": "x" * 1024 * 1024})


@pytest.mark.parametrize(
    "destinations",
    [
        on_failure("arn:aws:sqs:us-east-1:123456789012:queue"),
        on_failure(ARN + "unknown"),
        {"destinationConfig": {"onSuccess": {"destination": ARN + "worker"}}},
    ],
)
def test_another_destination_is_refused(destinations: dict[str, Any]) -> None:
    with pytest.raises(LocalError, match="is not played"):
        invocations([Played("worker")], **destinations)
