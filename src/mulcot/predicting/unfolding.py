"""A batch of answers told while they come into being, for a service that shows them and has other work in between."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from mulcot.backbones.runtime.loaded import LoadedModel
from mulcot.encoded import Encoded
from mulcot.inference.chains import Chain, room_for_chain, stream
from mulcot.inference.labels import room_for_labels, score_labels
from mulcot.inference.prefill import prefill
from mulcot.inference.settings import Decoding
from mulcot.predicting.answers import scored_label, with_chain
from mulcot.records import Example, Prediction, Rejected
from mulcot.tasks.base import Task

UNFINISHED = "\ufffd"


class Told(NamedTuple):
    """Something new about one item of a batch."""

    row: int
    """Which item."""
    news: str | Prediction | Rejected
    """A piece of its chain, perhaps an empty one; its label; or its whole answer."""
    last: bool = False
    """Nothing more will be told about this item."""
    read: int = 0
    """With the whole answer: tokens that were read."""
    written: int = 0
    """With the whole answer: tokens that were written."""


class Spelling:
    """Tokens to text piece by piece; a letter of several tokens shows only when the last of them is there."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._ids: list[int] = []
        self._said = ""

    def add(self, token: int) -> str:
        """What can be said now."""
        self._ids.append(token)
        text = self._model.text(self._ids)
        if text.endswith(UNFINISHED) or not text.startswith(self._said):
            return ""
        piece, self._said = text[len(self._said) :], text
        return piece

    def rest(self) -> str:
        """What is left at the end."""
        return self._model.text(self._ids).removeprefix(self._said)


def unfold(
    model: LoadedModel,
    task: Task,
    asked: Mapping[int, tuple[Example, Encoded]],
    spoken: Collection[int],
    decoding: Decoding,
    temperature: float,
) -> Iterator[Told]:
    """Labels first, then one item per token, then the whole answers; all items have the same branches."""
    rows, examples = list(asked), [example for example, _ in asked.values()]
    encoded = [one for _, one in asked.values()]
    chains = [one.chain for one in encoded if one.chain is not None]
    labels = [one.label for one in encoded if one.label is not None]
    room = max(room_for_labels(labels), room_for_chain(chains, decoding) if chains else 0)
    prefilled = prefill(model, encoded, room)
    scores = score_labels(prefilled).tolist()
    found = [
        scored_label(task, example, tuple(row[: len(label.choices)]), temperature)
        for example, label, row in zip(examples, labels, scores, strict=True)
    ]
    for place, prediction in enumerate(found):
        yield Told(rows[place], prediction, not chains, len(encoded[place].prefix) if not chains else 0)
    if not chains:
        return
    ids: list[list[int]] = [[] for _ in rows]
    complete = [False] * len(rows)
    spelling = {place: Spelling(model) for place, row in enumerate(rows) if row in spoken}
    for token in stream(prefilled, decoding):
        piece = ""
        if token.end:
            complete[token.row] = True
        else:
            ids[token.row].append(token.id)
            piece = spelling[token.row].add(token.id) if token.row in spelling else ""
        yield Told(rows[token.row], piece)
    for place, own in enumerate(ids):
        if place in spelling and (rest := spelling[place].rest()):
            yield Told(rows[place], rest)
        chain = Chain(tuple(own), model.text(own), complete[place])
        whole = with_chain(found[place], task, examples[place], chain)
        yield Told(rows[place], whole, True, len(encoded[place].prefix), len(own))
