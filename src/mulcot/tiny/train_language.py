"""Second and third stage: the language model learns to describe pictures and to read posts, behind a finished tower.

In the third stage linear heads in the middle of the model ask, at every token of both branches, for all there is to
know about post and picture. So whatever is written next, and wherever a label is given, the facts are at hand, and the
layers above are free to learn what follows from them. The heads are dropped afterwards.

Letters: B rows, S tokens of a row, P places where the heads ask, D width, V choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, rms_norm

from mulcot.backbones.vlm.packing import PREFIX, Batch, pack
from mulcot.objectives import JointObjective
from mulcot.objectives.total_loss import Joint
from mulcot.progress import Reporter
from mulcot.tiny.facts import FACTS, facts
from mulcot.tiny.pretraining_examples import Mix, PretrainingExample, lesson
from mulcot.tiny.sizes import TrainingStage
from mulcot.tiny.train_steps import train_steps

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel


def train_language(model: LoadedModel, stage: TrainingStage, mix: Mix, seed: int, reporter: Reporter) -> None:
    """Trains the language model; the vision tower stays as it is."""
    network = model.network
    network.inner.model.visual.requires_grad_(False)
    joint = Joint(network, JointObjective(reasoning=0.5, label=0.5, head_tokens=4096))
    questions = FactHeads(network.inner.model.language_model) if mix.questions else None
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if questions is not None:
        learning += questions.parameters()

    def loss(step: int) -> Tensor:
        lessons = [lesson(seed, step * stage.batch + number, mix) for number in range(stage.batch)]
        rows = [model.encode("", [own.picture], own.long, own.short) for own in lessons]
        batch = pack(rows, model.layout, model.pad)
        total: Tensor = joint(batch, batch.counts).total
        return total if questions is None else total + questions.loss(lessons, batch)

    train_steps(loss, learning, stage, reporter, "reading" if mix.questions else "copying")
    if questions is not None:
        questions.leave()


class FactHeads(nn.Module):
    """One linear head per fact on what the middle layer hands on."""

    def __init__(self, language: Any) -> None:
        super().__init__()
        width, middle = language.norm.weight.shape[0], len(language.layers) // 2
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(choices)) for name, choices in FACTS.items()})
        self.seen_BSD = torch.empty(0)
        self._hook = language.layers[middle].register_forward_hook(self._see)

    def _see(self, layer: nn.Module, given: Any, handed_on: Tensor) -> None:
        self.seen_BSD = handed_on

    def loss(self, lessons: Sequence[PretrainingExample], batch: Batch) -> Tensor:
        """The mean loss over all facts, at the tokens of both branches of the batch that was last seen."""
        asked_BS = batch.branch_BS > PREFIX
        row_P = torch.arange(len(lessons))[:, None].expand_as(asked_BS)[asked_BS]
        seen_PD = rms_norm(self.seen_BSD[asked_BS], self.seen_BSD.shape[-1:])
        known = [facts(own) for own in lessons]
        losses = []
        for name, head in self.heads.items():
            right_P = torch.tensor([own.get(name, -1) for own in known])[row_P]
            losses.append(cross_entropy(head(seen_PD), right_P, ignore_index=-1))
        return torch.stack(losses).mean()

    def leave(self) -> None:
        """Takes the heads off the model."""
        self._hook.remove()
