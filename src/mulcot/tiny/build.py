"""Builds one tiny backbone in three stages: seeing, copying, reading.

The same seed gives the same bytes with the same versions of torch and transformers on the same kind of processor. An
interrupted build continues after its last finished stage.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.progress import Reporter
from mulcot.tiny.models import fresh, open_model, save_model
from mulcot.tiny.pretraining_examples import COPYING, READING
from mulcot.tiny.sizes import Size
from mulcot.tiny.train_language import train_language
from mulcot.tiny.train_vision import train_vision

THREADS = 1
"""Sums depend on how they are split over threads, so their number is fixed; and on a busy machine one is fastest."""
STAGES = ("seeing", "copying", "reading")
MADE_FILE = "made.json"
"""Written last in the folder of a stage: what it was made with."""


def build(out: Path, size: Size, seed: int, reporter: Reporter) -> None:
    """Makes a model in the folder `out`; what was there before is replaced."""
    folders = [out.with_name(f"{out.name}-{stage}") for stage in STAGES]
    with reproducible():
        for number, (stage, folder) in enumerate(zip(STAGES, folders, strict=True)):
            made_with = f"{size} {seed} {stage}"
            if _made_with(folder) != made_with:
                shutil.rmtree(folder, ignore_errors=True)
                torch.manual_seed(seed)
                model = open_model(folders[number - 1]) if number else fresh(folder, size, seed)
                _learn(stage, model, size, seed, reporter)
                save_model(model, folder, torch.float32)
                (folder / MADE_FILE).write_text(json.dumps(made_with), encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        save_model(open_model(folders[-1]), out, torch.float16)
    for folder in folders:
        shutil.rmtree(folder)


def _made_with(folder: Path) -> str | None:
    path = folder / MADE_FILE
    return str(json.loads(path.read_text("utf-8"))) if path.is_file() else None


def _learn(stage: str, model: LoadedModel, size: Size, seed: int, reporter: Reporter) -> None:
    if stage == "seeing":
        right = train_vision(model, size.seeing, seed, reporter)
        reporter.say("right on unseen pictures: " + ", ".join(f"{name} {share:.3f}" for name, share in right.items()))
    elif stage == "copying":
        train_language(model, size.copying, COPYING, seed, reporter)
    else:
        train_language(model, size.reading, READING, seed + 1, reporter)


@contextmanager
def reproducible() -> Iterator[None]:
    """A fixed number of threads, exact kernels, and the caller's random state untouched."""
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(exact)
