"""`mulcot init DIR`: a recipe and a few rows to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="DIR")],
    task: Annotated[
        str | None,
        typer.Option(help="sentiment, aspect_sentiment, classification or multiple_choice.", metavar="NAME"),
    ] = None,
    method: Annotated[
        str, typer.Option(help="mulcot-rd, or multimodal-cot for questions.", metavar="NAME")
    ] = "mulcot-rd",
) -> None:
    """Write a commented recipe and a small example of your own data, which run at once."""
    from mulcot.cli.starting import write_starter_folder

    begun, count = write_starter_folder(folder, task, method)
    recipe = shlex.quote(str(folder / "recipe.yaml"))
    print(f"{folder}: {count} rows with pictures, and a recipe for {begun}. Next:")
    for command in ("check", "data stats --recipe", "run"):
        print(f"  mulcot {command} {recipe}")
