"""The least that a proxy in Python does, for bench/peers.py: uvicorn with httptools, and a client on httptools.

    python python_floor.py PORT http://127.0.0.1:PROVIDER

It passes the path, the body and two headers on, and of the answer its status, content type and body. It reads nothing of
what it passes on, checks nothing, has no time limits and logs nothing. Connections to the provider are kept.
"""

import asyncio
import sys
from typing import Any

import uvicorn
from httptools import HttpResponseParser

HOST, PORT = sys.argv[2].removeprefix("http://").split(":")
IDLE: list["Connection"] = []


class Connection(asyncio.Protocol):
    """A connection to the provider, with one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._woken = asyncio.get_running_loop().create_future()

    def send(self, request: bytes) -> None:
        self._parser = HttpResponseParser(self)
        self.headers: list[tuple[bytes, bytes]] = []
        self.status, self.complete = 0, False
        self._parts: list[bytes] = []
        self.transport.write(request)

    async def body(self) -> bytes:
        """All that has come since the last call, after the head; empty at the end."""
        while not (self._parts or self.complete):
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if not self._woken.done():
            self._woken.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._woken.done():
            self._woken.set_exception(ConnectionResetError())

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self.complete = True


async def proxy(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    passed = [(name, value) for name, value in scope["headers"] if name in (b"authorization", b"content-type")]
    head = b"".join(b"%b: %b\r\n" % header for header in passed)
    if IDLE:
        connection = IDLE.pop()
    else:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, HOST, int(PORT))
    request = b"%b %b HTTP/1.1\r\nhost: provider\r\n%bcontent-length: %d\r\n\r\n%b"
    connection.send(request % (scope["method"].encode(), scope["raw_path"], head, len(body), body))
    part = await connection.body()
    headers = connection.headers
    if connection.complete:
        headers.append((b"content-length", b"%d" % len(part)))
    await send({"type": "http.response.start", "status": connection.status, "headers": headers})
    while not connection.complete:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        part = await connection.body()
    await send({"type": "http.response.body", "body": part})
    IDLE.append(connection)


if __name__ == "__main__":
    options: dict[str, Any] = {"loop": "asyncio", "http": "httptools", "ws": "none", "lifespan": "off", "access_log": False}
    uvicorn.run(proxy, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", **options)
