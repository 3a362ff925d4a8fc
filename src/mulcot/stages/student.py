"""Stage 5, `student`: a small model learns from all chains and from the assistant's soft labels, without it in memory.

model/          the best state by dev accuracy: adapter, settings, preprocessing
checkpoints/    until it is finished: the newest states, to continue from
metrics.jsonl   hard and soft losses per task and step, accuracies per look
without_distillation/   the same of the model that it is measured against, where that is wished
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import SerializeAsAny

from mulcot.backbones.base import Backbone, backbones
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.objectives.settings import DistillationObjective, JointObjective
from mulcot.plugin import Plugin
from mulcot.records import Json
from mulcot.rundir import StageFolder
from mulcot.stages.base import Job, Need, stages
from mulcot.stages.shared_training import (
    MODEL,
    STATES,
    WITHOUT,
    LearningStage,
    LearningTask,
    chains_of,
    load_model,
    training_examples,
    weights_hash,
)

if TYPE_CHECKING:
    from mulcot.backbones.vlm.example_encoder import ExampleEncoder, TrainingItem
    from mulcot.training.items import TrainingItems
    from mulcot.training.learner import Teach

PUBLISHED = QwenVL(model="Qwen/Qwen2.5-VL-3B-Instruct")


class GoldLabels(LearningStage):
    """What the student is measured against: its backbone, with as many steps, on the gold labels alone.

    It lies in the student's stage, in `without_distillation/`, and is not a stage of its own.
    """

    name: ClassVar[str] = WITHOUT

    backbone: SerializeAsAny[Annotated[Backbone, Plugin(backbones)]]
    """Which model learns."""

    @classmethod
    def like(cls, other: LearningStage, job: Job, items: int) -> Self:
        """With another stage's model and as many steps as it made of so many items."""
        training = other.training
        # Of an epoch: fewer items make fewer steps, so there are more epochs with looks as far apart.
        many, few = (-(-number // training.batch_size) for number in (items, len(training_examples(job))))
        longer = {"epochs": training.epochs * many / few, "evaluate_every": training.evaluate_every * many / few}
        objective = JointObjective(label=other.objective.label, normalise=other.objective.normalise)
        return cls(
            backbone=other.backbone,
            objective=objective,
            training=training.model_copy(update=longer),
            watch=other.watch,
        )

    def learning_task(self, job: Job, encoder: ExampleEncoder) -> LearningTask:
        """Every labelled example once."""
        from mulcot.training.items import TrainingItems, make_training_items

        return LearningTask(
            TrainingItems(encoder, make_training_items(training_examples(job), [], job.task, label_only=True)),
            self.objective,
        )


@stages.register("student")
class StudentStage(LearningStage):
    """Hard and soft joint training."""

    about: ClassVar[str] = "The small model, and how it learns from both."
    bulky: ClassVar[tuple[str, ...]] = (*STATES, *(f"{WITHOUT}/{name}" for name in STATES))
    scratch: ClassVar[tuple[str, ...]] = bulky

    backbone: SerializeAsAny[Annotated[Backbone, Plugin(backbones)]] = PUBLISHED
    """Which model learns."""
    objective: DistillationObjective = DistillationObjective()
    """How chain, label and soft labels are weighed."""
    chains: Literal["all", "teacher"] = "all"
    """Whose chains are learned from: the teacher's and the assistant's, or the teacher's alone."""
    soft_labels: Literal["stored", "online", "none"] = "stored"
    """`stored` reads what annotate wrote; `online` keeps the assistant in memory, for comparison; `none` learns from
    the hard labels alone."""

    without_distillation: bool = False
    """Train the same backbone a second time, with as many steps, on the gold labels alone, to measure what
    distillation adds. It is kept in `without_distillation/` and evaluated beside the student."""

    def needs(self) -> tuple[Need, ...]:
        """Examples and the teacher's chains; what the assistant has to do with it depends on the options."""
        found = [Need("dataset"), Need("teacher")]
        if self.chains == "all":
            text = "all reads the assistant's chains: add the section annotate, or set student.chains: teacher"
            found.append(Need("annotate", "chains", text))
        keeper = {"stored": "annotate", "online": "assistant"}.get(self.soft_labels)
        if keeper is not None and self.objective.soft > 0:
            text = f"{self.soft_labels} learns the assistant's opinion: add the section {keeper}"
            found.append(Need(keeper, "soft_labels", f"{text}, or set student.soft_labels: none"))
        return tuple(found)

    def wants(self, earlier: Sequence[str]) -> Iterable[str]:
        """Assistant and its chains."""
        return (name for name in earlier if name in ("assistant", "annotate"))

    def run(self, job: Job) -> Json:
        """The student, then what it is measured against."""
        counts = super().run(job)
        if not self.without_distillation:
            return counts
        alone = dataclasses.replace(job, folder=StageFolder(job.folder / WITHOUT))
        found = GoldLabels.like(self, job, counts["lessons"]).run(alone)
        return {**counts, **{f"{WITHOUT}_{name}": found[name] for name in ("steps", "dev_accuracy")}}

    def learning_task(self, job: Job, encoder: ExampleEncoder) -> LearningTask:
        """The chains of teacher and assistant, with what the assistant thinks of every token."""
        from mulcot.training.items import make_training_items

        written = [chains_of(job, "teacher")] + ([chains_of(job, "annotate")] if self.chains == "all" else [])
        items = make_training_items(training_examples(job), written, job.task, label_only=True)
        objective = self.objective
        if self.soft_labels == "none":
            objective = objective.model_copy(update={"soft": 0.0})
        return LearningTask(
            self._source(job, encoder, items, objective), objective, self._teach(job, encoder, objective)
        )

    def _source(
        self, job: Job, encoder: ExampleEncoder, items: Sequence[TrainingItem], objective: DistillationObjective
    ) -> TrainingItems:
        from mulcot.training.items import TrainingItems
        from mulcot.training.soft_label_store import SoftLabelledItems, SoftLabelStore

        choices = objective.soft > 0 and objective.classes > 0
        if objective.soft == 0 or self.soft_labels == "online":
            return TrainingItems(encoder, items, choices=choices)
        stored = SoftLabelStore.read(job.before["annotate"] / "soft_labels")
        stored.check(encoder.model, objective.temperature, weights_hash(job.before["assistant"] / MODEL))
        return SoftLabelledItems(encoder, items, stored, objective.temperature, choices=choices)

    def _teach(self, job: Job, encoder: ExampleEncoder, objective: DistillationObjective) -> Teach | None:
        """The assistant in memory, where that is wished."""
        from mulcot.training.in_memory_teacher import in_memory_teacher

        if objective.soft == 0 or self.soft_labels != "online":
            return None
        return in_memory_teacher(load_model(job, "assistant"), encoder.model, objective.temperature)
