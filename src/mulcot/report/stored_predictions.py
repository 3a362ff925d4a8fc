"""Kept predictions and the right labels, by example: what two runs, or a model and the truth, can be compared by."""

from __future__ import annotations

import json
from pathlib import Path

from mulcot.errors import RunError
from mulcot.records import Example, Prediction, Rejected, read_lines
from mulcot.report.run import Run

Answer = Prediction | Rejected


def lines_of(path: Path) -> list[str]:
    """The lines of a JSONL file; nothing but a line feed ends one, whatever a text holds."""
    try:
        return [line for line in path.read_text("utf-8").split("\n") if line]
    except ValueError:
        raise _damaged(path) from None


def read_answer(line: str, path: Path) -> Answer:
    """One line of a file of predictions."""
    try:
        data = json.loads(line)
        return Rejected.from_json(data) if "reason" in data else Prediction.from_json(data)
    except (ValueError, TypeError, RecursionError):
        raise _damaged(path) from None


def labelled_examples(run: Run) -> dict[str, Example]:
    """The run's examples that have a right label, by id; empty where the dataset stage is not finished."""
    return _labelled(run.file("dataset", "examples.jsonl"))


def foreign_examples(run: Run, name: str) -> dict[str, Example]:
    """The same of another dataset's set; its ids are its own. Empty where the set is a split of the run."""
    return _labelled(run.file("evaluate", f"sets/{name}/examples.jsonl"))


def _labelled(path: Path | None) -> dict[str, Example]:
    if path is None:
        return {}
    try:
        return {example.id: example for example in read_lines(path, Example) if example.label is not None}
    except (ValueError, TypeError, AttributeError):
        raise RunError(f"{path} is damaged", hint="Delete its stage.json and run the recipe again.") from None


def given_labels(run: Run, name: str, model: str) -> dict[str, str | None]:
    """The label that a model gives each example of a set; empty where its predictions are not kept."""
    path = run.file("evaluate", f"predictions/{name}/{model}.jsonl")
    if path is None:
        return {}
    answers = (read_answer(line, path) for line in lines_of(path))
    return {a.id: a.label if isinstance(a, Prediction) else None for a in answers if a.id is not None}


def _damaged(path: Path) -> RunError:
    hint = "Delete it and evaluate's stage.json, and run the recipe again; it is then written again."
    return RunError(f"{path} is damaged", hint=hint)
