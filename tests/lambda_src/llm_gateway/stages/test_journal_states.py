"""The journal against a simple model of it: whoever claims, writes, dies, resumes or gives a key back, in whatever order.

The table is moto's, without a server. A write of a head may be carried out although its answer is lost; its writer then does it
again, as the functions do.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from llm_gateway.aws.dynamodb import DynamoDBError, Item
from llm_gateway.stages.journal import DEAD_SECONDS, HASH_KEY, SORT_KEY, Head, Journal, Superseded
from support.moto_table import MotoTable, plain

TABLE = "the-journal"
START = 1_800_000_010.5
TTL = 900
# Of what a claim accepts: the seconds since a writer was seen, and since an answer ended.
SEEN, AGE = 5, 300


class Table(MotoTable):
    """A client of the table. Where `loses` is set, the answer to the next change of a head is lost."""

    def __init__(self) -> None:
        self.loses = False
        super().__init__(TABLE, {HASH_KEY: ("HASH", "S"), SORT_KEY: ("RANGE", "N")})

    async def put_item(self, table: str, item: Item, **more: Any) -> None:
        await super().put_item(table, item, **more)
        if item[SORT_KEY]["N"] == "0":
            self._lose()

    async def update_item(self, table: str, key: Item, update: str, **more: Any) -> Item:
        item = await super().update_item(table, key, update, **more)
        self._lose()
        return item

    async def query(self, table: str, condition: str, values: Item) -> list[Item]:
        assert condition == f"{HASH_KEY} = :key AND {SORT_KEY} > :start"
        items, _, _ = self.backend.query(table, values[":key"], "GT", [values[":start"]], 1_000, None, True, None)
        return [plain(item) for item in items]

    def _lose(self) -> None:
        if self.loses:
            self.loses = False
            raise DynamoDBError("TimeoutError", "the answer is lost", 0)


@dataclass
class Generation:
    """The model of a generation."""

    run: str
    written: float
    deadline: float
    expires: int
    status: str = "running"
    messages: list[bytes] = field(default_factory=list)

    def makes_room(self, now: float, seen: float, oldest: float) -> bool:
        match self.status:
            case "running":
                gives_way = self.deadline < now or self.written < seen
            case "ended":
                gives_way = self.written < oldest
            case _:
                gives_way = True
        return gives_way or self.expires < now


@dataclass
class Writer:
    """Who has claimed a key. `unsaid` are messages of which it does not know that they are written."""

    head: Head
    unsaid: list[bytes] = field(default_factory=list)


class Journals(RuleBasedStateMachine):
    writers = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = START
        self.table = Table()
        self.journal = Journal(self.table, TABLE, lambda: self.now, ttl_seconds=TTL)
        self.model: dict[str, Generation] = {}
        self.number = 0

    def teardown(self) -> None:
        self.loop.close()

    def _of(self, writer: Writer) -> Generation | None:
        """The writer's generation, None if its key has another one."""
        known = self.model[writer.head.key]
        return known if known.run == writer.head.run else None

    @rule(target=writers, key=st.sampled_from(["a", "b"]), life=st.sampled_from([30, 300]), picky=st.booleans())
    def claim(self, key: str, life: int, picky: bool) -> Any:
        self.number += 1
        run = f"run-{self.number}"
        seen, oldest = (self.now - SEEN, self.now - AGE) if picky else (0.0, 0.0)
        known = self.model.get(key)
        is_free = known is None or known.makes_room(self.now, seen, oldest)
        head, is_new = self.loop.run_until_complete(
            self.journal.claim(key, run, "", self.now + life, seen_since=seen, ended_since=oldest)
        )
        assert is_new is is_free
        if not is_free:
            assert known is not None and (head.run, head.status) == (known.run, known.status)
            return multiple()
        self.model[key] = Generation(run, self.now, self.now + life, int(self.now) + TTL)
        return Writer(head)

    @rule(writer=writers, lines=st.integers(0, 3), end=st.sampled_from(["", "", "", "ended", "failed"]), loses=st.booleans())
    def write(self, writer: Writer, lines: int, end: str, loses: bool) -> None:
        generation = self._of(writer)
        at = writer.head.last + len(writer.unsaid)
        writer.unsaid += [b'{"seq":%d}' % (at + each) for each in range(1, lines + 1)]
        may = generation is not None and generation.status == "running"
        # The same end once more, which changes nothing.
        again = generation is not None and (generation.status, len(generation.messages)) == (end, at + lines)
        self.table.loses = loses and may
        try:
            writer.head = self.loop.run_until_complete(self._written(writer, end))
        except Superseded:
            assert not may and not again
            return
        except DynamoDBError:
            # It was carried out; the writer sends the same again, and more, with its next write.
            assert loses and may
        assert generation is not None and (may or again)
        if not may:
            return
        generation.written, generation.expires = self.now, int(self.now) + TTL
        generation.status = end or "running"
        first = len(generation.messages)
        generation.messages += [b'{"seq":%d}' % each for each in range(first + 1, at + lines + 1)]
        if writer.head.last == len(generation.messages):
            writer.unsaid = []

    async def _written(self, writer: Writer, end: str) -> Head:
        return await self.journal.write(writer.head, writer.unsaid, ended=end == "ended", failed=end == "failed")

    @rule(writer=consumes(writers))
    def withdraw(self, writer: Writer) -> None:
        self.loop.run_until_complete(self.journal.withdraw(writer.head))
        if (generation := self._of(writer)) is not None:
            generation.expires = int(self.now) - 1

    @rule(writer=consumes(writers))
    def die(self, writer: Writer) -> None:
        """Its function is killed: it does nothing any more."""

    @rule(key=st.sampled_from(["a", "b"]), seconds=st.sampled_from([0, 1, int(DEAD_SECONDS) + 1]))
    def find_dead(self, key: str, seconds: int) -> None:
        head = self.loop.run_until_complete(self.journal.head(key))
        self.now += seconds
        if head is None or not self.journal.is_dead(head):
            return
        assert self.loop.run_until_complete(self.journal.record_death(head, "function_failed")) is not None
        self.model[key].status = "died"

    @rule(seconds=st.sampled_from([1, 4, 29, 61, 299, 600, 901]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def what_was_written_is_read_from_anywhere(self) -> None:
        for key, generation in self.model.items():
            head = self.loop.run_until_complete(self.journal.head(key))
            if generation.expires < int(self.now):
                assert head is None
                continue
            assert head is not None
            expected = (generation.run, generation.status, len(generation.messages), generation.written)
            assert (head.run, head.status, head.last, head.written) == expected
            for since in range(len(generation.messages) + 1):
                assert self.loop.run_until_complete(self.journal.read(head, since)) == generation.messages[since:]


TestJournal = Journals.TestCase
TestJournal.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
