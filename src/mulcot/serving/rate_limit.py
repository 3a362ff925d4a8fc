"""A bucket of tokens per client: so much per minute, and bursts of as much as a minute's worth."""

from __future__ import annotations

import time
from collections.abc import Callable

from mulcot.serving.error_responses import Busy

MOST = 10_000
"""Clients that are remembered; the longest unseen is forgotten first."""


class Rate:
    """Counts what clients ask for."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """What is left, and when that was so."""

    def charge(self, client: str, cost: int = 1, *, owed: bool = False) -> None:
        """Raises `Busy` where the client has used up its share, unless it is `owed`: then it waits the longer next."""
        if not self.per_minute:
            return
        now, full = self._clock(), float(self.per_minute)
        left, then = self._buckets.pop(client, (full, now))
        left = min(full, left + (now - then) * full / 60)
        enough = owed or left >= cost
        self._buckets[client] = (left - cost if enough else left, now)
        if len(self._buckets) > MOST:
            self._buckets.pop(next(iter(self._buckets)))
        if not enough:
            wait = (cost - left) * 60 / full
            raise Busy(wait, f"more than {self.per_minute} posts per minute", code="rate_limit")
