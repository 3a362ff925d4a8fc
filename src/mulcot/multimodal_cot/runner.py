"""Many questions at once: like lengths together, answers in the order of the questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.features.store import FeatureStore
from mulcot.multimodal_cot.batch import FusionBatch
from mulcot.multimodal_cot.generate_and_score import WrittenText
from mulcot.multimodal_cot.model import FusionModel
from mulcot.multimodal_cot.questions import EncodedQuestion, T5Question


class ChoiceScores(NamedTuple):
    """What a model thinks of the choices of a question."""

    logprobs: tuple[float, ...]
    shortened: bool
    """The question was longer than the model reads."""


class T5Runner:
    """A model with the features of the pictures it is asked about."""

    def __init__(self, model: FusionModel, features: FeatureStore | None, batch_size: int) -> None:
        self.model = model
        self.features = features
        self.batch_size = batch_size

    def write(self, questions: Sequence[T5Question], decoding: Decoding) -> list[WrittenText]:
        """One text per question; a sampled one depends on the question's id, not on its neighbours."""
        encoded = [self.model.encode(question) for question in questions]
        out: dict[int, WrittenText] = {}
        for places in self._batches(encoded):
            batch = pack_known(self.model, [encoded[place] for place in places], self.features)
            out.update(zip(places, self.model.generate(batch, decoding), strict=True))
        return [dataclasses.replace(out[place], shortened=one.cut) for place, one in enumerate(encoded)]

    def stream_tokens(self, encoded: Sequence[EncodedQuestion], decoding: Decoding) -> Iterator[tuple[int, int | None]]:
        """`write`, token by token: (place of the question, token), None where a text ends by itself."""
        for places in self._batches(encoded):
            batch = pack_known(self.model, [encoded[place] for place in places], self.features)
            for row, token in self.model.stream_tokens(batch, decoding):
                yield places[row], token

    def score(self, questions: Sequence[T5Question], choices: Sequence[Sequence[str]]) -> list[ChoiceScores]:
        """The log-probability of every choice of every question."""
        encoded = [self.model.encode(question) for question in questions]
        out: dict[int, tuple[float, ...]] = {}
        for places in self._batches(encoded):
            batch = pack_known(self.model, [encoded[place] for place in places], self.features)
            out.update(zip(places, self.model.score(batch, [choices[place] for place in places]), strict=True))
        return [ChoiceScores(out[place], one.cut) for place, one in enumerate(encoded)]

    def _batches(self, encoded: Sequence[EncodedQuestion]) -> Iterator[list[int]]:
        order = sorted(range(len(encoded)), key=lambda place: len(encoded[place].input_ids))
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]


def pack_known(model: FusionModel, rows: Sequence[EncodedQuestion], features: FeatureStore | None) -> FusionBatch:
    """The rows as a batch. Published features know one picture of each question; its others are left out there."""
    if features is not None and not features.kind.extractor:
        rows = [
            dataclasses.replace(row, pictures=tuple(key for key in row.pictures if key in features)) for row in rows
        ]
    return model.pack(rows, features)
