"""The journal of a stream: what its client can get again after it has reconnected.

A DynamoDB table holds two kinds of items. The *head* of a generation, with sort key 0, says how it stands: whether it runs, on
which connection its client is, whether it is to be cancelled. The *entries* hold its messages as lines of text; the sort key is
the number of the first one. Their partition key names the run of the generation, too, so that what TTL has not deleted yet of
an earlier generation with the same id is not read: it deletes items within a few days after their time.

One writer owns a generation. All its writes are conditional, and each returns the head: so the writer learns what others have
asked for. If the writer dies, somebody else records that, and from then on the writer's own writes are refused.

DynamoDB's client may carry a write out twice, and then the second one's condition fails. So a write that only one may make
leaves a mark, by which whoever made it recognizes it as its own.
"""

import contextlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, Item
from llm_gateway.tables import JOURNAL

HASH_KEY, SORT_KEY, TTL_ATTRIBUTE = JOURNAL

# Seconds that a generation can be resumed after its last message.
TTL_SECONDS = 15 * 60
# The writer writes at most once in this time (seconds), unless this many bytes are waiting.
FLUSH_SECONDS = 1.0
FLUSH_BYTES = 32 * 1024
# The bytes of the shortest message, {"id":"x","seq":1,"type":"delta","text":""}, are more.
_LEAST_MESSAGE_BYTES = 32
# Seconds without a write after which a writer is taken for dead. It writes every second, and each write is tried several times;
# but a table that is throttled may take none for a while: a new one takes 4,000 units a second, and grows within minutes.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html#on-demand-capacity-mode-initial
DEAD_SECONDS = 60.0

# Seconds for which a `cancel` is kept whose generation has not begun. A `chat` waits at most a minute for its function.
FORESTALL_SECONDS = 120

# What is "cancelled" has not begun, and there is no generation yet. What has "failed" ended with an error.
Status = Literal["running", "ended", "failed", "died", "cancelled"]


class Head(msgspec.Struct, frozen=True):
    """How a generation stands.

    Attributes:
        run: The request that generates it.
        connection: Where its client is.
        resumes: How often the client has resumed it.
        since: The number of the last message that the client had when it resumed.
        cancelled: Whether the client has asked to stop it.
        written: Seconds since the epoch at which the writer was last seen.
        last: The number of the last message in the journal.
        cause: The code of the error for a generation whose writer died.
        fingerprint: Of the request that a key was claimed for; see `claim`.
        began: Seconds since the epoch at which it was claimed.
        payload: All its messages, where they are few; else they are in entries.
    """

    key: str
    run: str
    status: Status
    connection: str
    resumes: int
    since: int
    cancelled: bool
    written: float
    last: int
    cause: str
    fingerprint: str = ""
    began: float = 0.0
    payload: str = ""


class Superseded(Exception):
    """The generation has been recorded as ended by somebody else, so its writer must stop."""


class Journal:
    """The journal. Its methods raise `DynamoDBError` or `HttpError`.

    `clock` gives seconds since the epoch. What is written is kept for `ttl_seconds` after its last message. A generation whose
    messages have up to `head_bytes`, and are written at its end, has them in its head, so that they are found with it.
    """

    def __init__(
        self,
        dynamodb: DynamoDB,
        table: str,
        clock: Callable[[], float] = time.time,
        *,
        ttl_seconds: int = TTL_SECONDS,
        head_bytes: int = 0,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self._ttl_seconds = ttl_seconds
        self._head_bytes = head_bytes

    async def begin(self, key: str, run: str, connection: str) -> Head | None:
        """Begin a generation and return its head, None if there is one with that key."""
        now = self._clock()
        item = self._new_head(key, run, connection, now)
        absent = f"attribute_not_exists({HASH_KEY}) OR {TTL_ATTRIBUTE} < :now", {":now": _number(int(now))}
        forestalled = "#status = :cancelled", {":cancelled": {"S": "cancelled"}}
        for condition, values in (absent, forestalled):
            names = {"#status": "status"} if "#" in condition else {}
            try:
                await self._dynamodb.put_item(self._table, item, condition=condition, names=names, values=values)
                return _head(item)
            except ConditionFailed:
                known = await self._dynamodb.get_item(self._table, _head_key(key), consistent=True)
            if known is not None and known.get("writer") == item["writer"]:
                return _head(known)
            if known is None or known["status"]["S"] != "cancelled":
                break
            item["cancelled"] = {"BOOL": True}
        return None

    async def claim(
        self,
        key: str,
        run: str,
        fingerprint: str,
        deadline: float,
        *,
        seen_since: float = 0.0,
        ended_since: float = 0.0,
    ) -> tuple[Head, bool]:
        """Begin the generation of a request that names its key, unless there is one. One call does it, or finds what there is.

        A generation that failed, or that has not ended by its deadline, makes room for another one.

        Args:
            fingerprint: Says what the request asks for.
            deadline: Seconds since the epoch at which the request's function is over in any case.
            seen_since: A writer that was not seen since then makes room, too. In seconds since the epoch, as the next one.
            ended_since: So does a generation that ended before.

        Returns:
            The head, and whether it is that of the new generation.
        """
        now = self._clock()
        item = {
            **self._new_head(key, run, "", now),
            "fingerprint": {"S": fingerprint},
            "began": _number(now),
            "deadline": _number(deadline),
        }
        free = (
            f"attribute_not_exists({HASH_KEY})",
            f"{TTL_ATTRIBUTE} < :now",
            "#status IN (:failed, :died)",
            "(#status = :running AND (#deadline < :now OR #written < :seen))",
            "(#status = :ended AND #written < :oldest)",
        )
        values: Item = {f":{status}": {"S": status} for status in ("failed", "died", "running", "ended")}
        try:
            await self._dynamodb.put_item(
                self._table,
                item,
                condition=" OR ".join(free),
                names={"#status": "status", "#deadline": "deadline", "#written": "written"},
                values={**values, ":now": _number(now), ":seen": _number(seen_since), ":oldest": _number(ended_since)},
                item_on_failure=True,
            )
        except ConditionFailed as error:
            return _head(error.item), error.item["writer"] == item["writer"]
        return _head(item), True

    def _new_head(self, key: str, run: str, connection: str, now: float) -> Item:
        return {
            **_head_key(key),
            "run": {"S": run},
            "writer": _mark(),
            "status": {"S": "running"},
            "connection": {"S": connection},
            "resumes": {"N": "0"},
            "since": {"N": "0"},
            "cancelled": {"BOOL": False},
            "written": _number(now),
            "last": {"N": "0"},
            "cause": {"S": ""},
            TTL_ATTRIBUTE: _number(int(now) + self._ttl_seconds),
        }

    async def withdraw(self, head: Head) -> None:
        """Take back that a generation has begun, so that its id can be used again.

        Its time is just over: TTL deletes nothing whose time was more than five years ago.
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
        """
        values: Item = {":past": _number(int(self._clock()) - 1), ":run": {"S": head.run}}
        with contextlib.suppress(ConditionFailed):
            await self._update(head.key, "SET #expires = :past", "#run = :run", values)

    async def head(self, key: str) -> Head | None:
        """Return how a generation stands, None if there is none or its time is over."""
        item = await self._dynamodb.get_item(self._table, _head_key(key), consistent=True)
        if item is None or float(item[TTL_ATTRIBUTE]["N"]) < int(self._clock()):
            return None
        head = _head(item)
        return None if head.status == "cancelled" else head

    async def write(self, head: Head, messages: Sequence[bytes], *, ended: bool = False, failed: bool = False) -> Head:
        """Append messages, say that the writer lives, and return the head as it is then.

        `ended`: there are no more; `failed`: the last one is an error. A write can be repeated if it failed: it changes nothing
        that it has written already. Raises `Superseded`.
        """
        number, update, values = head.last + 1, "SET #written = :now, #last = :last, #status = :status", dict[str, Any]()
        status: Status = "failed" if failed else "ended" if ended else "running"
        if ended and not head.last and sum(map(len, messages)) + len(messages) <= self._head_bytes:
            update, values = f"{update}, #payload = :payload", {":payload": {"S": b"\n".join(messages).decode()}}
            portions, number = [], number + len(messages)
        else:
            portions = _portions(messages)
        for lines in portions:
            payload = b"\n".join(lines)
            entry = {
                HASH_KEY: {"S": _entries_of(head)},
                SORT_KEY: {"N": str(number)},
                "payload": {"S": payload.decode()},
                TTL_ATTRIBUTE: _number(int(self._clock()) + self._ttl_seconds),
            }
            # A write that timed out may still arrive, and must not undo a later one, which has the same messages and more.
            with contextlib.suppress(ConditionFailed):
                await self._dynamodb.put_item(
                    self._table,
                    entry,
                    condition="attribute_not_exists(payload) OR size(payload) <= :size",
                    values={":size": {"N": str(len(payload))}},
                )
            number += len(lines)
        try:
            return await self._update(
                head.key,
                update,
                "#run = :run AND #status = :running",
                {
                    **values,
                    ":run": {"S": head.run},
                    ":running": {"S": "running"},
                    ":last": {"N": str(number - 1)},
                    ":status": {"S": status},
                },
                seen=True,
            )
        except ConditionFailed:
            known = await self.head(head.key) if status != "running" else None
            # Only the writer writes that.
            if known is not None and (known.run, known.status, known.last) == (head.run, status, number - 1):
                return known
            raise Superseded(head.key) from None

    async def cancel(self, key: str) -> Head | None:
        """Ask the writer to stop. Returns the head, None if there is no such generation; one that has ended stays as it is.

        A `chat` may still be under way, so what would begin it within `FORESTALL_SECONDS` finds that it is cancelled.
        """
        there, stop = "#expires >= :now", "SET #cancelled = :true"
        true = {":true": {"BOOL": True}}
        for attempt in range(2):
            try:
                head = await self._update(key, stop, there, true)
                return None if head.status == "cancelled" else head
            except ConditionFailed:
                pass
            if attempt == 0 and await self._forestall(key):
                break
        return None

    async def _forestall(self, key: str) -> bool:
        """Record that a generation is cancelled which has not begun. Returns False if it has begun meanwhile."""
        fields = {
            "run": {"S": ""},
            "status": {"S": "cancelled"},
            "connection": {"S": ""},
            "resumes": _number(0),
            "since": _number(0),
            "cancelled": {"BOOL": True},
            "written": _number(0),
            "last": _number(0),
            "cause": {"S": ""},
            TTL_ATTRIBUTE: _number(int(self._clock()) + FORESTALL_SECONDS),
        }
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in fields)
        absent = f"attribute_not_exists({HASH_KEY}) OR #{TTL_ATTRIBUTE} < :now"
        try:
            await self._update(key, update, absent, {f":{name}": value for name, value in fields.items()})
        except ConditionFailed:
            return False
        return True

    async def resume(self, key: str, connection: str, since: int) -> Head | None:
        """Record that the client is on `connection` now and has the messages up to number `since`.

        Returns the head. If it runs, its writer goes on there; else the caller has to send what `read` gives. None: there is no
        such generation.
        """
        values: Item = {
            ":connection": {"S": connection},
            ":since": {"N": str(since)},
            ":one": {"N": "1"},
            ":cancelled": {"S": "cancelled"},
        }
        there = "#expires >= :now AND #status <> :cancelled"
        try:
            return await self._update(key, "SET #connection = :connection, #since = :since ADD #resumes :one", there, values)
        except ConditionFailed:
            return None

    async def read(self, head: Head, since: int) -> list[bytes]:
        """Return the messages after number `since`, up to the last one that the head names."""
        if head.payload:
            return head.payload.encode().split(b"\n")[since : head.last]
        messages: list[bytes] = []
        # Earlier entries end before that number, for an entry has at most so many messages.
        start = {"N": str(since - FLUSH_BYTES // _LEAST_MESSAGE_BYTES)}
        condition = f"{HASH_KEY} = :key AND {SORT_KEY} > :start"
        for item in await self._dynamodb.query(self._table, condition, {":key": {"S": _entries_of(head)}, ":start": start}):
            lines = item["payload"]["S"].encode().split(b"\n")
            first = int(item[SORT_KEY]["N"])
            messages += lines[max(0, since + 1 - first) :]
        return messages[: max(0, head.last - since)]

    def is_dead(self, head: Head) -> bool:
        """Whether the writer of a running generation has not been seen for too long."""
        return head.status == "running" and self._clock() - head.written > DEAD_SECONDS

    async def record_death(self, head: Head, cause: str) -> Head | None:
        """Record that the writer has died. Returns the head, None if it has ended or has been seen after `head` was read."""
        recorder = _mark()
        try:
            return await self._update(
                head.key,
                "SET #status = :died, #cause = :cause, #recorder = :recorder",
                "#run = :run AND #status = :running AND #written = :written",
                {
                    ":died": {"S": "died"},
                    ":cause": {"S": cause},
                    ":recorder": recorder,
                    ":run": {"S": head.run},
                    ":running": {"S": "running"},
                    ":written": _number(head.written),
                },
            )
        except ConditionFailed:
            known = await self._dynamodb.get_item(self._table, _head_key(head.key), consistent=True)
            return _head(known) if known is not None and known.get("recorder") == recorder else None

    async def _update(self, key: str, update: str, condition: str, values: Item, *, seen: bool = False) -> Head:
        """Change the head of a generation. `seen`: the writer does it, which keeps the generation from expiring."""
        now = self._clock()
        values = dict(values)
        if seen:
            update += ", #expires = :expires"
            values |= {":now": _number(now), ":expires": _number(int(now) + self._ttl_seconds)}
        elif ":now" in condition:
            values[":now"] = _number(int(now))
        names = {word: word[1:] for word in re.findall(r"#\w+", update + condition)}
        item = await self._dynamodb.update_item(
            self._table, _head_key(key), update, condition=condition, names=names, values=values
        )
        return _head(item)


def _mark() -> Item:
    return {"S": secrets.token_hex(8)}


def _head_key(key: str) -> Item:
    return {HASH_KEY: {"S": key}, SORT_KEY: {"N": "0"}}


def _entries_of(head: Head) -> str:
    return f"{head.key}#{head.run}"


def _head(item: Item) -> Head:
    return Head(
        key=item[HASH_KEY]["S"],
        run=item["run"]["S"],
        status=item["status"]["S"],
        connection=item["connection"]["S"],
        resumes=int(item["resumes"]["N"]),
        since=int(item["since"]["N"]),
        cancelled=item["cancelled"]["BOOL"],
        written=float(item["written"]["N"]),
        last=int(item["last"]["N"]),
        cause=item["cause"]["S"],
        fingerprint=item["fingerprint"]["S"] if "fingerprint" in item else "",
        began=float(item["began"]["N"]) if "began" in item else 0.0,
        payload=item["payload"]["S"] if "payload" in item else "",
    )


def _number(value: float) -> dict[str, Any]:
    # DynamoDB keeps 38 digits; the float that is read again is the one that was written.
    return {"N": repr(value)}


def _portions(messages: Sequence[bytes]) -> list[list[bytes]]:
    """Divide messages into entries of at most `FLUSH_BYTES`, where a single message is not larger. An item may have 400 KB."""
    portions: list[list[bytes]] = []
    size = 0
    for message in messages:
        if not portions or size + len(message) > FLUSH_BYTES:
            portions.append([])
            size = 0
        portions[-1].append(message)
        size += len(message) + 1
    return portions
