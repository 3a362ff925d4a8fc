"""`mulcot check`: everything that can fail without spending money or GPU time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mulcot.datasets.base import read
from mulcot.errors import MulcotError, printable
from mulcot.media import Store
from mulcot.pipeline import METHODS
from mulcot.progress import Reporter
from mulcot.recipe import Loaded, Recipe
from mulcot.records import Example
from mulcot.rundir import RunFolder
from mulcot.stages.captions import NO_CAPTIONS, WRITE_CAPTIONS
from mulcot.statistics import Census, Statistics
from mulcot.tasks.base import Purpose


@dataclass(frozen=True)
class Verdict:
    """What a check found; an empty `problems` means the run can start."""

    problems: tuple[str, ...]
    statistics: Statistics | None


def check(loaded: Loaded, reporter: Reporter, rows: int | None = None) -> Verdict:
    """Asks every stage for its problems, reads the data, opens its pictures and renders its prompts."""
    recipe = loaded.recipe
    problems = RunFolder(loaded.folder).problems()
    for name in METHODS[recipe.method]:
        stage = recipe.stage(name)
        if stage is not None:
            problems += [
                f"{name}: {printable(text, lines=True)}" for text in stage.problems(recipe.task, recipe.dataset)
            ]
    if problems:
        return Verdict(tuple(problems), None)
    try:
        statistics = _read_data(loaded, reporter, rows)
    except MulcotError as error:
        return Verdict((f"dataset: {error}",), None)
    return Verdict(tuple(_without_captions(recipe, statistics)) if rows is None else (), statistics)


def _without_captions(recipe: Recipe, statistics: Statistics) -> Iterator[str]:
    """Models that are to read captions where nobody has written any."""
    captioner = getattr(recipe.stage("features"), "captioner", None)
    if captioner is None and not any(split.captions for split in statistics.splits.values()):
        for name in ("rationale", "answer"):
            if getattr(recipe.stage(name), "captions", False):
                yield f"{name}: {NO_CAPTIONS} {WRITE_CAPTIONS}"


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
