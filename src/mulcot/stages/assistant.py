"""Stage 3, `assistant`: a medium model learns chain and label together from the teacher's chains.

model/          the best state by dev accuracy: adapter, settings, preprocessing
checkpoints/    until it is finished: the newest states, to continue from
metrics.jsonl   losses per task and step, accuracies per look
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import SerializeAsAny

from mulcot.backbones.base import Backbone, Lora, backbones
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.plugin import Plugin
from mulcot.stages.base import Job, Need, stages
from mulcot.stages.shared_training import LearningStage, LearningTask, chains_of, training_examples

if TYPE_CHECKING:
    from mulcot.backbones.vlm.example_encoder import ExampleEncoder

PUBLISHED = QwenVL(model="Qwen/Qwen2.5-VL-7B-Instruct", lora=Lora(dropout=0.2))


@stages.register("assistant")
class AssistantStage(LearningStage):
    """Multi-task training on the teacher's chains."""

    about: ClassVar[str] = "The medium model, and how it learns from the teacher's chains; may be left out."

    backbone: SerializeAsAny[Annotated[Backbone, Plugin(backbones)]] = PUBLISHED
    """Which model learns."""
    without_chain: Literal["label_only", "skip"] = "label_only"
    """Examples for which the teacher found no chain: learn their label alone, or leave them out."""

    def needs(self) -> tuple[Need, ...]:
        """The examples and the teacher's chains."""
        return (Need("dataset"), Need("teacher"))

    def learning_task(self, job: Job, encoder: ExampleEncoder) -> LearningTask:
        """The teacher's chains."""
        from mulcot.training.items import TrainingItems, make_training_items

        label_only = self.without_chain == "label_only"
        items = make_training_items(
            training_examples(job), [chains_of(job, "teacher")], job.task, label_only=label_only
        )
        return LearningTask(TrainingItems(encoder, items), self.objective)
