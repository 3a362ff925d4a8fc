"""Working on many examples at once without holding them all, and stopping in good order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from mulcot.errors import Interrupted

J = TypeVar("J")

GRACE_SECONDS = 30.0
"""After an error, for replies under way: they are paid for."""
CONTINUES = "The same command continues."


class Stop:
    """A wish to stop: nothing new begins, what is under way finishes."""

    def __init__(self) -> None:
        self.requested = False
        self._listeners: list[Callable[[], None]] = []

    def request(self) -> None:
        """Stops; a second time does nothing."""
        if not self.requested:
            self.requested = True
            for listener in self._listeners:
                listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Called once when stopping is wished."""
        self._listeners.append(listener)
        if self.requested:
            listener()


async def run_all(
    jobs: Iterable[J] | AsyncIterator[J],
    work: Callable[[J], Awaitable[None]],
    *,
    width: int,
    stop: Stop | None = None,
    hint: str = CONTINUES,
) -> None:
    """Works on `width` jobs at a time, pulling the next one only when a worker is free.

    The first error of any job stops everything in the same way as a wish to stop, and is raised. Ctrl-C or SIGTERM
    asks `stop` and raises `Interrupted` after what was under way; the second one does not wait for that.
    """
    stop = stop or Stop()
    stream = jobs if isinstance(jobs, AsyncIterator) else _stream(jobs)
    turn = asyncio.Lock()
    unfinished = False

    async def hand() -> None:
        nonlocal unfinished
        while not stop.requested:
            async with turn:
                if stop.requested:
                    break
                try:
                    job = await anext(stream)
                except StopAsyncIteration:
                    return
            try:
                await work(job)
            except Interrupted:
                unfinished = True
                if not stop.requested:
                    raise
        unfinished = True

    hands = [asyncio.create_task(hand()) for _ in range(max(1, width))]
    with _signals(stop, hands):
        await _finish(hands, stop)
    if unfinished:
        raise Interrupted("stopped; everything paid for is saved", hint=hint)


async def _stream(jobs: Iterable[J]) -> AsyncIterator[J]:
    for job in jobs:
        yield job


async def _finish(hands: list[asyncio.Task[None]], stop: Stop) -> None:
    """Waits for all. After the first error nothing new begins, and what is paid for may still arrive for a while."""
    done: set[asyncio.Task[None]] = set()
    try:
        done, others = await asyncio.wait(hands, return_when=asyncio.FIRST_EXCEPTION)
        if others:
            stop.request()
            await asyncio.wait(others, timeout=GRACE_SECONDS)
    finally:
        for hand in hands:
            hand.cancel()
        await asyncio.gather(*hands, return_exceptions=True)
    errors = [error for hand in done if not hand.cancelled() and (error := hand.exception()) is not None]
    if errors:
        raise errors[0]
    if any(hand.cancelled() for hand in hands):
        raise Interrupted("stopped at once; replies that were under way are lost", hint=CONTINUES)


@contextmanager
def _signals(stop: Stop, hands: list[asyncio.Task[None]]) -> Iterator[None]:
    """The first signal asks to stop, the second cancels."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.requested:
            for hand in hands:
                hand.cancel()
        stop.request()

    installed = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError, RuntimeError, NotImplementedError):  # not the main thread
            loop.add_signal_handler(number, on_signal)
            installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)
