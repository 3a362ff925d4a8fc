"""How good a state is: the label scored exactly over the label set, on dev and on part of the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mulcot.backbones.vlm.answer import answer
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.example_encoder import ExampleEncoder
from mulcot.metrics.classification import LabelMeasures, classify
from mulcot.records import Example
from mulcot.training.loop import Score
from mulcot.training.processes import Machine

Tie = Literal["macro_f1", "weighted_f1"]


class DevEvaluator:
    """Scores a model on dev; every process takes its share of the examples."""

    def __init__(
        self, encoder: ExampleEncoder, dev: Sequence[Example], train: Sequence[Example], *, tie: Tie, batch_size: int
    ) -> None:
        self.encoder = encoder
        self.dev = dev
        self.train = train
        self.tie = tie
        self.batch_size = batch_size

    def __call__(self, machine: Machine) -> Score:
        """Dev decides; the training data's accuracy is there to be watched."""
        found = {"dev": self._classify(self.dev, machine), "train": self._classify(self.train, machine)}
        details = {name: scores._asdict() for name, scores in found.items() if scores is not None}
        decisive = found["dev"] or found["train"] or LabelMeasures(0.0, 0.0, 0.0)
        return Score(decisive.accuracy, getattr(decisive, self.tie), details)

    def _classify(self, examples: Sequence[Example], machine: Machine) -> LabelMeasures | None:
        if not examples:
            return None
        mine = range(machine.rank, len(examples), machine.world)
        own = list(zip(mine, predict_labels(self.encoder, [examples[i] for i in mine], self.batch_size), strict=True))
        predicted = dict(machine.gather(own))
        labels = sorted({label for example in examples for label in self.encoder.task.labels(example)})
        right = [example.label or "" for example in examples]
        return classify([predicted[index] for index in range(len(examples))], right, labels)


def predict_labels(encoder: ExampleEncoder, examples: Sequence[Example], batch_size: int) -> list[str]:
    """The likeliest label of each example."""
    found = []
    for start in range(0, len(examples), batch_size):
        part = examples[start : start + batch_size]
        questions = [encoder.question(example, label=True) for example in part]
        for example, one in zip(part, answer(encoder.model, questions, Decoding()), strict=True):
            labels = encoder.task.labels(example)
            best = max(range(len(labels)), key=lambda index: one.label_logprobs[index])
            found.append(labels[best])
    return found
