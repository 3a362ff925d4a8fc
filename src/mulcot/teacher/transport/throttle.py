"""How much to ask at once: pure rules over an injected clock, without any waiting of their own.

    Allowance   requests in flight to one server: slow start, x0.8 when told to slow down, +5 % while all goes well
    Bucket      a cap per minute
    backoff     how long to wait before the same request is sent again

Only a monotonic clock is used, so a wall clock that jumps changes nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Clock = Callable[[], float]

SLOWER = 0.8
FASTER = 1.05
GROWTH_PAUSE = 5.0
"""Seconds without growth after a server error or a rate limit."""
STRAYS = 0.1
"""Refusals per good reply that do not mean that too much is asked: some servers throw a few per cent back at random."""
MOST_STRAYS = 8.0
"""As many may come together."""
BURST_SECONDS = 3.0
"""A cap per minute may be used up this far in advance."""


class ConcurrencyLimit:
    """How many requests one server gets at once, learnt from what it says.

    It grows by whole windows: as many successes as it allows in flight. During slow start a window doubles it; the
    first rate limit ends slow start for good. It only grows while it is really used. Single refusals among many good
    replies are strays and change nothing, unless the server says how long to wait.
    """

    def __init__(self, start: int, ceiling: int, clock: Clock) -> None:
        self.ceiling = ceiling
        self.in_flight = 0
        self._clock = clock
        self._limit = float(min(start, ceiling))
        self._slow_start = True
        self._successes = 0
        self._peak = 0
        self._lowered_at = -math.inf
        self._closed_until = -math.inf
        self._no_growth_until = -math.inf
        self._limits_in_a_row = 0
        self._strays = 0.0

    @property
    def limit(self) -> int:
        """Requests allowed in flight."""
        return max(1, int(self._limit))

    def wait(self) -> float:
        """Seconds until one more may be sent; infinite where one must come back first."""
        if self.in_flight >= self.limit:
            return math.inf
        return max(0.0, self._closed_until - self._clock())

    def sent(self) -> float:
        """One more is in flight; returns the time to give back to `limited`."""
        self.in_flight += 1
        self._peak = max(self._peak, self.in_flight)
        return self._clock()

    def returned(self) -> None:
        """One less is in flight, whatever came of it."""
        self.in_flight -= 1

    def succeeded(self) -> None:
        """A good reply; perhaps the allowance grows."""
        self._limits_in_a_row = 0
        self._strays = min(MOST_STRAYS, self._strays + STRAYS)
        self._successes += 1
        if self._successes < self.limit:
            return
        used = self._peak >= self.limit
        self._successes, self._peak = 0, self.in_flight
        if used and self._clock() >= self._no_growth_until:
            grown = self._limit * 2 if self._slow_start else max(self._limit + 1, self._limit * FASTER)
            self._limit = min(float(self.ceiling), grown)

    def limited(self, sent_at: float, retry_after: float | None) -> None:
        """The server asked for less. Requests that were sent before it was last lowered lower it no further."""
        now = self._clock()
        if retry_after is None and sent_at > self._lowered_at and self._strays >= 1:
            self._strays -= 1
            return
        self._slow_start = False
        if sent_at > self._lowered_at:
            self._limit = max(1.0, min(self._limit, max(1, self._peak)) * SLOWER)
            self._lowered_at = now
            self._successes, self._peak = 0, self.in_flight
            self._limits_in_a_row += 1
            self._strays = 0.0
        pause = backoff(self._limits_in_a_row) if retry_after is None else retry_after
        self._closed_until = max(self._closed_until, now + pause)
        self._no_growth_until = self._closed_until + GROWTH_PAUSE

    def faltered(self, retry_after: float | None) -> None:
        """The server failed: it is asked no less, but no more either for a while."""
        now = self._clock()
        self._successes = 0
        self._no_growth_until = max(self._no_growth_until, now + GROWTH_PAUSE)
        if retry_after is not None:
            self._closed_until = max(self._closed_until, now + retry_after)


class Bucket:
    """A cap per minute, refilled evenly. What cannot be known before may be corrected after, even into debt."""

    def __init__(self, per_minute: float, clock: Clock, *, least: float = 0.0) -> None:
        self._rate = per_minute / 60.0
        self._capacity = max(self._rate * BURST_SECONDS, least)
        self._level = self._capacity
        self._clock = clock
        self._filled_at = clock()

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be spent."""
        self._fill()
        missing = min(amount, self._capacity) - self._level
        return max(0.0, missing / self._rate)

    def spend(self, amount: float) -> None:
        """Takes `amount`, or gives back where it is negative."""
        self._fill()
        self._level = min(self._capacity, self._level - amount)

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._capacity, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now


def backoff(failures: float, *, base: float = 0.5, longest: float = 30.0, dice: random.Random | None = None) -> float:
    """Seconds before trying again after so many failures in a row: doubling, with jitter between half and all of it."""
    full: float = min(longest, base * 2.0 ** min(max(failures - 1, 0), 30))
    return full * (dice or random).uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str], longest: float) -> float | None:
    """The seconds a server asks to wait, from `Retry-After` as seconds or as a date, never more than `longest`.

    A date is compared with the server's own `Date`, so neither clock has to be right.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until, now = _date(text), _date(headers.get("Date", "")) or datetime.now(UTC)
        if until is None:
            return None
        seconds = (until - now).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), longest)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
