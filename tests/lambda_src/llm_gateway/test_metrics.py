"""What CloudWatch makes metrics of, in the record of a request.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from llm_gateway import errors
from llm_gateway.errors import GatewayError
from llm_gateway.events import Usage
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.metrics import Metrics
from llm_gateway.pipeline import answer
from llm_gateway.routes import Price, Routes
from support.scripted_provider import FAR, Scripted, alias, routing, said, target

METRICS = Metrics("pulumi-llm/test", ("acme",))
PRICE = Price(input=1_000_000, output=10_000_000, cache_read=100_000, cache_write=1_250_000, cache_write_hour=2_000_000)
# Of https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html.
CLOUDWATCH_UNITS = {"Milliseconds", "Count", "None"}

_Record = dict[str, Any]


async def record_of(
    records: list[_Record], provider: Scripted, tenant: str = "acme", model: str = "", price: Price | None = PRICE
) -> _Record:
    """The record of one request, whose members for CloudWatch are as the format asks for."""
    to = alias(target("a", price=price), target("b", price=price))
    deadline = asyncio.get_running_loop().time() + FAR
    gateway = Gateway(Routes((to,), metrics=METRICS), routing(provider))
    with contextlib.suppress(GatewayError):
        async for _ in answer(gateway, said(model=model), Caller(tenant, "key"), "request-1", deadline):
            pass
    (record,) = records
    assert_embedded(record)
    return record


def assert_embedded(record: _Record) -> None:
    """What CloudWatch asks of a record; it takes no metric from one that breaks any of it."""
    described = record["_aws"]
    assert set(described) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(described["Timestamp"], int) and abs(described["Timestamp"] / 1000 - time.time()) < 600
    (directive,) = described["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert re.fullmatch(r"[ -~]{1,1024}", directive["Namespace"])
    for dimensions in directive["Dimensions"]:
        assert len(dimensions) <= 30
        assert all(isinstance(record[name], str) and 1 <= len(record[name]) <= 1024 for name in dimensions)
    assert 1 <= len(directive["Metrics"]) <= 100
    for metric in directive["Metrics"]:
        assert set(metric) == {"Name", "Unit"} and metric["Unit"] in CLOUDWATCH_UNITS
        assert type(record[metric["Name"]]) in (int, float)


def dimensions(record: _Record) -> list[list[str]]:
    return record["_aws"]["CloudWatchMetrics"][0]["Dimensions"]


def values(record: _Record) -> _Record:
    """The metrics, without the times."""
    named = {metric["Name"]: record[metric["Name"]] for metric in record["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert named.pop("duration_ms") >= 0 and named.pop("time_to_first_event_ms", 0) >= 0
    return named


NO_ERRORS = {"server_errors": 0, "client_errors": 0, "throttles": 0}
ALL = [[], ["gen_ai.request.model"], ["gen_ai.request.model", "target"], ["tenant"]]


@pytest.mark.assumes("metrics-from-logs")
async def test_an_answer(records: list[_Record]) -> None:
    record = await record_of(records, Scripted())
    used = {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2}
    assert values(record) == {**used, "cost_usd": 23e-6, **NO_ERRORS}  # 3 tokens at $1 a million, and 2 at $10
    assert dimensions(record) == ALL
    assert (record["gen_ai.request.model"], record["target"], record["tenant"]) == ("main", "a", "acme")


async def test_what_a_failed_target_has_used_costs_too(records: list[_Record]) -> None:
    failed = errors.upstream_unavailable()
    failed.usage = Usage(100, 0)
    record = await record_of(records, Scripted(a=failed))
    assert record["target"] == "b" and record["cost_usd"] == pytest.approx(123e-6)


# The error of both targets -> what is counted of it.
FAILURES: Mapping[str, tuple[Callable[[], GatewayError], _Record]] = {
    "throttled": (errors.upstream_throttled, {**NO_ERRORS, "throttles": 1}),
    "down": (errors.upstream_unavailable, {**NO_ERRORS, "server_errors": 1}),
}


@pytest.mark.parametrize(("kind", "counted"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_counted_by_its_kind(
    records: list[_Record], kind: Callable[[], GatewayError], counted: _Record
) -> None:
    record = await record_of(records, Scripted(a=kind(), b=kind()))
    assert (values(record), dimensions(record)) == (counted, ALL)


async def test_what_a_caller_makes_up_is_no_dimension(records: list[_Record]) -> None:
    """CloudWatch charges for each value of a dimension."""
    record = await record_of(records, Scripted(), tenant="made up", model="made up")
    assert dimensions(record) == [[]] and record["client_errors"] == 1


async def test_what_has_no_price_has_no_cost(records: list[_Record]) -> None:
    assert "cost_usd" not in await record_of(records, Scripted(), price=None)


async def test_a_service_without_metrics_writes_none(records: list[_Record]) -> None:
    deadline = asyncio.get_running_loop().time() + FAR
    async for _ in answer(Gateway(Routes((alias("a"),)), routing(Scripted())), said(), Caller("acme", "key"), "1", deadline):
        pass
    assert "_aws" not in records[0]
