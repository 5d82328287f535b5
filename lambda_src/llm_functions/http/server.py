"""The HTTP server in front of the application: uvicorn, with fewer system calls for each request and answer."""

import asyncio
import os
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llm_gateway import environment
from llm_gateway.http.receiver import Receiver


def config(application: Any, **more: Any) -> uvicorn.Config:
    """Return the server's settings. It serves only the Web Adapter in the same execution environment."""
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": int(os.environ.get(environment.PORT, environment.DEFAULT_PORT)),
        "loop": "asyncio",
        "http": _Connection,
        "ws": "none",
        "lifespan": "off",
        "interface": "asgi3",
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": 3600,
    }
    return uvicorn.Config(application, **{**settings, **more})


class _Connection(HttpToolsProtocol, Receiver):
    def __init__(self, *args: Any, **more: Any) -> None:
        HttpToolsProtocol.__init__(self, *args, **more)
        Receiver.__init__(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_CoalescingTransport(transport, self.loop))  # pyright: ignore[reportArgumentType]


class _CoalescingTransport:
    """A transport that sends the head of a response together with what follows in the same iteration of the loop.

    uvicorn writes them one after the other. A system call costs more time than the rest of its work for both.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            data = self._head + data
            self._head = b""
            self._transport.write(data)
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head and not self._transport.is_closing():
            self._transport.write(self._head)
        self._head = b""
