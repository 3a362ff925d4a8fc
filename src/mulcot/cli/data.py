"""`mulcot data ...`: look at a dataset, check it, show it, hand it on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mulcot.errors import MulcotError, printable

if TYPE_CHECKING:
    from rich.table import Table

    from mulcot.datasets.base import Dataset
    from mulcot.datasets.statistics import DataFinding, Statistics
    from mulcot.tasks.base import Task

app = typer.Typer(help="Inspect, check, preview and export a dataset.", no_args_is_help=True, rich_markup_mode=None)

Words = Annotated[
    list[str] | None,
    typer.Argument(
        help="A dataset's name and its options as in the recipe: twitter root=PATH", metavar="NAME KEY=VALUE"
    ),
]
RecipeOption = Annotated[
    Path | None, typer.Option("--recipe", help="Take dataset and task from a recipe instead.", metavar="FILE")
]
TaskOption = Annotated[
    str | None, typer.Option("--task", help="The task, where it is not the dataset's usual one.", metavar="NAME")
]
LABELS_SHOWN = 8

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def stats(words: Words = None, recipe: RecipeOption = None, task: TaskOption = None, as_json: AsJson = False) -> None:
    """Count a dataset: splits, labels, lengths, rejected rows by reason, duplicates, leakage."""
    statistics = _count(*_choose(words, recipe, task))
    if as_json:
        _print_json(statistics.to_json())
    else:
        _show(statistics)


@app.command()
def check(
    words: Words = None,
    recipe: RecipeOption = None,
    task: TaskOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a dataset and what to do; exits with 1 where something must be done."""
    statistics = _count(*_choose(words, recipe, task))
    findings = statistics.findings()
    failed = any(finding.level == "error" or strict for finding in findings)
    if as_json:
        found = [finding.to_json() for finding in findings]
        _print_json({"ok": not failed, "findings": found, "counts": statistics.summary()})
    else:
        show_findings(findings)
        counts = statistics.summary()
        print(
            f"{counts['examples']:,} examples, {counts['rejected']:,} rejected: {'not usable yet' if failed else 'ok'}"
        )
    raise typer.Exit(1 if failed else 0)


@app.command()
def preview(
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.", metavar="FILE")],
    words: Words = None,
    recipe: RecipeOption = None,
    task: TaskOption = None,
    number: Annotated[int, typer.Option(min=1, max=1000, help="How many examples to show.")] = 48,
    split: Annotated[str | None, typer.Option(help="Only this split.", metavar="NAME")] = None,
    seed: Annotated[int, typer.Option(help="Seed that decides which examples are shown.")] = 0,
) -> None:
    """Write a contact sheet: one self-contained HTML page with pictures, posts and labels."""
    from mulcot.progress import Reporter
    from mulcot.report.pages.preview import Choice, write_preview

    chosen, asked = _choose(words, recipe, task)
    shown = write_preview(chosen, asked, out, Choice(number=number, split=split, seed=seed), Reporter.auto())
    print(f"{shown} examples: {out}")


@app.command()
def export(
    to: Annotated[str, typer.Option("--to", help="jsonl, parquet, hf or sharegpt.", metavar="FORMAT")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.", metavar="DIR")],
    words: Words = None,
    recipe: RecipeOption = None,
    task: TaskOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that is not empty.")] = False,
) -> None:
    """Write the dataset, pictures included, for other tools; the `files` dataset reads all of it back."""
    from mulcot.export.data import export_data
    from mulcot.progress import Reporter

    chosen, asked = _choose(words, recipe, task)
    counts = export_data(chosen, asked, to, out, Reporter.auto(), force=force)
    print("  ".join(f"{name} {count}" for name, count in counts.items()))
    print(out)


def show_findings(findings: list[DataFinding]) -> None:
    """One finding, one advice."""
    for finding in findings:
        print(f"{finding.level:<8} {printable(finding.message)}\n         {finding.advice}")


def _choose(words: list[str] | None, recipe: Path | None, task: str | None) -> tuple[Dataset, Task]:
    """Dataset and task from a name with options, or from a recipe with overrides."""
    from mulcot.datasets import datasets
    from mulcot.recipe import build_plugin, load_recipe, parse_assignments
    from mulcot.tasks import tasks

    words = words or []
    if recipe is not None:
        chosen = load_recipe(recipe, words).recipe
        return chosen.dataset, build_plugin(tasks, {"name": task}, "--task") if task else chosen.task
    if not words or "=" in words[0]:
        known = ", ".join(datasets.names())
        raise MulcotError("a dataset's name is needed", hint=f"Known: {known}. Or give --recipe FILE.")
    options: dict[str, Any] = {"name": words[0], **parse_assignments(words[1:])}
    dataset = build_plugin(datasets, options, words[0])
    return dataset, build_plugin(tasks, {"name": task or dataset.default_task}, "--task")


def _count(dataset: Dataset, task: Task) -> Statistics:
    from mulcot.datasets import read
    from mulcot.datasets.statistics import DatasetCounter
    from mulcot.media import Store
    from mulcot.progress import Reporter

    counter = DatasetCounter(dataset, task)
    with Store.temporary() as store, Reporter.auto().bar("reading", unit="rows") as bar:
        for record in read(dataset, task, store):
            counter.add(record)
            bar.advance()
    return counter.statistics()


def _print_json(data: Any) -> None:
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # half a surrogate pair, or a terminal that knows no Unicode
        text = json.dumps(data, indent=2)
    print(text)


def _show(statistics: Statistics) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 140)
    console.print(_table(statistics))
    for pair, rows in statistics.leakage.items():
        if any(rows.values()):
            first, second = pair.split("/")
            console.print(f"{second} rows known from {first}: text {rows['text']:,}, picture {rows['image']:,}")
    if statistics.cleaning:
        changed = ", ".join(f"{kind} {number:,}" for kind, number in statistics.cleaning.items())
        console.print(f"rows changed by cleaning: {changed}")
    console.print(f"rejected rows: {statistics.rejected['total']:,}")
    for reason, number in statistics.rejected["reasons"].items():
        console.print(f"  {reason} {number:,}")
        for shown in statistics.rejected["examples"][reason][:3]:
            console.print(f"    {printable(shown['source'])}: {printable(shown['detail'])}")


def _table(statistics: Statistics) -> Table:
    """One line per split."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{statistics.dataset}, task {statistics.task}", title_justify="left", box=None)
    table.add_column("split")
    labels = list(dict.fromkeys(label for split in statistics.splits.values() for label in split.labels))
    named = labels[:LABELS_SHOWN]
    columns = ["examples", *named, *(["others"] if labels[LABELS_SHOWN:] else [])]
    columns += ["pictures", "without", "repeated", "median length", "95 %", "longest"]
    for name in columns:
        table.add_column(Text(printable(name)), justify="right")
    for name, split in statistics.splits.items():
        counts = [split.labels.get(label, 0) for label in named]
        if labels[LABELS_SHOWN:]:
            counts.append(split.count - sum(counts))
        length = split.text_length
        numbers = [split.count, *counts, split.images, split.without_image, split.duplicates["post"]]
        numbers += [length.median, length.p95, length.max]
        table.add_row(Text(printable(name)), *(f"{number:,}" for number in numbers))
    return table
