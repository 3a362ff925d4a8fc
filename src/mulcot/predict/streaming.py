"""Streaming the answers of a batch, for a service that shows them and has other work in between."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.generation import stream
from mulcot.backbones.vlm.label_scoring import score_labels
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.prefill import prefill
from mulcot.predict.prediction import label_prediction, with_chain
from mulcot.records import Example, Prediction, Rejected
from mulcot.tasks.base import Task

UNFINISHED = "\ufffd"


class StreamEvent(NamedTuple):
    """Something new about one item of a batch."""

    row: int
    """Which item."""
    news: str | Prediction | Rejected
    """A piece of its chain, perhaps an empty one; its label; or its whole answer."""
    last: bool = False
    """Nothing more follows about this item."""
    read: int = 0
    """With the whole answer: tokens that were read."""
    written: int = 0
    """With the whole answer: tokens that were written."""


class Detokenizer:
    """Tokens to text piece by piece; a letter of several tokens shows only when the last of them is there."""

    def __init__(self, text: Callable[[Sequence[int]], str], heading: str = "") -> None:
        self._text = text
        """What tokens say; it may leave the heading out, once that is whole."""
        self._heading = heading
        self.ids: list[int] = []
        self._said = ""

    def add(self, token: int) -> str:
        """What can be said now."""
        self.ids.append(token)
        text = self.text()
        # What has come so far may still become a letter, or the heading.
        return "" if text.endswith(UNFINISHED) or self._heading.startswith(text) else self._new(text)

    def rest(self) -> str:
        """What is left at the end."""
        return self._new(self.text())

    def text(self) -> str:
        """All of it."""
        return self._text(self.ids)

    def _new(self, text: str) -> str:
        if not text.startswith(self._said):
            return ""
        piece, self._said = text[len(self._said) :], text
        return piece


def stream_batch(
    model: LoadedModel,
    task: Task,
    asked: Mapping[int, tuple[Example, Encoded]],
    streamed: Collection[int],
    decoding: Decoding,
    temperature: float,
) -> Iterator[StreamEvent]:
    """Labels first, then one item per token, then the whole answers; all items have the same branches."""
    rows, examples = list(asked), [example for example, _ in asked.values()]
    encoded = [one for _, one in asked.values()]
    with_chains = any(one.chain is not None for one in encoded)
    prefilled = prefill(model, encoded, decoding.max_tokens) if with_chains else None
    scores = score_labels(model, encoded) if prefilled is None else prefilled.scores_EQ
    assert scores is not None
    found = [
        label_prediction(example.id, labels, tuple(row[: len(labels)]), temperature)
        for example, row in zip(examples, scores.tolist(), strict=True)
        for labels in (task.labels(example),)
    ]
    for place, prediction in enumerate(found):
        yield StreamEvent(rows[place], prediction, prefilled is None, 0 if prefilled else len(encoded[place].prefix))
    if prefilled is None:
        return
    detokenizer = {place: Detokenizer(model.text) for place, row in enumerate(rows) if row in streamed}
    for token in stream(prefilled, decoding):
        place, row = token.row, rows[token.row]
        yield StreamEvent(row, detokenizer[place].add(token.id) if place in detokenizer and not token.end else "")
        if token.chain is None:
            continue
        if place in detokenizer and (rest := detokenizer[place].rest()):
            yield StreamEvent(row, rest)
        chain = token.chain
        whole = with_chain(found[place], chain.text, task.read(chain.text, examples[place]), complete=chain.complete)
        yield StreamEvent(row, whole, True, len(encoded[place].prefix), len(chain.ids))
