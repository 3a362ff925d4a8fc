"""`mulcot report RUN`: the page of a run, as far as it has got, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mulcot.errors import MulcotError

if TYPE_CHECKING:
    from mulcot.media import Gallery


def report(
    folder: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; RUN/report.html where left out.")] = None,
    examples: Annotated[int, typer.Option(min=0, max=500, help="How many examples to show.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed that decides which examples are shown.")] = 0,
) -> None:
    """Write the report of a run as it is now, finished or not; self-contained, works offline."""
    from mulcot.report.pages.report import write_report

    page = out or folder / "report.html"
    found = write_report(folder, _gallery(folder), page, number=examples, seed=seed)
    print(f"{found.cases} examples, {found.findings} findings: {found.path}")


def _gallery(folder: Path) -> Gallery:
    """The run's pictures; only the stored ones where its recipe cannot be read here, such as without its variables."""
    from mulcot.media import Gallery, Store
    from mulcot.methods import DEFAULT
    from mulcot.recipe import load_recipe
    from mulcot.rundir import RunFolder

    dataset = RunFolder(folder).stage(DEFAULT.number("dataset"), "dataset")
    store = Store(dataset / "pictures")
    try:
        source = load_recipe(folder / "recipe.yaml").recipe.dataset
        return Gallery(source.picture_root(), store, source.images_limit)
    except MulcotError:
        return Gallery(None, store)
