"""A response of Server-Sent Events: its head, its events, and comments that keep the connection alive."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

from llm_gateway.errors import GatewayError
from llm_gateway.events import CacheUse, Event, Start

Headers = list[tuple[bytes, bytes]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# Seconds without an event after which a comment is sent. The time-outs of CloudFront and most proxies are 30 s or more.
KEEP_ALIVE_SECONDS = 10.0


class StreamRenderer(Protocol):
    """Renders an event stream in an API format."""

    def opening(self) -> bytes: ...
    def events(self, batch: list[Event]) -> bytes: ...
    def error(self, error: GatewayError, *, debug: bool) -> bytes: ...
    def closing(self) -> bytes: ...


class EventStreamWriter:
    """Writes a text/event-stream response. The head is sent with the first bytes, and comments while there is nothing else."""

    def __init__(self, send: Send, headers: Headers, opening: bytes) -> None:
        self._send = send
        self._headers = headers
        self._opening = opening
        self._loop = asyncio.get_running_loop()
        self._written = self._loop.time()
        self._timer = self._loop.call_later(KEEP_ALIVE_SECONDS, self._on_timer)
        self._comment: asyncio.Task[None] | None = None
        self.opened = False

    async def write(self, data: bytes, batch: Sequence[Event] = (), *, more: bool = True) -> None:
        """Send `data`, which renders `batch`. A head that is sent with `Start` names the target that answers."""
        self._written = self._loop.time()
        if not self.opened:
            self.opened = True
            # no-transform: a proxy that compresses a stream also buffers it.
            headers = [(n, v) for n, v in self._headers if n != b"cache-control"]
            headers += [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache, no-transform"),
                # nginx collects a response otherwise. https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
                (b"x-accel-buffering", b"no"),
            ]
            if batch and isinstance(batch[0], Start):
                headers += [(name.encode(), value.encode()) for name, value in routing_headers(batch[0])]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            data = self._opening + data
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def finish(self, data: bytes) -> None:
        self.close()
        await self.write(data, more=False)

    def close(self) -> None:
        """Send no more comments."""
        self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()

    def _on_timer(self) -> None:
        silent = self._loop.time() - self._written
        if silent >= KEEP_ALIVE_SECONDS:
            self._comment = self._loop.create_task(self.write(b": keep-alive\n\n"))
            silent = 0.0
        self._timer = self._loop.call_later(KEEP_ALIVE_SECONDS - silent, self._on_timer)


def routing_headers(start: Start) -> list[tuple[str, str]]:
    """Return the headers that name the target, the milliseconds until it began, the hints that it does not know, that the
    knowledge base could not be asked, what is left of the caller's limits, and what the cache has done.

    https://www.w3.org/TR/server-timing/
    """
    timing = f"waited;dur={start.waited_ms}, first_token;dur={start.first_token_ms}"
    headers = [("x-llm-target", start.target), ("server-timing", timing), *start.rate_limits.items()]
    if start.cache is not None:
        headers += _cache_headers(start.cache)
    if start.retrieval:
        headers.append(("x-llm-retrieval", start.retrieval))
    return [*headers, ("x-llm-dropped", ", ".join(start.dropped))] if start.dropped else headers


def _cache_headers(use: CacheUse) -> Iterator[tuple[str, str]]:
    yield "x-llm-cache", use.status
    if use.age is not None:
        yield "age", str(use.age)
    if use.saved_tokens is not None:
        yield "x-llm-saved-tokens", str(use.saved_tokens)
