"""Stage 5: an answer that is there already is sent again, and of equal requests at once one is generated.

Answers stand in a journal, as those to requests with idempotency keys do. Here the key is made of what the answer depends on:
the tenant, the alias within the rules of the caller, the request, and what conversations are checked by. So no tenant gets
another one's answer, and a deployment that changes any of it finds none from before.

One conditional write looks for an answer and claims the key, at the same time as the ledger reserves the call. Whoever claims
it generates, and writes its events beside sending them. The others wait for a whole answer, and follow a streamed one. If the
function that generates dies, which they notice within seconds, one of them takes its place. If it fails, each of them goes on
by itself: one after another, the last would wait for all failures.

Only complete answers with an ordinary end stay. If the table fails, requests go on without the cache, and do not ask it for a
while.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llm_gateway import errors
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError
from llm_gateway.call import ModelCall
from llm_gateway.events import CacheUse, Delta, Done, Event, Start, Usage
from llm_gateway.http.errors import HttpError
from llm_gateway.identity.caller import Caller
from llm_gateway.request import ChatRequest
from llm_gateway.routes import Alias, Routes
from llm_gateway.stages.cache_key import cache_key, digest
from llm_gateway.stages.journal import Head, Journal, Superseded
from llm_gateway.stages.journal_writer import JournalWriter

if TYPE_CHECKING:
    from typing import Protocol

    from llm_gateway.embeddings import EmbeddingCall

    class Reservation(Protocol):
        async def admit(self, call: ModelCall | EmbeddingCall) -> None: ...


# Of the key. Another number: what was kept before is not found any more.
_FORMAT = 1
# Seconds that a lookup may take, and for which the table is not asked after it has failed.
_LOOKUP_SECONDS = 1.0
_PAUSE_SECONDS = 5.0
# Seconds without a sign of life after which the function that generates is taken for dead. It gives one every second. If it
# lives, it answers its own caller, and somebody else's answer is kept.
_DEAD_SECONDS = 5.0
# Seconds until those who wait look for the first time, and the most between two looks.
_FIRST_LOOK, _LONGEST_LOOK = 0.05, 1.0
# Seconds that the end of an answer may take to be written.
_END_SECONDS = 1.0
# The most bytes of one event: an item has 400 KB.
_MOST_BYTES = 300_000
# The most bytes of an answer that is found by the lookup itself, which costs a write unit for each KB of it. A longer one is
# read after that.
_HEAD_BYTES = 4_000
# Seconds after its deadline at which a function is over in any case.
_MARGIN_SECONDS = 5.0
# What ends an answer that is kept.
_ORDINARY_ENDS = frozenset({"end_turn", "max_tokens", "stop_sequence", "tool_use"})

_encode = msgspec.json.Encoder().encode
# Most events are parts of the text: these are kept as a text alone.
_decode = msgspec.json.Decoder(str | Event).decode


class CacheControl(NamedTuple):
    """What a request says of the cache, in HTTP's words. https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1"""

    no_store: bool = False
    no_cache: bool = False
    max_age: int | None = None

    @classmethod
    def read(cls, header: str) -> "CacheControl":
        """Read the header. An age that is no number accepts nothing, and what is not known says nothing."""
        found = {name.strip().lower(): value.strip().strip('"') for name, _, value in map(_halves, header.split(","))}
        age = found.get("max-age")
        if age is None:
            return cls("no-store" in found, "no-cache" in found)
        return cls("no-store" in found, "no-cache" in found, int(age) if re.fullmatch("[0-9]{1,9}", age) else 0)


def _halves(directive: str) -> tuple[str, str, str]:
    return directive.partition("=")


class Kept(NamedTuple):
    """An answer that is there: how it began, its first batch, and the other ones."""

    start: Start
    first: list[Event]
    rest: AsyncGenerator[list[Event], None]
    use: CacheUse


class Found(Exception):
    """The answer is there, so nothing is called."""

    def __init__(self, kept: Kept) -> None:
        super().__init__("the answer is in the cache")
        self.kept = kept


class Cache:
    """The answers of a deployment.

    Args:
        asked: Says by which guardrail conversations are checked, if by any.
        warn: Is told what fails.
        clock: Gives seconds since the epoch.
    """

    def __init__(
        self,
        dynamodb: DynamoDB,
        table: str,
        settings: AnswerCache,
        asked: Sequence[str],
        warn: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.journal = Journal(dynamodb, table, self._now, ttl_seconds=settings.ttl_seconds, head_bytes=_HEAD_BYTES)
        self.settings = settings
        self._warn = warn
        self._asked = tuple(asked)
        self._version: tuple[Routes, str] | None = None
        self._paused_until = 0.0  # a time of the running loop's clock

    def lookup(
        self, request: ChatRequest, alias: Alias, routes: Routes, caller: Caller, run: str, deadline: float, asked: str
    ) -> "Lookup":
        """Return what looks for the answer to a request, and keeps it.

        Args:
            request: The request and its alias, as the caller's rules allow them.
            run: The request's id.
            deadline: A time of the running loop's clock.
            asked: The header Cache-Control.
        """
        control = CacheControl.read(asked) if asked else CacheControl()
        if routes.retrieval is not None and alias.name in routes.retrieval.aliases:
            # Kept, it would tell of a document that has been deleted since, or given to another tenant.
            control = CacheControl(no_store=True)

        def key() -> str:
            return cache_key(self._version_of(routes), caller.tenant, alias, request)

        return Lookup(self, key, run, deadline, control, stream=request.stream)

    def is_paused(self) -> bool:
        return asyncio.get_running_loop().time() < self._paused_until

    def failed(self, reason: str) -> None:
        """Go on without the table, for a while."""
        if not self.is_paused():
            self._paused_until = asyncio.get_running_loop().time() + _PAUSE_SECONDS
            self._warn(f"the cache cannot be used: {reason}")

    def _now(self) -> float:
        return self.clock()

    def _version_of(self, routes: Routes) -> str:
        """Return what stands for the parts of a deployment that every answer depends on."""
        if self._version is None or self._version[0] is not routes:
            self._version = routes, digest([_FORMAT, routes.endpoints, routes.safety, self._asked])
        return self._version[1]


class Lookup:
    """The lookup of one request. Where it has claimed the key, the answer is kept that `add` gets.

    `use` says what has come of it.
    """

    def __init__(
        self, cache: Cache, key: Callable[[], str], run: str, deadline: float, control: CacheControl, *, stream: bool
    ) -> None:
        self.use = CacheUse("bypass")
        self._cache = cache
        self._key = key
        self._run = run
        self._deadline = deadline
        self._control = control
        self._stream = stream
        self._claiming: asyncio.Task[tuple[Head, bool]] | None = None
        self._writer: JournalWriter | None = None
        self._writing: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._is_broken = False  # what is there
        self._is_kept = True
        self._is_complete = False

    @property
    def has_claimed(self) -> bool:
        """Whether there is anything to `close`."""
        return self._writer is not None or self._claiming is not None

    @property
    def keeps(self) -> bool:
        """Whether `add` keeps anything."""
        return self._writer is not None and self._is_kept

    @property
    def may_displace(self) -> bool:
        """Whether the claim may make room where there is an answer."""
        return self._control.no_cache or self._control.max_age is not None

    def beside(self, reservation: "Reservation | None") -> "Beside":
        """Return what admits the calls of the request: its first one if no answer is found."""
        return Beside(self, reservation)

    async def take(self, call: "ModelCall | EmbeddingCall") -> None:
        """Claim the key. Raises `Found` if the answer is there, or is under way."""
        if self._control.no_store or self._cache.is_paused() or not self._is_wanted(call):
            return
        self.use = CacheUse("miss")
        try:
            for _ in range(2):  # once more where the function that generates has died, or what is there is broken
                head, is_new = await self._claimed()
                if is_new:
                    self._begin(head)
                    return
                if self._control.no_cache and head.status == "running":  # it began before this request
                    return
                try:
                    kept = await self._kept(head)
                except _NoAnswerError as error:
                    if error.died:
                        continue
                    return
                raise Found(kept)
        except (DynamoDBError, HttpError, TimeoutError) as error:
            self.use = CacheUse("bypass")
            self._cache.failed(f"{type(error).__name__}: {error}")

    def answered(self, call: "ModelCall | EmbeddingCall") -> None:
        """Keep nothing if the call that is answered is not what the cache is for: another target had been asked first."""
        if not self._is_wanted(call):
            self.forget()

    def forget(self) -> None:
        """Keep nothing of this answer. Those who wait for it learn that at once."""
        self._is_kept = False
        if self._writer is not None and self._ending is None:
            self._ending = asyncio.create_task(self._end(self._writer))

    def add(self, events: Sequence[Event]) -> None:
        """Keep these events of the answer. An end that is not ordinary is not an end for others, such as a caller's wish."""
        last = events[-1]
        if isinstance(last, Done):
            self._is_complete = last.stop_reason in _ORDINARY_ENDS
            self._is_kept = self._is_kept and self._is_complete
        if self._writer is None or not self._is_kept:  # what was too large, too
            return
        lines = [_encode(event.text if type(event) is Delta and not event.refusal else event) for event in events]
        if max(map(len, lines)) > _MOST_BYTES:
            self.forget()
            return
        self._writer.add(lines)

    async def close(self) -> None:
        """Write the end of the answer, or that there is none."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                if self._claiming is not None:  # the request has ended meanwhile
                    head, is_new = await self._claiming
                    if is_new:
                        self._begin(head)
                if self._writer is not None:
                    await (self._ending or self._end(self._writer))
        except (DynamoDBError, HttpError, TimeoutError) as error:
            self._cache.failed(f"{type(error).__name__}: {error}")
        except Superseded:
            pass  # somebody took this function for dead, and answers in its place
        finally:
            if self._writing is not None:
                self._writing.cancel()

    async def _end(self, writer: JournalWriter) -> None:
        writer.stop()
        if self._writing is not None:
            await self._writing
        await writer.end(failed=not (self._is_kept and self._is_complete))

    def _is_wanted(self, call: "ModelCall | EmbeddingCall") -> bool:
        """Whether answers to such a call are kept.

        A model that takes no temperature is sent none. Vectors are not kept: that costs more than to make them anew.
        """
        if not isinstance(call, ModelCall):
            return False
        is_asked = self._control.max_age is not None and self._cache.settings.when == "asked"
        return call.sampling.temperature == 0 or is_asked

    async def _claimed(self) -> tuple[Head, bool]:
        """Claim the key, in limited time. If the request ends meanwhile, `close` learns what has come of it."""
        self._claiming = asyncio.create_task(self._claim())
        try:
            # Not `wait_for`: before Python 3.12 it ignores that it is cancelled when the claim has just been made.
            async with asyncio.timeout(_LOOKUP_SECONDS):
                found = await asyncio.shield(self._claiming)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._claiming.cancel()
            self._claiming = None
            raise
        self._claiming = None
        return found

    async def _claim(self) -> tuple[Head, bool]:
        now, control = self._cache.clock(), self._control
        left = self._deadline - asyncio.get_running_loop().time()
        # An answer that ended before that makes room for another one.
        oldest = now + 1 if control.no_cache or self._is_broken else 0.0 if control.max_age is None else now - control.max_age
        return await self._cache.journal.claim(
            self._key(), self._run, "", now + left + _MARGIN_SECONDS, seen_since=now - _DEAD_SECONDS, ended_since=oldest
        )

    def _begin(self, head: Head) -> None:
        writer = JournalWriter(self._cache.journal, head, self._failed)

        async def write() -> None:
            with contextlib.suppress(Superseded):
                await writer.run()

        self._writer, self._writing = writer, asyncio.create_task(write())

    def _failed(self, text: str, *, request_id: str) -> None:
        self._cache.failed(f"{text} ({request_id})")

    async def _kept(self, head: Head) -> Kept:
        """Return an answer that is there or under way; a whole one when it has ended. Raises `_NoAnswerError`."""
        events = self._events(head)
        try:
            first = await anext(events)
            if not self._stream:
                first += [event async for batch in events for event in batch]
        except StopAsyncIteration:
            raise _NoAnswerError(died=False) from None
        start = first.pop(0)
        if not isinstance(start, Start) or not first:
            raise _NoAnswerError(died=False)
        ended = isinstance(first[-1], Done)
        age = max(0, int(self._cache.clock() - head.written)) if head.status == "ended" else 0
        saved = sum(each.input_tokens + each.output_tokens for each in first if isinstance(each, Usage)) if ended else None
        return Kept(start, first, _or_error(events), CacheUse("hit", age, saved))

    async def _events(self, head: Head) -> AsyncGenerator[list[Event], None]:
        """Yield the events of an answer that are there, and those that come."""
        journal, run, loop = self._cache.journal, head.run, asyncio.get_running_loop()
        read, pause = 0, _FIRST_LOOK
        while True:
            if head.last > read:
                # They end where a write has ended.
                lines = await journal.read(head, read)
                decoded = _decoded(lines)
                if len(decoded) != head.last - read:
                    self._is_broken = True
                    raise _NoAnswerError(died=True)
                read = head.last
                yield [Delta(each) if isinstance(each, str) else each for each in decoded]
            if head.status == "ended":
                return
            if head.status != "running":
                raise _NoAnswerError(died=False)
            if head.written < self._cache.clock() - _DEAD_SECONDS:
                raise _NoAnswerError(died=True)
            if loop.time() + pause > self._deadline:
                raise _NoAnswerError(died=False)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)
            known = await journal.head(head.key)
            if known is None or known.run != run:
                raise _NoAnswerError(died=known is not None)
            head = known


class Beside:
    """Admits calls: the first one by two writes at once, of the key and of the ledger."""

    def __init__(self, lookup: Lookup, reservation: "Reservation | None") -> None:
        self._lookup = lookup
        self._reservation = reservation
        self._has_looked = False

    async def admit(self, call: "ModelCall | EmbeddingCall") -> None:
        has_looked, self._has_looked = self._has_looked, True
        if has_looked:
            if self._reservation is not None:
                await self._reservation.admit(call)
            return
        if self._reservation is None:
            await self._lookup.take(call)
            return
        if self._lookup.may_displace:  # who has nothing left to spend takes no answer from others
            await self._reservation.admit(call)
            await self._lookup.take(call)
            return
        look = asyncio.create_task(self._lookup.take(call))
        try:
            await self._reservation.admit(call)
        except BaseException:
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)
            raise
        await look


class _NoAnswerError(Exception):
    """No answer comes from who generates it. `died`: somebody should take its place."""

    def __init__(self, *, died: bool) -> None:
        super().__init__()
        self.died = died


async def _or_error(events: AsyncGenerator[list[Event], None]) -> AsyncGenerator[list[Event], None]:
    """Yield what comes of an answer of which a part has been sent. Raises the error 502 of one that breaks off."""
    try:
        async for batch in events:
            yield batch
    except _NoAnswerError:
        raise errors.stream_interrupted(detail="the function that generates it has failed") from None
    except (DynamoDBError, HttpError) as error:
        raise errors.stream_interrupted(detail=f"{type(error).__name__}: {error}") from error
    finally:
        await events.aclose()


def _decoded(lines: Sequence[bytes]) -> list[str | Event]:
    """Return the events of an answer, of which TTL may have deleted some; none if another version of this code wrote them."""
    try:
        return [*map(_decode, lines)]
    except msgspec.DecodeError:
        return []
