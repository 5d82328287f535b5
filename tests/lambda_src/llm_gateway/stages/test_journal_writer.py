"""What a long stream costs its writer, and whoever reads it again."""

import asyncio
from typing import Any

import msgspec
import pytest

from llm_functions.api_formats import chat
from llm_gateway.events import Delta
from llm_gateway.stages import journal_writer
from llm_gateway.stages.journal import FLUSH_BYTES, Head
from llm_gateway.stages.journal_writer import JournalWriter
from support.growth import assert_linear

HEAD = Head("k", "run", "running", "", 0, 0, False, 0.0, 0, "")


class Table:
    """A journal that takes everything."""

    def __init__(self) -> None:
        self.writes: list[int] = []
        self.written = asyncio.Event()

    async def write(self, head: Head, messages: Any, **_: Any) -> Head:
        self.writes.append(len(messages))
        self.written.set()
        return msgspec.structs.replace(head, last=head.last + len(messages))


async def test_messages_are_written_when_enough_of_them_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "FLUSH_SECONDS", 60)
    table = Table()
    writer = JournalWriter(table, HEAD, print)  # pyright: ignore[reportArgumentType]
    running = asyncio.create_task(writer.run())
    for _ in range(2):
        writer.add([b"x" * (FLUSH_BYTES - 1)])
        await asyncio.sleep(0)  # it begins to wait, and nothing has to be written
        writer.add([b"x"])
        await table.written.wait()
        table.written.clear()
    writer.stop()
    await running
    assert table.writes == [2, 2]


def test_the_work_of_adding_grows_with_the_messages() -> None:
    def add(size: int) -> None:
        writer = JournalWriter(Table(), HEAD, print)  # pyright: ignore[reportArgumentType]
        for _ in range(size):
            writer.add([b"x"])

    assert_linear(add, 1_000)


def test_the_work_of_a_stream_that_goes_on_grows_with_its_events() -> None:
    def go_on(size: int) -> None:
        renderer = chat.StreamRenderer("request-1", since=size)
        assert renderer.events([Delta("a")] * size) == b""
        assert renderer.events([Delta("b")]).startswith(b"id: %d\n" % (size + 1))

    assert_linear(go_on, 5_000)
