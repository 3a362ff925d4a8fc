"""What a group of jobs does with the model: the only place that asks it.

A predictor streams labels and tokens while a whole batch is written, and lets other groups run between two tokens.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence

from mulcot.predict.base import Predictor
from mulcot.serving.conversation import converse
from mulcot.serving.jobs import Conversation, JobEvent, ServingJob


def free_memory() -> None:
    """Gives memory back after it ran out."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def work(predictor: Predictor, jobs: Sequence[ServingJob]) -> Iterator[tuple[int, JobEvent]]:
    """Everything that becomes known about the jobs, which are of one kind; (place in `jobs`, news)."""
    kind = jobs[0].kind
    if kind.decoding is not None:
        assert predictor.chat is not None, "the route refuses conversations that the model does not know"
        talks = [job.question for job in jobs if isinstance(job.question, Conversation)]
        yield from converse(predictor.chat, talks, kind.decoding)
        return
    posts = [job.question for job in jobs if not isinstance(job.question, Conversation)]
    streamed = [place for place, job in enumerate(jobs) if job.streamed]
    unfolded = predictor.stream_batch(posts, label_only=kind.label_only, streamed=streamed)
    for row, news, last, read, written in unfolded:
        yield row, JobEvent(news, last, read, written)
