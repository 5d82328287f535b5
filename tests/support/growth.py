"""Work that must grow with the size of what it is given, and not with the square of it."""

import time
from collections.abc import Callable
from timeit import repeat

# The larger size, as a multiple of the smaller one. Work that grows with the size takes 8 times as long, with its square 64.
TIMES = 8
MOST = 24
TRIES = 5


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """Fail if the work takes far more than 8 times as long for 8 times `size`.

    It compares CPU times of this thread, one after the other in one process, so the machine's speed does not matter. A
    disturbance would have to triple the larger one, and do so in every try.
    """

    def seconds(size: int, times: int) -> float:
        return min(repeat(lambda: work(size), timer=time.thread_time, number=1, repeat=times))

    ratios: list[float] = []
    while not ratios or ratios[-1] > MOST:
        assert len(ratios) < TRIES, f"{TIMES} times the size takes {', '.join(map('{:.0f}'.format, ratios))} times as long"
        ratios.append(seconds(TIMES * size, 1) / seconds(size, 3))
