"""`mulcot check`: everything that can fail without spending money or GPU time."""

from __future__ import annotations

from dataclasses import dataclass

from mulcot.datasets.base import read
from mulcot.errors import MulcotError, printable
from mulcot.media import Store
from mulcot.pipeline import METHODS
from mulcot.progress import Reporter
from mulcot.recipe import Loaded
from mulcot.records import Example
from mulcot.rundir import RunFolder
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
    return Verdict((), statistics)


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
