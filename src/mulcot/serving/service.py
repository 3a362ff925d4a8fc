"""What all routes share: the model behind its queue, and how it is asked on behalf of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.predict.base import Predictor
from mulcot.serving.batching_engine import Engine
from mulcot.serving.error_responses import ClientLeft
from mulcot.serving.jobs import JobEvent, JobKind, Question, ServingJob
from mulcot.serving.picture_opener import Held, PictureOpener
from mulcot.serving.prometheus import Monitor
from mulcot.serving.remote_pictures import RemoteImages
from mulcot.serving.settings import Serving

T = TypeVar("T")


class Service:
    """One model, served."""

    def __init__(self, predictor: Predictor, serving: Serving) -> None:
        self.predictor = predictor
        self.serving = serving
        self.deadline = serving.deadline
        self.monitor = Monitor()
        self.engine = Engine(predictor, room=serving.queue, batch_size=serving.batch_size, monitor=self.monitor)
        limits = serving.limits
        remote = RemoteImages(serving.image_hosts, limits.images.max_bytes)
        self.pictures = PictureOpener(limits.images, remote, Held(limits.pictures), predictor.prepare)
        self.monitor.gauges |= {
            "mulcot_queue_length": ("Requests that wait.", lambda: self.engine.waiting),
            "mulcot_ready": ("Whether requests are answered.", lambda: self.engine.alive),
        }

    @property
    def decoding(self) -> Decoding:
        """How chains are written."""
        return self.predictor.decoding

    async def ask(self, posts: Sequence[Question], kind: JobKind) -> list[tuple[JobEvent, ServingJob]]:
        """The whole answers, in order. All are admitted, or none."""
        jobs = self.engine.admit(posts, kind, self.deadline)
        try:
            return [(await self.engine.result(job), job) for job in jobs]
        finally:
            for job in jobs:
                self.engine.leave(job)

    async def watch(self, post: Question, kind: JobKind) -> AsyncGenerator[tuple[JobEvent, ServingJob]]:
        """Everything told about one; leaving stops the work."""
        (job,) = self.engine.admit([post], kind, self.deadline, streamed=True)
        try:
            async with aclosing(job.news()) as news:
                async for event in news:
                    yield event, job
        finally:
            self.engine.leave(job)

    def close(self) -> None:
        """Finishes what was admitted."""
        self.engine.stop()
        self.pictures.close()


def service_of(request: Request) -> Service:
    """The service behind a request."""
    found: Service = request.app.state.service
    return found


def charge(request: Request, posts: int, *, owed: bool = False) -> None:
    """Counts further posts of a request against the client's rate; the first was counted by the middleware."""
    cost: Callable[..., None] | None = request.scope.get("charge")
    if cost is not None and posts > 0:
        cost(posts, owed=owed)


async def unless_left(request: Request, work: Awaitable[T]) -> T:
    """The result of the work, which ends at once when the client has left. The body must have been read."""
    task: asyncio.Future[T] = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        both: set[asyncio.Future[Any]] = {task, gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientLeft
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _gone(request: Request) -> None:
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            return
