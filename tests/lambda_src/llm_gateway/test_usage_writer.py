"""What is counted of the records of requests: each once, whatever comes twice, out of order, or at the same time."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError, TransactionCanceled
from llm_gateway.errors import GatewayError
from llm_gateway.identity.caller import Caller
from llm_gateway.usage_history import UsageHistory
from llm_gateway.usage_writer import UsageWriter
from support.websocket_api import USAGE

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
CALLER = Caller("acme", "ci")
ALL = {"from": "2026-11-01", "to": "2026-12-31"}


def record(**fields: Any) -> dict[str, Any]:
    """A record as the log has it."""
    return {
        "level": "INFO",
        "message": "chat",
        "tenant": "acme",
        "api_key": "ci",
        "gen_ai.request.model": "fast",
        "target": "bedrock/nova",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "cost_usd": 0.000025,
        **fields,
    }


def log_event(id: str, at: float = NOON, **fields: Any) -> dict[str, Any]:
    return {"id": id, "timestamp": int(at * 1000), "message": json.dumps(record(**fields))}


class Usage:
    """The writer and the reader of one table."""

    def __init__(self, dynamodb: DynamoDB) -> None:
        self.warnings: list[str] = []
        self.writer = UsageWriter(dynamodb, USAGE, self.warnings.append, clock=lambda: NOON)
        self.history = UsageHistory(dynamodb, USAGE, ("reader", "ci"), clock=lambda: NOON)

    async def write(self, *events: Mapping[str, Any], source: str = "group stream") -> None:
        await self.writer.write(source, events)

    async def total(self, caller: Caller = CALLER, **asked: str) -> dict[str, Any]:
        return (await self.history.answer(caller, {**ALL, **asked}))["total"]

    async def rows(self, by: str, caller: Caller = CALLER, **asked: str) -> list[dict[str, Any]]:
        return (await self.history.answer(caller, {**ALL, "by": by, **asked}))["rows"]


@pytest.fixture
def usage(dynamodb: DynamoDB) -> Usage:
    return Usage(dynamodb)


# A record's fields -> what is counted of it.
COUNTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an answer": ({}, {"requests": 1, "input_tokens": 10, "output_tokens": 5, "usd": 0.000025}),
    "from the prompt cache": ({"gen_ai.usage.cache_read.input_tokens": 8}, {"requests": 1, "cached_tokens": 8}),
    "an error": ({"error.type": "upstream_failed"}, {"requests": 1, "errors": 1}),
    "a failed target": (
        {"failed_attempts.input_tokens": 7, "failed_attempts.output_tokens": 1},
        {"requests": 1, "input_tokens": 17, "output_tokens": 6},
    ),
    "from the cache of answers": (
        {"cache.status": "hit", "cost_usd": 0.0, "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0},
        {"requests": 1, "cache_hits": 1, "usd": 0, "unpriced_requests": 0},
    ),
    "without a price": ({"cost_usd": None}, {"requests": 1, "usd": 0, "unpriced_requests": 1}),
    "refused before any target": ({"target": "", "error.type": "quota_exceeded"}, {"requests": 0, "errors": 0}),
    "tokens below zero": ({"gen_ai.usage.input_tokens": -5}, {"requests": 0, "input_tokens": 0}),
    "tokens that are none": ({"gen_ai.usage.input_tokens": "many"}, {"requests": 0}),
    "no tenant": ({"tenant": None}, {"requests": 0}),
}


@pytest.mark.parametrize(("fields", "expected"), COUNTS.values(), ids=COUNTS)
async def test_what_is_counted_of_a_record(usage: Usage, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    await usage.write(log_event("1", **fields))
    for caller, scope in ((CALLER, "caller"), (Caller("acme", "reader"), "tenant")):
        told = await usage.total(caller, scope=scope)
        assert {name: told[name] for name in expected} == expected


async def test_a_record_that_cannot_be_read_keeps_no_other_from_being_counted(usage: Usage) -> None:
    bad = [{"id": "1", "timestamp": 0, "message": "{"}, {"id": "2", "timestamp": 1e30, "message": json.dumps(record())}, {}]
    await usage.write(*bad, log_event("3"))
    assert (await usage.total())["requests"] == 1
    assert len(usage.warnings) == 3 and not any("nova" in warning for warning in usage.warnings)


@pytest.mark.assumes("usage-transaction")
async def test_what_comes_again_is_counted_once_in_whatever_batches_it_comes(usage: Usage) -> None:
    events = [log_event(str(number)) for number in range(5)]
    await usage.write(*events[:3])
    await usage.write(*events[:3])  # the same batch
    await usage.write(*events[1:])  # others with it, and out of order
    await usage.write(*reversed(events), events[0], source="another group")
    assert (await usage.total())["requests"] == 5


async def test_an_answer_that_was_lost_counts_nothing_twice(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client makes a transaction again whose answer it has not got: its own marks are there then."""
    write = DynamoDB.transact_write

    async def twice(self: DynamoDB, writes: Any) -> None:
        await write(self, writes)
        await write(self, writes)

    monkeypatch.setattr(DynamoDB, "transact_write", twice)
    await usage.write(log_event("1"), log_event("2"))
    assert (await usage.total())["requests"] == 2


async def test_a_large_batch_is_divided_and_one_that_broke_off_is_completed(
    usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sizes, fails_at = DynamoDB.transact_write, list[int](), 2

    async def limited(self: DynamoDB, writes: Any) -> None:
        sizes.append(len(writes))
        if len(sizes) == fails_at:
            raise DynamoDBError("InternalServerError", "later", 500)
        await write(self, writes)

    monkeypatch.setattr(DynamoDB, "transact_write", limited)
    events = [log_event(str(number), api_key=f"key-{number % 60}") for number in range(150)]
    with pytest.raises(DynamoDBError):
        await usage.write(*events)
    await usage.write(*events)
    assert max(sizes) <= 100 and len(sizes) > 4
    assert (await usage.total(Caller("acme", "reader"), scope="tenant"))["requests"] == 150
    assert (await usage.total(Caller("acme", "key-7")))["requests"] == 3


async def test_writers_that_meet_wait_for_each_other(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    write, conflicts = DynamoDB.transact_write, 3

    async def conflicting(self: DynamoDB, writes: Any) -> None:
        nonlocal conflicts
        conflicts -= 1
        if conflicts >= 0:
            reasons = ["None"] * (len(writes) - 1) + ["TransactionConflict"]
            raise TransactionCanceled("TransactionCanceledException", "", 400, reasons)
        await write(self, writes)

    monkeypatch.setattr(DynamoDB, "transact_write", conflicting)
    monkeypatch.setattr("llm_gateway.usage_writer._LONGEST_PAUSE", 0.001)
    await usage.write(log_event("1"))
    conflicts = 1000
    with pytest.raises(TransactionCanceled):
        await usage.write(log_event("2"))
    assert conflicts == 1000 - 10 and (await usage.total())["requests"] == 1


async def test_many_sources_at_once(usage: Usage) -> None:
    batches = [[log_event(f"{source}-{number}") for number in range(3)] for source in range(12)]
    await asyncio.gather(*(usage.write(*batch, source=f"stream {number}") for number, batch in enumerate(batches)))
    assert (await usage.total())["requests"] == 36


async def test_days_are_the_calendar_s_in_utc(usage: Usage) -> None:
    ends = {
        "2026-11-30": datetime(2026, 11, 30, 23, 59, 59, 999_000, UTC),
        "2026-12-01": datetime(2026, 12, 1, 0, 0, tzinfo=UTC),
        "2026-12-31": datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    }
    await usage.write(*(log_event(day, at.timestamp()) for day, at in ends.items()))
    assert [(row["day"], row["requests"]) for row in await usage.rows("day")] == [(day, 1) for day in ends]
    assert (await usage.total(**{"from": "2026-12-01", "to": "2026-12-31"}))["requests"] == 2
    assert (await usage.total(**{"from": "2026-11-30", "to": "2026-11-30"}))["requests"] == 1
    # This month, as far as nothing is said.
    answer = await usage.history.answer(CALLER, {})
    assert (answer["from"], answer["to"], answer["total"]["requests"]) == ("2026-11-01", "2026-11-30", 1)


HOSTILE = ["acme", 'acme"]', '["acme"', "acme\x00ci", "acme ci", '","', "#", "é" * 900, "2026-11-30 "]


async def test_names_with_separators_are_kept_apart(usage: Usage) -> None:
    callers = [Caller(tenant, key) for tenant in HOSTILE for key in HOSTILE]
    for number, caller in enumerate(callers):
        await usage.write(log_event(str(number), tenant=caller.tenant, api_key=caller.key))
    for caller in callers:
        assert (await usage.total(caller))["requests"] == 1, caller


async def test_the_sessions_of_a_role_are_one_caller(usage: Usage) -> None:
    role = "arn:aws:sts::123456789012:assumed-role/batch"
    await usage.write(log_event("1", api_key=f"{role}/one"), log_event("2", api_key=f"{role}/two"))
    assert (await usage.total(Caller("acme", f"{role}/three")))["requests"] == 2


async def test_rows_are_divided_as_asked(usage: Usage) -> None:
    aliases = [("fast", "a"), ("fast", "b"), ("large", "a"), ('f"],["', "x" * 2000)]
    fields = [{"gen_ai.request.model": alias, "target": target} for alias, target in aliases]
    await usage.write(*(log_event(str(number), **more) for number, more in enumerate(fields)))
    assert [(row["alias"], row["requests"]) for row in await usage.rows("alias")] == [('f"],["', 1), ("fast", 2), ("large", 1)]
    both = [(row["alias"], row["target"]) for row in await usage.rows("target,alias")]
    assert both == sorted(aliases) and list((await usage.rows("target,day"))[0])[:2] == ["day", "target"]
    assert await usage.rows("") == []


# A question -> the field of its mistake.
MISTAKES: dict[str, tuple[dict[str, str], str]] = {
    "an unknown dimension": ({"by": "caller"}, "by"),
    "no day": ({"from": "2026-11-31"}, "from"),
    "another form of a day": ({"to": "20261130"}, "to"),
    "a week": ({"to": "2026-W48-1"}, "to"),
    "backwards": ({"from": "2026-11-30", "to": "2026-11-01"}, "from"),
    "too long": ({"from": "2026-01-01", "to": "2026-12-31"}, "from"),
    "another scope": ({"scope": "all"}, "scope"),
    "an unknown parameter": ({"tenant": "shop"}, "tenant"),
}


@pytest.mark.parametrize(("asked", "field"), MISTAKES.values(), ids=MISTAKES)
async def test_mistakes_in_a_question(usage: Usage, asked: dict[str, str], field: str) -> None:
    with pytest.raises(GatewayError) as refused:
        await usage.history.answer(CALLER, asked)
    assert (refused.value.status, refused.value.param) == (400, field)


async def test_only_readers_see_their_tenant_s(usage: Usage) -> None:
    await usage.write(log_event("1", api_key="other"), log_event("2", tenant="shop", api_key="other"))
    assert (await usage.total(scope="tenant"))["requests"] == 1
    with pytest.raises(GatewayError) as refused:
        await usage.total(Caller("acme", "other"), scope="tenant")
    assert (refused.value.status, refused.value.code) == (403, "access_denied")
    with pytest.raises(GatewayError) as refused:
        await usage.total(Caller("anonymous", "", anonymous=True), scope="tenant")
    assert refused.value.status == 400
