"""The table of connections: who is on each, and which generations run for a connection and for an API key.

An item is a connection by its id, or an API key by its tenant and name as a JSON array, which no connection's id looks like.
A generation holds a *lease* of both while it runs: an entry of the map `leases`, with the time at which it is over in any case.
So does a *replay*, which sends the messages of a generation again, of an item for the replays of a key.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Collection

import msgspec

from llm_gateway import errors
from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, DynamoDBError, Item
from llm_gateway.http.client import HttpError
from llm_gateway.identity.caller import Caller, Credential, identified, identity_item
from llm_gateway.identity.open_connections import LIFE_SECONDS, OpenConnections
from llm_gateway.tables import CONNECTIONS

HASH_KEY, _, TTL_ATTRIBUTE = CONNECTIONS

# After a connection has ended, its item is kept while a generation of it may run.
KEPT_SECONDS = 20 * 60
_TTL_SECONDS = LIFE_SECONDS + KEPT_SECONDS
# The messages of each minute are counted in an attribute of its own, `m0` and so on: more of them than a connection lives
# minutes, so that no two minutes of it share one.
_MINUTES = 128


class Limits(msgspec.Struct, frozen=True):
    """How many generations may run at once."""

    per_connection: int
    per_key: int


class Sender(msgspec.Struct, frozen=True):
    """Who sent a message, and how many the connection has sent: in this minute, and of them to resume, ever."""

    caller: Caller
    credential: Credential
    messages: int
    resumes: int


class ConnectionTable:
    """The table. Its methods raise `DynamoDBError` or `HttpError`. `clock` gives seconds since the epoch."""

    def __init__(self, dynamodb: DynamoDB, table: str, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self._open = OpenConnections(dynamodb, table, clock)

    async def add(self, connection: str, caller: Caller, credential: Credential, limit: int) -> None:
        """Record a new connection. Raises the error 429 if the caller has as many as it may, by itself or else by `limit`.

        Those of callers without authorization are not counted: one of them could use up what all may have.
        """
        item: Item = {
            HASH_KEY: {"S": connection},
            **identity_item(caller, credential),
            "leases": {"M": {}},
            TTL_ATTRIBUTE: self._in(_TTL_SECONDS),
        }
        if caller.anonymous:
            await self._dynamodb.put_item(self._table, item)
            return
        window = await self._open.begin(connection, caller, limit if caller.connections is None else caller.connections)
        try:
            await self._dynamodb.put_item(self._table, {**item, "began": {"N": str(window)}})
        except Exception:
            with contextlib.suppress(DynamoDBError, HttpError):
                await self._open.end(connection, caller, window)
            raise

    async def find(self, connection: str) -> tuple[Caller, Credential] | None:
        """Return who is on a connection, and with what; None if it is unknown."""
        item = await self._dynamodb.get_item(self._table, {HASH_KEY: {"S": connection}}, consistent=True)
        return None if item is None or "tenant" not in item else identified(item)

    async def remove(self, connection: str) -> None:
        """Record that a connection has ended; once, however often this is called.

        If DynamoDB's answer is lost, the connection is counted as open until its window is over.
        """
        try:
            item = await self._dynamodb.update_item(
                self._table,
                {HASH_KEY: {"S": connection}},
                f"SET {TTL_ATTRIBUTE} = :soon, ended = :true",
                condition=f"attribute_exists({HASH_KEY}) AND attribute_not_exists(ended)",
                values={":soon": self._in(KEPT_SECONDS), ":true": {"BOOL": True}},
            )
        except ConditionFailed:
            return
        if "began" in item:
            await self._open.end(connection, identified(item)[0], int(item["began"]["N"]))

    async def sender(self, connection: str, *, resume: bool = False) -> Sender | None:
        """Count a message, a `resume` among them, and return who sent it; None if the connection is unknown."""
        minute = f"m{int(self._clock()) // 60 % _MINUTES}"
        item = await self._count(connection, minute, *(["resumes"] if resume else []))
        if item is None or "tenant" not in item:
            return None
        caller, credential = identified(item)
        return Sender(caller, credential, int(item[minute]["N"]), int(item["resumes"]["N"]) if resume else 0)

    async def count_refusal(self, connection: str) -> int:
        """Count a message that was refused, and return how many those of the connection are."""
        item = await self._count(connection, "refusals")
        return 0 if item is None else int(item["refusals"]["N"])

    async def _count(self, connection: str, *attributes: str) -> Item | None:
        """Add one to attributes of a connection, and return its item; None if there is none."""
        try:
            return await self._dynamodb.update_item(
                self._table,
                {HASH_KEY: {"S": connection}},
                f"ADD {', '.join(f'{name} :one' for name in attributes)}",
                condition=f"attribute_exists({HASH_KEY})",
                values={":one": {"N": "1"}},
            )
        except ConditionFailed:
            return None

    async def lease(self, connection: str, caller: Caller, run: str, limits: Limits, seconds: float) -> None:
        """Take the leases of a generation for at most `seconds`. Raises the error 429 where too many run.

        Callers without authorization are no holder together: one of them could use up what all may have.
        """
        try:
            if not await self._take(connection, run, limits.per_connection, seconds):
                raise errors.too_many_generations(limit=limits.per_connection, holder="one connection")
            if not caller.anonymous and not await self._take(_key_item(caller), run, limits.per_key, seconds):
                raise errors.too_many_generations(limit=limits.per_key, holder="one API key")
        except Exception:
            with contextlib.suppress(DynamoDBError, HttpError):
                await self.release(connection, caller, run)
            raise

    async def release(self, connection: str, caller: Caller, run: str) -> None:
        """Give the leases of a generation back, if it has any; each of them, even if that fails for another."""
        holders = [connection] if caller.anonymous else [_key_item(caller), connection]
        results = await asyncio.gather(*(self._give_back(holder, run) for holder in holders), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    @contextlib.asynccontextmanager
    async def replay(self, connection: str, caller: Caller, id: str, limit: int, seconds: float) -> AsyncGenerator[bool, None]:
        """Hold the lease of a replay, which sends a generation's messages again, for at most `seconds`.

        Yields False if another one sends the same generation to the same connection. Raises the error 429 if the caller has
        `limit` replays; callers without authorization are told apart by their connections.
        """
        holder = _replays_item(connection, caller)
        name = f"{connection} {id}"
        # If DynamoDB's client carries the write out twice, it looks like another's lease; the client then asks once more.
        if not await self._take(holder, name, limit, seconds, alone=True):
            item = await self._dynamodb.get_item(self._table, {HASH_KEY: {"S": holder}}, consistent=True)
            if item is None or name not in item["leases"]["M"]:
                raise errors.too_many_resumes(limit=limit)
            yield False
            return
        try:
            yield True
        finally:
            with contextlib.suppress(DynamoDBError, HttpError):  # it ends by its time
                await self._give_back(holder, name)

    async def _take(self, holder: str, run: str, limit: int, seconds: float, *, alone: bool = False) -> bool:
        """Take a lease. `alone`: not if it is there already."""
        until = self._in(seconds)
        # The lease may be there: DynamoDB's client may carry a write out twice.
        free = "size(leases) < :limit"
        free = f"attribute_not_exists(leases.#run) AND {free}" if alone else f"(attribute_exists(leases.#run) OR {free})"
        while True:
            try:
                await self._dynamodb.update_item(
                    self._table,
                    {HASH_KEY: {"S": holder}},
                    f"SET leases.#run = :until, {TTL_ATTRIBUTE} = :kept",
                    condition=f"attribute_exists(leases) AND {free}",
                    names={"#run": run},
                    values={":until": until, ":kept": self._in(_TTL_SECONDS), ":limit": {"N": str(limit)}},
                )
                return True
            except ConditionFailed:
                pass
            left = await self._make_room(holder)
            if len(left) >= limit or (alone and run in left):
                return False

    async def _make_room(self, holder: str) -> Collection[str]:
        """Remove the leases that are over, of functions that were killed. Returns those that are left."""
        key = {HASH_KEY: {"S": holder}}
        item = await self._dynamodb.get_item(self._table, key, consistent=True)
        if item is None:
            # A key's first generation, or TTL has deleted the item.
            try:
                new: Item = {**key, "leases": {"M": {}}, TTL_ATTRIBUTE: self._in(_TTL_SECONDS)}
                await self._dynamodb.put_item(self._table, new, condition=f"attribute_not_exists({HASH_KEY})")
            except ConditionFailed:
                pass
            return ()
        leases: Item = item["leases"]["M"]
        over = [run for run, until in leases.items() if float(until["N"]) < self._clock()]
        for run in over:
            await self._give_back(holder, run)
        return leases.keys() - over

    async def _give_back(self, holder: str, run: str) -> None:
        with contextlib.suppress(ConditionFailed):
            await self._dynamodb.update_item(
                self._table,
                {HASH_KEY: {"S": holder}},
                "REMOVE leases.#run",
                condition="attribute_exists(leases)",
                names={"#run": run},
            )

    def _in(self, seconds: float) -> Item:
        """The time in so many seconds, as TTL wants it."""
        return {"N": str(int(self._clock() + seconds))}


def _replays_item(connection: str, caller: Caller) -> str:
    holder = [connection] if caller.anonymous else [caller.tenant, caller.key]
    return msgspec.json.encode(["replays", *holder]).decode()


def _key_item(caller: Caller) -> str:
    return msgspec.json.encode([caller.tenant, caller.key]).decode()
