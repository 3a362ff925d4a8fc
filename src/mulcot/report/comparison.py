"""Runs side by side: results on sets of the same name, paired differences, recipes, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from mulcot.errors import MulcotError
from mulcot.metrics.comparison import compare_labels, mcnemar
from mulcot.records import Json
from mulcot.report.chain_sources import spent
from mulcot.report.results import ModelRow, ordered, rows, title_of, trained_models
from mulcot.report.run import Run, read_run
from mulcot.report.stored_predictions import foreign_examples, given_labels, labelled_examples
from mulcot.report.terms import LABEL_MEASURES

NOT_SET = "(default)"


class Column(NamedTuple):
    """One run."""

    name: str
    path: str
    seconds: float
    requests: int | None
    tokens: int | None
    money: str


class ComparedModel(NamedTuple):
    """One model on one set in every run; None where it was not evaluated."""

    model: str
    title: str
    cells: list[ModelRow | None]


class ComparedSet(NamedTuple):
    """One set."""

    name: str
    examples: list[int | None]
    """In each run; the intervals of runs with other examples are not of the same thing."""
    lines: list[ComparedModel]


class Pair(NamedTuple):
    """One model of two runs on the examples that both answered; differences are first minus second."""

    set: str
    model: str
    first: str
    second: str
    shared: int
    only_first: int
    only_second: int
    mcnemar_p: float
    difference: float
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """In words; the exact McNemar test at five per cent decides."""
        if self.mcnemar_p >= 0.05:
            return "no clear difference"
        return f"{self.first if self.only_first > self.only_second else self.second} is better"


class Compared(NamedTuple):
    """Everything about several runs."""

    columns: list[Column]
    tables: list[ComparedSet]
    pairs: list[Pair]
    settings: list[tuple[str, list[str]]]
    """Recipe lines that differ: the key, and its value in each run."""
    notes: list[str]
    measures: Mapping[str, str]
    """Of labels, those that mean something in all of them."""

    def to_json(self) -> Json:
        """Plain numbers, named."""
        return {
            "runs": [column._asdict() for column in self.columns],
            "sets": {
                table.name: {
                    "examples": table.examples,
                    "models": {line.model: [_cell(row) for row in line.cells] for line in table.lines},
                }
                for table in self.tables
            },
            "pairs": [
                {**pair._asdict(), "interval": list(pair.interval), "verdict": pair.verdict} for pair in self.pairs
            ],
            "recipe": dict(self.settings),
            "notes": self.notes,
        }


def compare_runs(paths: Sequence[Path]) -> Compared:
    """Reads the runs and puts them side by side; there must be at least two."""
    if len({path.resolve() for path in paths}) < 2:
        raise MulcotError("there is nothing to compare", hint="Name at least two different run folders.")
    runs = [read_run(path) for path in paths]
    names = _names(runs)
    columns = [_column(run, name) for run, name in zip(runs, names, strict=True)]
    notes = [f"{name} has not been evaluated" for run, name in zip(runs, names, strict=True) if run.scores is None]
    tables = list(_tables(runs))
    notes += [
        f"set {table.name}: the runs were evaluated on different numbers of examples"
        for table in tables
        if len({count for count in table.examples if count is not None}) > 1
    ]
    known = [run.words.measures for run in runs]
    measures = {name: title for name, title in LABEL_MEASURES.items() if all(name in those for those in known)}
    return Compared(columns, tables, list(_pairs(runs, names)), _settings(runs), notes, measures)


def _names(runs: Sequence[Run]) -> list[str]:
    """Folder names; whole paths where two are alike."""
    short = [run.name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.path) for run in runs]


def _column(run: Run, name: str) -> Column:
    cost = spent(run)
    known = [cost[key] for key in ("prompt", "completion") if isinstance(cost.get(key), int)]
    seconds = sum(view.record.seconds for view in run.stages.values() if view.record)
    tokens = sum(known) if known else None
    return Column(name, str(run.path), round(seconds, 1), cost.get("requests"), tokens, str(cost.get("shown", "none")))


def _tables(runs: Sequence[Run]) -> Iterator[ComparedSet]:
    sets = [run.scores.sets if run.scores else {} for run in runs]
    for name in dict.fromkeys(name for found in sets for name in found):
        found = [those.get(name) for those in sets]
        tables = [{row.model: row for row in rows(one)} if one else {} for one in found]
        models = ordered({model: row.scores for table in tables for model, row in table.items()})
        lines = [ComparedModel(model, title_of(model), [table.get(model) for table in tables]) for model in models]
        yield ComparedSet(name, [one.examples if one else None for one in found], lines)


def _pairs(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Pair]:
    """Every two runs, on every set and model that both have."""
    own = [labelled_examples(run) for run in runs]
    sets = dict.fromkeys(name for run in runs if run.scores for name in run.scores.sets)
    for name in sets:
        known = [foreign_examples(run, name) or own[number] for number, run in enumerate(runs)]
        right = [{i: example.label or "" for i, example in examples.items()} for examples in known]
        for model in trained_models():
            given = [given_labels(run, name, model) for run in runs]
            for a, b in combinations(range(len(runs)), 2):
                found = _pair((given[a], given[b]), (right[a], right[b]))
                if found is not None:
                    yield Pair(name, model, names[a], names[b], **found)


def _pair(given: tuple[Mapping[str, str | None], ...], right: tuple[Mapping[str, str], ...]) -> dict[str, Any] | None:
    """The examples that both know under the same id and the same right label; None where there are none."""
    shared = [i for i in given[0] if i in given[1] and i in right[0] and right[0][i] == right[1].get(i)]
    if not shared:
        return None
    gold = [right[0][i] for i in shared]
    first, second = ([labels[i] for i in shared] for labels in given)
    test = mcnemar(
        [a == b for a, b in zip(first, gold, strict=True)], [a == b for a, b in zip(second, gold, strict=True)]
    )
    difference = compare_labels(first, second, gold, sorted(set(gold)))["accuracy"]
    return {
        "shared": len(shared),
        "only_first": test.only_first,
        "only_second": test.only_second,
        "mcnemar_p": test.p_value,
        "difference": difference.value,
        "interval": (difference.interval[0], difference.interval[1]),
    }


def _settings(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    flat = [dict(_flat(run.recipe)) for run in runs]
    keys = dict.fromkeys(key for one in flat for key in one if key != "output")
    lines = [(key, [one.get(key, NOT_SET) for one in flat]) for key in keys]
    return [(key, values) for key, values in lines if len(set(values)) > 1]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Key paths with their values as text."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            # A plug-in without options may be its name alone.
            own = path if key == "name" and path else f"{path}.{key}" if path else str(key)
            yield from _flat(inner, own)
    else:
        yield path, "null" if value is None else str(value)


def _cell(row: ModelRow | None) -> Json | None:
    if row is None:
        return None
    values = {name: row.values[name] for name in LABEL_MEASURES}
    return {
        **{name: value.value for name, value in values.items()},
        "intervals": {name: [value.low, value.high] for name, value in values.items() if value.low is not None},
        "unparsed": row.scores.labels.unparsed,
    }
