"""Answers to requests that name an idempotency key: they are kept, sent again, and streams go on where their client lost them.

A streamed answer is sent to its client as it comes, and written to the journal beside that. A client that was cut off sends the
request again: it gets what it has not got from the journal, which is followed until the answer ends. The function that
generates goes on to the end in any case, for Lambda does not tell it that its client left.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from llm_functions.api_formats.chat import StreamRenderer as WithIds
from llm_functions.http.event_stream import EventStreamWriter, Headers, Send, StreamRenderer, routing_headers
from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDBError
from llm_gateway.errors import AnsweredBefore, ErrorKind, GatewayError, Problem
from llm_gateway.events import Event, Start
from llm_gateway.http.errors import HttpError
from llm_gateway.identity.caller import Caller
from llm_gateway.stages.idempotency import Claim
from llm_gateway.stages.journal import FLUSH_SECONDS, Head, Superseded
from llm_gateway.stages.journal_writer import JournalWriter
from llm_gateway.telemetry import write_warning

if TYPE_CHECKING:
    from llm_gateway.stages.cancel import Cancels

# How many requests may follow one stream at once: each of them holds a function.
MOST_FOLLOWERS = 10
# Of an answer that was generated for an earlier request; the name is Stripe's.
_REPLAYED = ("idempotent-replayed", "true")


class Failure(msgspec.Struct, frozen=True, tag="error"):
    """The error that ended a generation, as the journal keeps it."""

    code: str
    status: int
    error_type: str
    message: str
    param: str | None
    retry_after: float | None

    @classmethod
    def of(cls, error: GatewayError) -> "Failure":
        return cls(error.code, error.status, error.type, error.message, error.param, error.retry_after)

    def error(self) -> GatewayError:
        error = GatewayError(ErrorKind(self.code, self.status, self.error_type, self.message), self.message)
        error.param, error.retry_after = self.param, self.retry_after
        return error


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event | Failure).decode


class Kept(Protocol):
    """How a format's whole answers are kept, and made whole again for a repetition of their request."""

    def shortened(self, answer: bytes) -> bytes: ...
    def restored(self, kept: bytes) -> bytes: ...


async def complete(
    claim: Claim, rendering: Coroutine[Any, Any, tuple[Start, bytes]], kept: Kept | None = None
) -> tuple[list[tuple[str, str]], bytes]:
    """Return the headers and the body of a whole answer: the one that is generated now, or the one that was kept."""
    try:
        start, body = await rendering
    except AnsweredBefore as before:
        headers, body = await claim.kept(before.answer)
        return [*headers, _REPLAYED], body if kept is None else kept.restored(body)
    except Exception:
        await claim.release()
        raise
    await claim.keep(routing_headers(_without_limits(start)), body if kept is None else kept.shortened(body))
    return routing_headers(start), body


class Stream(Protocol):
    """What is needed to answer a request with a stream."""

    @property
    def headers(self) -> Headers: ...
    @property
    def request_id(self) -> str: ...
    @property
    def caller(self) -> Caller: ...
    @property
    def send(self) -> Send: ...
    @property
    def deadline(self) -> float: ...


async def send_stream(
    stream: Stream,
    claim: Claim,
    batches: AsyncGenerator[list[Event], None],
    render: Callable[[str], StreamRenderer],
    failure_of: Callable[[Exception], GatewayError],
    cancels: "Cancels | None",
    *,
    debug: bool,
) -> None:
    """Send the events of an answer as they come, and keep them; or those of the answer that there is.

    An error before the first event is raised, and gives the key back.
    """
    renderer = render(stream.request_id)
    writer = EventStreamWriter(stream.send, stream.headers, renderer.opening())
    log = _Log(claim)
    try:
        try:
            async for batch in batches:
                log.add([_encode(_without_limits(event) if isinstance(event, Start) else event) for event in batch])
                if data := renderer.events(batch):
                    await writer.write(data, batch)
            if data := renderer.closing():
                await writer.write(data)
        except AnsweredBefore as before:
            writer.close()
            stops = None if cancels is None else _passing_on(cancels, stream, before.answer)
            try:
                await _follow(stream, claim, before.answer, render, debug=debug)
            finally:
                if stops is not None:
                    stops.cancel()
            return
        except Exception as error:
            failure = failure_of(error)
            if not writer.opened:
                await log.close()
                await claim.release()
                raise
            log.add([_encode(Failure.of(failure))], failed=True)
            await writer.write(renderer.error(failure, debug=debug))
        # The client has everything. Whoever resumes from now on is served from the journal.
        await log.end()
        await writer.finish(b"")
    finally:
        writer.close()
        await log.close()
        await batches.aclose()


class _Log:
    """The journal of one stream. It begins when the key is claimed, and says every second that the function lives."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._writer: JournalWriter | None = None
        self._failed = False
        self._task = asyncio.create_task(self._keep())

    def add(self, messages: Sequence[bytes], *, failed: bool = False) -> None:
        self._failed = self._failed or failed
        if (writer := self._opened()) is not None:
            writer.add(messages)

    async def end(self) -> None:
        """Write what is left, and the end. Nobody is told if that fails: the client has its answer."""
        writer = self._opened()
        if writer is None:
            return
        writer.stop()
        try:
            await self._task
            await writer.end(failed=self._failed)
        except (DynamoDBError, HttpError, Superseded) as error:
            write_warning(f"journal: {type(error).__name__}: {error}", request_id=writer.head.run)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        await self._claim.claimed.wait()
        writer = self._opened()
        assert writer is not None
        await writer.run()

    def _opened(self) -> JournalWriter | None:
        if self._writer is None and self._claim.head is not None:
            self._writer = JournalWriter(self._claim.journal, self._claim.head, write_warning)
        return self._writer


def _passing_on(cancels: "Cancels", stream: Stream, head: Head) -> "asyncio.Task[None] | None":
    """Return what stops a running generation when one who follows it is to be stopped: its client may know that id alone."""
    if head.status != "running":
        return None
    return asyncio.create_task(cancels.pass_on(stream.caller, stream.request_id, head.run))


async def _follow(stream: Stream, claim: Claim, head: Head, render: Callable[[str], StreamRenderer], *, debug: bool) -> None:
    """Send the events of another request's answer which the client has not got, as the journal gets them.

    A client that names the last one is answered 204: that tells an EventSource to try no more. One that names a later one has
    not got it from here, which is the error 400.
    https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface
    """
    renderer = render(head.run)
    headers = [*stream.headers, (_REPLAYED[0].encode(), _REPLAYED[1].encode())]
    writer = EventStreamWriter(stream.send, headers, renderer.opening())
    began, last, misplaced = False, b"", None
    try:
        try:
            async for batch in _journaled(claim, head, stream.deadline):
                began = True
                if data := renderer.events(batch):
                    await writer.write(data, batch)
            last, misplaced = renderer.closing(), _misplaced(renderer)
        except _Failed as failed:
            last = renderer.error(failed.error, debug=debug)
            misplaced = _misplaced(renderer)
        except GatewayError as error:
            if not (began or writer.opened):
                raise
            last = _interruption(renderer, error, debug=debug)
        if misplaced is not None:
            if not writer.opened:
                raise misplaced
            last = _interruption(renderer, misplaced, debug=debug)
        if last or writer.opened or not claim.since:
            await writer.finish(last)
        else:
            await stream.send({"type": "http.response.start", "status": 204, "headers": headers})
            await stream.send({"type": "http.response.body"})
    finally:
        writer.close()


def _misplaced(renderer: StreamRenderer) -> GatewayError | None:
    """Return the error 400 of a client that says to have an event after the last one of a stream that has ended."""
    if not (isinstance(renderer, WithIds) and renderer.is_beyond):
        return None
    return errors.invalid_request([Problem("Last-Event-ID", f"the last event of this stream is {renderer.last}")])


def _interruption(renderer: StreamRenderer, error: GatewayError, *, debug: bool) -> bytes:
    """Return an error that ends what is sent, and not the stream: whoever goes on gets the events after the last one."""
    return renderer.interruption(error, debug=debug) if isinstance(renderer, WithIds) else renderer.error(error, debug=debug)


class _Failed(Exception):
    """The generation ended with this error, which the journal has."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.code)
        self.error = error


async def _journaled(claim: Claim, head: Head, deadline: float) -> AsyncGenerator[list[Event], None]:
    """Yield the events of a generation that are in the journal, and those that come. Raises its error, or the journal's.

    While it runs, a function waits for it here, and does not learn that its client has left. So of many, the newest go on.
    """
    journal, run, read, loop = claim.journal, head.run, 0, asyncio.get_running_loop()
    place = 0  # how many have followed, with this one
    while True:
        try:
            if head.last > read:
                lines = [_decode(line) for line in await journal.read(head, read)]
                read = head.last
                if events := [line for line in lines if not isinstance(line, Failure)]:
                    yield events
                if isinstance(lines[-1], Failure):
                    raise _Failed(lines[-1].error())
            if head.status == "ended":
                return
            if head.status != "running":
                raise errors.function_failed()
            if journal.is_dead(head):
                head = await journal.record_death(head, errors.function_failed.code) or head
                continue
            if loop.time() + FLUSH_SECONDS > deadline:
                raise errors.function_timeout()
            if place and head.resumes >= place + MOST_FOLLOWERS:
                raise errors.too_many_followers(limit=MOST_FOLLOWERS)
            if place:
                await asyncio.sleep(FLUSH_SECONDS)
                known = await journal.head(head.key)
            else:
                known = await journal.resume(head.key, "", claim.since)
                place = known.resumes if known is not None else 0
        except (DynamoDBError, HttpError) as error:
            raise errors.idempotency_unavailable(detail=f"{type(error).__name__}: {error}") from error
        if known is None or known.run != run:  # it failed before its first event, and its key is free again
            raise errors.function_failed()
        head = known


def _without_limits(start: Start) -> Start:
    """Return the beginning of an answer without what was left of the caller's limits then."""
    return msgspec.structs.replace(start, rate_limits={})
