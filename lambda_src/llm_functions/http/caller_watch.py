"""Notices that a caller has disconnected. Lambda never tells; other servers do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]


class CallerWatch:
    """Cancels the current task when the caller disconnects. It begins to look after `delay` seconds.

    `gone` says that it has cancelled the task. Close it when the answer is ready.
    """

    def __init__(self, receive: Receive, delay: float = 0.0) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self._closed = False
        self.gone = False
        self._timer = asyncio.get_running_loop().call_later(delay, self._begin) if delay else None
        if not delay:
            self._begin()

    def _begin(self) -> None:
        self._watch = asyncio.ensure_future(_disconnect(self._receive))
        self._watch.add_done_callback(self._ended)

    def _ended(self, watch: "asyncio.Task[None]") -> None:
        if not self._closed and not watch.cancelled():
            self.gone = True
            self._task.cancel()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self.gone:
            self._task.uncancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
