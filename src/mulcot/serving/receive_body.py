"""Receiving a request's body: never more than is allowed, never slower than is bearable."""

from __future__ import annotations

import asyncio
import time

from starlette.types import Message, Receive

from mulcot.serving.error_responses import Busy, Slow, TooLarge

DRAIN_SECONDS = 2.0
DRAIN_PAUSE = 0.2


class BodyMemory:
    """Bytes of all bodies in memory."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class Body:
    """Stands between the server and the application for one request."""

    def __init__(self, receive: Receive, limit: int, seconds: float, budget: BodyMemory | None) -> None:
        self._receive = receive
        self._limit = limit
        self._until = time.monotonic() + seconds
        self._budget = budget
        self._complete = False
        self._announced = False
        self.size = 0
        self.answered = False
        """The last byte of the reply was handed to the server."""
        self.left = False
        """The client closed the connection before that, as far as is known."""

    @property
    def unread(self) -> bool:
        """Whether more of it may still come, so that the connection is of no further use."""
        return self._announced and not self._complete

    def announce(self, length: str, encoding: str) -> None:
        """Refuses by the header alone, before anything is read."""
        size = int(length[:18]) if length.isdecimal() else 0
        self._announced = size > 0 or bool(encoding)
        if size > self._limit:
            raise TooLarge(self._limit)
        if self._budget is not None and self._budget.used + size > self._budget.limit:
            raise Busy(message="too many large requests are being received")

    async def receive(self) -> Message:
        """The next piece, or that the client has left."""
        try:
            seconds = None if self._complete else max(0, self._until - time.monotonic())
            message = await asyncio.wait_for(self._receive(), seconds)
        except TimeoutError:
            raise Slow from None
        self.left |= message["type"] == "http.disconnect" and not self.answered
        if self._complete:
            return message
        if message["type"] != "http.request":
            self._complete = True
            return message
        self._count(len(message.get("body", b"")))
        self._complete = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Takes what is still being sent, for a moment: its sender should read the refusal, not lose the connection."""
        until = time.monotonic() + DRAIN_SECONDS
        while self.unread and time.monotonic() < until:
            try:
                message = await asyncio.wait_for(self._receive(), DRAIN_PAUSE)
            except TimeoutError:
                return
            self._complete = message["type"] != "http.request" or not message.get("more_body", False)

    def release(self) -> None:
        """The request is over."""
        if self._budget is not None:
            self._budget.used -= self.size

    def _count(self, size: int) -> None:
        self.size += size
        if self._budget is not None:
            self._budget.used += size
            if self._budget.used > self._budget.limit:
                raise Busy(message="too many large requests are being received")
        if self.size > self._limit:
            raise TooLarge(self._limit)
