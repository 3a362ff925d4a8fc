"""A run folder's files as one typed value; every part that is not there yet is None or empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mulcot.errors import RunError
from mulcot.evaluation.scores import FORMAT as SCORES_FORMAT
from mulcot.evaluation.scores import Scores
from mulcot.methods import DEFAULT, Method, methods
from mulcot.records import Json
from mulcot.report.curves import Curves, read_curves
from mulcot.report.terms import Terms, words_of
from mulcot.rundir import RunFolder, StageFolder, StageRecord


@dataclass(frozen=True)
class StageView:
    """One stage folder and, where it is finished, its record."""

    name: str
    folder: StageFolder
    record: StageRecord | None
    outdated: bool = False
    """An earlier stage has changed since."""

    @property
    def counts(self) -> Json:
        """What the stage counted; empty where it is not finished."""
        return self.record.counts if self.record else {}


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that a report is made of."""

    path: Path
    recipe: Json = field(default_factory=dict)
    """As the run folder keeps it: resolved, variables unexpanded."""
    stages: Mapping[str, StageView] = field(default_factory=dict)
    """In the order of the method."""
    statistics: Json | None = None
    teacher: Json | None = None
    """The teacher stage's summary."""
    scores: Scores | None = None
    curves: Mapping[str, Curves] = field(default_factory=dict)
    """By stage."""

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.path.resolve().name

    @property
    def method(self) -> str:
        """Which stages it goes through."""
        return str(self.recipe.get("method", DEFAULT.name))

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """Each stage's name with what it warned of; what an outdated stage said is about something else."""
        current = [view for view in self.stages.values() if view.record is not None and not view.outdated]
        return [(view.name, text) for view in current if view.record for text in view.record.warnings]

    @property
    def words(self) -> Terms:
        """What things are called in it."""
        task = self.scores.task if self.scores else str(self.setting("task", "name", default=""))
        return words_of(task, self.method)

    @property
    def plan(self) -> Method:
        """Its method; the default one stands for a method of a package that is not installed."""
        return plan_of(self.recipe)

    @property
    def simulated(self) -> bool:
        """Whether the teacher's chains are made up."""
        return bool(self.teacher and self.teacher.get("simulated"))

    def setting(self, *keys: str, default: Any = None) -> Any:
        """One value of the recipe; `default` where it is not written there."""
        found: Any = self.recipe
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return default if found is None else found

    def file(self, stage: str, name: str) -> Path | None:
        """A file of a finished stage, where it is there."""
        view = self.stages.get(stage)
        path = None if view is None or view.record is None else view.folder / name
        return path if path is not None and path.is_file() else None


def plan_of(recipe: Json) -> Method:
    """The method that a recipe names."""
    return methods().get(str(recipe.get("method", DEFAULT.name)), DEFAULT)


def read_run(path: Path) -> Run:
    """The run as it is now; raises where it is none, or where a file of it cannot be read."""
    folder = RunFolder(path)
    recipe = _recipe(path)
    stages: dict[str, StageView] = {}
    known = plan_of(recipe).stages
    # Numbers tell the order, but for a stage that the method got after the run was made.
    in_order = sorted(folder.states(), key=lambda one: known.index(one[0].name) if one[0].name in known else len(known))
    for stage, state in in_order:
        stages[stage.name] = StageView(stage.name, stage, stage.record, outdated=state == "outdated")
    whole = Run(path=path, recipe=recipe, stages=stages)
    return Run(
        path=path,
        recipe=recipe,
        stages=stages,
        statistics=_object(whole.file("dataset", "statistics.json"), "dataset"),
        teacher=_object(whole.file("teacher", "summary.json"), "teacher"),
        scores=_scores(whole.file("evaluate", "scores.json")),
        curves={n: found for n, view in stages.items() if (found := read_curves(view.folder / "metrics.jsonl"))},
    )


def _recipe(path: Path) -> Json:
    hint = "A run folder holds a recipe.yaml; `mulcot run` makes one."
    file = path / "recipe.yaml"
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{path} is not a run folder", hint=hint) from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        raise RunError(f"{file} cannot be read", hint="Start the run again; it writes the file again.") from None
    if not isinstance(found, dict):
        raise RunError(f"{file} holds no recipe", hint=hint)
    return found


def _object(path: Path | None, stage: str) -> Json | None:
    """A JSON object that we wrote; None where there is none."""
    if path is None:
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _damaged(path, stage)
    return found


def _scores(path: Path | None) -> Scores | None:
    data = _object(path, "evaluate")
    if data is None or path is None:
        return None
    if data.get("format") != SCORES_FORMAT:
        made = f"format {str(data.get('format'))[:20]}, known {SCORES_FORMAT}"
        hint = "Delete evaluate's stage.json and run the recipe again: answers are kept, scores are recomputed."
        raise RunError(f"{path} was made by another version of mulcot ({made})", hint=hint)
    try:
        return Scores.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged(path, "evaluate", f": {place}: {first['msg']}") from None


def _damaged(path: Path, stage: str, detail: str = "") -> RunError:
    hint = f"Delete {path.parent / 'stage.json'} and run the recipe again; the stage {stage} writes it again."
    return RunError(f"{path} is damaged{detail}", hint=hint)
