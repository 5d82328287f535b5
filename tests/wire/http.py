"""An upstream on loopback that plays a script, and what it sends: responses and chunks of HTTP."""

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

STREAM_END = b"0\r\n\r\n"


def response(status: int, body: Any, **headers: str) -> bytes:
    """A complete response; `body` is bytes or what becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"content-type": "application/json", "content-length": str(len(content))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content


def stream_head(media_type: str, framing: str = "transfer-encoding: chunked") -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\n{framing}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Peer:
    """One connection as the fake upstream sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fake: "Fake") -> None:
        self._reader = reader
        self._writer = writer
        self._fake = fake

    async def request(self) -> Any:
        """The next request's JSON; the fake keeps its path, its head and its body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        self._fake.paths.append(head.split(b" ")[1].decode())
        self._fake.heads.append(head.decode())
        self._fake.bodies.append(json.loads(body))
        return self._fake.bodies[-1]

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Wait until the gateway has closed the connection, in order or by a reset."""
        with contextlib.suppress(ConnectionError):
            assert await self._reader.read() == b""
        self._fake.left.set()


Script = Callable[[Peer], Awaitable[None]]


def plays(*data: bytes, wait: bool = False) -> Script:
    """A script: read a request, send `data`, then close; or wait until the gateway leaves."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in data:
            await peer.send(piece)
        if wait:
            await peer.gone()

    return script


class Fake:
    """An upstream on loopback that plays its script on each connection and then closes it."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.paths: list[str] = []
        self.heads: list[str] = []
        self.bodies: list[Any] = []
        self.left = asyncio.Event()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.ensure_future(self._play(reader, writer)))

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._script(Peer(reader, writer, self))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway left, as it may
        finally:
            writer.close()
