"""One model asked about one set of examples, its answers kept in a file that can be continued."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mulcot.datasets.base import Dataset
from mulcot.evaluation.views import View, apply_view
from mulcot.media import Gallery
from mulcot.predict.base import Predictor
from mulcot.predict.resumable_output import Answer, InputRow, ResumableOutput
from mulcot.progress import Reporter
from mulcot.records import Example, Json, Prediction, Rejected

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
    """The model's answers to a set, asked as the variant says."""
    want = {"generate": variant.generate, "label_only": variant.label_only}
    examples, gallery = apply_view(variant.view, data.examples, data.gallery)
    made = AnswerFile(predictor, folder / data.name / f"{variant.name}.jsonl", {**want, "view": variant.view})
    return made.ask(examples, lambda items: predictor.predict(items, gallery, **want), reporter)


class AnswerFile(NamedTuple):
    """A model's answers to one set, `<set>/<name>.jsonl`, and what they are made with."""

    predictor: Predictor
    path: Path
    settings: Json
    """What decides the answers besides the model."""

    def ask(self, examples: Sequence[Example], answer: Answer, reporter: Reporter) -> list[Prediction | Rejected]:
        """All of them in the order of the examples; those that an interrupted run left are not asked again."""
        name = self.path.parent.name
        output = ResumableOutput(self.path, {**self.predictor.identity(), **self.settings}, hint=AGAIN)
        with reporter.bar(f"evaluate: {self.path.stem} on {name}", total=len(examples), unit="examples") as bar:
            rows = (InputRow(f"{name}:{number}", example) for number, example in enumerate(examples, 1))
            for done in output.run(rows, answer, self.predictor.portion):
                bar.advance(done - bar.done)
        return read_answers(self.path)


def read_answers(path: Path) -> list[Prediction | Rejected]:
    """What a file of predictions holds."""
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [Rejected.from_json(line) if "reason" in line else Prediction.from_json(line) for line in lines]


def labels_of(answers: Sequence[Prediction | Rejected]) -> list[str | None]:
    """The label of every answer; None for a rejected example, which is a miss."""
    return [answer.label if isinstance(answer, Prediction) else None for answer in answers]
