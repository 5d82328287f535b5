"""The batches of a caller that have not ended, in one item of the table, so that the bounds of their number and requests hold
exactly, however many are created at the same moment.

Nothing is written when a batch ends. Once the item has no place left, its batches are looked up, and those that have ended are
taken out. So the item cannot differ from the batches for long, whatever dies.
"""

from collections.abc import Callable

import msgspec

from llm_gateway import errors
from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, Item
from llm_gateway.batches.batch import ENDED, WINDOW_SECONDS, Batch, batch_of
from llm_gateway.tables import JOBS

# How often the item is written anew where others have changed it meanwhile.
_TRIES = 10
# Seconds after which a batch that was admitted, and is not in the table, was not created.
_CREATED_SECONDS = 60
_ENTRIES, _REVISION = "open_batches", "revision"


class Entry(msgspec.Struct, frozen=True):
    """A batch that was admitted `at` a time, in seconds since the epoch, with so many requests."""

    id: str
    requests: int
    at: int


_decode = msgspec.json.Decoder(list[Entry]).decode


async def admit(
    dynamodb: DynamoDB, table: str, clock: Callable[[], float], batch: Batch, requests: int, *, batches: int, all_requests: int
) -> None:
    """Count a batch that is about to be created.

    Args:
        requests: How many it has.
        batches: How many batches of a caller may be open, 100 at most.
        all_requests: How many requests these may have.

    Raises the error 429 where it would be one too many, and 503 where others change the item all the time.
    """
    key: Item = {JOBS.hash_key: {"S": f"open-batches#{batch.owner}"}}
    for _ in range(_TRIES):
        item = await dynamodb.get_item(table, key, consistent=True) or {}
        entries = _decode(item[_ENTRIES]["S"]) if item else []
        if any(entry.id == batch.id for entry in entries):
            return
        now = int(clock())
        new = Entry(batch.id, requests, now)

        def is_too_much(found: list[Entry], new: Entry = new) -> bool:
            return len(found) >= batches or sum(entry.requests for entry in (*found, new)) > all_requests

        if is_too_much(entries):
            entries = await _still_open(dynamodb, table, entries, now)
            if is_too_much(entries):
                raise errors.too_many_batches(batches=batches, requests=all_requests)
        known = item.get(_REVISION, {"N": "0"})
        changed: Item = {
            **key,
            _ENTRIES: {"S": msgspec.json.encode([*entries, new]).decode()},
            _REVISION: {"N": str(int(known["N"]) + 1)},
            JOBS.ttl_attribute: {"N": str(now + 2 * WINDOW_SECONDS)},
        }
        try:
            await dynamodb.put_item(
                table,
                changed,
                condition="#revision = :known" if item else "attribute_not_exists(#revision)",
                names={"#revision": _REVISION},
                values={":known": known} if item else None,
            )
        except ConditionFailed:
            continue  # by others, or by this write itself, whose answer was lost
        return
    raise errors.jobs_unavailable(detail="the caller creates too many batches at the same moment")


async def _still_open(dynamodb: DynamoDB, table: str, entries: list[Entry], now: int) -> list[Entry]:
    """Return those which are not known to have ended."""
    if not entries:
        return []
    items = await dynamodb.batch_get(table, [{JOBS.hash_key: {"S": entry.id}} for entry in entries])
    found = {batch.id: batch for batch in map(batch_of, items)}

    def is_open(entry: Entry) -> bool:
        if (batch := found.get(entry.id)) is None:
            return now - entry.at < _CREATED_SECONDS
        return batch.status not in ENDED and batch.expires_at > now

    return [entry for entry in entries if is_open(entry)]
