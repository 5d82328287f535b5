"""A small HTTP/1.1 client for the calls to a model's provider.

It stands in the hot path and in the cold start of every function, so it is asyncio's transports and the httptools
parser with little between them. It keeps connections alive, bounds what it buffers and tells each failure by its own
exception. It follows no redirect, keeps no cookie and decompresses nothing (it sends no ``accept-encoding``). A client
belongs to one event loop.

**A request that is sent twice.** A server may close an idle connection at the moment when a request is on its way to
it. If a reused connection is closed by the server before a single byte of the response has come, the request is sent
once more, on a fresh connection; RFC 9112 section 9.3.1 is about this race, and in it the server has not read the
request. A server that did read it and died without a word looks the same, so such a request can run twice: for a
model's answer that costs tokens and nothing else. A request on a fresh connection, one that has got any byte of a
response, and one that has run into a time-out are never sent again.
"""

import asyncio
import re
import select
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    from ssl import SSLContext

KIB = 1024

# Below the 60 s after which an Application Load Balancer closes an idle connection and the 350 s after which a NAT
# gateway forgets one. uvicorn (vLLM) closes after 5 s; that is seen as a closed socket.
IDLE_TIMEOUT = 30.0
# An answer that is read as a whole; a provider's longest non-streamed answers are a few MiB.
MAX_BODY = 16 * KIB * KIB
# Up to this size head and body leave in one write, hence in one TLS record and one segment where they fit.
ONE_WRITE = 64 * KIB
KNOWN_URLS = 256


class HttpError(Exception):
    """A call that failed. The text is one line with the origin in it, and neither a header's value nor the query."""


class ConnectError(HttpError):
    """No connection: refused, reset while connecting, or the name could not be resolved."""


class ConnectTimeout(HttpError):
    """No connection, the TLS handshake included, within `connect_timeout`."""


class TlsError(HttpError):
    """The handshake failed or the certificate is not to be trusted."""


class ResponseTimeout(HttpError):
    """No response head within `response_timeout`."""


class ReadTimeout(HttpError):
    """The body stood still for `read_timeout` while somebody waited for it."""


class ConnectionCut(HttpError):
    """The connection was closed before the end of the head or of the body."""


class MalformedResponse(HttpError):
    """What came is not HTTP, or it is larger than a limit."""


class HttpClient:
    """Sends requests over a pool of kept connections, one pool for each scheme, host and port.

    `connect_timeout` and `idle_timeout` are in seconds; `max_idle` is the number of idle connections kept for each
    origin; `max_head` and `max_buffer` are in bytes: the header section, and the unread body above which the socket is
    no longer read. Without an `ssl_context` the first https URL makes one from ``ssl.create_default_context()``.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 3.0,
        ssl_context: "SSLContext | None" = None,
        idle_timeout: float = IDLE_TIMEOUT,
        max_idle: int = 128,
        max_head: int = 64 * KIB,
        max_buffer: int = 256 * KIB,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._ssl_context = ssl_context
        self._max_head = max_head
        self._max_buffer = max_buffer
        self._pool = _Pool(idle_timeout, max_idle)
        self._urls: dict[str, _Target] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        response_timeout: float,
        read_timeout: float,
    ) -> "Response":
        """Send a request and return when the response's head has come. Close the response, or read it to its end.

        `response_timeout` is in seconds from the moment the request is written, connecting not included. `Host` and
        `Content-Length` are set unless given. Raises `HttpError`, or `ValueError` for a request that must not be sent.
        """
        target = self._urls.get(url) or self._learn(url)
        origin = target.origin
        request = _head(method, target, headers, body)
        pool = self._pool
        if pool.closed:
            raise RuntimeError("this HttpClient is closed")
        connection = pool.take(origin)
        if connection is not None:
            loop = connection.loop
            deadline = loop.time() + response_timeout
            exchange = _Exchange(connection, method == "HEAD", read_timeout)
            try:
                return await connection.send(exchange, request, body, response_timeout)
            except ConnectionCut:
                if exchange.started:
                    raise
            response_timeout = max(0.0, deadline - loop.time())
        connection = await self._connect(origin)
        exchange = _Exchange(connection, method == "HEAD", read_timeout)
        return await connection.send(exchange, request, body, response_timeout)

    async def close(self) -> None:
        """Close every connection; a response that is still being read fails with `HttpError`. Idempotent."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _learn(self, url: str) -> "_Target":
        target = _parse(url)
        if len(self._urls) >= KNOWN_URLS:
            self._urls.clear()
        self._urls[url] = target
        return target

    async def _connect(self, origin: "_Origin") -> "_Connection":
        loop = asyncio.get_running_loop()
        connection = _Connection(loop, origin, self._pool, self._max_head, self._max_buffer)
        context = self._tls() if origin.tls else None
        try:
            async with asyncio.timeout(self._connect_timeout):
                # asyncio sets TCP_NODELAY on every TCP transport.
                await loop.create_connection(
                    lambda: connection,
                    origin.host,
                    origin.port,
                    ssl=context,
                    server_hostname=origin.host if context is not None else None,
                )
        except TimeoutError:
            raise ConnectTimeout(f"{origin}: no connection within {self._connect_timeout:g} s") from None
        except OSError as error:
            kind = TlsError if context is not None and _is_tls_error(error) else ConnectError
            raise kind(f"{origin}: {_reason(error)}") from error
        except UnicodeError as error:
            raise ConnectError(f"{origin}: the host is not a valid name") from error
        if self._pool.closed:
            connection.abort()
            raise HttpError(f"{origin}: the client was closed")
        return connection

    def _tls(self) -> "SSLContext":
        if self._ssl_context is None:
            import ssl

            self._ssl_context = ssl.create_default_context()
            self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context


class Response:
    """A response whose head has come. Header names are in lower case; a repeated header's values are joined with ", ".

    Leave it by reading it to its end, by `close`, or by ``async with``: one that is only dropped keeps its connection
    open.
    """

    def __init__(self, exchange: "_Exchange") -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.headers = exchange.headers

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """The whole body; then the connection serves the next request. `limit` is in bytes.

        Raises `MalformedResponse` for a longer body, `ReadTimeout` and `ConnectionCut`; each closes the connection.
        """
        exchange = self._exchange
        pieces: list[bytes] = []
        size = 0
        try:
            if not exchange.complete and int(self.headers.get("content-length", "0")) > limit:
                raise _too_large(exchange, limit)
            while piece := await exchange.next():
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise _too_large(exchange, limit)
        finally:
            self.close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces as they come, never empty; what came while the caller was busy comes as one piece.

        Raises `ReadTimeout`, `ConnectionCut` and `MalformedResponse` after every piece that did come. A caller that
        stops early closes the response.
        """
        try:
            while piece := await self._exchange.next():
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Drop what is unread. Idempotent.

        An unfinished body closes its connection; a finished one has given it back already.
        """
        exchange = self._exchange
        exchange.pieces.clear()
        if not exchange.complete and exchange.error is None:
            exchange.connection.fail(exchange, HttpError(f"{exchange.connection.origin}: the response was closed"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Origin(NamedTuple):
    tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class _Target(NamedTuple):
    """A URL, taken apart once."""

    origin: _Origin
    path: str  # with the query: what the request line carries
    host: str  # the Host header


class _Exchange:
    """One request and its response: what the parser has found, and the one task that waits for it.

    It outlives its turn on the connection: when the last byte has come the connection goes back to the pool at once,
    and what is unread stays here.
    """

    def __init__(self, connection: "_Connection", head_only: bool, read_timeout: float) -> None:
        self.connection = connection
        self.head_only = head_only
        self.read_timeout = read_timeout
        self.started = False  # a byte of the response has come
        self.status = 0  # of the final head; 0 until it has come
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.buffered = 0
        self.paused = False
        self.complete = False
        self.error: HttpError | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.deadline = 0.0  # of the waiter, by the loop's clock
        self.patience = 0.0  # the seconds it was given, for the message

    async def next(self) -> bytes:
        """What has come since the last call; b"" after the end."""
        while not self.pieces:
            if self.error is not None:
                raise self.error
            if self.complete:
                return b""
            await self.wait(self.read_timeout)
        pieces = self.pieces
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.buffered = 0
        if self.paused:
            self.paused = False
            if not self.complete and self.error is None:
                self.connection.transport.resume_reading()
        return piece

    async def wait(self, seconds: float) -> None:
        """Until the head, a piece of the body, its end or an error has come; a time-out comes as an error."""
        if self.waiter is not None:
            raise RuntimeError("two tasks read one response")
        connection = self.connection
        self.waiter = connection.loop.create_future()
        self.patience = seconds
        self.deadline = deadline = connection.loop.time() + seconds
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
        origin, seconds = self.connection.origin, round(self.patience, 3)
        if self.status:
            return ReadTimeout(f"{origin}: no byte of the body for {seconds:g} s")
        return ResponseTimeout(f"{origin}: no response head within {seconds:g} s")


class _Connection(asyncio.Protocol):
    """One connection: feeds what comes to the parser, whose callbacks (`on_…`) fill the exchange that is under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: _Origin, pool: "_Pool", max_head: int, max_buffer: int) -> None:
        self.loop = loop
        self.origin = origin
        self.transport: asyncio.Transport
        self.timer: asyncio.TimerHandle | None = None
        self.idle_since = 0.0
        self._pool = pool
        self._max_head = max_head
        self._max_buffer = max_buffer
        self._parser = HttpResponseParser(self)
        self._poll = select.poll()
        self._exchange: _Exchange | None = None
        self._headers: dict[str, str] = {}
        self._head_size = 0  # of the names and values of one header section
        self._silent = 0  # bytes since the last one that belonged to a body
        self._refused = ""  # why a callback stopped the parser
        self._surplus = False  # something came after the end of the response
        self._keep_alive = False
        self._until_eof = False

    async def send(self, exchange: _Exchange, head: bytes, body: bytes, response_timeout: float) -> Response:
        transport = self.transport
        if transport.is_closing():
            raise ConnectionCut(f"{self.origin}: the connection was closed before the request was sent")
        self._exchange = exchange
        self._headers = {}
        self._head_size = self._silent = 0
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
        return Response(exchange)

    def reusable(self) -> bool:
        """Whether the server has left it open. The kernel is asked: after a freeze the loop may not have noticed yet."""
        return not self.transport.is_closing() and not self._poll.poll(0)

    def fail(self, exchange: _Exchange, error: HttpError) -> None:
        """End an unfinished exchange; its connection can't be used again."""
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
        # Not close(): over TLS that waits for the server's goodbye.
        self.transport.abort()

    def set_timer(self, when: float) -> None:
        """One timer serves all waits: it is set again when it fires too early, so that most waits set none."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self.timer = None
        exchange = self._exchange
        if exchange is None or exchange.waiter is None or exchange.waiter.done():
            return
        if exchange.deadline > self.loop.time():
            self.set_timer(exchange.deadline)
        else:
            self.fail(exchange, exchange.timed_out())

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._pool.add(self)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self._pool.drop(self)  # nobody asked
            return
        exchange.started = True
        buffered = exchange.buffered
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._surplus = True
            if not exchange.complete:
                reason = self._refused or _reason(error)
                self.fail(exchange, MalformedResponse(f"{self.origin}: the response is malformed: {reason}"))
                return
        if exchange.complete:
            self._finish(exchange)
        elif exchange.buffered != buffered:
            self._silent = 0
            exchange.wake()
            if exchange.buffered > self._max_buffer and not exchange.paused:
                exchange.paused = True
                self.transport.pause_reading()
        else:
            # A header section, a trailer or a chunk's extension that never ends.
            self._silent += len(data)
            if self._silent > self._max_head:
                reason = f"{self._silent:,} bytes of headers or chunk framing without an end"
                self.fail(exchange, MalformedResponse(f"{self.origin}: the response is malformed: {reason}"))

    def eof_received(self) -> None:
        self._peer_closed(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer_closed(exc)
        self._pool.lost(self)
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
        reason = "" if error is None else f" ({_reason(error)})"
        self.fail(exchange, ConnectionCut(f"{self.origin}: the connection was closed before the {where}{reason}"))

    def _finish(self, exchange: _Exchange) -> None:
        exchange.wake()
        self._exchange = None
        # A request that is still being written was answered early: the rest of it would stand before the next one.
        if self._surplus or not self._keep_alive or self.transport.get_write_buffer_size():
            self.abort()
            return
        if exchange.head_only:
            self._parser = HttpResponseParser(self)  # the old one waits for the body that HEAD has not
        self._pool.give(self)

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
        text = value.decode("latin-1").rstrip(" \t")  # the parser strips the front only
        if key in headers:
            headers[key] = f"{headers[key]}, {text}"
        else:
            headers[key] = text

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or exchange.complete:
            return
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, {}  # what comes from now on is an interim response's or a trailer
        self._head_size = 0
        if status < 102 and status != 100:
            self._refuse(f"its status is {status}")  # nobody asked to switch protocols
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

    def on_body(self, piece: bytes) -> None:
        exchange = self._exchange
        if exchange is None or exchange.complete:
            self._surplus = True
            return
        exchange.pieces.append(piece)
        exchange.buffered += len(piece)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.status:
            exchange.complete = True

    def _refuse(self, reason: str) -> None:
        self._refused = reason
        raise ValueError(reason)


class _Pool:
    """The connections of one client: all of them, and the idle ones by origin, the youngest last."""

    def __init__(self, idle_timeout: float, max_idle: int) -> None:
        self.closed = False
        self._idle_timeout = idle_timeout
        self._max_idle = max_idle
        self._idle: dict[_Origin, list[_Connection]] = {}
        self._all: set[_Connection] = set()
        self._empty: asyncio.Event | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self, origin: _Origin) -> _Connection | None:
        """The connection that was idle for the shortest time, which is the likeliest to be alive."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.idle_since + self._idle_timeout > connection.loop.time() and connection.reusable():
                return connection
            connection.abort()
        return None

    def give(self, connection: _Connection) -> None:
        idle = self._idle.get(connection.origin)
        if idle is None:
            idle = self._idle[connection.origin] = []
        if self.closed or len(idle) >= self._max_idle:
            connection.abort()
            return
        connection.idle_since = connection.loop.time()
        idle.append(connection)
        if self._sweeper is None:
            self._sweeper = connection.loop.call_later(self._idle_timeout, self._sweep, connection.loop)

    def add(self, connection: _Connection) -> None:
        self._all.add(connection)

    def drop(self, connection: _Connection) -> None:
        """Take an idle connection out and close it."""
        self._forget(connection)
        connection.abort()

    def lost(self, connection: _Connection) -> None:
        self._forget(connection)
        self._all.discard(connection)
        if self._empty is not None and not self._all:
            self._empty.set()

    async def close(self) -> None:
        self.closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._idle.clear()
        if not self._all:
            return
        if self._empty is None:
            self._empty = asyncio.Event()
        for connection in list(self._all):
            connection.abort(HttpError(f"{connection.origin}: the client was closed"))
        await self._empty.wait()

    def _forget(self, connection: _Connection) -> None:
        idle = self._idle.get(connection.origin)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what nobody has asked for in time, so that a quiet client holds no sockets."""
        self._sweeper = None
        oldest = loop.time() - self._idle_timeout
        for origin, idle in list(self._idle.items()):
            for connection in [c for c in idle if c.idle_since <= oldest]:
                idle.remove(connection)
                connection.abort()
            if not idle:
                del self._idle[origin]
        if self._idle:
            first = min(connections[0].idle_since for connections in self._idle.values())
            self._sweeper = loop.call_at(first + self._idle_timeout, self._sweep, loop)


_NOT_IN_A_URL = re.compile(r"[^\x21-\x7e]")


def _parse(url: str) -> _Target:
    """Take a URL apart. `urlsplit` silently drops line ends, so they are looked for first."""
    if _NOT_IN_A_URL.search(url):
        raise ValueError("url: it has a space, a control character or a character outside ASCII; percent-encode it")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url: it must start with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError("url: it carries a user name or a password; send them as a header")
    tls = parts.scheme == "https"
    usual = 443 if tls else 80
    origin = _Origin(tls, parts.hostname, usual if parts.port is None else parts.port)
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    path = parts.path or "/"
    if parts.query:
        path = f"{path}?{parts.query}"
    return _Target(origin, path, host if origin.port == usual else f"{host}:{origin.port}")


def _head(method: str, target: _Target, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """The request line and the header section. One count over the text finds every line end that does not belong."""
    lines = [f"{method} {target.path} HTTP/1.1"]
    host = length = False
    for name, value in headers:
        key = name.lower()
        if key == "host":
            host = True
        elif key == "content-length":
            length = True
            if value != str(len(body)):
                raise ValueError(f"content-length: it differs from the body's {len(body):,} bytes")
        elif key == "transfer-encoding":
            raise ValueError("transfer-encoding: the body is sent with a content-length; leave the header out")
        lines.append(f"{name}: {value}")
    if not host:
        lines.append(f"host: {target.host}")
    if not length and (body or method not in ("GET", "HEAD", "DELETE", "OPTIONS")):
        lines.append(f"content-length: {len(body)}")
    ends = len(lines) + 1
    lines.append("\r\n")
    text = "\r\n".join(lines)
    if text.count("\r") != ends or text.count("\n") != ends or "\0" in text:
        raise ValueError("the method or a header has a line end or a NUL in it; leave it out")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a header has a character outside Latin-1; encode its value") from None


def _too_large(exchange: _Exchange, limit: int) -> MalformedResponse:
    return MalformedResponse(f"{exchange.connection.origin}: the body is larger than {limit:,} bytes")


def _is_tls_error(error: OSError) -> bool:
    import ssl

    return isinstance(error, ssl.SSLError)


def _reason(error: Exception) -> str:
    """An error's own words on one line."""
    return " ".join(str(error).split()) or type(error).__name__
