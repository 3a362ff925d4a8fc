"""`mulcot compare RUN RUN...`: results, paired differences, recipes and cost of several runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mulcot.errors import printable

if TYPE_CHECKING:
    from mulcot.report.comparison import Compared
    from mulcot.report.results import ModelRow


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Two or more run folders.", metavar="RUN RUN...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write an HTML page as well.", metavar="FILE")] = None,
) -> None:
    """Put runs side by side: results with intervals, paired differences, what differs in the recipes, cost."""
    from mulcot.report.comparison import compare_runs
    from mulcot.rundir import need_place

    if out is not None:
        need_place(out)
    found = compare_runs(folders)
    if out is not None:
        from mulcot.report.pages.compare import write_comparison

        write_comparison(found, out)
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for line in _lines(found):
        print(printable(line))
    if out is not None:
        print(f"\npage: {out}")


def _lines(found: Compared) -> list[str]:
    from mulcot.progress import duration
    from mulcot.report.results import title_of

    names = [column.name for column in found.columns]
    lines: list[str] = []
    for table in found.tables:
        counts = "  ".join(f"{'-' if n is None else n}" for n in table.examples)
        f1 = "macro_f1" in found.measures
        measures = "accuracy and macro F1" if f1 else "accuracy"
        lines += ["", f"set {table.name}: {measures}, per cent [95 % interval]; examples {counts}"]
        cells = ([line.title, *(_cell(row, f1=f1) for row in line.cells)] for line in table.lines)
        lines += _grid([["", *names], *cells])
    if found.pairs:
        lines += ["", "paired on shared examples: accuracy, first minus second, in points"]
        head = ["set", "model", "first", "second", "examples", "difference", "McNemar p", ""]
        lines += _grid([head, *([
            pair.set, title_of(pair.model), pair.first, pair.second, str(pair.shared),
            f"{100 * pair.difference:+.1f} [{100 * pair.interval[0]:+.1f}, {100 * pair.interval[1]:+.1f}]",
            f"{pair.mcnemar_p:.3f}", pair.verdict,
        ] for pair in found.pairs)])  # fmt: skip
    elif found.tables:
        lines += ["", "no predictions for the same examples: nothing can be paired"]
    lines += ["", "recipe lines that differ"]
    lines += _grid([["", *names], *([key, *values] for key, values in found.settings)])
    cost = [
        ["", *names],
        ["time", *(duration(column.seconds) for column in found.columns)],
        ["requests", *("-" if column.requests is None else f"{column.requests:,}" for column in found.columns)],
        ["tokens", *("-" if column.tokens is None else f"{column.tokens:,}" for column in found.columns)],
        ["money", *(column.money for column in found.columns)],
    ]
    lines += ["", "cost", *_grid(cost), *(f"note: {note}" for note in found.notes)]
    return lines[1:] if not lines[0] else lines


def _cell(row: ModelRow | None, *, f1: bool) -> str:
    """`71.2 [65.0, 77.1]  68.9`: accuracy with its interval, macro F1 where it means something."""
    if row is None:
        return "-"
    accuracy = row.values["accuracy"]
    ends = (
        ""
        if accuracy.low is None or accuracy.high is None
        else f" [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
    )
    share = f"{100 * accuracy.value:.1f}{ends}"
    return f"{share}  {100 * row.values['macro_f1'].value:.1f}" if f1 else share


def _grid(rows: list[list[str]]) -> list[str]:
    """Columns as wide as their widest cell, of bearable width."""
    shown = [[cell if len(cell) <= 44 else cell[:41] + "..." for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in shown) for place in range(len(shown[0]))]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    ]
