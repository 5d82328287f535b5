"""The HTTP server in front of the application: uvicorn, stricter than it is, and with fewer system calls."""

import asyncio
import os
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llm_gateway import environment
from llm_gateway.http.receiver import Receiver

# Seconds in which a request has to arrive: from the first byte to the last, for the first request from the connection on.
RECEIVE_SECONDS = 60.0
# Seconds for which a connection may be idle. Long, because an execution environment is frozen between two requests: a shorter
# time would be over when it continues, while the Web Adapter sends the next request on the connection.
IDLE_SECONDS = 3600.0
# Bytes of a head, or between two parts of a body (chunk extensions, trailers), beyond the read in which they begin (64 KiB).
MAX_OVERHEAD = 64 * 1024


def config(application: Any, **more: Any) -> Config:
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
    }
    return Config(application, **{**settings, **more})


class _Connection(HttpToolsProtocol, Receiver):
    """A connection that refuses what uvicorn lets pass, but another server could read in another way.

    An exception in a callback of the parser (`on_…`) is answered with the error 400, and nothing after it is read.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        HttpToolsProtocol.__init__(self, *args, **more)
        Receiver.__init__(self)
        self._in_request = False
        self._progress = False  # the head or the body has gone on
        self._overhead = 0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_CoalescingTransport(transport, self.loop))  # pyright: ignore[reportArgumentType]
        self._await_client(RECEIVE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._progress = False
        super().data_received(data)
        if self._in_request:
            self._overhead = 0 if self._progress else self._overhead + len(data)
            if self._overhead > MAX_OVERHEAD:
                self.send_400_response(f"A head has at most {MAX_OVERHEAD} bytes.")
            else:
                self._set_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_request = self._progress = True
        self._deadline = self.loop.time() + RECEIVE_SECONDS

    def on_headers_complete(self) -> None:
        names = [name for name, _ in self.headers]
        if self.parser.get_http_version() != "1.1":  # pyright: ignore[reportOptionalMemberAccess]
            raise ValueError("the version is HTTP/1.1")
        if names.count(b"host") != 1:
            raise ValueError("a request has one Host header")
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and codings != [b"chunked"]:
            raise ValueError("the only transfer coding is chunked, once")
        # After an upgrade, llhttp would take the body for another protocol, and what follows for the next request.
        if self.parser.should_upgrade():  # pyright: ignore[reportOptionalMemberAccess]
            raise ValueError("there is no other protocol here")
        super().on_headers_complete()
        self.headers = []  # for trailers, which are no headers; the request has its own list
        self._progress = True

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._progress = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_request = False

    def on_response_complete(self) -> None:
        """Go on with the next request, as uvicorn does, but with one timer for many idle times."""
        if self.expect_100_continue and self._in_request:
            self.transport.close()  # whether the body comes after all, nobody knows
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._await_client(RECEIVE_SECONDS if self._in_request else IDLE_SECONDS)
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def send_400_response(self, msg: str) -> None:
        if not self.cycle or self.cycle.response_complete or not self.cycle.response_started:
            super().send_400_response(msg)
        else:
            self.transport.close()  # no error in the middle of an answer

    def _await_client(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds
        self._set_timer()

    def _set_timer(self) -> None:
        """Have `_on_timer` called at the deadline or earlier. A deadline that moves to a later time keeps the timer."""
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self.pipeline or (self.cycle and not (self.cycle.response_complete or self.cycle.more_body)):
            return  # it is not the client that is waited for; the end of the answer sets the next deadline
        if self.loop.time() < self._deadline:
            self._set_timer()
        else:
            self.transport.close()


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
