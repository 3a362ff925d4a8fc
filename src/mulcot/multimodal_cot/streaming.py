"""Streaming rationales while they are written, for a service that shows them and has other work in between."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from typing import NamedTuple

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.multimodal_cot.formats import SOLUTION, read_rationale
from mulcot.multimodal_cot.model import FusionModel
from mulcot.multimodal_cot.questions import Question
from mulcot.multimodal_cot.runner import T5Runner
from mulcot.predict.streaming import UNFINISHED, StreamEvent


class StreamedRationale(NamedTuple):
    """What was written before the answer."""

    text: str
    complete: bool
    tokens: int = 0
    shortened: bool = False
    """The question was longer than the model reads."""


class RationaleStream:
    """One rationale, piece by piece and without its heading."""

    def __init__(self, model: FusionModel, *, shortened: bool = False) -> None:
        self._model = model
        self._shortened = shortened
        self.ids: list[int] = []
        self.complete = False
        self._said = ""

    def add(self, token: int) -> str:
        """What can be said now."""
        self.ids.append(token)
        reply = self._model.text(self.ids)
        # What has come so far may still become the heading, or a letter.
        if SOLUTION.startswith(reply) or reply.endswith(UNFINISHED):
            return ""
        return self._new(read_rationale(reply))

    def rest(self) -> str:
        """What is left at the end."""
        return self._new(self.whole().text)

    def whole(self) -> StreamedRationale:
        """All of it."""
        return StreamedRationale(
            read_rationale(self._model.text(self.ids)), self.complete, len(self.ids), self._shortened
        )

    def _new(self, text: str) -> str:
        if not text.startswith(self._said):
            return ""
        piece, self._said = text[len(self._said) :], text
        return piece


def stream_rationales(
    runner: T5Runner, questions: Mapping[int, Question], decoding: Decoding, streamed: Collection[int]
) -> Generator[StreamEvent, None, list[StreamedRationale]]:
    """A piece for every token, empty for rows that are not `streamed`; returns the whole rationales, in order."""
    encoded = [runner.model.encode(question) for question in questions.values()]
    rows, texts = list(questions), [RationaleStream(runner.model, shortened=one.cut) for one in encoded]
    for place, token in runner.stream_tokens(encoded, decoding):
        if token is None:
            texts[place].complete = True
        elif rows[place] in streamed:
            yield StreamEvent(rows[place], texts[place].add(token))
        else:
            texts[place].ids.append(token)
            yield StreamEvent(rows[place], "")
    for row, text in zip(rows, texts, strict=True):
        if row in streamed and (rest := text.rest()):
            yield StreamEvent(row, rest)
    return [text.whole() for text in texts]
