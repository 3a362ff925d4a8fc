"""What the stages rationale and answer have in common: features, training a fused T5, keeping its best state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mulcot.errors import NothingUsable, TrainingError
from mulcot.features.store import FEATURES, FeatureStore
from mulcot.multimodal_cot.settings import TINY, T5Fusion
from mulcot.records import Example, Json, Rationale, read_lines
from mulcot.stages.base import Job
from mulcot.stages.shared_captions import with_captions
from mulcot.stages.shared_training import DevEvaluation, chains_of, device
from mulcot.training.settings import Linear, Training

if TYPE_CHECKING:
    from mulcot.multimodal_cot.model import FusionModel
    from mulcot.multimodal_cot.questions import T5Question
    from mulcot.multimodal_cot.runner import T5Runner
    from mulcot.training.loop import Result, Score
    from mulcot.training.processes import Machine

PUBLISHED = Training(epochs=20, batch_size=8, micro_batch=8, learning_rate=8e-5, clip=1.0, schedule=Linear())
"""The published settings of the base models."""


WATCH = DevEvaluation(dev=400)
"""What is looked at while these models train, where nothing else is set; `dev: null` takes all, as published."""


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
    questions: Sequence[T5Question],
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
