"""Pages of the lists of batches and of files. The index says which there are, and the table what they are now."""

import itertools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from llm_gateway.aws.dynamodb import DynamoDB, Item
from llm_gateway.batches.item import ItemType
from llm_gateway.tables import JOBS, JOBS_BY_OWNER

T = TypeVar("T", bound=msgspec.Struct)

# The most of a page: as many items as DynamoDB reads in one call.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
LARGEST_PAGE = 100
# So many reads of the index, and a page has what is found until then: a filter may leave little of each. But clients take an
# empty page for the end of the list, so one read follows the other until something is found.
_READS = 10
_INDEX_KEY = JOBS.hash_key, JOBS_BY_OWNER.hash_key, JOBS_BY_OWNER.sort_key


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some of a list. `has_more`: others follow them."""

    found: list[T]
    has_more: bool


async def page_of(
    dynamodb: DynamoDB,
    table: str,
    items: ItemType[T],
    owner: str,
    limit: int,
    after: tuple[str, str] | None,
    is_shown: Callable[[T], bool],
    *,
    ascending: bool = False,
) -> Page[T]:
    """Return a page of what an owner has and is shown, by the time of its creation, the newest first unless `ascending`.

    Args:
        after: The `created` and the id of what the page begins after. It need not be there any more.
    """
    found = list[T]()
    start = None if after is None else _index_key(owner, *after)
    for read in itertools.count(1):
        places, start = await dynamodb.query_index(
            table,
            JOBS_BY_OWNER.name,
            "#owner = :owner",
            {":owner": {"S": owner}},
            names={"#owner": JOBS_BY_OWNER.hash_key},
            start=start,
            limit=min(limit + 1, LARGEST_PAGE) if read == 1 else LARGEST_PAGE,
            ascending=ascending,
        )
        keys = [{JOBS.hash_key: place[JOBS.hash_key]} for place in places]
        known = {each[JOBS.hash_key]["S"]: each for each in await dynamodb.batch_get(table, keys)} if keys else {}
        for key in keys:
            item: Any = known.get(key[JOBS.hash_key]["S"])
            # What is deleted meanwhile has no owner.
            if item is not None and JOBS_BY_OWNER.hash_key in item and is_shown(struct := items.struct(item)):
                if len(found) == limit:
                    return Page(found, has_more=True)
                found.append(struct)
        if start is None:
            break
        if found and read >= _READS:
            return Page(found, has_more=True)
    return Page(found, has_more=False)


def _index_key(owner: str, created: str, id: str) -> Item:
    return {name: {"S": value} for name, value in zip(_INDEX_KEY, (id, owner, created), strict=True)}
