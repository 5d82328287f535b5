"""The table of files. Its items are written once; what is deleted stays as a place in the list, seen by nobody."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from llm_gateway import errors
from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, Item
from llm_gateway.batches.file import FILES, File, owner_of_files
from llm_gateway.batches.pages import Page, page_of
from llm_gateway.identity.caller import Caller
from llm_gateway.tables import JOBS, JOBS_BY_OWNER

# Whose a file was that is deleted: the index lists it no more, for it has no owner, but a list that has come to it goes on.
_OWNED_BY = "owned_by"
_COUNT = "uploaded"
_DAY = 86_400


class FileTable:
    """The table. Its methods raise `DynamoDBError` or `HttpError`. `clock` gives seconds since the epoch."""

    def __init__(self, dynamodb: DynamoDB, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self.clock = clock

    async def add(self, file: File) -> None:
        """Write a file whose content is there already, in the place of one with its id."""
        await self._dynamodb.put_item(self._table, FILES.item(file))

    async def count(self, file: File, most: int) -> None:
        """Count a file that is about to be uploaded. Raises the error 429 where its owner has uploaded `most` today (UTC).

        A counter of a day is one write, and nothing has to be taken off it: files live for so many days, so it bounds those
        that are kept, too, whether they are deleted or expire.
        """
        now = int(self.clock())
        day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
        try:
            await self._dynamodb.update_item(
                self._table,
                _key(f"files#{file.owner}#{day}"),
                "SET #expires = :expires ADD #count :one",
                condition="attribute_not_exists(#count) OR #count < :most",
                names={"#expires": JOBS.ttl_attribute, "#count": _COUNT},
                values={":expires": {"N": str(now + 2 * _DAY)}, ":one": {"N": "1"}, ":most": {"N": str(most)}},
            )
        except ConditionFailed:
            raise errors.too_many_files(most=most, retry_after=_DAY - now % _DAY) from None

    async def get(self, id: str) -> File | None:
        """Return the file of that id, None if there is none, or it has expired."""
        item = await self._dynamodb.get_item(self._table, _key(id), consistent=True)
        if item is None or JOBS_BY_OWNER.hash_key not in item or (file := FILES.struct(item)).expires <= self.clock():
            return None
        return file

    async def delete(self, file: File) -> None:
        """Delete a file."""
        names = {"#owner": JOBS_BY_OWNER.hash_key, "#owned_by": _OWNED_BY, "#name": FILES.attribute("filename")}
        try:
            await self._dynamodb.update_item(
                self._table,
                _key(file.id),
                "SET #owned_by = :owner REMOVE #owner, #name",
                condition="#owner = :owner",
                names=names,
                values={":owner": {"S": file.owner}},
            )
        except ConditionFailed:
            return  # it is deleted already

    async def position(self, caller: Caller, id: str) -> tuple[str, str] | None:
        """Return where a list has a file of the caller, which may be deleted: its `created` and id. None if there is none."""
        item = await self._dynamodb.get_item(self._table, _key(id), consistent=True)
        if item is None:
            return None
        owner = item.get(JOBS_BY_OWNER.hash_key) or item.get(_OWNED_BY)
        return (item[JOBS_BY_OWNER.sort_key]["S"], id) if owner == {"S": owner_of_files(caller)} else None

    async def page(
        self,
        caller: Caller,
        limit: int,
        after: tuple[str, str] | None,
        purpose: str | None = None,
        *,
        ascending: bool = False,
    ) -> Page[File]:
        """Return files of the caller, the newest first unless `ascending`, after a place in the list."""
        owner, now = owner_of_files(caller), self.clock()

        def is_shown(file: File) -> bool:
            return file.expires > now and purpose in (None, file.purpose)

        return await page_of(self._dynamodb, self._table, FILES, owner, limit, after, is_shown, ascending=ascending)


def _key(id: str) -> Item:
    return {JOBS.hash_key: {"S": id}}
