"""A teacher that is made up, behind a real local HTTP server: for tests, demonstrations and trying things out.

    teacher:
      backend: {name: simulated, skill: 0.75}

It answers about posts of the synthetic world only. It is asked through the same client as any other server, and it is
called simulated wherever it appears.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from mulcot.errors import TeacherError
from mulcot.records import Json
from mulcot.teacher.base import Observer, Session, teachers
from mulcot.teacher.simulation.server import MODEL, SimulatedServer, serving
from mulcot.teacher.simulation.settings import Simulation
from mulcot.teacher.transport.http_session import Target, open_session
from mulcot.teacher.transport.http_settings import HttpTeacher


@teachers.register("simulated")
class Simulated(HttpTeacher, Simulation):
    """A made-up teacher that knows the synthetic world, with adjustable skill and faults."""

    simulated: ClassVar[bool] = True

    @property
    def title(self) -> str:
        """Never without the word."""
        return f"simulated teacher, skill {self.skill:g}"

    def answers_as(self) -> Json:
        """Its settings as a simulation; the address it happens to listen on does not matter."""
        own = self.simulation().identity()
        return {"backend": self.name, **own}

    def simulation(self) -> Simulation:
        """The part of the settings that the server needs."""
        return Simulation(**{key: getattr(self, key) for key in Simulation.model_fields})

    def session(self, observer: Observer | None = None) -> AbstractAsyncContextManager[Session]:
        """Starts the server on a free loopback port and opens connections to it."""
        return self._session(observer)

    @asynccontextmanager
    async def _session(self, observer: Observer | None) -> AsyncIterator[Session]:
        async with serving(SimulatedServer(self.simulation())) as port:
            target = Target(urls=(f"http://127.0.0.1:{port}/v1",), model=MODEL)
            async with open_session(self, target, observer) as session:
                yield session


def serve(simulation: Simulation, host: str, port: int, key_env: str | None, say: Callable[[str], None]) -> None:
    """Serves until interrupted; what `mulcot teacher simulate` does."""
    key = os.environ.get(key_env) if key_env else None
    if key_env and not key:
        raise TeacherError(f"the environment variable {key_env} is not set", hint="Set it, or leave --key-env out.")

    async def forever() -> None:
        try:
            async with serving(SimulatedServer(simulation, key=key), host, port) as bound:
                say(f"simulated teacher {MODEL!r} at http://{host}:{bound}/v1")
                await asyncio.Event().wait()
        except OSError as error:
            raise TeacherError(
                f"cannot listen on {host}:{port}: {error.strerror}", hint="Try another --port."
            ) from None

    asyncio.run(forever())
