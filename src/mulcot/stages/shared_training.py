"""What the stages that train and use models have in common: examples, chains, the model's folder."""

from __future__ import annotations

import random
import shutil
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializeAsAny

from mulcot.backbones.base import Backbone, backbones, load_folder
from mulcot.datasets.base import Dataset
from mulcot.errors import DataError, NothingUsable, TrainingError
from mulcot.metrics.floors import majority
from mulcot.objectives.settings import JointObjective
from mulcot.plugin import Plugin
from mulcot.records import Example, Json, Rationale, read_lines
from mulcot.rundir import file_hash
from mulcot.settings import Settings, fingerprint, volatile
from mulcot.stages.base import Job, Stage
from mulcot.tasks.base import Task
from mulcot.tasks.saved_task import SavedTask, save_task
from mulcot.training.settings import Training

if TYPE_CHECKING:
    from mulcot.backbones.vlm.example_encoder import ExampleEncoder
    from mulcot.backbones.vlm.loaded import LoadedModel
    from mulcot.training.items import TrainingItems
    from mulcot.training.learner import Teach
    from mulcot.training.loop import Plan
    from mulcot.training.processes import Machine

MODEL = "model"
STATES = ("checkpoints", "best")
"""What training continues from."""
WITHOUT = "without_distillation"
"""The folder, in the stage student, of the model that the student is measured against."""
VISION = "vision"
"""The folder of a run in which all its stages keep what vision towers saw."""
WATCHED_TRAIN_EXAMPLES = 200


class DevEvaluation(Settings):
    """What is evaluated while a model trains."""

    dev: int | None = Field(default=None, ge=1)
    """Examples of dev that decide which state is best; null takes all."""
    train: int = Field(default=WATCHED_TRAIN_EXAMPLES, ge=0)
    """Examples of the training data whose accuracy is measured as well."""
    batch_size: int = volatile(16, ge=1)
    """Examples at once."""

    def examples(
        self, dev: Sequence[Example], train: Sequence[Example], seed: int
    ) -> tuple[list[Example], list[Example]]:
        """Those of dev and of the training data that are looked at."""
        watched = part_of(dev, self.dev, seed), part_of(train, self.train, seed)
        if not any(watched):
            hint = "Give the dataset a dev split, or set watch.train above 0."
            raise DataError(
                "no labelled dev example, and watch.train is 0: nothing tells which state is best", hint=hint
            )
        return watched


class JointDevEvaluation(DevEvaluation):
    """With what decides between equals, where labels of a fixed set are scored."""

    tie: Literal["macro_f1", "weighted_f1"] = "macro_f1"
    """Decides between states of equal accuracy. Published: weighted F1 on MVSA, macro F1 on Twitter."""


@dataclass(frozen=True)
class LearningTask:
    """What a model learns, and who else teaches it."""

    source: TrainingItems
    objective: JointObjective
    teach: Teach | None = None
    """A model in memory, instead of stored soft labels."""


class LearningStage(Stage):
    """A model learns chain and label together; assistant and student differ in what they learn from."""

    parallel: ClassVar[bool] = True
    bulky: ClassVar[tuple[str, ...]] = STATES
    scratch: ClassVar[tuple[str, ...]] = STATES

    backbone: SerializeAsAny[Annotated[Backbone, Plugin(backbones)]]
    """Which model learns."""
    objective: JointObjective = JointObjective()
    """How chain and label are weighed."""
    training: Training = Training()
    """How long and how fast."""
    watch: JointDevEvaluation = JointDevEvaluation()
    """What is evaluated during training."""

    @abstractmethod
    def learning_task(self, job: Job, encoder: ExampleEncoder) -> LearningTask:
        """What is learned; `encoder` holds the model."""

    def extras(self) -> tuple[str, ...]:
        """The model runs here."""
        return ("train",)

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """See `model_problems`."""
        return model_problems(self.backbone, self.training)

    def run(self, job: Job) -> Json:
        """Trains, or continues, and keeps the best state as the stage's model."""
        import torch

        from mulcot.backbones.vlm.example_encoder import ExampleEncoder
        from mulcot.training.loop import fit

        machine = self._machine(job)
        torch.manual_seed(job.seed)  # for new weights
        encoder = ExampleEncoder(with_vision_cache(job, self.backbone.load(device())), job.task, job.gallery())
        learning_task = self.learning_task(job, encoder)
        if not len(learning_task.source):
            hint = "Read why chains were refused: `mulcot teacher summary`; or set without_chain: label_only."
            raise NothingUsable("there is no chain to learn from, and label-only examples are left out", hint=hint)
        dev, train = self.watch.examples(examples_of(job, "dev"), training_examples(job), job.seed)
        result = fit(self._plan(job, machine, encoder, learning_task, (dev, train)))
        if machine.rank == 0:
            keep_model(job, result.best_folder, job.folder / MODEL)
        machine.release()
        warn_of_one_answer(job, self.name, result.best.value, dev, train)
        return {
            "lessons": len(learning_task.source),
            "steps": result.steps,
            "best_step": result.best_step,
            "dev_accuracy": round(result.best.value, 4),
            "stopped_early": result.stopped_early,
        }

    def _machine(self, job: Job) -> Machine:
        """Joins the other processes; before a model is loaded, so that each takes its own device."""
        from mulcot.training.processes import Machine

        for problem in training_problems(self.backbone, self.training):
            raise TrainingError(problem)
        return Machine.start(
            trackers=self.training.trackers,
            folder=job.folder.path,
            unused=self.backbone.trained != "language",
            sharded=self.training.sharding == "full",
        )

    def _plan(
        self,
        job: Job,
        machine: Machine,
        encoder: ExampleEncoder,
        learning_task: LearningTask,
        watched: tuple[list[Example], list[Example]],
    ) -> Plan:
        from mulcot.training.dev_evaluation import DevEvaluator
        from mulcot.training.learner import JointLearner
        from mulcot.training.loop import Plan

        return Plan(
            label=self.name,
            learner=JointLearner(encoder.model, learning_task.source, learning_task.objective, learning_task.teach),
            settings=self.training,
            folder=job.folder.path,
            seed=job.seed,
            reporter=job.reporter,
            machine=machine,
            evaluate=DevEvaluator(encoder, *watched, tie=self.watch.tie, batch_size=self.watch.batch_size),
        )


def examples_of(job: Job, split: str) -> list[Example]:
    """The labelled examples of a split."""
    found = read_lines(job.before["dataset"] / "examples.jsonl", Example)
    return [example for example in found if example.split == split and example.label is not None]


def training_examples(job: Job) -> list[Example]:
    """The labelled training examples; there must be some."""
    examples = examples_of(job, "train")
    if not examples:
        raise NothingUsable("there is no labelled training example", hint="`mulcot data stats` shows the splits.")
    return examples


def warn_of_one_answer(job: Job, who: str, accuracy: float, dev: Sequence[Example], train: Sequence[Example]) -> None:
    """Warns where the best state is worth no more than one answer to everything, and where dev could not choose it."""
    examples, where = (dev, "dev") if dev else (train, "training")
    if not dev:
        job.warn(f"there is no labelled dev example: training examples decided which state of the {who} model is best")
    right = [example.label or "" for example in examples]
    usual = majority(right)
    floor = right.count(usual) / len(right)
    if accuracy <= floor:
        job.warn(
            f"the {who} model is right on {accuracy:.1%} of {len(right):,} {where} examples at best, and always "
            f"answering {usual!r} on {floor:.1%}: it is no better than a guess. Look at its curves, then at "
            f"training.epochs and training.learning_rate, or for more data"
        )


def chains_of(job: Job, stage: str) -> list[Rationale]:
    """The chains that a stage accepted."""
    return list(read_lines(job.before[stage] / "rationales.jsonl", Rationale))


def part_of(examples: Sequence[Example], number: int | None, seed: int) -> list[Example]:
    """Some of the examples, chosen by their ids and a seed, in their order."""
    if number is None or number >= len(examples):
        return list(examples)
    chosen = set(random.Random(f"part/{seed}").sample(range(len(examples)), number))
    return [example for index, example in enumerate(examples) if index in chosen]


def load_model(job: Job, stage: str) -> LoadedModel:
    """The model that an earlier stage trained, to answer with."""
    model = load_folder(job.before[stage] / MODEL, device())
    model.network.merge()
    return with_vision_cache(job, model)


def with_vision_cache(job: Job, model: LoadedModel) -> LoadedModel:
    """The model, which keeps what its vision tower sees in the run's folder where its settings wish it.

    Where they do not, it sees the same: keeping it influences no result.
    """
    model.network.batch_invariant = True
    if (gib := model.settings.vision_cache) is not None:
        model.network.cache_vision(job.folder.path.parent / VISION, gib * 2**30)
    return model


def device() -> str:
    """Where models go."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def keep_model(job: Job, best: Path, target: Path, *save: Callable[[Path], None]) -> None:
    """The best state becomes a model folder that says by itself how it is asked; `save` adds to it."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(best, part)
    save_task(SavedTask(job.task, job.dataset.text), part)
    for one in save:
        one(part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def weights_hash(folder: Path) -> str:
    """A hash of a model folder's weights."""
    return fingerprint({path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))})


def training_problems(backbone: Backbone, training: Training) -> list[str]:
    """Settings that do not go together, and trackers that are not installed."""
    problems = training.problems()
    if backbone.vision_cache is not None and backbone.trained != "language":
        problems.append("backbone.vision_cache needs backbone.trained: language (a trained tower changes its features)")
    if training.sharding == "full" and backbone.trained != "language":
        problems.append(
            "training.sharding: full needs backbone.trained: language, because some steps contain no picture"
        )
    return problems


def model_problems(backbone: Backbone, training: Training) -> list[str]:
    """Settings that do not go together, or no model folder; hub names are checked when they are loaded."""
    problems = training_problems(backbone, training)
    model: Any = getattr(backbone, "model", None)
    if isinstance(model, str) and model.startswith(("/", ".", "~")) and not Path(model).expanduser().is_dir():
        problems.append(f"there is no model folder {model}")
    return problems
