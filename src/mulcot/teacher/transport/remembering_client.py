"""Asking once and never again: the ledger, then the shared cache, then the teacher, and a commit before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mulcot.errors import Interrupted
from mulcot.settings import fingerprint
from mulcot.teacher.base import CallError, Load, Reply, Request, Session, Teacher
from mulcot.teacher.transport.concurrency import Stop
from mulcot.teacher.transport.ledger import Attempt, Ledger


class Client:
    """A teacher with a memory. Made by `open_client`."""

    def __init__(self, teacher: Teacher, ledger: Ledger, cache: Ledger | None = None) -> None:
        self.teacher = teacher
        self.ledger = ledger
        self.cache = cache
        self.session: Session | None = None
        self._identity = fingerprint(teacher.answers_as())
        self._asking: dict[str, asyncio.Future[Reply]] = {}

    def key(self, request: Request) -> str:
        """The identity of a request to this teacher."""
        return request.key(self._identity)

    def known(self, request: Request) -> Reply | None:
        """The committed reply, without asking and without opening a picture."""
        return self.ledger.reply(self.key(request))

    async def ask(self, request: Request) -> Reply:
        """The reply, committed. Raises `CallError`, `Interrupted` when stopped, `RunError` when it cannot be kept."""
        key = self.key(request)
        while (other := self._asking.get(key)) is not None:
            # Two equal posts are one request. Where the other asker got no reply, this one tries for itself.
            await asyncio.wait([other])
        known = self.ledger.reply(key)
        if known is not None:
            return known
        mine: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asking[key] = mine
        try:
            return await self._obtain(request, key)
        finally:
            mine.cancel()
            del self._asking[key]

    def load(self) -> Load:
        """How busy the teacher is."""
        return Load() if self.session is None else self.session.load()

    def failed(self, request: Request, error: CallError) -> None:
        """Notes a failed try in the ledger; the session calls it."""
        attempt = self._attempt(request, self.key(request), error=str(error.kind), detail=error.message)
        self.ledger.note(attempt)

    async def _obtain(self, request: Request, key: str) -> Reply:
        cached = None if self.cache is None else self.cache.reply(key)
        if cached is not None:
            await self.ledger.commit(self._attempt(request, key, reply=cached, origin="cache"))
            return cached
        if self.session is None:
            raise Interrupted("the teacher is not open")
        reply = await self.session.complete(request)
        attempt = self._attempt(request, key, reply=reply)
        await self.ledger.commit(attempt)
        if self.cache is not None:
            self.cache.note(attempt)
        return reply

    def _attempt(
        self,
        request: Request,
        key: str,
        *,
        reply: Reply | None = None,
        error: str = "",
        detail: str = "",
        origin: str = "asked",
    ) -> Attempt:
        return Attempt(
            key=key,
            example_id=request.example_id,
            purpose=request.purpose,
            attempt=request.attempt,
            teacher=self.teacher.title,
            sampling=request.sampling.sent(),
            prompt=request.prompt_hash(),
            reply=reply,
            error=error,
            detail=detail,
            origin=origin,
        )


@asynccontextmanager
async def open_client(
    teacher: Teacher, ledger: Ledger, *, cache: Ledger | None = None, stop: Stop | None = None
) -> AsyncIterator[Client]:
    """Opens the teacher for asking. After `stop` nothing new is sent; what is in flight is still committed."""
    client = Client(teacher, ledger, cache)
    async with teacher.session(client.failed) as session:
        client.session = session
        if stop is not None:
            stop.listen(session.drain)
        try:
            yield client
        finally:
            client.session = None
