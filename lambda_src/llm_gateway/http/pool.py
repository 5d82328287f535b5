"""The connections that the HTTP client keeps."""

import asyncio
from typing import TYPE_CHECKING

from llm_gateway.http.errors import HttpError

if TYPE_CHECKING:
    from llm_gateway.http.connection import Connection
    from llm_gateway.http.wire import Origin


class Pool:
    """The connections of one client: all of them, and the idle ones by origin, the most recently used last."""

    def __init__(self, idle_timeout: float, max_idle: int) -> None:
        self.closed = False
        self._idle_timeout = idle_timeout
        self._max_idle = max_idle
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._empty: asyncio.Event | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self, origin: "Origin") -> "Connection | None":
        """Return the connection that was idle for the shortest time, the most likely to be open; None if there is none."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.idle_since + self._idle_timeout > connection.loop.time() and connection.reusable():
                return connection
            connection.abort()
        return None

    def give(self, connection: "Connection") -> None:
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

    def add(self, connection: "Connection") -> None:
        self._all.add(connection)

    def drop(self, connection: "Connection") -> None:
        """Remove an idle connection and close it."""
        self._forget(connection)
        connection.abort()

    def lost(self, connection: "Connection") -> None:
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

    def _forget(self, connection: "Connection") -> None:
        idle = self._idle.get(connection.origin)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the connections that were idle for too long, so that an idle client holds no sockets."""
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
