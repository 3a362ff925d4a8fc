"""Second and third stage: the language model learns to describe pictures and to read posts, behind a finished tower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mulcot.encoded import Encoded
from mulcot.objectives import JointObjective
from mulcot.objectives.joint import Joint
from mulcot.objectives.rows import pack
from mulcot.progress import Reporter
from mulcot.tiny.lessons import Mix, lesson
from mulcot.tiny.sizes import Course
from mulcot.tiny.steps import descend

if TYPE_CHECKING:
    from mulcot.backbones.runtime.loaded import LoadedModel


def learn_to_speak(model: LoadedModel, course: Course, mix: Mix, seed: int, reporter: Reporter) -> None:
    """Trains the language model; the vision tower stays as it is."""
    network = model.network
    network.inner.model.visual.requires_grad_(False)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    joint = Joint(network, JointObjective(reasoning=0.5, label=0.5, head_tokens=4096))

    def loss(step: int) -> Tensor:
        rows = [encoded(model, mix, seed, step * course.batch + number) for number in range(course.batch)]
        batch = pack(rows, "shared_prefix", model.pad)
        return joint(batch, batch.counts).total  # type: ignore[no-any-return]

    descend(loss, learning, course, reporter, "speaking")


def encoded(model: LoadedModel, mix: Mix, seed: int, number: int) -> Encoded:
    """A lesson as one row."""
    own = lesson(seed, number, mix)
    return model.encode(str(number), [own.picture], own.long, own.short)
