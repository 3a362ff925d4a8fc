"""`mulcot export`: a trained model in the form that other tools load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mulcot.errors import MulcotError
from mulcot.extras import need


def export(
    model: Annotated[Path, typer.Option(help="A run folder, a stage folder or a model folder.", metavar="DIR")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.", metavar="DIR")],
    to: Annotated[
        Literal["merged", "adapter"],
        typer.Option(help="One plain model for transformers, vLLM and SGLang, or a PEFT adapter."),
    ] = "merged",
    dtype: Annotated[
        Literal["bf16", "fp32"] | None, typer.Option(help="Precision of the merged weights; by default as trained.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an exported model.")] = False,
) -> None:
    """Write a trained model for other tools, with a model card made from its run."""
    if to == "adapter" and dtype is not None:
        raise MulcotError("--dtype is for merged weights", hint="An adapter is written as it was trained.")
    from mulcot.predict.model_folders import find_model

    find_model(model)  # before torch is imported, which takes seconds
    need("train")
    from mulcot.export.model import export_model

    export_model(model, to, out, dtype=dtype, force=force)
    print(out)
