"""Pages of a list of which little is shown: each has something as long as there is something left."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_gateway.aws.dynamodb import DynamoDB, Item
from llm_gateway.batches.batch import new_batch
from llm_gateway.batches.file import FILES, File, file_of_batch, new_file
from llm_gateway.batches.files import FileTable
from llm_gateway.identity.caller import Caller
from llm_gateway.tables import JOBS
from support.jobs_table import TABLE

CALLER = Caller("acme", "ci")
START = 1_800_000_000.0


class Listed(DynamoDB):
    """A table whose index has these files, the oldest first."""

    def __init__(self, files: Sequence[File]) -> None:
        self.items = [FILES.item(file) for file in files]
        self.known = {item[JOBS.hash_key]["S"]: item for item in self.items}
        self.places = {id: number for number, id in enumerate(self.known)}

    async def query_index(self, *_: Any, start: Item | None, limit: int, ascending: bool, **__: Any) -> Any:
        items = self.items if ascending else self.items[::-1]
        place = -1 if start is None else self.places[start[JOBS.hash_key]["S"]]
        begin = 0 if start is None else 1 + (place if ascending else len(items) - 1 - place)
        found = items[begin : begin + limit]
        return found, found[-1] if begin + limit <= len(items) and found else None

    async def batch_get(self, table: str, keys: Sequence[Item]) -> list[Item]:
        assert len(keys) <= 100
        return [self.known[key[JOBS.hash_key]["S"]] for key in keys]


def files_of(total: int, shown: set[int]) -> list[File]:
    """So many files, of which those with these numbers are of answers."""
    batch = new_batch(CALLER, {}, START, endpoint="/v1/embeddings", input_file="f", key="k")
    return [
        file_of_batch(batch_with(batch, n), "output", 1, START + n) if n in shown else new_file(CALLER, "f", 1, START + n)
        for n in range(total)
    ]


def batch_with(batch: Any, number: int) -> Any:
    return msgspec.structs.replace(batch, id=f"batch_{number:032x}")


async def walked(table: FileTable, limit: int, *, ascending: bool) -> list[str]:
    """The ids of all pages, as a client goes through them that takes an empty page for the end."""
    found, after = list[str](), None
    while True:
        page = await table.page(CALLER, limit, after, "batch_output", ascending=ascending)
        assert page.found or not page.has_more
        assert len(page.found) <= limit
        found += [file.id for file in page.found]
        if not page.found or not page.has_more:
            return found
        after = page.found[-1].created, page.found[-1].id


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 1_200).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(n - 1, 0)), max_size=5))),
    st.integers(1, 100),
    st.booleans(),
)
@example((2_000, {0}), 1, False)
@example((2_000, {1_999}), 1, True)
@example((2_000, {0, 1_000}), 100, False)
@example((1_000, set()), 20, False)
def test_a_page_is_empty_only_where_nothing_follows(rows: tuple[int, set[int]], limit: int, ascending: bool) -> None:
    files = files_of(*rows)
    table = FileTable(Listed(files), TABLE, clock=lambda: START + 2_000)
    expected = [file.id for file in files if file.purpose == "batch_output"]
    assert asyncio.run(walked(table, limit, ascending=ascending)) == (expected if ascending else expected[::-1])
