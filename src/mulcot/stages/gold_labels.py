"""What the student is measured against: its backbone, with as many steps, on the gold labels alone.

It lies in the student's stage, in `without_distillation/`, and is not a stage of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import SerializeAsAny

from mulcot.backbones.base import Backbone, backbones
from mulcot.objectives.settings import JointObjective
from mulcot.plugin import Plugin
from mulcot.stages.base import Job
from mulcot.stages.learning import Course, LearningStage, training_examples

if TYPE_CHECKING:
    from mulcot.training.lessons import Desk

WITHOUT = "without_distillation"


class GoldLabels(LearningStage):
    """Training without any chain and without the assistant's opinion."""

    name: ClassVar[str] = WITHOUT

    backbone: SerializeAsAny[Annotated[Backbone, Plugin(backbones)]]
    """Which model learns."""

    @classmethod
    def like(cls, other: LearningStage, job: Job, lessons: int) -> Self:
        """With another stage's model and as many steps as it made of so many lessons."""
        training = other.training
        # Of an epoch: fewer lessons make fewer steps, so there are more epochs with looks as far apart.
        many, few = (-(-number // training.batch_size) for number in (lessons, len(training_examples(job))))
        longer = {"epochs": training.epochs * many / few, "evaluate_every": training.evaluate_every * many / few}
        objective = JointObjective(label=other.objective.label, normalise=other.objective.normalise)
        return cls(
            backbone=other.backbone,
            objective=objective,
            training=training.model_copy(update=longer),
            watch=other.watch,
        )

    def course(self, job: Job, desk: Desk) -> Course:
        """Every labelled example once."""
        from mulcot.training.lessons import Lessons, make_lessons

        return Course(
            Lessons(desk, make_lessons(training_examples(job), [], job.task, label_only=True)), self.objective
        )
