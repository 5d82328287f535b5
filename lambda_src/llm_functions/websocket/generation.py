"""A generation: its events become numbered messages, which go to the client and to the journal.

Three tasks run side by side. One reads the model's events. One makes messages of them, at most every 50 ms, and posts them to
the client's connection; while API Gateway refuses to take them, it makes fewer and larger ones. One writes them to the journal
every second, and learns there what the client has asked for: to stop, or to go on with another connection, where the messages
that it has not got are posted again.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator

from llm_functions.websocket import messages
from llm_gateway import errors
from llm_gateway.aws.connections import FRAME_BYTES, Connections, ConnectionsError, Gone
from llm_gateway.aws.dynamodb import DynamoDBError
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Reasoning
from llm_gateway.http.client import HttpError
from llm_gateway.stages.cancel import Stop
from llm_gateway.stages.journal import FLUSH_SECONDS, Head, Journal
from llm_gateway.stages.journal_writer import JournalWriter
from llm_gateway.telemetry import write_warning

# Seconds for which parts of the answer are collected into one message while API Gateway refuses messages, and the seconds
# without a refusal after which they are collected for less.
_WIDER_SECONDS = (0.25, 1.0)
_EASE_SECONDS = 5.0
# Seconds without a connection after which the generation is stopped, and of refusals after which the connection is closed.
GONE_SECONDS = 30.0
# Seconds without a message after which the client is told that the generation goes on: a model may think for minutes. So a lost
# connection is found, too.
WAITING_SECONDS = 10.0
# Seconds for which messages are posted after the end of the model's answer.
FINAL_POST_SECONDS = 30.0


class Pace:
    """How many seconds lie between two messages.

    All APIs of an account share one throttle in a Region, and the calls of @connections count. So while messages are refused,
    each generation makes fewer of them. https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    """

    def __init__(self, shortest: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._steps = [shortest, *(seconds for seconds in _WIDER_SECONDS if seconds > shortest)]
        self._step = 0
        self._changed_at = 0.0

    @property
    def seconds(self) -> float:
        return self._steps[self._step]

    def widen(self) -> None:
        """A message was refused."""
        self._set(min(self._step + 1, len(self._steps) - 1))

    def ease(self) -> None:
        """A message was taken."""
        if self._step and self._loop.time() - self._changed_at >= _EASE_SECONDS:
            self._set(self._step - 1)

    def _set(self, step: int) -> None:
        self._step, self._changed_at = step, self._loop.time()


class Generation:
    """One generation, from its first event to its end. `interval` is the least seconds between two messages. `stop` ends its
    events when the client cancels it. Without `keeps`, the journal has none of its messages: its client gets them again from
    here while it runs, and not after that."""

    def __init__(
        self,
        id: str,
        head: Head,
        journal: Journal,
        connections: Connections,
        *,
        interval: float,
        keeps: bool = True,
        debug: bool = False,
    ) -> None:
        self.stop = Stop()
        self._id = id
        self._written = JournalWriter(journal, head, write_warning, self._head_written, keeps=keeps)
        self._connections = connections
        self._debug = debug
        self._loop = asyncio.get_running_loop()
        self._events: list[Event] = []
        self._size = 0  # of the texts in these events
        self._end: bytes | None = None  # the data of the last message; b"" when that has been made
        self._cut_at = 0.0  # when messages were last made
        self._messages = self._written.messages  # all of them: number n is at n - 1
        self._connection: str | None = head.connection
        self._posted = 0
        self._posted_at = self._gone_since = self._loop.time()
        self._pace = Pace(interval)
        self._refused_since: float | None = None  # the first of the refusals since a message was taken
        self._retry_at = 0.0  # after a refusal
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @property
    def _head(self) -> Head:
        return self._written.head

    async def run(self, batches: AsyncGenerator[list[Event], None]) -> None:
        """Deliver the events, and return when the journal has the end.

        Raises `Superseded` if somebody else has ended the generation, `DynamoDBError` or `HttpError` if the journal cannot take
        the end.
        """
        self._reading = asyncio.create_task(self._read(batches))
        posting = asyncio.create_task(self._post_all())
        keeping = asyncio.create_task(self._written.run(self._look_for_client))
        tasks = (self._reading, posting, keeping)
        try:
            done, _ = await asyncio.wait((posting, keeping), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await asyncio.wait((self._reading,))
            # A write that is under way must not overtake the last one.
            self._written.stop()
            await keeping
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._finish()

    # From the model.

    async def _read(self, batches: AsyncGenerator[list[Event], None]) -> None:
        try:
            async for batch in batches:
                self._events += batch
                self._size += sum(len(event.text) for event in batch if isinstance(event, Delta | Reasoning))
                if isinstance(batch[-1], Done):
                    self._end = b""
                self._changed.set()
        except GatewayError as error:
            cancelled = error.code == errors.cancelled.code
            self._end_with(messages.cancelled() if cancelled else messages.failure(error, self._head.run, debug=self._debug))
        finally:
            await batches.aclose()

    def _end_with(self, end: bytes) -> None:
        """End the generation with a last message, unless it has ended."""
        if self._end is None:
            self._end = end
            self._changed.set()
            if self._reading is not None and self._reading is not asyncio.current_task():
                self._reading.cancel()

    # To the client.

    async def _post_all(self) -> None:
        while True:
            await self._wait_for_messages()
            self._cut()
            if self._end == b"" and not self._events:
                return  # `_finish` posts what is left
            await self._post_new()

    async def _wait_for_messages(self) -> None:
        """Wait until there is something to post, and since the last message long enough that more has come."""
        while not self._events and self._end is None and not self._unposted():
            self._changed.clear()
            await self._changed.wait()
        while self._end is None:
            left = self._due() - self._loop.time()
            if left <= 0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _due(self) -> float:
        """When the next messages are made and posted."""
        if self._connection is not None and self._refused_since is not None:
            return self._retry_at
        if self._size >= FRAME_BYTES or self._unposted():
            return 0.0
        # Without a client, messages are for the journal alone.
        return self._cut_at + (self._pace.seconds if self._connection is not None else FLUSH_SECONDS)

    def _unposted(self) -> bool:
        return self._connection is not None and self._posted < len(self._messages)

    def _cut(self) -> None:
        """Make messages of the events that have come."""
        events, self._events, self._size = self._events, [], 0
        data = messages.coalesced(events)
        if self._end:
            data.append(self._end)
            self._end = b""
        if data:
            self._cut_at = self._loop.time()
        first = len(self._messages) + 1
        self._written.add([messages.numbered(self._id, number, each) for number, each in enumerate(data, first)])

    async def _post_new(self) -> None:
        """Post what the client has not got. After a refusal it returns, and the same message is due at `_retry_at`."""
        while self._connection is not None and self._posted < len(self._messages):
            connection, resumes = self._connection, self._head.resumes
            frame, posted = messages.frame(self._messages, self._posted)
            try:
                await self._connections.post(connection, frame, patience=0)
            except (Gone, ConnectionsError) as error:
                if isinstance(error, Gone) and await self._is_gone(connection):
                    self._lost(resumes)
                else:
                    await self._refused(connection, resumes, error)
                return
            else:
                self._refused_since = None
                self._pace.ease()
                # Meanwhile the client may have resumed, with another number.
                if self._head.resumes == resumes:
                    self._posted = posted
                    self._posted_at = self._loop.time()

    async def _is_gone(self, connection: str) -> bool:
        """Ask again: API Gateway has said 410 of clients that were there. One that is not there is closed to the end, so that a
        client that still listens notices, and resumes. https://github.com/aws/aws-sdk-js/issues/3773
        """
        try:
            if await self._connections.is_open(connection, patience=0):
                return False
            await self._connections.close(connection, patience=0)
        except ConnectionsError:
            pass  # nothing is known, and the 410 stands
        return True

    async def _refused(self, connection: str, resumes: int, error: Exception) -> None:
        """API Gateway throttles, or the client reads too slowly. The connection stays, unless that goes on for too long."""
        now = self._loop.time()
        if self._refused_since is None:
            self._refused_since = now
            write_warning(f"{type(error).__name__}: {error}", request_id=self._head.run)
        self._pace.widen()
        # The generations of an account are refused together, and should not come back together.
        self._retry_at = now + self._pace.seconds * (0.5 + random.random())  # noqa: S311
        if now - self._refused_since >= GONE_SECONDS:
            self._lost(resumes)
            # Its client would wait for ever otherwise; now it connects again and resumes.
            with contextlib.suppress(ConnectionsError):
                await self._connections.close(connection, patience=0)

    def _lost(self, resumes: int) -> None:
        """The connection has ended that the client had after so many resumes."""
        if self._head.resumes == resumes:
            self._connection = None
            self._gone_since = self._loop.time()
            self._written.flush()

    # With the journal.

    def _head_written(self, before: Head) -> None:
        """Do what the client asks in the journal."""
        head = self._head
        if head.resumes > before.resumes:
            self._connection = head.connection
            self._posted = min(head.since, len(self._messages))
            self._posted_at = 0.0  # the client is answered, whatever the model does
            self._refused_since = None
            self._changed.set()
        if head.cancelled and head.status == "running":
            self.stop.request()

    async def _look_for_client(self) -> None:
        if self._end is not None:
            return
        now = self._loop.time()
        connection, resumes = self._connection, self._head.resumes
        if connection is None:
            if now - self._gone_since >= GONE_SECONDS:
                self._end_with(messages.failure(errors.client_gone(seconds=GONE_SECONDS), self._head.run, debug=self._debug))
        elif now - self._posted_at >= WAITING_SECONDS and not self._unposted():
            self._posted_at = now
            try:
                await self._connections.post(connection, messages.waiting(self._id), patience=0)
            except Gone:
                if await self._is_gone(connection):
                    self._lost(resumes)
            except ConnectionsError:  # nothing is known; the next look may tell
                pass

    async def _finish(self) -> None:
        """Write the end, and post what is left.

        In this order: a client that resumes from now on is served from the journal, and cannot keep this function running.
        """
        try:
            await self._written.end()
        except (DynamoDBError, HttpError):
            await self._post_rest()
            raise
        await self._post_rest()

    async def _post_rest(self) -> None:
        """Post what is left, for a while. A client that reads too slowly is disconnected, and gets the rest when it resumes."""
        connection = self._connection
        try:
            async with asyncio.timeout(FINAL_POST_SECONDS):
                await self._post_new()
                while self._unposted():
                    await asyncio.sleep(self._retry_at - self._loop.time())
                    await self._post_new()
        except TimeoutError:
            write_warning("the client reads too slowly", request_id=self._head.run)
            if connection is not None:
                with contextlib.suppress(ConnectionsError):
                    await self._connections.close(connection, patience=0)
