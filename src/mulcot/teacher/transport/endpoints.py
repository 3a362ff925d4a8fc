"""Several servers with the same model: who gets the next request, who is sick, and the queue of those who wait.

The least loaded healthy server is asked. One that keeps failing is taken out and probed with one request at a time, at
growing intervals, until it answers. A rate limit is not a sickness.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass

from mulcot.errors import Interrupted
from mulcot.teacher.base import CallError, ErrorKind, Load
from mulcot.teacher.transport.http_settings import HttpTeacher
from mulcot.teacher.transport.throttle import Bucket, Clock, ConcurrencyLimit, backoff

SICK_AFTER = 8
"""Failures in a row, without any success between them."""
FIRST_PATIENCE = 60.0
"""Before the first success a wrong address is likelier than a server that is away."""


class Endpoint:
    """One server."""

    def __init__(self, url: str, allowance: ConcurrencyLimit, clock: Clock) -> None:
        self.url = url
        self.allowance = allowance
        self.failures = 0
        """In a row."""
        self._clock = clock
        self._probes = 0
        self._sick_until: float | None = None

    @property
    def healthy(self) -> bool:
        """Not taken out."""
        return self._sick_until is None

    def wait(self) -> float:
        """Seconds until it may be asked; infinite where a reply must come first."""
        if self._sick_until is None:
            return self.allowance.wait()
        if self.allowance.in_flight:
            return math.inf
        return max(self.allowance.wait(), self._sick_until - self._clock())

    def recovered(self) -> None:
        """It answered, if only that it does not want this request."""
        self.failures = self._probes = 0
        self._sick_until = None

    def succeeded(self) -> None:
        """It gave a good reply."""
        self.recovered()
        self.allowance.succeeded()

    def failed(self, error: CallError, sent_at: float) -> None:
        """It did not."""
        if error.kind == ErrorKind.RATE_LIMIT:
            self.allowance.limited(sent_at, error.retry_after)
            return
        self.allowance.faltered(error.retry_after)
        self.failures += 1
        if self.failures >= SICK_AFTER and (self._sick_until is None or self._clock() >= self._sick_until):
            self._probes += 1
            self._sick_until = self._clock() + backoff(self._probes)


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to have one request in flight; give it back."""

    endpoint: Endpoint
    sent_at: float


class Endpoints:
    """All servers of one teacher, with the total limits and the queue."""

    def __init__(self, urls: tuple[str, ...], teacher: HttpTeacher, clock: Clock = time.monotonic) -> None:
        self.patience = teacher.patience
        self.ceiling = teacher.concurrency
        self.all = [
            Endpoint(url, ConcurrencyLimit(teacher.start_concurrency, teacher.concurrency, clock), clock)
            for url in urls
        ]
        self._requests = _bucket(teacher.requests_per_minute, clock, least=1.0)
        self._tokens = _bucket(teacher.tokens_per_minute, clock)
        self._clock = clock
        self._queue: deque[tuple[asyncio.Future[Slot], Endpoint | None, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._draining = asyncio.Event()
        self._failing_since: float | None = None
        self._ever = False

    async def acquire(self, tokens: float = 0.0, *, avoid: Endpoint | None = None) -> Slot:
        """Waits for its turn; `avoid` the server that has just failed.

        Repeated requests queue up like new ones, so that probing a sick server does not use up the tries of one alone.
        """
        self._refuse_when_draining()
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, avoid, tokens))
        self._pump()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(turn.result())
            raise

    def release(self, slot: Slot) -> None:
        """The request came back, whatever came of it."""
        slot.endpoint.allowance.returned()
        self._pump()

    def succeeded(self, slot: Slot, expected_tokens: float, tokens: float | None) -> None:
        """Learns from a good reply."""
        self._ever = True
        self._failing_since = None
        slot.endpoint.succeeded()
        if self._tokens is not None and tokens is not None:
            self._tokens.spend(tokens - expected_tokens)

    def failed(self, slot: Slot, error: CallError) -> None:
        """Learns from a failure. Raises where nothing has succeeded anywhere for too long."""
        if not error.retryable:
            slot.endpoint.recovered()
            return
        slot.endpoint.failed(error, slot.sent_at)
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        unreached = not self._ever and error.kind in (ErrorKind.CONNECTION, ErrorKind.GARBAGE)
        if now - self._failing_since >= (min(self.patience, FIRST_PATIENCE) if unreached else self.patience):
            raise CallError(
                ErrorKind.ENDPOINT,
                f"no request has succeeded for {now - self._failing_since:.0f} s; the last failure: {error.message}",
                hint="Everything paid for is saved. When the server is back, the same command continues.",
            )

    async def pause(self, seconds: float) -> None:
        """Sleeps, unless draining begins."""
        try:
            await asyncio.wait_for(self._draining.wait(), seconds)
        except TimeoutError:
            return
        self._refuse_when_draining()

    def drain(self) -> None:
        """Nobody gets a turn any more."""
        self._draining.set()
        for turn, _, _ in self._queue:
            if not turn.done():
                turn.set_exception(_stopped())
        self._queue.clear()

    def load(self) -> Load:
        """How busy they are."""
        healthy = [endpoint for endpoint in self.all if endpoint.healthy]
        return Load(
            in_flight=sum(endpoint.allowance.in_flight for endpoint in self.all),
            limit=min(self.ceiling, sum(endpoint.allowance.limit for endpoint in healthy)),
            waiting=len(self._queue),
            endpoints=len(self.all),
            healthy=len(healthy),
        )

    def close(self) -> None:
        """Forgets the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _pump(self) -> None:
        """Gives turns to those who wait, in their order, until somebody must wait longer."""
        while self._queue:
            turn, avoid, tokens = self._queue[0]
            if turn.done():
                self._queue.popleft()
                continue
            found = self._choose(avoid, tokens)
            if not isinstance(found, Endpoint):
                self._wake_in(found)
                return
            self._queue.popleft()
            turn.set_result(Slot(found, found.allowance.sent()))

    def _choose(self, avoid: Endpoint | None, tokens: float) -> Endpoint | float:
        """The server to ask now, or the seconds until there may be one."""
        # The first request goes alone: a wrong key or model fails once and not sixteen times.
        if sum(endpoint.allowance.in_flight for endpoint in self.all) >= (self.ceiling if self._ever else 1):
            return math.inf
        caps = ((self._requests, 1.0), (self._tokens, tokens))
        wait = max((bucket.wait(amount) for bucket, amount in caps if bucket is not None), default=0.0)
        waits = [(endpoint.wait(), endpoint) for endpoint in self.all]
        wait = max(wait, min(seconds for seconds, _ in waits))
        if wait > 0:
            return wait
        ready = [endpoint for seconds, endpoint in waits if seconds <= 0]
        for bucket, amount in caps:
            if bucket is not None:
                bucket.spend(amount)
        # A server that fails fast is always idle: its failures count as load, or it would attract everything.
        return min(ready, key=lambda e: (e is avoid, e.allowance.in_flight + 4 * e.failures))

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if math.isfinite(seconds):
            self._timer = asyncio.get_running_loop().call_later(seconds + 0.001, self._pump)

    def _refuse_when_draining(self) -> None:
        if self._draining.is_set():
            raise _stopped()


def _bucket(per_minute: float | None, clock: Clock, least: float = 0.0) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute, clock, least=least)


def _stopped() -> Interrupted:
    return Interrupted("stopped before this request was sent", hint="The same command continues.")
