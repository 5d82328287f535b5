"""What is kept of a request with jobs: all of it once, nothing of one that is refused, and nothing of what has expired."""

from typing import Any

import pytest

from llm_gateway.aws.dynamodb import DynamoDBError
from llm_gateway.errors import GatewayError
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import Job, new_jobs
from llm_gateway.jobs.store import JobStore
from llm_gateway.jobs.table import JobTable
from llm_gateway.tables import JOBS_KEPT_DAYS
from support.jobs_table import TABLE, Objects, Table

START = 1_800_000_010.5
KEPT_SECONDS = JOBS_KEPT_DAYS * 86_400
CALLER = Caller("acme", "ci")


class Store:
    """The store, whose time is `now`."""

    def __init__(self) -> None:
        self.now = START
        self.table = Table()
        self.objects = Objects()
        self.jobs = JobTable(self.table, TABLE, clock=lambda: self.now)
        self.store = JobStore(self.jobs, self.objects, most_open=4)

    async def submit(self, *texts: str, key: str = "order-1") -> tuple[list[Job], bool]:
        jobs = new_jobs(CALLER, ["main"] * len(texts), {"jobs": texts}, self.now, key=key)
        return await self.store.submit(jobs, [text.encode() for text in texts], has_key=bool(key))


@pytest.fixture
def kept() -> Store:
    return Store()


@pytest.mark.parametrize("others", [("b",), ("a", "b", "c")])
async def test_nothing_is_kept_of_another_body_with_the_same_key(kept: Store, others: tuple[str, ...]) -> None:
    (first,), _ = await kept.submit("a")
    objects = dict(kept.objects.kept)
    kept.now += 60
    with pytest.raises(GatewayError) as refused:
        await kept.submit(*others)
    assert refused.value.code == "idempotency_key_reused"
    assert kept.table.ids() == {first.id} and kept.objects.kept == objects


async def test_a_repeated_request_writes_nothing(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, is_replayed = await kept.submit("a", "b", "c")
    assert not is_replayed

    async def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is to be written")

    for method in ("put", "put_new"):
        monkeypatch.setattr(kept.objects, method, never)
    monkeypatch.setattr(kept.table, "put_item", never)
    kept.now += 60
    assert await kept.submit("a", "b", "c") == (jobs, True)


async def test_a_write_whose_answer_is_lost_is_no_repetition(kept: Store) -> None:
    kept.table.loses = True
    jobs, is_replayed = await kept.submit("a")
    assert not is_replayed and kept.table.ids() == {jobs[0].id}


async def test_what_is_missing_of_a_list_is_added_and_ends_with_it(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put, failed = kept.table.put_item, list[str]()

    async def fails(table: str, item: Any, **more: Any) -> None:
        if len(kept.table.ids()) == 1 and not failed:  # the second of the list
            failed.append(item["job"]["S"])
            raise DynamoDBError("InternalServerError", "", 500)
        await put(table, item, **more)

    with monkeypatch.context() as patched:
        patched.setattr(kept.table, "put_item", fails)
        with pytest.raises(DynamoDBError):
            await kept.submit("a", "b", "c")
    # The others were not left behind by the error.
    assert len(kept.table.ids()) == 2
    kept.now += 3_600
    jobs, is_replayed = await kept.submit("a", "b", "c")
    assert not is_replayed and kept.table.ids() == {job.id for job in jobs}
    assert {(job.created, job.expires) for job in jobs} == {(jobs[0].created, int(START) + KEPT_SECONDS)}
    assert [kept.objects.kept[job.request_key] for job in jobs] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("texts", [("a", "b"), ("c", "d", "e")], ids=["the same body", "another"])
async def test_an_expired_job_that_is_still_there_does_not_answer(kept: Store, texts: tuple[str, ...]) -> None:
    """TTL deletes within days, and a bucket's lifecycle at some midnight."""
    old, _ = await kept.submit("a", "b")
    job = await kept.jobs.claim(old[0].id, "run-1", "message-1")
    assert job is not None
    await kept.objects.put_new(job.result_key, b"an old answer")
    await kept.jobs.finish(job, "succeeded")
    kept.now += KEPT_SECONDS
    assert await kept.jobs.claim(old[1].id, "run-2", "message-2") is None
    jobs, is_replayed = await kept.submit(*texts)
    assert not is_replayed and [job.id for job in jobs][:2] == [job.id for job in old]
    for job, text in zip(jobs, texts, strict=True):
        found = await kept.jobs.get(job.id)
        assert found is not None and found == job and (found.status, found.run, found.version) == ("queued", "", 1)
        assert kept.objects.kept[job.request_key] == text.encode() and job.result_key not in kept.objects.kept


async def test_without_a_key_each_request_is_another(kept: Store) -> None:
    first, _ = await kept.submit("a", key="")
    second, is_replayed = await kept.submit("a", key="")
    assert not is_replayed and kept.table.ids() == {first[0].id, second[0].id}


async def too_many(kept: Store, *texts: str, key: str = "") -> str:
    """Return why a request was refused of which nothing was kept."""
    before = kept.table.ids(), dict(kept.objects.kept)
    with pytest.raises(GatewayError) as refused:
        await kept.submit(*texts, key=key)
    assert (refused.value.code, refused.value.status, refused.value.retry_after) == ("too_many_jobs", 429, 30)
    assert before == (kept.table.ids(), kept.objects.kept)
    return refused.value.message


async def test_a_caller_has_so_many_open_jobs_and_no_more(kept: Store) -> None:
    """Those that have ended are not counted, however they have ended, and neither are those of others."""
    jobs, _ = await kept.submit("a", "b", "c", key="")
    assert "more than 4 jobs" in await too_many(kept, "d", "e")
    await kept.submit("d", key="")
    assert "with 1 more" in await too_many(kept, "e")
    other = new_jobs(Caller("acme", "other"), ["main"] * 4, {}, kept.now)
    await kept.store.submit(other, [b"{}"] * 4, has_key=False)
    await kept.jobs.cancel(jobs[0])
    running = await kept.jobs.claim(jobs[1].id, "run-1", "message-1")
    assert running is not None
    await too_many(kept, "e", "f")
    await kept.jobs.finish(running, "failed", is_redrivable=True)
    await kept.submit("e", "f", key="")
    # What is redriven is open again, and may be one too many.
    again = await kept.jobs.claim(running.id, "run-2", "message-2")
    assert again is not None and again.run == "run-2"
    await too_many(kept, "g")
    assert await kept.jobs.count_open(running.owner, 9) == 5
    kept.now += KEPT_SECONDS  # TTL deletes later
    await kept.submit("g", "h", "i", "j", key="")


async def test_a_request_that_could_never_be_kept_is_refused(kept: Store) -> None:
    assert "with 5 more" in await too_many(kept, *"abcde")


async def test_a_repeated_request_is_none_too_many(kept: Store) -> None:
    """Its jobs are open already."""
    jobs, _ = await kept.submit("a", "b", "c", "d")
    assert await kept.submit("a", "b", "c", "d") == (jobs, True)
    await too_many(kept, "a", key="order-2")
