"""One model asked about one set of examples, its answers kept in a file that can be continued."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mulcot.datasets.base import Dataset
from mulcot.evaluation.views import View, apply_view
from mulcot.media import Gallery
from mulcot.predict.predictor import Predictor
from mulcot.predict.resumable_output import InputRow, ResumableOutput
from mulcot.progress import Reporter
from mulcot.records import Example, Prediction, Rejected

AGAIN = "Delete it and run the same command again."


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Labelled examples and where their pictures are."""

    name: str
    examples: tuple[Example, ...]
    gallery: Gallery
    dataset: Dataset | None = None
    """Where they come from, if not from the run's own dataset: then equal ids mean nothing."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Rows of the other dataset that could not be used, by reason."""


@dataclass(frozen=True, slots=True)
class EvalVariant:
    """How a model is asked, under the name its scores get."""

    name: str
    how: str
    view: View = "whole"
    generate: bool = False
    label_only: bool = False


def ask_set(
    predictor: Predictor, variant: EvalVariant, data: EvaluationSet, folder: Path, reporter: Reporter
) -> list[Prediction | Rejected]:
    """The model's answers in the order of the examples; those that an interrupted run left are not asked again."""
    path = folder / data.name / f"{variant.name}.jsonl"
    want = {"generate": variant.generate, "label_only": variant.label_only}
    examples, gallery = apply_view(variant.view, data.examples, data.gallery)
    answers_file = ResumableOutput(path, {**predictor.identity(), **want, "view": variant.view}, hint=AGAIN)
    label = f"evaluate: {variant.name} on {data.name}"
    with reporter.bar(label, total=len(examples), unit="examples") as bar:
        rows = (InputRow(f"{data.name}:{number}", example) for number, example in enumerate(examples, 1))
        for done in answers_file.run(rows, lambda items: predictor.predict(items, gallery, **want), predictor.portion):
            bar.advance(done - bar.done)
    return read_answers(path)


def read_answers(path: Path) -> list[Prediction | Rejected]:
    """What a file of predictions holds."""
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [Rejected.from_json(line) if "reason" in line else Prediction.from_json(line) for line in lines]


def labels_of(answers: Sequence[Prediction | Rejected]) -> list[str | None]:
    """The label of every answer; None for a rejected example, which is a miss."""
    return [answer.label if isinstance(answer, Prediction) else None for answer in answers]
