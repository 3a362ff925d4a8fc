"""Streaming rationales while they are written, for a service that shows them and has other work in between."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from typing import NamedTuple

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.multimodal_cot.formats import SOLUTION, read_rationale
from mulcot.multimodal_cot.model import FusionModel
from mulcot.multimodal_cot.questions import T5Question
from mulcot.multimodal_cot.runner import T5Runner
from mulcot.predict.streaming import Detokenizer, StreamEvent


class StreamedRationale(NamedTuple):
    """What was written before the answer."""

    text: str
    complete: bool
    tokens: int = 0
    shortened: bool = False
    """The question was longer than the model reads."""


def rationale_detokenizer(model: FusionModel) -> Detokenizer:
    """Tokens to a rationale piece by piece, without its heading."""
    return Detokenizer(lambda ids: read_rationale(model.text(ids)), SOLUTION)


def stream_rationales(
    runner: T5Runner, questions: Mapping[int, T5Question], decoding: Decoding, streamed: Collection[int]
) -> Generator[StreamEvent, None, list[StreamedRationale]]:
    """A piece for every token, empty for rows that are not `streamed`; returns the whole rationales, in order."""
    encoded = [runner.model.encode(question) for question in questions.values()]
    rows, texts = list(questions), [rationale_detokenizer(runner.model) for _ in encoded]
    complete = [False] * len(rows)
    for place, token in runner.stream_tokens(encoded, decoding):
        if token is None:
            complete[place] = True
        elif rows[place] in streamed:
            yield StreamEvent(rows[place], texts[place].add(token))
        else:
            texts[place].ids.append(token)
            yield StreamEvent(rows[place], "")
    for row, text in zip(rows, texts, strict=True):
        if row in streamed and (rest := text.rest()):
            yield StreamEvent(row, rest)
    return [
        StreamedRationale(text.text(), whole, len(text.ids), one.cut)
        for text, whole, one in zip(texts, complete, encoded, strict=True)
    ]
