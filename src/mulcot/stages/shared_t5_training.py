"""What the stages rationale and answer have in common: features, training a fused T5, keeping its best state."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from mulcot.errors import NothingUsable, TrainingError
from mulcot.features.store import FEATURES, FeatureStore
from mulcot.multimodal_cot.model_format import ModelFormat
from mulcot.multimodal_cot.settings import TINY, T5Fusion
from mulcot.records import Example, Json, Rationale, read_lines
from mulcot.settings import Settings, volatile
from mulcot.stages.base import Job
from mulcot.stages.shared_captions import with_captions
from mulcot.stages.shared_training import chains_of, device
from mulcot.tasks.saved_task import SavedTask, save_task
from mulcot.training.settings import Linear, Training

if TYPE_CHECKING:
    from mulcot.multimodal_cot.model import FusionModel
    from mulcot.multimodal_cot.questions import Question
    from mulcot.multimodal_cot.runner import T5Runner
    from mulcot.training.loop import Result, Score
    from mulcot.training.processes import Machine

PUBLISHED = Training(epochs=20, batch_size=8, micro_batch=8, learning_rate=8e-5, clip=1.0, schedule=Linear())
"""The published settings of the base models."""


class T5DevEvaluation(Settings):
    """What is looked at while a model trains."""

    dev: int | None = Field(default=400, ge=1)
    """Examples of dev that decide which state is best; null takes all, as published."""
    train: int = Field(default=200, ge=0)
    """Examples of the training data whose accuracy is watched beside it; the stage rationale looks at them only where
    dev has no example."""
    batch_size: int = volatile(16, ge=1)
    """Examples at once."""


def all_examples(job: Job) -> list[Example]:
    """Every example of the dataset stage, labelled or not, with the captions of the stage features."""
    return captioned(job, list(read_lines(job.before["dataset"] / "examples.jsonl", Example)))


def captioned(job: Job, examples: Sequence[Example]) -> list[Example]:
    """See `with_captions`."""
    return with_captions(job.before["features"].path, examples) if "features" in job.before else list(examples)


def teacher_chains(job: Job) -> list[Rationale]:
    """The teacher's chains; none where the recipe has no teacher."""
    return chains_of(job, "teacher") if "teacher" in job.before else []


def features_of(job: Job) -> FeatureStore | None:
    """The features of the pictures; None where the recipe extracts none."""
    if "features" not in job.before or not (job.before["features"] / FEATURES).exists():
        return None
    return FeatureStore.open(job.before["features"] / FEATURES)


def open_machine(job: Job, training: Training, features: FeatureStore | None) -> Machine:
    """Joins the other processes."""
    from mulcot.training.processes import Machine

    for problem in training_problems(training):
        raise TrainingError(problem)
    # The fusion layers take no part in a step without a picture.
    return Machine.start(trackers=training.trackers, folder=job.folder.path, unused=features is not None)


def train_t5(
    job: Job,
    runner: T5Runner,
    questions: Sequence[Question],
    *,
    machine: Machine,
    folder: Path,
    label: str,
    training: Training,
    judge: Callable[[Machine], Score],
) -> tuple[Result, Json]:
    """Trains, or continues; returns how it ended and how many texts were too long."""
    from mulcot.multimodal_cot.learner import FusionLearner, Questions
    from mulcot.training.loop import Plan, fit

    if not questions:
        raise NothingUsable(f"{label}: there is nothing to learn from", hint="`mulcot data stats` shows what there is.")
    source = Questions(runner.model, questions)
    folder.mkdir(parents=True, exist_ok=True)
    result = fit(
        Plan(
            label=label,
            learner=FusionLearner(runner.model, source, runner.features),
            settings=training,
            folder=folder,
            seed=job.seed,
            reporter=job.reporter,
            machine=machine,
            evaluate=judge,
        )
    )
    return result, source.cut()


def keep_model(job: Job, best: Path, target: Path, model_format: ModelFormat) -> None:
    """The best state becomes a model folder that says by itself how it is asked."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(best, part)
    save_task(SavedTask(job.task, job.dataset.text), part)
    model_format.save(part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def load_runner(source: T5Fusion | Path, job: Job, features: FeatureStore | None, batch_size: int) -> T5Runner:
    """A model to train or to ask, with the features of this run."""
    from mulcot.multimodal_cot.model import load_fusion
    from mulcot.multimodal_cot.runner import T5Runner

    model: FusionModel = load_fusion(
        source, device(), trainable=isinstance(source, T5Fusion), features=features, seed=job.seed
    )
    return T5Runner(model, features, batch_size)


def training_problems(training: Training) -> list[str]:
    """Settings that these models do not know, and trackers that are not installed."""
    problems = training.problems()
    if training.sharding != "none":
        problems.append("training.sharding: these models fit one device; take none, or several processes as they are")
    return problems


def fusion_problems(backbone: T5Fusion, training: Training) -> list[str]:
    """A model folder that is not there, or settings that do not go together."""
    problems = training_problems(training)
    model = backbone.model
    if backbone.lora is not None and "modules" not in backbone.lora.model_fields_set:
        problems.append("lora.modules: the default names layers that T5 does not have; [q, v] are common")
    if model != TINY and model.startswith(("/", ".", "~")) and not Path(model).expanduser().is_dir():
        problems.append(f"there is no model folder {model}")
    return problems
