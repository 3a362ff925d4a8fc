"""Predictors without a model, for tests of everything around one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.media import ImageLimits
from mulcot.predict.base import Predictor
from mulcot.predict.posts import Post, Prepared
from mulcot.predict.streaming import StreamEvent
from mulcot.records import Json, Prediction, Rejected
from mulcot.tasks.sentiment import Sentiment

LABELS = ("negative", "neutral", "positive")


class WithPictures(Prepared):
    """A post; its opened pictures are counted by themselves."""

    def __init__(self, post: Post) -> None:
        self.post = post

    @property
    def nbytes(self) -> int:
        return 0


class Fake(Predictor):
    """Answers at once: the label follows from the text's length, the chain repeats the text."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.task = Sentiment()
        self.batch_size = 16
        self.decoding = Decoding()
        self.seconds = seconds
        self.batches: list[list[str]] = []
        self.sizes: list[tuple[int, int]] = []
        """Of the last post's pictures."""
        self.choices: tuple[str, ...] = ()
        self.gate: threading.Event | None = None
        """Set where batches must wait."""
        self.poison = "poison"
        self.too_many = 10**6
        """Batches of this size and more do not fit into memory."""

    @classmethod
    def _open(cls, folder: Path, device: str, options: Any) -> Self:
        raise NotImplementedError

    def identity(self) -> Json:
        return {}

    def stream(self, item: Post, gallery: Any = None) -> Iterator[str]:
        raise NotImplementedError

    def prepare(self, item: Post, *, label_only: bool = False) -> Prepared:
        return WithPictures(item)

    def predict(self, items: Sequence[Post], *, label_only: bool = False) -> list[Prediction | Rejected]:
        self._work([post.text for post in items])
        return [self.answer(post, label_only=label_only) for post in items]

    def stream_batch(
        self, items: Sequence[Post], *, label_only: bool = False, streamed: Sequence[int] = ()
    ) -> Iterator[StreamEvent]:
        for row, answer in enumerate(self.predict(posts_of(items), label_only=label_only)):
            if row in streamed and isinstance(answer, Prediction) and answer.chain is not None:
                yield StreamEvent(row, answer)
                yield StreamEvent(row, answer.chain)
            yield StreamEvent(row, answer, last=True)

    def answer(self, post: Post, *, label_only: bool = False) -> Prediction | Rejected:
        self.sizes = [picture.size for picture in post.pictures(ImageLimits())]
        self.choices = post.choices
        if not post.text.strip():
            return Rejected(source="item 1", reason="empty_text", detail="no text")
        label = label_of(post.text)
        shares = {name: 0.8 if name == label else 0.1 for name in LABELS}
        prediction = Prediction(id=post.id or "made", label=label, probabilities=shares)
        if label_only:
            return prediction
        fields = dict(line.strip('"').split('": "') for line in chain_of(post.text).splitlines())
        return Prediction(
            id=post.id or "made",
            label=label,
            probabilities=shares,
            chain=chain_of(post.text),
            fields=fields,
            chain_label=label,
            agrees=True,
        )

    def _work(self, texts: list[str]) -> None:
        self.batches.append(texts)
        if self.gate is not None:
            self.gate.wait(10)
        time.sleep(self.seconds)
        if len(texts) >= self.too_many:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        if any(self.poison in text for text in texts):
            raise ValueError("a secret that no reply may hold")


class Unfolding(Fake):
    """Also tells batches while they come into being."""

    def stream_batch(
        self, items: Sequence[Post], *, label_only: bool = False, streamed: Sequence[int] = ()
    ) -> Iterator[StreamEvent]:
        items = posts_of(items)
        self.batches.append([post.text for post in items])
        whole = [self.answer(post, label_only=label_only) for post in items]
        for row, post in enumerate(items):
            yield StreamEvent(row, self.answer(post, label_only=True), last=label_only)
        if label_only:
            return
        for word in range(40):
            time.sleep(self.seconds)
            for row, post in enumerate(items):
                if word == 2 and self.poison in post.text:
                    raise ValueError("a secret that no reply may hold")
                pieces = chain_of(post.text).splitlines(keepends=True)
                yield StreamEvent(row, pieces[word] if row in streamed and word < len(pieces) else "")
        for row, answer in enumerate(whole):
            yield StreamEvent(row, answer, True, 10, 40)


def posts_of(items: Sequence[Post | Prepared]) -> list[Post]:
    return [item.post if isinstance(item, WithPictures) else item for item in items]


def label_of(text: str) -> str:
    return LABELS[len(text) % 3]


def chain_of(text: str) -> str:
    lines = {
        "Text_analysis": f"It says {text}.",
        "Image_analysis": "A picture.",
        "Conflict_resolution": "None.",
        "Final_conclusion": "So be it.",
        "Prediction": label_of(text),
    }
    return "\n".join(f'"{name}": "{value}"' for name, value in lines.items())
