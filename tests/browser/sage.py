"""A predictor without a model that answers drawn posts and questions by their truth, and anything else by its words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.predict.base import Predictor
from mulcot.predict.posts import Post, Prepared
from mulcot.predict.streaming import StreamEvent
from mulcot.records import Json, Prediction, Rejected
from mulcot.tasks.base import Task
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment
from mulcot.world.chains import write_chain
from mulcot.world.posts import make_post
from mulcot.world.science import make_question
from mulcot.world.science_chains import write_science_chain

POSTS = [make_post(0, "test", number) for number in range(40)]
QUESTIONS = [make_question(0, "test", number) for number in range(20)]


class Ready(Prepared):
    """A post as it came."""

    def __init__(self, post: Post) -> None:
        self.post = post

    @property
    def nbytes(self) -> int:
        return 0


class Sage(Predictor):
    """`contrary` in a text makes the chain end with another label; `slowly` makes it slow."""

    def __init__(self, task: Task | None = None, *, first_chain: bool = False) -> None:
        self.task = task or Sentiment()
        self.first_chain = first_chain
        """The label is known only after the chain, as of a pair of models."""
        self.decoding = Decoding()
        self.batch_size = 16
        self.truths = {question.question.text: question for question in QUESTIONS}
        self.posts = {post.text: post for post in POSTS}

    @classmethod
    def _open(cls, folder: Path, device: str, options: Any) -> Self:
        raise NotImplementedError

    def prepare(self, item: Post, *, label_only: bool = False) -> Ready:
        return Ready(item)

    def identity(self) -> Json:
        return {"sage": True}

    def predict(self, items: Sequence[Post], *, label_only: bool = False) -> list[Prediction | Rejected]:
        return [told.news for told in self.stream_batch(items, label_only=label_only) if told.last]  # type: ignore[misc]

    def stream(self, item: Post) -> Iterator[str]:
        yield from self._pieces(item)

    def stream_batch(
        self, items: Sequence[Post], *, label_only: bool = False, streamed: Sequence[int] = ()
    ) -> Iterator[StreamEvent]:
        items = [item.post if isinstance(item, Ready) else item for item in items]
        labels = [self._label(item) for item in items]
        for row, label in enumerate(labels):
            if label_only or isinstance(label, Rejected) or not self.first_chain:
                yield StreamEvent(row, label, label_only or isinstance(label, Rejected))
        if label_only:
            return
        for row in streamed:
            for piece in self._pieces(items[row]):
                yield StreamEvent(row, piece)
        for row in set(range(len(items))) - set(streamed):
            time.sleep(0.3 if "slowly" in items[row].text else 0)
            yield StreamEvent(row, "")
        for row, (item, label) in enumerate(zip(items, labels, strict=True)):
            if isinstance(label, Prediction):
                yield StreamEvent(row, self._whole(item, label), True, 10, 40)

    def _label(self, item: Post) -> Prediction | Rejected:
        example = item.example()
        problem = self.task.problem(example)
        if problem:
            return Rejected(source="item 1", reason=problem[0], detail=problem[1], id=example.id)
        labels = self.task.labels(example)
        best = self._fields(item)["Prediction"]
        best = labels[(labels.index(best) + ("contrary" in item.text)) % len(labels)]
        rest = 0.13 / max(1, len(labels) - 1)
        return Prediction(
            id=example.id, label=best, probabilities={label: 0.87 if label == best else rest for label in labels}
        )

    def _fields(self, item: Post) -> Mapping[str, str]:
        if item.text in self.posts:
            return write_chain(self.posts[item.text].truth, 0)
        if item.text in self.truths:
            return write_science_chain(self.truths[item.text], 0)
        words = " ".join(item.text.split()[:2])
        last = "A" if isinstance(self.task, MultipleChoice) else self.task.labels()[len(item.text) % 3]
        order = self.task.fields
        said = f"The words '{words}' decide, and <b>markup</b> stays text."
        seen = "There is a picture." if item.image is not None else "There is no picture."
        return dict(zip(order, (said, seen, "Nothing differs.", f"So it is {last}.", last), strict=True))

    def _pieces(self, item: Post) -> Iterator[str]:
        for word in self.task.write_chain(self._fields(item)).split(" "):
            time.sleep(0.2 if "slowly" in item.text else 0.002)
            yield f"{word} "

    def _whole(self, item: Post, label: Prediction) -> Prediction:
        fields = self._fields(item)
        return Prediction(
            id=label.id,
            label=label.label,
            probabilities=label.probabilities,
            chain=self.task.write_chain(fields),
            fields=fields,
            chain_label=fields["Prediction"],
            agrees=fields["Prediction"] == label.label,
        )
