"""What a group of jobs does with the model: the only place that knows the predictors.

A predictor streams labels and tokens while a whole batch is written, and lets other groups run between two tokens.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.predict.posts import Post, Prepared
from mulcot.predict.streaming import StreamEvent
from mulcot.records import Rejected
from mulcot.serving.conversation import can_converse, converse
from mulcot.serving.jobs import Conversation, JobEvent, ServingJob
from mulcot.tasks.base import Task


class AnyPredictor(Protocol):
    """A predictor of any method."""

    task: Task
    decoding: Decoding

    @property
    def reads(self) -> tuple[str, ...]:
        """The texts of a post that it reads."""
        ...

    def stream_batch(
        self, items: Sequence[Any], *, label_only: bool = False, streamed: Collection[int] = ()
    ) -> Iterator[StreamEvent]:
        """One answer or rejection per item, and before it what becomes known; the pieces of `streamed` items only."""
        ...


class Prepare(Protocol):
    """Makes a post ready without the model."""

    def __call__(self, item: Post, *, label_only: bool) -> Prepared | Rejected:
        """The post, or why it cannot be asked."""
        ...


class ServedPredictor:
    """A predictor as the engine uses it."""

    def __init__(self, predictor: AnyPredictor) -> None:
        self.predictor = predictor
        self.converses = can_converse(predictor)
        self.prepare: Prepare | None = getattr(predictor, "prepare", None)

    def ready(self) -> AbstractContextManager[Any]:
        """Keeps the model ready to answer, so that groups which take turns cannot switch it to and fro."""
        network = getattr(getattr(self.predictor, "model", None), "network", None)
        return nullcontext() if network is None else network.answering()

    def tidy(self) -> None:
        """Gives memory back after it ran out."""
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def work(answering: ServedPredictor, jobs: Sequence[ServingJob]) -> Iterator[tuple[int, JobEvent]]:
    """Everything that becomes known about the jobs, which are of one kind; (place in `jobs`, news)."""
    kind = jobs[0].kind
    if kind.decoding is not None:
        talks = [job.question for job in jobs if isinstance(job.question, Conversation)]
        yield from converse(answering.predictor, talks, kind.decoding)
        return
    posts = [job.question for job in jobs if not isinstance(job.question, Conversation)]
    streamed = [place for place, job in enumerate(jobs) if job.streamed]
    unfolded = answering.predictor.stream_batch(posts, label_only=kind.label_only, streamed=streamed)
    for row, news, last, read, written in unfolded:
        yield row, JobEvent(news, last, read, written)
