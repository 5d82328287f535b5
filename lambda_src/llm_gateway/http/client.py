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
import math
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from llm_gateway.http.connection import Connection, Exchange
from llm_gateway.http.errors import (
    ConnectError,
    ConnectionCut,
    ConnectTimeout,
    HttpError,
    MalformedResponse,
    ReadTimeout,
    ResponseTimeout,
    TlsError,
    one_line,
)
from llm_gateway.http.pool import Pool
from llm_gateway.http.wire import Origin, Target, parse_url, request_head

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = [
    "ConnectError",
    "ConnectTimeout",
    "ConnectionCut",
    "HttpClient",
    "HttpError",
    "MalformedResponse",
    "ReadTimeout",
    "Response",
    "ResponseTimeout",
    "TlsError",
]

KIB = 1024

# Below the 60 s after which an Application Load Balancer closes an idle connection and the 350 s after which a NAT
# gateway forgets one. uvicorn (vLLM) closes after 5 s; that is seen as a closed socket.
IDLE_TIMEOUT = 30.0
# An answer that is read as a whole; a provider's longest non-streamed answers are a few MiB.
MAX_BODY = 16 * KIB * KIB
KNOWN_URLS = 256


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
        self._pool = Pool(idle_timeout, max_idle)
        self._urls: dict[str, Target] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        response_timeout: float = math.inf,
        read_timeout: float = math.inf,
        deadline: float = math.inf,
    ) -> "Response":
        """Send a request and return when the response's head has come. Close the response, or read it to its end.

        `response_timeout` is in seconds from the moment the request is written, connecting not included; `read_timeout` bounds
        each wait for a piece of the body; `deadline`, a time of the running loop's clock, ends every wait. `Host` and
        `Content-Length` are set unless given. Raises `HttpError`, or `ValueError` for a request that must not be sent.
        """
        target = self._urls.get(url) or self._learn(url)
        origin = target.origin
        request = request_head(method, target, headers, body)
        pool = self._pool
        if pool.closed:
            raise RuntimeError("this HttpClient is closed")
        connection = pool.take(origin)
        if connection is not None:
            loop = connection.loop
            limit = loop.time() + response_timeout
            exchange = Exchange(connection, method == "HEAD", read_timeout, deadline)
            try:
                await connection.send(exchange, request, body, response_timeout)
                return Response(exchange)
            except ConnectionCut:
                if exchange.started:
                    raise
            response_timeout = max(0.0, limit - loop.time())
        connection = await self._connect(origin, deadline)
        exchange = Exchange(connection, method == "HEAD", read_timeout, deadline)
        await connection.send(exchange, request, body, response_timeout)
        return Response(exchange)

    async def close(self) -> None:
        """Close every connection; a response that is still being read fails with `HttpError`. Idempotent."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _learn(self, url: str) -> Target:
        target = parse_url(url)
        if len(self._urls) >= KNOWN_URLS:
            self._urls.clear()
        self._urls[url] = target
        return target

    async def _connect(self, origin: Origin, deadline: float) -> Connection:
        loop = asyncio.get_running_loop()
        patience = min(self._connect_timeout, max(0.0, deadline - loop.time()))
        connection = Connection(loop, origin, self._pool, self._max_head, self._max_buffer)
        context = self._tls() if origin.tls else None
        try:
            async with asyncio.timeout(patience):
                # asyncio sets TCP_NODELAY on every TCP transport.
                await loop.create_connection(
                    lambda: connection,
                    origin.host,
                    origin.port,
                    ssl=context,
                    server_hostname=origin.host if context is not None else None,
                )
        except TimeoutError:
            raise ConnectTimeout(f"{origin}: no connection within {round(patience, 3):g} s") from None
        except OSError as error:
            kind = TlsError if context is not None and _is_tls_error(error) else ConnectError
            raise kind(f"{origin}: {one_line(error)}") from error
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

    def __init__(self, exchange: Exchange) -> None:
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

    async def chunk(self) -> bytes:
        """The next piece of the body; b"" at its end, and then the connection serves the next request.

        Raises `ReadTimeout`, `ConnectionCut` and `MalformedResponse` after every piece that did come.
        """
        return await self._exchange.next()

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

    def release(self) -> None:
        """Drop what is unread, but let the body end where that is near, so that its connection serves the next request."""
        exchange = self._exchange
        exchange.pieces.clear()
        if not exchange.complete and exchange.error is None:
            exchange.connection.drain(exchange)

    def close(self) -> None:
        """Drop what is unread. Idempotent.

        An unfinished body closes its connection; a finished one has given it back already.
        """
        exchange = self._exchange
        exchange.pieces.clear()
        if not exchange.complete and exchange.error is None and not exchange.released:
            exchange.connection.fail(exchange, HttpError(f"{exchange.connection.origin}: the response was closed"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _too_large(exchange: Exchange, limit: int) -> MalformedResponse:
    return MalformedResponse(f"{exchange.connection.origin}: the body is larger than {limit:,} bytes")


def _is_tls_error(error: OSError) -> bool:
    import ssl

    return isinstance(error, ssl.SSLError)
