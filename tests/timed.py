"""How long work takes, asked so that only the work can fail a test: a machine may be slow for a moment, or for good.

A time is the least of several tries, and no more tries are made than are needed to pass. Growth is measured over eight
times the size, where linear work takes 8 times as long and quadratic work 64 times; 24 lies between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

TRIES = 6
TIMES = 8
ALLOWED = 3 * TIMES
TOO_LITTLE = 0.05  # seconds of linear work: less is mostly the clock


def seconds(work: Callable[[], object]) -> float:
    """Processor time, so that other processes count as little as can be."""
    start = time.process_time()
    work()
    return time.process_time() - start


def ends_within(limit: float, work: Callable[[], object]) -> bool:
    """Whether the work takes less than so many seconds of processor time."""
    return any(seconds(work) < limit for _ in range(TRIES))


def grows_linearly(work: Callable[[int], object], size: int) -> bool:
    """Whether `size` takes at most three times as long, for its length, as an eighth of it."""
    small = large = float("inf")
    for _ in range(TRIES):
        small = min(small, seconds(lambda: work(size // TIMES)))
        large = min(large, seconds(lambda: work(size)))
        if large <= max(TOO_LITTLE, ALLOWED * small):
            return True
    return False
