"""Stage 3, `assistant`: a medium model learns chain and label together from the teacher's chains.

model/          the best state by dev accuracy: adapter, settings, preprocessing
checkpoints/    the newest states, to continue from
metrics.jsonl   losses per task and step, accuracies per look
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import SerializeAsAny

from mulcot.backbones.base import Backbone, Lora, backbones
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.datasets.base import Dataset
from mulcot.objectives.settings import JointObjective
from mulcot.plugin import Plugin
from mulcot.records import Json
from mulcot.stages.base import Job, Stage
from mulcot.stages.learning import Watching, chains_of, learn, model_problems, start, training_examples
from mulcot.tasks.base import Task
from mulcot.training.settings import Training

PUBLISHED = QwenVL(model="Qwen/Qwen2.5-VL-7B-Instruct", lora=Lora(dropout=0.2))


class AssistantStage(Stage):
    """Multi-task training on the teacher's chains."""

    name: ClassVar[str] = "assistant"
    needs: ClassVar[tuple[str, ...]] = ("dataset", "teacher")
    parallel: ClassVar[bool] = True
    bulky: ClassVar[tuple[str, ...]] = ("checkpoints", "best")

    backbone: SerializeAsAny[Annotated[Backbone, Plugin(backbones)]] = PUBLISHED
    """Which model learns."""
    objective: JointObjective = JointObjective()
    """How chain and label are weighed."""
    training: Training = Training()
    """How long and how fast."""
    watch: Watching = Watching()
    """What is looked at meanwhile."""
    without_chain: Literal["label_only", "skip"] = "label_only"
    """Examples for which the teacher found no chain: learn their label alone, or leave them out."""

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """See `model_problems`."""
        return model_problems(self.backbone, self.training)

    def run(self, job: Job) -> Json:
        """Trains, or continues, and keeps the best state."""
        from mulcot.training.lessons import Lessons, make_lessons

        machine, desk = start(job, self.backbone, self.training)
        label_only = self.without_chain == "label_only"
        lessons = make_lessons(training_examples(job), [chains_of(job, "teacher")], job.task, label_only=label_only)
        return learn(
            job,
            machine,
            Lessons(desk, lessons),
            label=self.name,
            objective=self.objective,
            training=self.training,
            watch=self.watch,
        )
