"""`mulcot check`: everything that can fail without spending money or GPU time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mulcot.datasets.base import read
from mulcot.errors import MulcotError, printable
from mulcot.extras import missing
from mulcot.media import Store
from mulcot.pipeline import METHODS
from mulcot.progress import Reporter
from mulcot.recipe import Loaded, Recipe
from mulcot.records import Example
from mulcot.rundir import RunFolder
from mulcot.stages.captions import NO_CAPTIONS, WRITE_CAPTIONS
from mulcot.stages.evaluation_sets import SetsStage
from mulcot.stages.rationale import RationaleStage
from mulcot.statistics import NO_LABEL, Census, Statistics
from mulcot.tasks.base import Purpose

LEARNING = ("assistant", "student", "rationale", "answer")


@dataclass(frozen=True)
class Verdict:
    """What a check found; an empty `problems` means the run can start."""

    problems: tuple[str, ...]
    statistics: Statistics | None
    notes: tuple[str, ...] = ()
    """What does nothing though it is written."""


def check(loaded: Loaded, reporter: Reporter, rows: int | None = None) -> Verdict:
    """Asks every stage for its problems, reads the data, opens its pictures and renders its prompts."""
    recipe = loaded.recipe
    problems = RunFolder(loaded.folder).problems()
    for name in METHODS[recipe.method]:
        stage = recipe.stage(name)
        if stage is not None:
            lacking = [error for extra in stage.extras() if (error := missing(extra)) is not None]
            problems += [f"{name}: {error.message}: {error.hint}" for error in lacking]
            problems += [
                f"{name}: {printable(text, lines=True)}" for text in stage.problems(recipe.task, recipe.dataset)
            ]
    if problems:
        return Verdict(tuple(problems), None)
    try:
        statistics = _read_data(loaded, reporter, rows)
    except MulcotError as error:
        return Verdict((f"dataset: {error}",), None)
    return Verdict(tuple(_missing(recipe, statistics)) if rows is None else (), statistics, tuple(_unread(recipe)))


def _missing(recipe: Recipe, statistics: Statistics) -> Iterator[str]:
    """What stages will look for in the data and not find."""
    stages = {name: stage for name in METHODS[recipe.method] if (stage := recipe.stage(name)) is not None}
    splits = statistics.splits
    labelled = {name: split.count - split.labels.get(NO_LABEL, 0) for name, split in splits.items()}
    for name in LEARNING:
        if name in stages and not labelled.get("train"):
            yield f"{name}: there is no labelled training example"
            break
    evaluate = stages.get("evaluate")
    if isinstance(evaluate, SetsStage) and not any(labelled.get(name) for name in evaluate.splits):
        yield f"evaluate: there is no labelled example in {', '.join(evaluate.splits)}"
    rationale = stages.get("rationale")
    explained = "train" in splits and splits["train"].rationales > 0
    if isinstance(rationale, RationaleStage) and recipe.teacher is None and not explained:
        yield "rationale: no training example has a rationale; a section teacher writes them"
    captioner = getattr(stages.get("features"), "captioner", None)
    if captioner is None and not any(split.captions for split in splits.values()):
        for name in ("rationale", "answer"):
            if getattr(stages.get(name), "captions", False):
                yield f"{name}: {NO_CAPTIONS} {WRITE_CAPTIONS}"


def _unread(recipe: Recipe) -> Iterator[str]:
    """Sections that change nothing."""
    for name in dict.fromkeys(name for stages in METHODS.values() for name in stages):
        if name not in METHODS[recipe.method] and recipe.stage(name) is not None:
            yield f"the method {recipe.method} does not read the section {name}"
    answer = recipe.answer if recipe.method == "multimodal-cot" and recipe.rationale is not None else None
    if answer is not None and answer.format != "QCMG-A":
        yield f"answer.format {answer.format} does not read what the section rationale writes"


def _read_data(loaded: Loaded, reporter: Reporter, rows: int | None) -> Statistics:
    recipe = loaded.recipe
    census = Census(recipe.dataset, recipe.task)
    with Store.temporary() as store, reporter.bar("check", unit="rows") as bar:
        for number, record in enumerate(read(recipe.dataset, recipe.task, store), start=1):
            census.add(record)
            if isinstance(record, Example) and number <= 1000:
                recipe.task.prompt(record, Purpose.CHAIN)
            bar.advance()
            if rows is not None and number >= rows:
                break
    return census.statistics()
