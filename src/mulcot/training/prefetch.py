"""The examples on their way into the model: decoded and tokenised one step ahead, never more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mulcot.training.batch_order import Share, epoch_steps, share
from mulcot.training.learner import Source
from mulcot.training.settings import Training


@dataclass(frozen=True)
class OptimizerStep:
    """What this process computes in one optimizer step."""

    number: int
    portions: tuple[tuple[Any, ...], ...]
    """Micro-batches before they are packed."""
    idle: int
    """So many of the last ones count nothing."""


class Feed:
    """The steps of a training from `start` on, for one process."""

    def __init__(self, source: Source, settings: Training, seed: int, *, rank: int = 0, world: int = 1) -> None:
        self.source = source
        self.settings = settings
        self.seed = seed
        self.rank = rank
        self.world = world
        self.per_epoch = max(1, -(-len(source) // settings.batch_size))
        self.total = max(1, round(settings.epochs * self.per_epoch))
        self._lengths = [source.length(index) for index in range(len(source))] if settings.group_by_length else []
        self._epoch = -1
        self._steps: list[tuple[int, ...]] = []

    def steps(self, start: int) -> Iterator[OptimizerStep]:
        """One step after the other; while one is worked on, threads prepare the next."""
        with ThreadPoolExecutor(max(1, self.settings.loaders), thread_name_prefix="loader") as pool:
            ahead = self._begin(start, pool) if start < self.total else None
            for number in range(start, self.total):
                assert ahead is not None
                current, ahead = ahead, self._begin(number + 1, pool) if number + 1 < self.total else None
                yield _finish(number, *current)

    def _begin(self, number: int, pool: ThreadPoolExecutor) -> tuple[Share, list[list[Future[Any]]]]:
        mine = share(self._indexes(number), self.settings.micro_batch, rank=self.rank, world=self.world)
        if self.settings.loaders == 0:
            return mine, [[_done(self.source.encoded(index)) for index in part] for part in mine.micro_batches]
        return mine, [[pool.submit(self.source.encoded, index) for index in part] for part in mine.micro_batches]

    def _indexes(self, number: int) -> tuple[int, ...]:
        epoch = number // self.per_epoch
        if epoch != self._epoch:
            lengths = self._lengths or [0] * len(self.source)
            by_length = self.settings.group_by_length
            self._steps = epoch_steps(
                lengths, self.settings.batch_size, seed=self.seed, epoch=epoch, by_length=by_length
            )
            self._epoch = epoch
        return self._steps[number % self.per_epoch]


def _finish(number: int, mine: Share, waiting: list[list[Future[Any]]]) -> OptimizerStep:
    return OptimizerStep(number, tuple(tuple(future.result() for future in part) for part in waiting), mine.idle)


def _done(example: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(example)
    return future
