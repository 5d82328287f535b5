"""Writes a generation to the journal while it runs: its messages once a second, and its end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from llm_gateway.aws.dynamodb import DynamoDBError
from llm_gateway.http.errors import HttpError
from llm_gateway.stages.journal import FLUSH_BYTES, FLUSH_SECONDS, Head, Journal

# The end is written in any case, as often as this.
_FINAL_WRITES = 5


class Warn(Protocol):
    def __call__(self, text: str, *, request_id: str) -> None: ...


class JournalWriter:
    """The writer of one generation.

    `warn` is told which write failed, and of which `request_id`. `written` is called after each write, with the head before it.
    `head` is as the last write returned it. `messages` are all of them: number n is at n - 1. Without `keeps`, the journal gets
    none of them: only that the writer lives, and the end.
    """

    def __init__(
        self,
        journal: Journal,
        head: Head,
        warn: Warn,
        written: Callable[[Head], None] = lambda before: None,
        *,
        keeps: bool = True,
    ) -> None:
        self.head = head
        self.messages: list[bytes] = []
        self._journal = journal
        self._warn = warn
        self._written = written
        self._keeps = keeps
        self._flush = asyncio.Event()
        self._ending = False
        self._waiting = 0  # bytes of the messages that are not written

    def add(self, messages: Sequence[bytes]) -> None:
        self.messages += messages
        if not self._keeps:
            return
        self._waiting += sum(map(len, messages))
        if self._waiting >= FLUSH_BYTES:
            self._flush.set()

    def flush(self) -> None:
        """Write without waiting until the second is over."""
        self._flush.set()

    def stop(self) -> None:
        """Let `run` return when it has written what it is writing."""
        self._ending = True
        self._flush.set()

    async def run(self, after: Callable[[], Awaitable[None]] | None = None) -> None:
        """Write what is new, once a second, until `stop`, and call `after`. Raises `Superseded`."""
        while not self._ending:
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._flush.wait()
            except TimeoutError:
                pass
            self._flush.clear()
            if self._ending:
                return
            try:
                await self._write()
            except (DynamoDBError, HttpError) as error:  # the next write has it, too
                self._warn(f"journal: {error}", request_id=self.head.run)
            if after is not None:
                await after()

    async def end(self, *, failed: bool = False) -> None:
        """Write the end, when `run` has returned.

        Raises `Superseded` if somebody else has ended the generation, `DynamoDBError` or `HttpError` if it cannot be written.
        """
        for attempt in range(1, _FINAL_WRITES + 1):
            try:
                await self._write(ended=True, failed=failed)
                return
            except (DynamoDBError, HttpError):
                if attempt == _FINAL_WRITES:
                    raise
                await asyncio.sleep(0.1 * 2**attempt)

    async def _write(self, *, ended: bool = False, failed: bool = False) -> None:
        new = self.messages[self.head.last :] if self._keeps else []
        before, self.head = self.head, await self._journal.write(self.head, new, ended=ended, failed=failed)
        self._waiting -= sum(map(len, new))
        self._written(before)
