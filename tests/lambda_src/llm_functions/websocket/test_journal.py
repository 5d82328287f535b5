"""The journal in a DynamoDB."""

from typing import Any

import pytest
from msgspec.structs import replace

from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.stages.journal import DEAD_SECONDS, TTL_SECONDS, Head, Journal, Superseded
from support.websocket_api import JOURNAL

KEY = '["acme","ci","one"]'


async def begun(journal: Journal, run: str = "run-1") -> Head:
    head = await journal.begin(KEY, run, "first")
    assert head is not None
    return head


def lines(*numbers: int) -> list[bytes]:
    return [b'{"seq":%d}' % number for number in numbers]


async def test_what_was_written_is_read_from_any_number(journal: Journal) -> None:
    head = await journal.write(await begun(journal), lines(1, 2, 3))
    head = await journal.write(head, [])
    head = await journal.write(head, lines(4, 5), ended=True)
    assert (head.last, head.status) == (5, "ended")
    for since in range(7):
        assert await journal.read(head, since) == lines(*range(since + 1, 6))


async def test_large_messages_become_several_entries(journal: Journal) -> None:
    written = [b"%d" % number + b"x" * 20_000 for number in range(1, 6)]
    head = await journal.write(await begun(journal), written, ended=True)
    assert await journal.read(head, 0) == written
    assert await journal.read(head, 3) == written[3:]


async def test_an_id_has_one_generation_until_its_time_is_over(journal: Journal, now: Any) -> None:
    head = await journal.write(await begun(journal), lines(1), ended=True)
    assert await journal.begin(KEY, "run-2", "second") is None
    now.seconds += TTL_SECONDS + 1
    assert await journal.head(KEY) is None
    assert await journal.resume(KEY, "second", 0) is None
    assert await journal.cancel(KEY) is None
    # TTL deletes items late: what is left of the first run is not read as the second one's.
    second = await journal.write(await begun(journal, "run-2"), [])
    assert await journal.read(replace(second, last=9), 0) == []
    assert head.run != second.run


async def test_the_writer_learns_what_others_ask_for(journal: Journal) -> None:
    head = await begun(journal)
    assert await journal.cancel(KEY)
    resumed = await journal.resume(KEY, "second", 3)
    assert resumed is not None and resumed.status == "running"
    head = await journal.write(head, lines(1))
    assert (head.cancelled, head.connection, head.since, head.resumes) == (True, "second", 3, 1)


async def test_a_late_write_does_not_undo_a_later_one(journal: Journal, dynamodb: DynamoDB) -> None:
    head = await begun(journal)
    await journal.write(head, lines(1, 2))
    again = await journal.write(head, lines(1))  # the first one's answer was lost, and this one was sent before it
    assert again.last == 1
    assert await journal.read(replace(again, last=2), 0) == lines(1, 2)


async def test_a_dead_writer_is_recorded_once_and_cannot_write_any_more(journal: Journal, now: Any) -> None:
    head = await journal.write(await begun(journal), lines(1))
    assert not journal.is_dead(head)
    now.seconds += DEAD_SECONDS + 1
    assert journal.is_dead(head)
    died = await journal.record_death(head, "function_failed")
    assert died is not None
    assert (died.status, died.cause) == ("died", "function_failed")
    assert await journal.record_death(head, "function_failed") is None
    with pytest.raises(Superseded):
        await journal.write(head, lines(2))
    assert await journal.read(died, 0) == lines(1)


async def test_a_writer_that_writes_again_is_not_dead(journal: Journal, now: Any) -> None:
    head = await begun(journal)
    now.seconds += DEAD_SECONDS + 1
    await journal.write(head, lines(1))
    assert await journal.record_death(head, "function_failed") is None


async def test_ttl_deletes_everything(journal: Journal, dynamodb: DynamoDB, now: Any) -> None:
    await journal.write(await begun(journal), lines(1))
    call: Any = vars(DynamoDB)["_call"]
    items = (await call(dynamodb, "Scan", {"TableName": JOURNAL}))["Items"]
    assert len(items) == 2
    assert {item["expires"]["N"] for item in items} == {str(int(now()) + TTL_SECONDS)}


async def test_ttl_deletes_what_was_withdrawn(journal: Journal, dynamodb: DynamoDB, now: Any) -> None:
    """It leaves what was over more than five years ago."""
    await journal.withdraw(await begun(journal))
    assert await journal.head(KEY) is None
    call: Any = vars(DynamoDB)["_call"]
    (item,) = (await call(dynamodb, "Scan", {"TableName": JOURNAL}))["Items"]
    assert now() - 60 < float(item["expires"]["N"]) < now()
