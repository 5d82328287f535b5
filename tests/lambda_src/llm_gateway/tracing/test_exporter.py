"""Exports beside requests: in batches, again after a failure, and never more than fits."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llm_gateway import errors
from llm_gateway.http.client import HttpClient, Response
from llm_gateway.tracing import exporter as module
from llm_gateway.tracing.exporter import MOST_AT_ONCE, MOST_WAITING, Exporter, Post
from llm_gateway.tracing.histograms import Histograms
from llm_gateway.tracing.spans import Measurement, Span
from support.otlp_receiver import Receiver, attributes

TRACE = "5759e988bd862e3fe1be46a994272793"
Started = Callable[..., Awaitable[tuple[Exporter, Receiver]]]


def span(number: int = 1, **more: Any) -> Span:
    values: dict[str, Any] = {"name": "chat m", "kind": "client", "began": 1, "ended": 2, "attributes": {}}
    return Span(TRACE, f"{number:016x}", "", **{**values, **more})


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def started(opened: contextlib.AsyncExitStack, warnings: list[str], clock: Clock) -> Started:
    async def start(*answers: int | None, metrics: bool = False) -> tuple[Exporter, Receiver]:
        receiver = Receiver(*answers)
        await receiver.start()
        opened.push_async_callback(receiver.stop)
        client = await opened.enter_async_context(HttpClient())
        histograms = Histograms(clock()) if metrics else None
        resource = {"service.name": "test", "faas.name": "chat"}
        return Exporter(posting(client, receiver.url), resource, warnings.append, clock, histograms), receiver

    return start


def posting(client: HttpClient, url: str) -> Post:
    async def post(path: str, body: bytes) -> Response:
        return await client.send("POST", url + path, [("content-type", "application/json")], body)

    return post


async def test_a_span_as_the_official_messages_read_it(started: Started) -> None:
    exporter, receiver = await started()
    values = {"text": "é\U0001f600", "int": 2**40, "double": 0.5, "bool": True, "texts": ["a", "b"]}
    exporter.add([span(began=5, ended=9, attributes=values, error="upstream_error", state="a=b", remote_parent=True)])
    await exporter.sent()
    (path, export), (found,) = receiver.exports[0], receiver.spans()
    assert path == "/v1/traces" and attributes(export.resource_spans[0].resource) == {
        "service.name": "test",
        "faas.name": "chat",
    }
    assert export.resource_spans[0].scope_spans[0].schema_url == "https://opentelemetry.io/schemas/1.41.1"
    assert (found.trace_id.hex(), found.span_id.hex(), found.parent_span_id) == (TRACE, f"{1:016x}", b"")
    assert (found.name, found.kind, found.start_time_unix_nano, found.end_time_unix_nano) == ("chat m", 3, 5, 9)
    assert (found.status.code, found.status.message) == (2, "upstream_error")
    assert (found.trace_state, found.flags) == ("a=b", 0x301) and attributes(found) == values


async def test_what_comes_meanwhile_goes_with_the_next_export(started: Started) -> None:
    exporter, receiver = await started()
    for number in range(1, MOST_AT_ONCE + 11):
        exporter.add([span(number)])
    await exporter.sent()
    assert [len(export.resource_spans[0].scope_spans[0].spans) for _, export in receiver.exports] == [MOST_AT_ONCE, 10]


# What the receiver answers first -> the requests that it gets, the spans that it has, the text of the warning.
FAILURES: dict[str, tuple[list[int | None], int, list[int], str]] = {
    "away for a moment": ([503], 3, [1, 2], "503"),
    "throttled": ([429], 3, [1, 2], "429"),
    "it stays away": ([503, 503], 3, [2], "503"),
    "it refuses": ([400], 2, [2], "400"),
    "not allowed": ([403], 2, [2], "403"),
}


@pytest.mark.parametrize(("answers", "requests", "arrived", "text"), FAILURES.values(), ids=FAILURES)
async def test_a_failure(
    started: Started, warnings: list[str], answers: list[int | None], requests: int, arrived: list[int], text: str
) -> None:
    exporter, receiver = await started(*answers)
    exporter.add([span(1)])
    await exporter.sent()
    exporter.add([span(2)])
    await exporter.sent()
    assert len(receiver.paths) == requests
    assert [int(found.span_id.hex(), 16) for found in receiver.spans()] == arrived
    (warning,) = warnings
    assert text in warning and "/v1/traces" in warning


async def test_a_receiver_that_is_not_there(opened: contextlib.AsyncExitStack, warnings: list[str], clock: Clock) -> None:
    client = await opened.enter_async_context(HttpClient())
    exporter = Exporter(posting(client, "http://127.0.0.1:9"), {}, warnings.append, clock)
    for number in range(1, 4):
        exporter.add([span(number)])
        await exporter.sent()
    assert len(warnings) == 1 and "ConnectError" in warnings[0]


async def test_a_key_that_cannot_be_read(warnings: list[str], clock: Clock) -> None:
    async def post(path: str, body: bytes) -> Response:
        raise errors.upstream_misconfigured(detail="the provider's key cannot be read")

    exporter = Exporter(post, {}, warnings.append, clock)
    exporter.add([span()])
    await exporter.sent()
    assert len(warnings) == 1 and "cannot be read" in warnings[0]


async def test_a_receiver_that_does_not_answer(started: Started, warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXPORT_SECONDS", 0.05)
    exporter, receiver = await started(None)
    exporter.add([span()])
    await receiver.came(1)
    await exporter.sent()
    assert len(warnings) == 1 and "no answer within" in warnings[0]


async def test_spans_that_wait_are_bounded(warnings: list[str], clock: Clock) -> None:
    async def post(path: str, body: bytes) -> Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    exporter = Exporter(post, {}, warnings.append, clock)
    exporter.add([span()])
    await asyncio.sleep(0)
    for number in range(MOST_WAITING + 100):
        exporter.add([span(number + 1)])
    assert len(exporter._waiting) == MOST_WAITING and len(warnings) == 1 and "the oldest are dropped" in warnings[0]


async def test_the_bytes_of_spans_that_wait_are_bounded(started: Started, warnings: list[str]) -> None:
    exporter, receiver = await started()
    exporter.add([span(number, attributes={"text": "x" * 1_900_000}) for number in range(1, 101)])
    await receiver.came(4)
    assert [int(found.span_id.hex(), 16) for found in receiver.spans()] == [*range(93, 101)], "the newest stay"
    assert len(warnings) == 1 and "the oldest are dropped" in warnings[0]


async def test_a_span_that_is_larger_than_an_export_is_sent_alone(started: Started) -> None:
    exporter, receiver = await started()
    exporter.add([span(1), span(2, attributes={"text": "x" * 5_000_000}), span(3)])
    await receiver.came(3)
    assert [len(export.resource_spans[0].scope_spans[0].spans) for _, export in receiver.exports] == [1, 1, 1]


async def test_a_large_export_is_divided(started: Started) -> None:
    exporter, receiver = await started()
    exporter.add([span(number, attributes={"text": "x" * 1_500_000}) for number in range(1, 6)])
    await receiver.came(3)
    await exporter.flush()
    assert [len(export.resource_spans[0].scope_spans[0].spans) for _, export in receiver.exports] == [2, 2, 1]


async def test_metrics_are_added_up_and_sent_from_time_to_time(started: Started, clock: Clock) -> None:
    exporter, receiver = await started(metrics=True)
    began = clock.now
    for tokens in (1, 4, 5, 10**9):
        exporter.add([span()], [Measurement("gen_ai.client.token.usage", tokens, {"gen_ai.token.type": "input"})])
        await exporter.sent()
    assert receiver.metrics() == []
    clock.now += 11 * 10**9
    exporter.add([], [Measurement("gen_ai.client.operation.duration", 0.3, {"gen_ai.request.model": "m"})])
    await exporter.sent()
    (point,) = receiver.points("gen_ai.client.token.usage")
    assert (point.count, point.sum, point.min, point.max) == (4, 10 + 10**9, 1, 10**9)
    assert list(point.explicit_bounds) == [4**n for n in range(14)]
    assert list(point.bucket_counts) == [1, 1, 1, *[0] * 11, 1]
    assert (point.start_time_unix_nano, point.time_unix_nano) == (began, clock.now)
    usage, duration = sorted(receiver.metrics(), key=lambda metric: metric.name, reverse=True)
    assert (usage.unit, duration.unit) == ("{token}", "s") and usage.histogram.aggregation_temporality == 1
    assert list(duration.histogram.data_points[0].explicit_bounds) == pytest.approx([0.01 * 2**n for n in range(14)])
    # The next values begin anew.
    exporter.add([], [Measurement("gen_ai.client.token.usage", 2, {"gen_ai.token.type": "input"})])
    await exporter.flush()
    assert [point.sum for point in receiver.points("gen_ai.client.token.usage")] == [10 + 10**9, 2]


async def test_series_are_bounded(clock: Clock) -> None:
    histograms = Histograms(clock())
    histograms.add(Measurement("gen_ai.client.operation.duration", 1.0, {"n": n}) for n in range(5_000))
    assert len(histograms.take(clock())) == 2_000
