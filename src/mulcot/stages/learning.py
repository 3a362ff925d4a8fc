"""What the stages that train and use models have in common: examples, chains, the model's folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mulcot.errors import DataError
from mulcot.records import Example, Json, Rationale, read_lines
from mulcot.settings import Settings, volatile
from mulcot.stages.base import Job
from mulcot.tasks.saved import SavedTask, save_task

if TYPE_CHECKING:
    from mulcot.backbones.base import Backbone
    from mulcot.training.loop import Result

MODEL = "model"
SEEN_WHILE_TRAINING = 200


class Watching(Settings):
    """What is looked at while a model trains."""

    dev: int | None = Field(default=None, ge=1)
    """Examples of dev that decide which state is best; null takes all."""
    train: int = Field(default=SEEN_WHILE_TRAINING, ge=0)
    """Examples of the training data whose accuracy is watched beside it."""
    tie: Literal["macro_f1", "weighted_f1"] = "macro_f1"
    """Decides between states of equal accuracy. Published: weighted F1 on MVSA, macro F1 on Twitter."""
    batch_size: int = volatile(16, ge=1)
    """Examples that are scored at once."""


def examples_of(job: Job, split: str) -> list[Example]:
    """The labelled examples of a split."""
    found = read_lines(job.before["dataset"] / "examples.jsonl", Example)
    return [example for example in found if example.split == split and example.label is not None]


def training_examples(job: Job) -> list[Example]:
    """The labelled training examples; there must be some."""
    examples = examples_of(job, "train")
    if not examples:
        raise DataError("there is no labelled training example", hint="`mulcot data stats` shows the splits.")
    return examples


def chains_of(job: Job, stage: str) -> list[Rationale]:
    """The chains that a stage accepted."""
    return list(read_lines(job.before[stage] / "rationales.jsonl", Rationale))


def part_of(examples: Sequence[Example], number: int | None, seed: int) -> list[Example]:
    """Some of the examples, chosen by their ids and a seed, in their order."""
    if number is None or number >= len(examples):
        return list(examples)
    import random

    chosen = set(random.Random(f"part/{seed}").sample(range(len(examples)), number))
    return [example for index, example in enumerate(examples) if index in chosen]


def device() -> str:
    """Where models go."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def keep_model(job: Job) -> None:
    """The best state becomes the stage's model; what it was asked is kept beside it."""
    target, part = job.folder / MODEL, job.folder / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(job.folder / "best", part)
    save_task(SavedTask(job.task, job.dataset.text), part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def result_counts(result: Result, lessons: int) -> Json:
    """What is worth a line."""
    return {
        "lessons": lessons,
        "steps": result.steps,
        "best_step": result.best_step,
        "dev_accuracy": round(result.best.accuracy, 4),
        "stopped_early": result.stopped_early,
    }


def weights_hash(folder: Path) -> str:
    """A hash of a model folder's weights."""
    from mulcot.rundir import file_hash
    from mulcot.settings import fingerprint

    return fingerprint({path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))})


def model_problems(backbone: Backbone) -> list[str]:
    """A model folder that is not there, or a missing torch; hub names are checked when they are loaded."""
    from importlib.util import find_spec

    problems = []
    if find_spec("torch") is None:
        problems.append("torch is not installed: pip install 'mulcot[train]'")
    model: Any = getattr(backbone, "model", None)
    if isinstance(model, str) and model.startswith(("/", ".", "~")) and not Path(model).expanduser().is_dir():
        problems.append(f"there is no model folder {model}")
    return problems
