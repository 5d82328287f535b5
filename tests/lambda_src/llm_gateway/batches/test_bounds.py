"""What one caller may have of batches and files, whoever it is, however many requests come at once, and whatever dies."""

import asyncio

import pytest

from llm_gateway.batches.batch import WINDOW_SECONDS, Batch, new_batch
from llm_gateway.batches.file import File, new_file
from llm_gateway.batches.files import FileTable
from llm_gateway.batches.store import BatchStore
from llm_gateway.batches.table import BatchTable
from llm_gateway.errors import GatewayError
from llm_gateway.identity.caller import Caller
from support.jobs_table import TABLE, Objects, Table

START = 1_800_000_010.5
CALLERS = {
    "key": Caller("acme", "ci"),
    "token": Caller("acme", "user|1"),
    "role": Caller("acme", "arn:aws:iam::123456789012:role/app"),
}
CALLER, OTHER = CALLERS["key"], Caller("acme", "other")


class Store:
    """The store, whose time is `now`. Three batches of a caller may be open, with ten requests, and two files a day."""

    def __init__(self) -> None:
        self.now = START
        self.table, self.objects = Table(), Objects()
        self.batches = BatchTable(self.table, TABLE, clock=lambda: self.now)
        files = FileTable(self.table, TABLE, clock=lambda: self.now)
        self.kept = BatchStore(self.batches, files, self.objects, most_open=3, most_requests=10, most_files=2)

    async def create(self, caller: Caller = CALLER, lines: int = 1, key: str = "") -> Batch:
        file = new_file(caller, "in.jsonl", 2, self.now, lines=lines)
        new = new_batch(caller, {}, self.now, endpoint="/v1/embeddings", input_file=file.id, key=key)
        return await self.kept.create(new, file)

    async def upload(self, caller: Caller = CALLER) -> File:
        file = new_file(caller, "in.jsonl", 2, self.now)
        await self.kept.keep(file, b"{}")
        return file


@pytest.fixture
def store() -> Store:
    return Store()


async def too_many(store: Store, caller: Caller = CALLER, lines: int = 1) -> str:
    """Return why a batch is refused, of which nothing is kept then."""
    before = store.table.ids()
    with pytest.raises(GatewayError) as refused:
        await store.create(caller, lines)
    assert (refused.value.code, refused.value.status, refused.value.retry_after) == ("too_many_batches", 429, 60)
    assert store.table.ids() == before
    return refused.value.message


@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
async def test_a_caller_has_so_many_open_batches_and_no_more(store: Store, caller: Caller) -> None:
    first, second, third = [await store.create(caller) for _ in range(3)]
    assert "more than 3 batches" in await too_many(store, caller)
    await store.create(OTHER)
    await store.batches.cancel(first)
    await store.create(caller)
    await too_many(store, caller)
    claimed = await store.batches.claim(second.id, "run")
    assert claimed is not None
    await too_many(store, caller)
    await store.batches.end(claimed, "failed")
    await store.create(caller)
    await too_many(store, caller)
    # One that nobody ends, because its execution was stopped, is none any more when its day is over.
    assert await store.batches.claim(third.id, "stopped") is not None
    store.now += WINDOW_SECONDS
    for _ in range(3):
        await store.create(caller)
    await too_many(store, caller)


async def test_open_batches_have_so_many_requests_and_no_more(store: Store) -> None:
    first = await store.create(lines=6)
    assert "more than 10 requests" in await too_many(store, lines=5)
    await store.create(lines=4)
    await too_many(store)
    await store.batches.cancel(first)
    await store.create(lines=6)
    await too_many(store, OTHER, lines=11)


async def test_many_at_the_same_moment_are_no_more(store: Store) -> None:
    results = await asyncio.gather(*(store.create() for _ in range(9)), return_exceptions=True)
    assert sum(isinstance(each, Batch) for each in results) == 3
    assert all(isinstance(each, Batch | GatewayError) for each in results)


async def test_a_batch_that_was_counted_and_not_created_is_forgotten(store: Store) -> None:
    for _ in range(3):
        new = new_batch(CALLER, {}, store.now, endpoint="/v1/embeddings", input_file="file-1")
        await store.batches.admit(new, 1, batches=3, all_requests=10)  # and then its function dies
    await too_many(store)
    store.now += 60
    await store.create()


async def test_a_batch_counts_once_however_often_it_is_sent_or_written(store: Store) -> None:
    store.table.loses = True
    first = await store.create(key="one")
    for _ in range(3):
        assert (await store.create(key="one")).id == first.id
    await store.create()
    await store.create()
    await too_many(store)


@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
async def test_a_caller_uploads_so_many_files_a_day_and_no_more(store: Store, caller: Caller) -> None:
    """Deleting them gives nothing back: what is kept until a lifecycle deletes it is bounded, too."""
    first, _ = await store.upload(caller), await store.upload(caller)
    await store.kept.delete(first)
    objects = dict(store.objects.kept)
    with pytest.raises(GatewayError) as refused:
        await store.upload(caller)
    assert (refused.value.code, refused.value.status) == ("too_many_files", 429)
    assert refused.value.retry_after is not None and 0 < refused.value.retry_after <= 86_400
    assert store.objects.kept == objects
    await store.upload(OTHER)
    store.now += refused.value.retry_after
    await store.upload(caller)
