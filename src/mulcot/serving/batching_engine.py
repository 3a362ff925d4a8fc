"""The queue, and the one thread that owns the model.

Waiting jobs of the same kind become a group, answered as one batch. A group's work is a generator; the thread gives
every running group a slice of time in turn, so that a long chain holds up nobody. A group that fails is tried again
one by one, and in halves where memory ran out: whoever is at fault fails alone.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from mulcot.predict.base import Predictor
from mulcot.records import Prediction, Rejected
from mulcot.serving.error_responses import Busy, Closing, NoMemory, Problem, code_locations
from mulcot.serving.jobs import JobEvent, JobKind, Question, ServingJob
from mulcot.serving.prometheus import Monitor
from mulcot.serving.run_jobs import free_memory, work

SLICE = 0.02
"""Seconds for a running group before the next one has its turn."""
GATHER = 0.004
"""Seconds to wait for company, only where there was company a moment ago: a lone client never waits."""
GROUPS = 2
"""Groups that write chains at the same time; more of them would only make each slower."""

log = logging.getLogger("mulcot.serving")


class HasEngine(Protocol):
    """The state of the application."""

    engine: Engine
    deadline: float


async def submit(
    state: HasEngine, post: Question, *, label_only: bool = False, deadline: float | None = None
) -> Prediction | Rejected:
    """One answer. `deadline` is in seconds; raises a `Problem` such as `Busy`, `TooLate` or `Closing`."""
    (job,) = state.engine.admit([post], JobKind(label_only), deadline or state.deadline)
    said = await state.engine.result(job)
    assert isinstance(said.news, Prediction | Rejected)
    return said.news


@dataclass(eq=False)
class Group:
    """Jobs that are answered together."""

    jobs: Sequence[ServingJob]
    work: Iterator[tuple[int, JobEvent]] = field(default_factory=lambda: iter(()))

    @property
    def open(self) -> list[ServingJob]:
        """Jobs whose answer is still wanted."""
        return [job for job in self.jobs if not job.done and not job.dead]


class Engine:
    """Admits questions, batches them and answers them."""

    def __init__(self, predictor: Predictor, *, room: int = 64, batch_size: int = 16, monitor: Monitor) -> None:
        self.predictor = predictor
        self.room = room
        """Jobs that may wait."""
        self.batch_size = batch_size
        self.monitor = monitor
        self._changed = threading.Condition()
        self._waiting: deque[ServingJob] = deque()
        self._again: deque[Group] = deque()
        """Groups that failed, in smaller parts."""
        self._running: list[Group] = []
        self._company = False
        """The last group was more than one job."""
        self._pace = 0.1
        """Seconds that a group takes, smoothed."""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="mulcot-model", daemon=True)

    # For the event loop

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answers what was admitted, then ends; returns when that is done."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether questions are answered."""
        return self._thread.is_alive() and not self._closing

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    @property
    def patience(self) -> float:
        """Seconds after which there may be room again."""
        return self._pace * (1 + self.waiting / self.batch_size)

    def admit(
        self, questions: Sequence[Question], kind: JobKind, deadline: float, *, streamed: bool = False
    ) -> list[ServingJob]:
        """All of the questions, or none of them: raises `Busy` where there is no room for all."""
        until = time.monotonic() + deadline
        jobs = [ServingJob(one, kind, streamed, until) for one in questions]
        with self._changed:
            if not self.alive:
                raise Closing
            if len(self._waiting) + len(jobs) > self.room:
                raise Busy(self.patience)
            self._waiting.extend(jobs)
            self._changed.notify()
        return jobs

    async def result(self, job: ServingJob) -> JobEvent:
        """The last thing told about a job; whoever stops waiting takes the job out."""
        try:
            async with aclosing(job.news()) as all_news:
                async for event in all_news:
                    if event.last:
                        return event
            raise Problem
        finally:
            self.leave(job)

    def leave(self, job: ServingJob) -> None:
        """Nobody waits for this job any more. Harmless when it is done."""
        job.left = True
        with self._changed:
            if not job.done and not job.begun and job in self._waiting:
                self._waiting.remove(job)

    # For the model's thread

    def _run(self) -> None:
        with self.predictor.ready():
            while self._turn():
                pass

    def _turn(self) -> bool:
        """Starts at most one group, and gives every running one a slice; False at the end of all work."""
        group = self._next()
        if group is not None:
            self._begin(group)
        elif not self._running and self._closing:
            return False
        for running in list(self._running):
            self._advance(running)
        return True

    def _next(self) -> Group | None:
        """The next group that may start now; waits where nothing at all is to be done."""
        with self._changed:
            while not (self._waiting or self._again or self._running or self._closing):
                self._changed.wait()
            if self._again:
                return self._again.popleft()
            kind = self._startable()
            if kind is None:
                return None
            if self._company and not self._running and self._count(kind) < self.batch_size:
                self._changed.wait_for(lambda: self._count(kind) >= self.batch_size, GATHER)
            chosen = [job for job in self._waiting if job.kind == kind][: self.batch_size]
            for job in chosen:
                self._waiting.remove(job)
        return Group(chosen) if chosen else None

    def _startable(self) -> JobKind | None:
        """The kind of the oldest job that may start: labels always, chains when a place is free."""
        full = sum(not group.jobs[0].kind.label_only for group in self._running) >= GROUPS
        return next((job.kind for job in self._waiting if job.kind.label_only or not full), None)

    def _count(self, kind: JobKind) -> int:
        return sum(job.kind == kind for job in self._waiting)

    def _begin(self, group: Group) -> None:
        wanted = group.open
        if not wanted:
            return
        self._company = len(wanted) > 1
        for job in wanted:
            job.begin()
        self.monitor.batch(len(wanted), label_only=wanted[0].kind.label_only)
        self._running.append(Group(wanted, work(self.predictor, wanted)))

    def _advance(self, group: Group) -> None:
        """One slice of a group's work."""
        until = time.monotonic() + SLICE
        try:
            for place, event in group.work:
                group.jobs[place].publish(event)
                if event.last:
                    self.monitor.tokens(event.read, event.written)
                if time.monotonic() >= until:
                    if not group.open:
                        break
                    return
        except Exception as error:
            self._failed(group, error)
            return
        for job in group.open:
            job.send(Problem())
        self._end(group)

    def _failed(self, group: Group, error: Exception) -> None:
        """Tries the unfinished jobs again in smaller groups; a job that fails alone has failed."""
        memory = _is_memory(error)
        traceback.clear_frames(error.__traceback__)
        unfinished = group.open
        self._running.remove(group)
        self.monitor.failure(memory=memory)
        if len(group.jobs) == 1:
            log.error("a request failed: %s at %s", type(error).__name__, code_locations(error))
            for job in unfinished:
                job.send(NoMemory() if memory else Problem())
            return
        half = (len(unfinished) + 1) // 2 if memory else 1
        if memory:
            free_memory()
        parts = [unfinished[start : start + half] for start in range(0, len(unfinished), half or 1)]
        self._again.extendleft(Group(part) for part in reversed(parts))

    def _end(self, group: Group) -> None:
        group.work = iter(())
        self._running.remove(group)
        self._pace += 0.2 * (time.monotonic() - group.jobs[0].begun - self._pace)


def _is_memory(error: Exception) -> bool:
    """Whether memory ran out, on whatever device."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
