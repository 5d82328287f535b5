"""A small HTTP/1.1 client for the calls to a model's provider.

It is part of the hot path and of every function's cold start, so it uses asyncio's transports and the httptools parser
directly. It keeps connections alive, limits what it buffers and raises a separate exception for each way to fail. It
follows no redirects, keeps no cookies and decompresses nothing (it sends no ``accept-encoding``). A client belongs to
one event loop.

**A request may be sent twice.** A server may close an idle connection at the moment when a request is on its way to it.
If the server closes a reused connection before the first byte of the response, the request is sent once more, on a new
connection. RFC 9112 section 9.3.1 describes this race; in it the server has not read the request. A server that read the
request and then crashed looks the same, so such a request can run twice. For a model's answer that costs tokens and
nothing else. A request is never sent again if its connection was new, if any byte of a response has come, or if it timed
out.
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
from llm_gateway.http.wire import Origin, ParsedUrl, parse_url, request_head

if TYPE_CHECKING:
    from ssl import SSLContext

    from llm_gateway.http.addresses import PublicAddresses

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
# Bytes of a body that `Response.read` reads. A provider's longest answers that are not streamed are a few MiB.
MAX_BODY = 16 * KIB * KIB
KNOWN_URLS = 256


class HttpClient:
    """Sends requests and keeps connections for the next ones, by scheme, host and port.

    Args:
        connect_timeout: Seconds to connect, the TLS handshake included.
        ssl_context: For https. Default: the machine's authorities, read at the first https URL.
        idle_timeout: Seconds after which an idle connection is closed.
        max_idle: How many idle connections are kept for each origin.
        max_head: The largest header section, in bytes.
        max_buffer: Bytes of unread body above which the socket is not read.
        public_only: Connect to public addresses only, for hosts that others name.
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
        public_only: bool = False,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._ssl_context = ssl_context
        self._max_head = max_head
        self._max_buffer = max_buffer
        self._public_only = public_only
        self._addresses: PublicAddresses | None = None
        self._pool = Pool(idle_timeout, max_idle)
        self._urls: dict[str, ParsedUrl] = {}

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
        """Send a request and return when the head of the response has come.

        Close the response, or read it to its end. `Host` and `Content-Length` are set unless they are given.

        Args:
            response_timeout: Seconds from writing the request to the head of the response; connecting is not included.
            read_timeout: Seconds that each wait for a part of the body may take.
            deadline: A time of the running loop's clock at which every wait ends.

        Raises:
            HttpError: The call failed.
            ValueError: The request must not be sent, such as one with a line end in a header.
        """
        parsed = self._urls.get(url) or self._parse(url)
        origin = parsed.origin
        request = request_head(method, parsed, headers, body)
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
        """Close every connection. A response that is still being read fails with `HttpError`."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _parse(self, url: str) -> ParsedUrl:
        parsed = parse_url(url)
        if len(self._urls) >= KNOWN_URLS:
            self._urls.clear()
        self._urls[url] = parsed
        return parsed

    async def _connect(self, origin: Origin, deadline: float) -> Connection:
        loop = asyncio.get_running_loop()
        timeout = min(self._connect_timeout, max(0.0, deadline - loop.time()))
        connection = Connection(loop, origin, self._pool, self._max_head, self._max_buffer)
        context = self._tls() if origin.tls else None
        try:
            async with asyncio.timeout(timeout):
                host = await self._public_address(origin) if self._public_only else origin.host
                # asyncio sets TCP_NODELAY on every TCP transport.
                await loop.create_connection(
                    lambda: connection,
                    host,
                    origin.port,
                    ssl=context,
                    server_hostname=origin.host if context is not None else None,
                )
        except TimeoutError:
            raise ConnectTimeout(f"{origin}: no connection within {round(timeout, 3):g} s") from None
        except OSError as error:
            kind = TlsError if context is not None and _is_tls_error(error) else ConnectError
            raise kind(f"{origin}: {one_line(error)}") from error
        except UnicodeError as error:
            raise ConnectError(f"{origin}: the host is not a valid name") from error
        if self._pool.closed:
            connection.abort()
            raise HttpError(f"{origin}: the client was closed")
        return connection

    async def _public_address(self, origin: Origin) -> str:
        if self._addresses is None:
            from llm_gateway.http.addresses import PublicAddresses

            self._addresses = PublicAddresses()
        return await self._addresses.address(origin.host, origin.port)

    def _tls(self) -> "SSLContext":
        if self._ssl_context is None:
            from llm_gateway.http.trust import client_context

            self._ssl_context = client_context()
            self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context


class Response:
    """A response whose head has come.

    The names in `headers` are in lower case; the values of a repeated header are joined with ", ". Read the body to its end,
    call `close`, or use ``async with``: otherwise the connection stays open.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.headers = exchange.headers

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """Read the whole body. Afterwards the connection can serve the next request.

        Raises `MalformedResponse` for a body of more than `limit` bytes, `ReadTimeout` or `ConnectionCut`. Each of them closes
        the connection.
        """
        exchange = self._exchange
        parts: list[bytes] = []
        size = 0
        try:
            if not exchange.complete and int(self.headers.get("content-length", "0")) > limit:
                raise _too_large(exchange, limit)
            while part := await exchange.next():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise _too_large(exchange, limit)
        finally:
            self.close()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunk(self) -> bytes:
        """Read the next part of the body; b"" at its end. Then the connection can serve the next request.

        Raises `ReadTimeout`, `ConnectionCut` or `MalformedResponse` after all parts that have come were read.
        """
        return await self._exchange.next()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in parts as they come, never empty ones. Leaving the loop early closes the response.

        Raises `ReadTimeout`, `ConnectionCut` or `MalformedResponse` after all parts that have come were yielded.
        """
        try:
            while part := await self._exchange.next():
                yield part
        finally:
            self.close()

    def release(self) -> None:
        """Discard the rest of the body. The connection is kept if the body ends soon."""
        exchange = self._exchange
        exchange.parts.clear()
        if not exchange.complete and exchange.error is None:
            exchange.connection.drain(exchange)

    def close(self) -> None:
        """Discard the rest of the body. The connection is closed unless the body has ended already."""
        exchange = self._exchange
        exchange.parts.clear()
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
