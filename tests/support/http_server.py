"""An HTTP server on loopback that plays a script, and the client in front of it."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from llm_gateway.http.client import (
    HttpClient,
    HttpError,
    Response,
)

KIB = 1024
PATIENCE = 120.0  # no test waits this long: it is what keeps a broken one from hanging
SHORT = 0.05  # a time-out that is meant to strike
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"  # of a body that is not complete
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests: list[tuple[bytes, bytes]] = []

    async def request(self) -> tuple[bytes, bytes]:
        """The next request's head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        body = await self.reader.readexactly(int(length[1]) if length else 0)
        self.requests.append((head, body))
        return head, body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes = OK) -> None:
        await self.request()
        await self.send(data)

    async def gone(self) -> None:
        """Until the client has closed the connection, in order or by a reset."""
        with contextlib.suppress(ConnectionError):
            assert await self.reader.read() == b""


class Server:
    """A server on loopback that plays `script` on each connection and then closes it."""

    def __init__(self, script: Callable[[Peer], Awaitable[None]]) -> None:
        self.script = script
        self.peers: list[Peer] = []
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1/chat?key=hidden"

    async def stop(self) -> None:
        """Close; a script that failed, or one that still waits for a client that has gone, is the test's failure."""
        self._server.close()
        done, pending = await asyncio.wait(self._tasks, timeout=PATIENCE) if self._tasks else (set(), set())
        for task in pending:
            task.cancel()
        assert not pending, "a connection is still open"
        for task in done:
            task.result()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._tasks.add(asyncio.ensure_future(self._play(peer)))

    async def _play(self, peer: Peer) -> None:
        try:
            await self.script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as it may
        finally:
            peer.writer.transport.abort() if peer.writer.transport.get_write_buffer_size() else peer.writer.close()

    @property
    def requests(self) -> list[tuple[bytes, bytes]]:
        return [request for peer in self.peers for request in peer.requests]


@contextlib.asynccontextmanager
async def serving(
    script: Callable[[Peer], Awaitable[None]], tls: ssl.SSLContext | None = None, **options: object
) -> AsyncIterator[tuple[Server, HttpClient]]:
    """A server and a client for it; in the end both are closed, and nothing of either may be left."""
    before = asyncio.all_tasks()
    server = Server(script)
    await server.start(tls)
    client = HttpClient(**options)  # type: ignore[arg-type]
    try:
        yield server, client
    finally:
        await client.close()
        await server.stop()
    # asyncio's own task for a handshake that failed ends a turn later.
    if rest := asyncio.all_tasks() - before:
        assert not (await asyncio.wait(rest, timeout=PATIENCE))[1]


async def forever(peer: Peer) -> None:
    """Answer every request."""
    while True:
        await peer.answer()


def once(data: bytes) -> Callable[[Peer], Awaitable[None]]:
    """Read a request, send `data`, close."""

    async def script(peer: Peer) -> None:
        await peer.answer(data)

    return script


def then_wait(data: bytes) -> Callable[[Peer], Awaitable[None]]:
    """Read a request, send `data` and nothing more, until the client goes."""

    async def script(peer: Peer) -> None:
        await peer.answer(data)
        await peer.gone()

    return script


async def post(client: HttpClient, url: str, **options: object) -> Response:
    arguments: dict[str, object] = {
        "method": "POST",
        "url": url,
        "headers": [("Authorization", "Bearer secret")],
        "body": b"{}",
        "response_timeout": PATIENCE,
        "read_timeout": PATIENCE,
    }
    arguments.update(options)
    return await client.send(**arguments)  # type: ignore[arg-type]


async def fetch(client: HttpClient, url: str, **options: object) -> bytes:
    return await (await post(client, url, **options)).read()


async def stream(client: HttpClient, url: str, **options: object) -> bytes:
    async with await post(client, url, **options) as response:
        return b"".join([piece async for piece in response.chunks()])


async def all_gone(server: Server) -> None:
    """Until every script has ended, which each does when its client has closed the connection."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*server._tasks)


def assert_one_clean_line(error: HttpError, url: str) -> None:
    text = str(error)
    assert text.startswith("/".join(url.split("/")[:3]).replace("localhost", "127.0.0.1"))
    assert "\n" not in text
    assert "hidden" not in text
    assert "secret" not in text
