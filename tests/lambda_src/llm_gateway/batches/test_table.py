"""The states of a batch: who may change it, what a repeated step finds, and what is told of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from llm_gateway.batches.batch import STATUSES, WINDOW_SECONDS, Batch, batch_of, item_of, new_batch
from llm_gateway.batches.table import BatchTable
from llm_gateway.errors import GatewayError
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import owner_of
from llm_gateway.tables import BATCH_ACCEPTED, JOB_ALIAS, JOB_EVENT, JOB_STATUS, JOB_TENANT, JOBS
from support.jobs_table import TABLE, Table

START = 1_800_000_010.5
CALLER = Caller("acme", "ci", ("small",))
ASKED = {"input_file_id": "file-1", "endpoint": "/v1/embeddings", "completion_window": "24h"}


class Batches:
    """The table, whose time is `now`."""

    def __init__(self) -> None:
        self.now = START
        self.table = Table()
        self.batches = BatchTable(self.table, TABLE, clock=lambda: self.now)

    def new(self, asked: dict[str, Any] = ASKED, *, key: str = "", caller: Caller = CALLER) -> Batch:
        return new_batch(caller, asked, self.now, endpoint=asked["endpoint"], input_file=asked["input_file_id"], key=key)

    async def add(self, **more: Any) -> Batch:
        return await self.batches.add(self.new(**more))

    async def at(self, state: str) -> Batch:
        """Return a batch that has come to a state."""
        batch = await self.add()
        if state == "validating":
            return batch
        batch = await self.claimed(batch)
        if state == "claimed":
            return batch
        batch = await self.batches.begin(batch, 3)
        if state == "in_progress":
            return batch
        if state == "cancelling":
            return await self.batches.cancel(batch)
        batch = await self.batches.finalize(batch)
        return batch if state == "finalizing" else await self.batches.end(batch, state)  # pyright: ignore[reportArgumentType]

    async def claimed(self, batch: Batch, execution: str = "run-1") -> Batch:
        claimed = await self.batches.claim(batch.id, execution)
        assert claimed is not None and claimed.execution == execution
        return claimed

    async def item(self, batch: Batch) -> dict[str, Any]:
        item = await self.table.get_item(TABLE, {JOBS.hash_key: {"S": batch.id}})
        assert item is not None
        return item

    async def event(self, batch: Batch) -> str:
        return (await self.item(batch))[JOB_EVENT]["S"]


@pytest.fixture
def kept() -> Batches:
    return Batches()


async def test_a_new_batch_is_kept_as_it_is(kept: Batches) -> None:
    batch = await kept.add()
    assert await kept.batches.get(batch.id) == batch
    assert (batch.status, batch.created_at, batch.expires_at) == ("validating", int(START), int(START) + WINDOW_SECONDS)
    item = await kept.item(batch)
    assert {name: item[name]["S"] for name in (JOB_EVENT, JOB_STATUS, JOB_TENANT, JOB_ALIAS)} == {
        JOB_STATUS: "validating",
        JOB_EVENT: BATCH_ACCEPTED,
        JOB_TENANT: "acme",
        JOB_ALIAS: "",
    }
    # No list of jobs has it.
    assert item["owner"]["S"] != owner_of(CALLER) and batch_of(item_of(batch)) == batch


@pytest.mark.parametrize("loses", [False, True])
async def test_a_batch_from_its_claim_to_its_end(kept: Batches, loses: bool) -> None:
    batch = await kept.add()
    events = list[str]()

    async def step(doing: Callable[[], Awaitable[Any]]) -> Any:
        kept.now += 10
        kept.table.loses = loses
        found = await doing()
        events.append(await kept.event(batch))
        return found

    claimed: Batch = await step(lambda: kept.claimed(batch))
    begun: Batch = await step(lambda: kept.batches.begin(claimed, 3))
    await kept.batches.count(batch.id, 2, 1)
    finalizing: Batch = await step(lambda: kept.batches.finalize(begun))
    usage = {"total_tokens": 3}
    ended: Batch = await step(
        lambda: kept.batches.end(finalizing, "completed", total=3, completed=2, failed=1, output_file="file-2", usage=usage)
    )
    times = [ended.in_progress_at, ended.finalizing_at, ended.completed_at]
    assert times == [int(START) + 20, int(START) + 30, int(START) + 40]
    assert (ended.status, ended.total, ended.completed, ended.failed) == ("completed", 3, 2, 1)
    assert (ended.output_file, ended.error_file, ended.usage, ended.execution) == ("file-2", "", usage, "run-1")
    assert await kept.batches.get(batch.id) == ended and kept.table.ends[batch.id] == 1
    # An event that comes twice has the same number, and later ones have larger ones.
    assert (batch.version, claimed.version, begun.version, finalizing.version, ended.version) == (1, 2, 3, 4, 5)
    assert events == ["batch.validating", "batch.started", "batch.finalizing", "batch.completed"]


async def test_only_one_execution_has_a_batch(kept: Batches) -> None:
    batch = await kept.add()
    claimed = await kept.claimed(batch)
    assert await kept.batches.claim(batch.id, "run-2") is None
    other = msgspec.structs.replace(claimed, execution="run-2")
    for change in (kept.batches.begin(other, 9), kept.batches.finalize(other), kept.batches.end(other, "failed")):
        assert await change == claimed
    begun = await kept.batches.begin(claimed, 3)
    # A repeated step goes on with what it finds.
    assert await kept.claimed(batch) == begun and await kept.batches.begin(claimed, 4) == begun
    ended = await kept.batches.end(begun, "failed", errors=[{"code": "invalid_json_line"}])
    assert ended.status == "failed" and ended.failed_at and await kept.batches.claim(batch.id, "run-1") is None
    kept.now += 5
    assert await kept.batches.end(begun, "completed") == ended
    assert await kept.batches.claim("batch_0", "run-1") is None


async def test_what_is_counted_late_changes_nothing_but_while_it_is_worked_on(kept: Batches) -> None:
    for state in ("validating", "finalizing", "completed"):
        batch = await kept.at(state)
        await kept.batches.count(batch.id, 1, 1)
        found = await kept.batches.get(batch.id)
        assert found is not None and (found.completed, found.failed) == (0, 0)
    batch = await kept.at("cancelling")
    await kept.batches.count(batch.id, 2, 0)
    await kept.batches.count("batch_0", 1, 0)
    found = await kept.batches.get(batch.id)
    assert found is not None and (found.completed, found.status) == (2, "cancelling")


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        ("validating", "cancelled"),
        ("claimed", "cancelling"),
        ("in_progress", "cancelling"),
        ("finalizing", "cancelling"),
        ("cancelling", "cancelling"),
        *((status, status) for status in ("completed", "failed", "expired", "cancelled")),
    ],
)
async def test_a_cancel_is_the_callers(kept: Batches, state: str, becomes: str) -> None:
    batch = await kept.at(state)
    kept.now += 7
    cancelled = await kept.batches.cancel(batch)
    assert cancelled.status == becomes and await kept.batches.get(batch.id) == cancelled
    assert await kept.batches.is_cancelled(batch.id) is cancelled.cancel
    if state == becomes:
        assert cancelled == batch
        return
    assert cancelled.cancelling_at == int(kept.now)
    if becomes == "cancelled":
        assert await kept.batches.claim(batch.id, "run-1") is None and cancelled.cancelled_at == int(kept.now)
        return
    # Whatever comes next, it is not completed; what has come of it is kept.
    kept.now += 7
    assert (await kept.batches.begin(batch, 3)).status == (await kept.batches.finalize(batch)).status == "cancelling"
    ended = await kept.batches.end(batch, "completed", total=3, completed=1, failed=0, output_file="file-2")
    assert (ended.status, ended.completed, ended.output_file, ended.completed_at) == ("cancelled", 1, "file-2", 0)
    assert ended.cancelled_at == int(kept.now) and await kept.event(batch) == "batch.cancelled"
    assert kept.table.ends[batch.id] == 1


async def test_one_that_fails_has_failed_although_it_was_to_be_cancelled(kept: Batches) -> None:
    batch = await kept.at("cancelling")
    assert (await kept.batches.end(batch, "failed")).status == "failed"


async def test_what_was_claimed_between_a_read_and_a_cancel_is_cancelling(kept: Batches) -> None:
    batch = await kept.add()
    await kept.claimed(batch)
    assert (await kept.batches.cancel(batch)).status == "cancelling"


async def test_what_nobody_has_claimed_in_its_time_expires(kept: Batches) -> None:
    batch = await kept.add()
    kept.now += WINDOW_SECONDS - 1
    assert await kept.batches.expire(batch) == batch
    kept.now += 1
    assert await kept.batches.claim(batch.id, "run-1") is None
    expired = await kept.batches.expire(batch)
    assert (expired.status, expired.expired_at) == ("expired", int(kept.now)) and await kept.event(batch) == "batch.expired"
    claimed = await kept.at("claimed")
    kept.now += WINDOW_SECONDS
    assert await kept.batches.expire(claimed) == claimed


async def test_an_idempotency_key_creates_one_batch(kept: Batches) -> None:
    kept.table.loses = True
    new = kept.new(key="order-1")
    batch = await kept.batches.add(new)
    assert batch is new
    kept.now += 60
    assert await kept.add(key="order-1") == batch
    assert (await kept.add(key="order-1", caller=Caller("acme", "other"))).id != batch.id
    with pytest.raises(GatewayError) as refused:
        await kept.add(key="order-1", asked=ASKED | {"input_file_id": "file-2"})
    assert refused.value.code == "idempotency_key_reused"
    # Once it is no longer kept, the key is free, and the new batch has other objects.
    kept.now = batch.expires
    assert await kept.batches.get(batch.id) is None
    again = await kept.add(key="order-1")
    assert again.id == batch.id and again.status == "validating" and await kept.event(again) == BATCH_ACCEPTED
    assert (again.chunks_key, again.result_key(1)) != (batch.chunks_key, batch.result_key(1))


def test_every_field_comes_back() -> None:
    values: dict[str, Any] = {}
    for name, type in Batch.__annotations__.items():
        given = {str: name, int: 7, bool: True}.get(type, {"a": "b"})
        values[name] = [{"code": "a"}] if name == "errors" else given
    for status in STATUSES:
        batch = msgspec.convert(values | {"caller": msgspec.to_builtins(CALLER), "status": status}, Batch)
        assert batch_of(item_of(batch)) == batch
