"""What a model can do on pictures and posts it never saw: describing, reading, and (as hoped, not) judging."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import eq
from typing import TYPE_CHECKING, Any

from mulcot.backbones import Turn
from mulcot.backbones.vlm.answer import answer
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.example_encoder import ExampleEncoder
from mulcot.records import Example, ImageRef, Record
from mulcot.tasks.sentiment import Sentiment
from mulcot.tiny.pretraining_examples import READING, Mix, lesson
from mulcot.world import chains, vocabulary
from mulcot.world.picture import paint
from mulcot.world.posts import posts
from mulcot.world.scene import Scene

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel

BATCH = 50
LONGEST = 80
QUESTIONS = Mix(long={"hear": 1, "compare": 1}, short={"match": 1, "topic": 1, "look": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyScores(Record):
    """The result of an exam; every share is between 0 and 1."""

    parameters: int
    captions: dict[str, float]
    """For every attribute, the share of captions that say it right."""
    reading: float
    """The share of sentences about who says what about what that are right word for word."""
    answering: float
    """The share of short answers that are right: does the post fit the picture, what is each about."""
    labels: float
    """Accuracy on the labels of posts."""
    majority: float
    """What always guessing the most frequent label reaches on the same posts."""

    def lines(self) -> list[str]:
        """One line per figure."""
        said = "  ".join(f"{attribute} {share:.3f}" for attribute, share in self.captions.items())
        return [
            f"parameters    {self.parameters:,}",
            f"captions      {said}",
            f"reading       {self.reading:.3f}",
            f"answering     {self.answering:.3f}",
            f"labels        {self.labels:.3f}, guessing {self.majority:.3f}",
        ]


def evaluate_model(model: LoadedModel, count: int, seed: int = 0) -> TinyScores:
    """All of it, on `count` unseen pictures and posts each."""
    labels, majority = judging(model, count, seed)
    long, short = reading(model, count, seed)
    return TinyScores(
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        captions=describing(model, count, seed),
        reading=long,
        answering=short,
        labels=labels,
        majority=majority,
    )


def describing(model: LoadedModel, count: int, seed: int = 0) -> dict[str, float]:
    """For every attribute, the share of captions that say it right."""
    lessons = [lesson(seed, number, READING, "test") for number in range(count)]
    rows = [model.encode(str(n), [own.picture], _open(own.caption)) for n, own in enumerate(lessons)]
    right: dict[str, int] = defaultdict(int)
    for own, written in zip(lessons, _written(model, rows), strict=True):
        for attribute, holds in said_rightly(written, own.scene).items():
            right[attribute] += holds
    return {attribute: number / count for attribute, number in right.items()}


def said_rightly(caption: str, scene: Scene) -> dict[str, bool]:
    """Whether the caption says each attribute of the scene as captions say it."""
    main, setting = scene.main_detail.phrase, scene.setting_detail.phrase
    count, things = vocabulary.NUMBER_WORDS[scene.count], scene.terms.counted[scene.count > 1]
    extra = chains.NOTHING if scene.extra == "none" else chains.EXTRA
    said = caption.casefold()
    return {
        "main": f"{main} " in said,
        "setting": f" {setting}" in said,
        "colour": any(_in(said, form, part=scene.terms.coloured, colour=scene.colour) for form in chains.COLOURED),
        "count": f" {count} {things}" in said,
        "extra": any(_in(said, form, extra=scene.extra) for form in extra),
    }


def reading(model: LoadedModel, count: int, seed: int = 0) -> tuple[float, float]:
    """The shares of long and of short questions about posts that are answered word for word."""
    lessons = [lesson(seed, number, QUESTIONS, "test") for number in range(count)]
    shares = []
    for turns in ([own.long for own in lessons], [own.short for own in lessons]):
        pictures = (own.picture for own in lessons)
        rows = [model.encode("", [picture], _open(turn)) for picture, turn in zip(pictures, turns, strict=True)]
        written = list(_written(model, rows))
        shares.append(sum(map(eq, written, (turn.target for turn in turns))) / count)
    return shares[0], shares[1]


def judging(model: LoadedModel, count: int, seed: int = 0) -> tuple[float, float]:
    """Accuracy on the labels of posts, and that of guessing, which it should equal before any fine-tuning."""
    task, right = Sentiment(), 0
    encoder = ExampleEncoder(model, task)
    labels = task.labels()
    rows, truths = [], []
    for number, post in enumerate(posts(seed, "test", count)):
        example = Example(id=str(number), split="test", text=post.text, images=(ImageRef(path=""),))
        rows.append(encoder.question(example, [paint(post.scene)], label=True))
        truths.append(post.truth.label)
    for batch in _batches(list(zip(rows, truths, strict=True))):
        for found, (_, label) in zip(answer(model, [row for row, _ in batch], Decoding()), batch, strict=True):
            right += labels[found.label_logprobs.index(max(found.label_logprobs))] == label
    return right / count, max(Counter(truths).values()) / count


def _in(said: str, form: str, **values: str) -> bool:
    return form.format(**values).casefold() in said


def _open(turn: Turn) -> Turn:
    """The question without its answer."""
    return dataclasses.replace(turn, target=None)


def _written(model: LoadedModel, rows: Sequence[Encoded]) -> Iterator[str]:
    for batch in _batches(rows):
        for found in answer(model, batch, Decoding(max_tokens=LONGEST)):
            assert found.chain is not None
            yield found.chain.text


def _batches(rows: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(rows), BATCH):
        yield list(rows[start : start + BATCH])
