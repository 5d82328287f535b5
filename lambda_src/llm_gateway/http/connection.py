"""A connection of the HTTP client, and the exchange of a request and its response over it."""

import asyncio
import select
from typing import TYPE_CHECKING, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from llm_gateway.http.errors import ConnectionCut, HttpError, MalformedResponse, ReadTimeout, ResponseTimeout, one_line
from llm_gateway.http.receiver import Receiver

if TYPE_CHECKING:
    from llm_gateway.http.wire import Origin

# Bytes up to which head and body are written at once, and so share a TLS record and a segment if they fit.
ONE_WRITE = 64 * 1024
# How much of the rest of a body is read to keep its connection. It saves a TLS handshake.
DRAIN_SECONDS = 1.0
DRAIN_BYTES = 64 * 1024


class Owner(Protocol):
    """Keeps connections; each connection reports to its owner. The client's owner is its pool."""

    def add(self, connection: "Connection") -> None: ...  # it is open

    def give(self, connection: "Connection") -> None: ...  # it can be used again

    def drop(self, connection: "Connection") -> None: ...  # it can no longer be used

    def lost(self, connection: "Connection") -> None: ...  # it is closed


class Exchange:
    """One request and its response: what the parser has read, and the one task that waits for it.

    When the last byte has come, the connection goes back to the pool at once. The unread part of the body stays here.
    """

    def __init__(self, connection: "Connection", head_only: bool, read_timeout: float, end: float) -> None:
        self.connection = connection
        self.head_only = head_only
        self.read_timeout = read_timeout
        self.end = end  # the loop's time at which every wait ends
        self.started = False  # a byte of the response has come
        self.status = 0  # of the final head; 0 until it has come
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.buffered = 0
        self.paused = False
        self.complete = False
        self.released = False  # the rest of the body is not wanted
        self.error: HttpError | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.deadline = 0.0  # the loop's time at which the waiter times out
        self.timeout = 0.0  # the seconds that it was given, for the message

    async def next(self) -> bytes:
        """Wait for the next part of the body: all that has come since the last call, b"" after the end."""
        while not self.parts:
            if self.error is not None:
                raise self.error
            if self.complete:
                return b""
            await self.wait(self.read_timeout)
        parts = self.parts
        part = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.buffered = 0
        if self.paused:
            self.paused = False
            if not self.complete and self.error is None:
                self.connection.transport.resume_reading()
        return part

    async def wait(self, seconds: float) -> None:
        """Wait until the head, a part of the body, its end or an error has come. A time-out is an error."""
        if self.waiter is not None:
            raise RuntimeError("two tasks read one response")
        connection = self.connection
        self.waiter = connection.loop.create_future()
        now = connection.loop.time()
        self.deadline = deadline = min(now + seconds, self.end)
        self.timeout = max(0.0, deadline - now)
        timer = connection.timer
        if timer is None or timer.when() > deadline:
            connection.set_timer(deadline)
        try:
            await self.waiter
        finally:
            self.waiter = None

    def wake(self) -> None:
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def timed_out(self) -> HttpError:
        origin, seconds = self.connection.origin, round(self.timeout, 3)
        if self.status:
            return ReadTimeout(f"{origin}: no byte of the body for {seconds:g} s")
        return ResponseTimeout(f"{origin}: no response head within {seconds:g} s")


class Connection(Receiver):
    """One connection. It feeds incoming bytes to the parser, whose callbacks (`on_…`) fill the current exchange."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: "Origin", owner: Owner, max_head: int, max_buffer: int) -> None:
        super().__init__()
        self.loop = loop
        self.origin = origin
        self.transport: asyncio.Transport
        self.timer: asyncio.TimerHandle | None = None
        self.idle_since = 0.0
        self._owner = owner
        self._max_head = max_head
        self._max_buffer = max_buffer
        self._parser = HttpResponseParser(self)
        self._poll = select.poll()
        self._exchange: Exchange | None = None
        self._headers: dict[str, str] = {}
        self._head_size = 0  # of the names and values of one header section
        self._overhead = 0  # bytes since the last byte of a body
        self._refused = ""  # why a callback has stopped the parser
        self._surplus = False  # something came after the end of the response
        self._keep_alive = False
        self._until_eof = False

    async def send(self, exchange: Exchange, head: bytes, body: bytes, response_timeout: float) -> None:
        """Send the request and return when the head of the response has come."""
        transport = self.transport
        if transport.is_closing():
            raise ConnectionCut(f"{self.origin}: the connection was closed before the request was sent")
        self._exchange = exchange
        self._headers = {}
        self._head_size = self._overhead = 0
        if not body:
            transport.write(head)
        elif len(body) <= ONE_WRITE:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        try:
            await exchange.wait(response_timeout)
        except BaseException:  # cancelled
            if not exchange.complete:
                self.fail(exchange, HttpError(f"{self.origin}: the request was given up"))
            raise
        if not exchange.status and exchange.error is not None:
            raise exchange.error

    def reusable(self) -> bool:
        """Whether the server has kept it open. This asks the kernel: after a freeze the loop may not have noticed yet."""
        return not self.transport.is_closing() and not self._poll.poll(0)

    def drain(self, exchange: Exchange) -> None:
        """Read and discard the rest of a body, within the time and size that a new connection would cost."""
        exchange.released = True
        exchange.buffered = 0
        exchange.deadline = self.loop.time() + DRAIN_SECONDS
        if exchange.paused:
            exchange.paused = False
            self.transport.resume_reading()
        self.set_timer(exchange.deadline)

    def fail(self, exchange: Exchange, error: HttpError) -> None:
        """End an unfinished exchange with an error and close the connection."""
        if exchange.error is None:
            exchange.error = error
        exchange.wake()
        self.abort()

    def abort(self, error: HttpError | None = None) -> None:
        if self._exchange is not None and error is not None and self._exchange.error is None:
            self._exchange.error = error
            self._exchange.wake()
        self._exchange = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        # Not close(): over TLS that waits for the server's close_notify.
        self.transport.abort()

    def set_timer(self, when: float) -> None:
        """Set the one timer that all waits share. It is set again if it fires too early, so most waits set none."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self.timer = None
        exchange = self._exchange
        if exchange is None or (not exchange.released and (exchange.waiter is None or exchange.waiter.done())):
            return
        if exchange.deadline > self.loop.time():
            self.set_timer(exchange.deadline)
        else:
            self.fail(exchange, exchange.timed_out())

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._owner.add(self)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self._owner.drop(self)  # no request is under way
            return
        exchange.started = True
        buffered = exchange.buffered
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._surplus = True
            if not exchange.complete:
                reason = self._refused or one_line(error)
                self.fail(exchange, MalformedResponse(f"{self.origin}: the response is malformed: {reason}"))
                return
        if exchange.complete:
            self._finish(exchange)
        elif exchange.buffered != buffered:
            self._overhead = 0
            exchange.wake()
            if exchange.buffered > self._max_buffer and not exchange.paused:
                exchange.paused = True
                self.transport.pause_reading()
        else:
            # Perhaps a header section, a trailer or a chunk extension that never ends.
            self._overhead += len(data)
            if self._overhead > self._max_head:
                reason = f"{self._overhead:,} bytes of headers or chunk framing without an end"
                self.fail(exchange, MalformedResponse(f"{self.origin}: the response is malformed: {reason}"))

    def eof_received(self) -> None:
        self._peer_closed(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer_closed(exc)
        self._owner.lost(self)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _peer_closed(self, error: Exception | None) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.status and self._until_eof and error is None:
            exchange.complete = True
            self._finish(exchange)
            return
        where = "end of the body" if exchange.status else "end of the head" if exchange.started else "response"
        reason = "" if error is None else f" ({one_line(error)})"
        self.fail(exchange, ConnectionCut(f"{self.origin}: the connection was closed before the {where}{reason}"))

    def _finish(self, exchange: Exchange) -> None:
        exchange.wake()
        self._exchange = None
        # If the response came before the whole request was written, the rest of the request would precede the next one.
        if self._surplus or not self._keep_alive or self.transport.get_write_buffer_size():
            self.abort()
            return
        if exchange.head_only:
            self._parser = HttpResponseParser(self)  # the old one waits for a body, which HEAD does not have
        self._owner.give(self)

    # The parser's side.

    def on_message_begin(self) -> None:
        if self._exchange is None or self._exchange.complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._max_head:
            self._refuse(f"its header section is larger than {self._max_head:,} bytes")
        headers = self._headers
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").rstrip(" \t")  # the parser strips only the left side
        if key in headers:
            headers[key] = f"{headers[key]}, {text}"
        else:
            headers[key] = text

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or exchange.complete:
            return
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, {}  # later headers are of an interim response or a trailer
        self._head_size = 0
        if status < 102 and status != 100:
            self._refuse(f"its status is {status}")  # no request asks to switch protocols
        if status < 200:
            return
        exchange.status = status
        exchange.headers = headers
        self._keep_alive = self._parser.should_keep_alive()
        coding = headers.get("transfer-encoding", "").rpartition(",")[2].strip().lower()
        self._until_eof = coding != "chunked" and "content-length" not in headers
        if exchange.head_only:
            exchange.complete = True
        exchange.wake()

    def on_body(self, part: bytes) -> None:
        exchange = self._exchange
        if exchange is None or exchange.complete:
            self._surplus = True
            return
        exchange.buffered += len(part)
        if not exchange.released:
            exchange.parts.append(part)
        elif exchange.buffered > DRAIN_BYTES:
            self._refuse("its body goes on after its end")

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.status:
            exchange.complete = True

    def _refuse(self, reason: str) -> None:
        self._refused = reason
        raise ValueError(reason)
