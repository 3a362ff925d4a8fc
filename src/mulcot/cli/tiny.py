"""`mulcot tiny ...`: training the tiny backbones again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mulcot.errors import MulcotError
from mulcot.extras import need

EXAMINED = 300

app = typer.Typer(help="The tiny backbones that ship with the package.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _root() -> None: ...


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", help="The folder to write the models to.", metavar="DIR")],
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    which: Annotated[Literal["assistant", "student", "t5", "all"], typer.Option(help="Which model to build.")] = "all",
) -> None:
    """Pretrain the tiny backbones from nothing, and say what they can do. Takes about forty minutes."""
    if out.exists() and not out.is_dir():
        raise MulcotError(f"{out} is a file", hint="Give a folder.")
    need("train")
    from mulcot.multimodal_cot.model import load_fusion
    from mulcot.progress import Reporter
    from mulcot.tiny.build import build as build_model
    from mulcot.tiny.build_t5 import build_t5, evaluate_t5
    from mulcot.tiny.evaluate import evaluate_model
    from mulcot.tiny.models import open_model
    from mulcot.tiny.sizes import SIZES

    reporter = Reporter.auto()
    for name, size in SIZES.items():
        if which in (name, "all"):
            build_model(out / name, size, seed, reporter)
            marks = evaluate_model(open_model(out / name), EXAMINED)
            print("\n".join([str(out / name), *marks.lines()]))
    if which in ("t5", "all"):
        build_t5(out / "t5", seed, reporter)
        print("\n".join([str(out / "t5"), *evaluate_t5(load_fusion(out / "t5"), EXAMINED).lines()]))
