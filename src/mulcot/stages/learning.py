"""What the stages that train and use models have in common: examples, chains, the model's folder."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mulcot.backbones.base import load_folder
from mulcot.errors import DataError, TrainingError
from mulcot.records import Example, Json, Rationale, read_lines
from mulcot.rundir import file_hash
from mulcot.settings import Settings, fingerprint, volatile
from mulcot.stages.base import Job
from mulcot.tasks.saved import SavedTask, save_task

if TYPE_CHECKING:
    from mulcot.backbones.base import Backbone
    from mulcot.backbones.runtime.loaded import LoadedModel
    from mulcot.objectives.joint import Teaching
    from mulcot.objectives.rows import Batch
    from mulcot.objectives.settings import JointObjective
    from mulcot.training.lessons import Desk, Lessons
    from mulcot.training.loop import Result
    from mulcot.training.machine import Machine
    from mulcot.training.settings import Training

MODEL = "model"
VISION = "vision"
"""The folder of a run in which all its stages keep what vision towers saw."""
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
    chosen = set(random.Random(f"part/{seed}").sample(range(len(examples)), number))
    return [example for index, example in enumerate(examples) if index in chosen]


def start(job: Job, backbone: Backbone, training: Training) -> tuple[Machine, Desk]:
    """Joins the other processes, then loads the model, so that each takes its own device; new weights are seeded."""
    import torch

    from mulcot.training.lessons import Desk
    from mulcot.training.machine import Machine

    for problem in training_problems(backbone, training):
        raise TrainingError(problem)
    machine = Machine.start(
        trackers=training.trackers,
        folder=job.folder.path,
        unused=backbone.trained != "language",
        sharded=training.sharding == "full",
    )
    torch.manual_seed(job.seed)
    return machine, Desk(remembering(job, backbone.load(device())), job.task, job.gallery())


def learn(
    job: Job,
    machine: Machine,
    source: Lessons,
    *,
    label: str,
    objective: JointObjective,
    training: Training,
    watch: Watching,
    teach: Callable[[Batch], Teaching] | None = None,
) -> Json:
    """Trains, or continues, keeps the best state as the stage's model, and returns what is worth a line."""
    from mulcot.training.judging import Judge
    from mulcot.training.learner import JointLearner
    from mulcot.training.loop import Plan, fit

    desk = source.desk
    dev = part_of(examples_of(job, "dev"), watch.dev, job.seed)
    train = part_of(training_examples(job), watch.train, job.seed)
    if not len(source):
        raise DataError("there is nothing to learn from: no chain, and label-only examples are left out")
    if not dev and not train:
        hint = "Give the dataset a dev split, or set watch.train above 0."
        raise DataError("no labelled dev example, and watch.train is 0: nothing tells which state is best", hint=hint)
    plan = Plan(
        label=label,
        learner=JointLearner(desk.model, source, objective, teach),
        settings=training,
        folder=job.folder.path,
        seed=job.seed,
        reporter=job.reporter,
        machine=machine,
        evaluate=Judge(desk, dev, train, tie=watch.tie, batch_size=watch.batch_size),
    )
    result = fit(plan)
    if machine.rank == 0:
        _keep_model(job, result)
    machine.release()
    return {
        "lessons": len(source),
        "steps": result.steps,
        "best_step": result.best_step,
        "dev_accuracy": round(result.best.value, 4),
        "stopped_early": result.stopped_early,
    }


def load_model(job: Job, stage: str) -> LoadedModel:
    """The model that an earlier stage trained, to answer with."""
    return remembering(job, load_folder(job.before[stage] / MODEL, device()))


def remembering(job: Job, model: LoadedModel) -> LoadedModel:
    """The model, which keeps what its vision tower sees in the run's folder where its settings wish it."""
    if (gib := model.settings.vision_cache) is not None:
        model.network.remember(job.folder.path.parent / VISION, gib * 2**30)
    return model


def device() -> str:
    """Where models go."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _keep_model(job: Job, result: Result) -> None:
    """The best state becomes the stage's model; what it was asked is kept beside it."""
    target, part = job.folder / MODEL, job.folder / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(result.best_folder, part)
    save_task(SavedTask(job.task, job.dataset.text), part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def weights_hash(folder: Path) -> str:
    """A hash of a model folder's weights."""
    return fingerprint({path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))})


def training_problems(backbone: Backbone, training: Training) -> list[str]:
    """Settings that do not go together, and trackers that are not installed."""
    problems = training.problems()
    if backbone.vision_cache is not None and backbone.trained != "language":
        problems.append("backbone.vision_cache needs backbone.trained: language, since a tower that learns sees anew")
    if training.sharding == "full" and backbone.trained != "language":
        problems.append("training.sharding: full needs backbone.trained: language, since not every step has a picture")
    return problems


def model_problems(backbone: Backbone, training: Training) -> list[str]:
    """A model folder that is not there, or a missing package; hub names are checked when they are loaded."""
    problems = training_problems(backbone, training)
    if find_spec("torch") is None:
        problems.append("torch is not installed: pip install 'mulcot[train]'")
    model: Any = getattr(backbone, "model", None)
    if isinstance(model, str) and model.startswith(("/", ".", "~")) and not Path(model).expanduser().is_dir():
        problems.append(f"there is no model folder {model}")
    return problems
