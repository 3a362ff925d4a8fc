"""A job: one question on its way through the queue, and what is told about it while it is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import Image

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.predict.posts import Post, Prepared
from mulcot.records import Prediction, Rejected
from mulcot.serving.error_responses import Problem, TooLate


class ConversationTurn(NamedTuple):
    """One message of a conversation."""

    role: str
    parts: tuple[str | Image.Image, ...]


class Conversation(NamedTuple):
    """Messages that reach the model as they are."""

    turns: tuple[ConversationTurn, ...]
    key: str = ""
    """Decides what is sampled."""


Question = Post | Prepared | Conversation
"""What can be asked: a post, made ready already where it has a picture, or messages as they are."""


class JobKind(NamedTuple):
    """What is wanted; jobs of the same kind can be answered together."""

    label_only: bool = False
    decoding: Decoding | None = None
    """For conversations."""


class ConversationReply(NamedTuple):
    """What the model says in a conversation."""

    text: str
    complete: bool


class JobEvent(NamedTuple):
    """Something new about a job."""

    news: str | Prediction | Rejected | ConversationReply
    last: bool = False
    read: int = 0
    written: int = 0


@dataclass(eq=False)
class ServingJob:
    """Lives in two threads: the event loop waits for it, the model's thread works on it."""

    question: Question
    kind: JobKind
    streamed: bool
    """Whether the pieces of the chain are wanted."""
    deadline: float
    """By `time.monotonic`."""
    queued: float = field(default_factory=time.monotonic)
    begun: float = 0.0
    ended: float = 0.0
    left: bool = False
    """Nobody waits for it any more."""
    done: bool = False
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _inbox: asyncio.Queue[JobEvent | Problem] = field(default_factory=asyncio.Queue)
    _labelled: bool = False
    _said: int = 0
    """Characters that were passed on."""
    _repeated: int = 0
    """Characters that the present attempt has reached."""

    @property
    def dead(self) -> bool:
        """No work on it is of any use."""
        return self.left or time.monotonic() >= self.deadline

    def begin(self) -> None:
        """An attempt at an answer starts; a second one does not repeat what was said."""
        self.begun = self.begun or time.monotonic()
        self._repeated = 0

    def publish(self, event: JobEvent) -> None:
        """Passes on what is new and wanted."""
        if isinstance(event.news, str):
            start, self._repeated = self._repeated, self._repeated + len(event.news)
            piece = event.news[max(0, self._said - start) :]
            self._said = max(self._said, self._repeated)
            if self.streamed and piece:
                self.send(JobEvent(piece))
        elif event.last:
            self.send(event)
        elif self.streamed and not self._labelled:
            self._labelled = True
            self.send(event)

    def send(self, news: JobEvent | Problem) -> None:
        """From the model's thread to the waiting request."""
        if isinstance(news, Problem) or news.last:
            self.done, self.ended = True, time.monotonic()
        try:
            self.loop.call_soon_threadsafe(self._inbox.put_nowait, news)
        except RuntimeError:  # the event loop has ended
            self.left = True

    async def news(self) -> AsyncGenerator[JobEvent]:
        """Everything told, until the last; raises what the job ended with instead."""
        while True:
            try:
                event = await asyncio.wait_for(self._inbox.get(), max(0, self.deadline - time.monotonic()))
            except TimeoutError:
                raise TooLate from None
            if isinstance(event, Problem):
                raise event
            yield event
            if event.last:
                return

    def timings(self) -> dict[str, float]:
        """Milliseconds in the queue and with the model."""
        now = time.monotonic()
        begun = self.begun or now
        ended = self.ended or now
        return {
            "queue_ms": _ms(begun - self.queued),
            "model_ms": _ms(ended - begun),
            "total_ms": _ms(now - self.queued),
        }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
