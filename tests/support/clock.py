"""A clock that leaps."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class Clock:
    """The loop's time, which stands still while anything is done and leaps to the next timer when nothing is left to do.

    Every limit can then stand at its real length, and a busy machine changes no time: a minute's silence takes a few
    milliseconds.
    """

    # Seconds of idleness after which nothing is on its way any more: all parties run in this loop, on loopback. Where more
    # runs than there are processors, the kernel takes its turn with the others before it delivers.
    QUIET = 0.004

    def __init__(self, loop: Any) -> None:
        self._quiet = self.QUIET * max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))
        self._loop = loop
        self._real = loop.time, loop._selector.select
        self._now = loop.time()

    def now(self) -> float:
        return self._now

    def forward(self, seconds: float) -> None:
        self._now += seconds

    def _select(self, timeout: float | None = None) -> Any:
        _, select = self._real
        if timeout is None or timeout <= 0:
            return select(timeout)
        events = select(self._quiet)
        if not events:
            self._now += timeout
        return events

    @contextlib.contextmanager
    def installed(self) -> Iterator["Clock"]:
        self._loop.time, self._loop._selector.select = self.now, self._select
        try:
            yield self
        finally:
            self._loop.time, self._loop._selector.select = self._real


@dataclass
class Now:
    """Seconds since the epoch, as the stores see them: hardly any time passes, but no two times are equal."""

    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        self.seconds += 1e-5
        return self.seconds
