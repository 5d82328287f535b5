"""What is kept of files: who sees them, and the pages of their list, from which some are deleted meanwhile."""

import pytest

from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.batches.batch import new_batch
from llm_gateway.batches.file import KEPT_SECONDS, File, file_of_batch, new_file
from llm_gateway.batches.files import FileTable
from llm_gateway.batches.store import BatchStore
from llm_gateway.batches.table import BatchTable
from llm_gateway.identity.caller import Caller
from support.jobs_table import TABLE, Objects

START = 1_800_000_010.5
CALLER, OTHER = Caller("acme", "ci"), Caller("acme", "other")


class Kept:
    """The store, whose time is `now`."""

    def __init__(self, dynamodb: DynamoDB) -> None:
        self.now = START
        self.objects = Objects()
        self.files = FileTable(dynamodb, TABLE, clock=lambda: self.now)
        self.batches = BatchTable(dynamodb, TABLE, clock=lambda: self.now)
        self.store = BatchStore(self.batches, self.files, self.objects)

    async def upload(self, name: str = "in.jsonl", caller: Caller = CALLER, seconds: int = 0) -> File:
        self.now += 1
        file = new_file(caller, name, 2, self.now, seconds=seconds)
        await self.store.keep(file, b"{}")
        return file

    async def listed(self, limit: int = 100, *, ascending: bool = False) -> list[str]:
        """The ids of all pages."""
        found, after = list[str](), None
        while True:
            page = await self.files.page(CALLER, limit, after, ascending=ascending)
            assert len(page.found) <= limit
            found += [file.id for file in page.found]
            if not page.has_more:
                return found
            after = await self.files.position(CALLER, found[-1])
            assert after is not None


@pytest.fixture
def kept(dynamodb: DynamoDB) -> Kept:
    return Kept(dynamodb)


async def test_a_file_from_its_upload_to_its_end(kept: Kept) -> None:
    file = await kept.upload()
    assert await kept.files.get(file.id) == file and kept.objects.kept == {f"files/{file.id}": b"{}"}
    assert file.expires == int(kept.now) + KEPT_SECONDS and file.purpose == "batch"
    assert (await kept.upload(seconds=3_600)).expires == int(kept.now) + 3_600
    assert (await kept.upload(seconds=30 * 86_400)).expires == int(kept.now) + KEPT_SECONDS
    kept.now = file.expires
    assert await kept.files.get(file.id) is None and file.id not in await kept.listed()


async def test_what_is_deleted_is_gone_with_its_content(kept: Kept) -> None:
    file, other = await kept.upload(), await kept.upload()
    await kept.store.delete(file)
    await kept.store.delete(file)
    assert await kept.files.get(file.id) is None and list(kept.objects.kept) == [other.key]
    assert await kept.listed() == [other.id]


@pytest.mark.parametrize("ascending", [False, True])
async def test_pages_go_on_although_what_they_have_shown_is_deleted(kept: Kept, ascending: bool) -> None:
    ids = [(await kept.upload()).id for _ in range(5)]
    await kept.upload(caller=OTHER)
    expected = ids if ascending else ids[::-1]
    for limit in (1, 2, 4, 5, 100):
        assert await kept.listed(limit, ascending=ascending) == expected
    found, after = list[str](), None
    while True:
        page = await kept.files.page(CALLER, 2, after, ascending=ascending)
        for file in page.found:
            found.append(file.id)
            await kept.store.delete(file)
        if not page.has_more:
            break
        after = await kept.files.position(CALLER, found[-1])
    assert found == expected and await kept.listed() == []


async def test_a_place_in_a_list_is_its_owners(kept: Kept) -> None:
    file = await kept.upload()
    assert await kept.files.position(OTHER, file.id) is None and await kept.files.position(CALLER, "file-0") is None
    assert await kept.files.position(CALLER, file.id) == (file.created, file.id)
    await kept.store.delete(file)
    assert await kept.files.position(OTHER, file.id) is None and await kept.files.position(CALLER, file.id) is not None


async def test_a_purpose_finds_what_is_behind_many_others(kept: Kept) -> None:
    mine = new_batch(CALLER, {}, START, endpoint="/v1/embeddings", input_file="file-1")
    result = file_of_batch(mine, "output", 9, kept.now)
    await kept.files.add(result)
    await kept.files.add(result)
    for _ in range(5):
        await kept.upload()
    page = await kept.files.page(CALLER, 2, None, "batch_output")
    assert page.found == [result] and not page.has_more
    assert file_of_batch(mine, "error", 9, kept.now).id != result.id
    assert result.owner == (await kept.upload()).owner


async def test_batches_have_a_list_of_their_own(kept: Kept) -> None:
    await kept.upload()
    made = list[str]()
    for _ in range(3):
        kept.now += 1
        made.append((await kept.batches.add(new_batch(CALLER, {}, kept.now, endpoint="/v1/x", input_file="file-1"))).id)
    await kept.batches.add(new_batch(OTHER, {}, kept.now, endpoint="/v1/x", input_file="file-1"))
    first = await kept.batches.page(CALLER, 2, None)
    assert [batch.id for batch in first.found] == [made[2], made[1]] and first.has_more
    second = await kept.batches.page(CALLER, 2, first.found[-1])
    assert [batch.id for batch in second.found] == [made[0]] and not second.has_more
    # What is shown is what it is now, not what the index has.
    await kept.batches.claim(made[0], "run-1")
    assert (await kept.batches.page(CALLER, 9, None)).found[2].execution == "run-1"
