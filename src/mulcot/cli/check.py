"""`mulcot check`: everything that can fail without spending money or GPU time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mulcot.data_requirements import data_lacking
from mulcot.datasets.read_rows import read
from mulcot.datasets.statistics import DatasetCounter, Statistics
from mulcot.errors import MulcotError, printable
from mulcot.extras import missing
from mulcot.media import Store
from mulcot.methods import across
from mulcot.pipeline import Undone, left_undone
from mulcot.progress import Reporter
from mulcot.recipe import Loaded, Recipe
from mulcot.records import Example
from mulcot.rundir import RunFolder
from mulcot.tasks.base import Purpose


@dataclass(frozen=True)
class CheckResult:
    """What a check found; an empty `problems` means the run can start."""

    problems: tuple[str, ...]
    statistics: Statistics | None
    notes: tuple[str, ...] = ()
    """What does nothing though it is written."""
    undone: Undone | None = None
    """Where a run of this recipe ends early."""


def check(loaded: Loaded, reporter: Reporter, rows: int | None = None) -> CheckResult:
    """Asks every stage for its problems, reads the data, opens its pictures and renders its prompts."""
    recipe = loaded.recipe
    problems = RunFolder(loaded.folder).problems()
    stages = recipe.described()
    for name, stage in stages.items():
        packages = [error for extra in stage.extras() if (error := missing(extra)) is not None]
        problems += [f"{name}: {error.message}: {error.hint}" for error in packages]
        problems += [f"{name}: {printable(text, lines=True)}" for text in stage.problems(recipe.task, recipe.dataset)]
    if problems:
        return CheckResult(tuple(problems), None)
    try:
        statistics = _read_data(loaded, reporter, rows)
    except MulcotError as error:
        return CheckResult((f"dataset: {error}",), None)
    # A part of the rows does not tell what is missing in all of them.
    lacks = data_lacking(stages, recipe.plan.trained, statistics.splits) if rows is None else ()
    found = tuple(f"{lack.stage}: {lack.text}" for lack in lacks)
    return CheckResult(found, statistics, tuple(_unread(recipe)), left_undone(recipe))


def _unread(recipe: Recipe) -> Iterator[str]:
    """Sections that change nothing."""
    for name in across(lambda method: method.stages):
        if name not in recipe.plan.stages and recipe.stage(name) is not None:
            yield f"the method {recipe.method} does not read the section {name}"
    described = recipe.described()
    for stage in described.values():
        yield from stage.unread(described)


def _read_data(loaded: Loaded, reporter: Reporter, rows: int | None) -> Statistics:
    recipe = loaded.recipe
    counter = DatasetCounter(recipe.dataset, recipe.task)
    with Store.temporary() as store, reporter.bar("check", unit="rows") as bar:
        for number, record in enumerate(read(recipe.dataset, recipe.task, store), start=1):
            counter.add(record)
            if isinstance(record, Example) and number <= 1000:
                recipe.task.prompt(record, Purpose.CHAIN)
            bar.advance()
            if rows is not None and number >= rows:
                break
    return counter.statistics()
