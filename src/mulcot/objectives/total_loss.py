"""The joint objective, from a batch to one number.

    L      = reasoning * L_chain + label * L_label
    L_task = (1 - soft) * L_hard + soft * T^2 * L_soft        with soft labels, otherwise L_hard

Every L is a mean over target tokens, and the mean is taken over the whole optimizer step: each token's loss is divided
by the number of target tokens of its task in all micro-batches of all processes, which is passed in. So it makes no
difference how a step is split up. `vlm.packing` says what the model sees, `vlm.chunked_head` how its
logits are kept small, `soft_targets` what a soft loss is.

Letters: B rows, S tokens of a row, T target tokens, C those of one slice, V vocabulary, D hidden width, A rope axes,
L kinds of loss (hard, soft), E examples, Q labels of the label set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mulcot.backbones.vlm.chunked_head import SliceLosses, weighted_loss
from mulcot.backbones.vlm.label_scoring import label_scores
from mulcot.backbones.vlm.packing import CHAIN, LABEL, Batch, Counts, hidden_states
from mulcot.objectives.settings import DistillationObjective, JointObjective
from mulcot.objectives.soft_targets import SoftTargets, divergence

HARD, SOFT = 0, 1


@dataclass(frozen=True)
class BatchSoftTargets:
    """What the teacher says about one batch."""

    tokens: SoftTargets
    classes_EQ: Tensor | None = None
    """The log-probabilities of every example's labels; needed where `classes` is not 0."""


@dataclass(frozen=True)
class Losses:
    """`total` is to be differentiated. The others are sums over tokens, and for `classes` over examples.

    Divided by the counts of the same batches they are the means worth looking at.
    """

    total: Tensor
    chain: Tensor
    label: Tensor
    soft_chain: Tensor
    soft_label: Tensor
    classes: Tensor


class Joint(nn.Module):
    """The network with its objective on top: what a training loop wraps, calls and differentiates."""

    def __init__(self, network: nn.Module, settings: JointObjective) -> None:
        super().__init__()
        self.network: Any = network
        self.settings = settings

    def forward(self, batch: Batch, counts: Counts, soft_targets: BatchSoftTargets | None = None) -> Losses:
        """The losses of a batch. `counts` are those of the whole optimizer step; `batch.counts` if it is alone."""
        settings, targets = self.settings, batch.targets
        hidden_ND = hidden_states(self.network, batch)
        head_VD = self.network.head_VD
        soft = settings if isinstance(settings, DistillationObjective) and settings.soft > 0 else None
        if (soft is None) != (soft_targets is None):
            raise ValueError("soft labels are given exactly where the objective's `soft` is above 0")
        weights_TL = _hard_and_soft_weights(batch, counts, settings, soft)
        losses = _losses(targets.token_T, weights_TL, soft, soft_targets)
        total, losses_TL = weighted_loss(hidden_ND[targets.source_T], head_VD, weights_TL, losses, settings.head_tokens)
        classes = total.new_zeros(())
        if soft is not None and soft_targets is not None and soft.classes > 0:
            scores_EQ = label_scores(hidden_ND, head_VD, batch, settings.head_tokens)
            classes = _class_loss(scores_EQ, soft_targets, soft)
            total = total + soft.label * soft.soft * soft.classes * classes / counts.examples
        chain_T, label_T = targets.kind_T == CHAIN, targets.kind_T == LABEL
        return Losses(
            total=total,
            chain=losses_TL[chain_T, HARD].sum(),
            label=losses_TL[label_T, HARD].sum(),
            soft_chain=losses_TL[chain_T, SOFT].sum(),
            soft_label=losses_TL[label_T, SOFT].sum(),
            classes=classes.detach(),
        )


def _hard_and_soft_weights(
    batch: Batch, counts: Counts, settings: JointObjective, soft: DistillationObjective | None
) -> Tensor:
    """What each token's hard and soft loss counts for in the total."""
    kind_T = batch.targets.kind_T
    chain, label = counts.chain, counts.label
    if settings.normalise == "micro_batch":
        chain, label = batch.counts.chain * counts.batches, batch.counts.label * counts.batches
    weight_T = torch.where(kind_T == CHAIN, settings.reasoning / max(chain, 1), settings.label / max(label, 1))
    if soft is None:
        return torch.stack([weight_T, torch.zeros_like(weight_T)], -1)
    carries_T = torch.ones_like(kind_T, dtype=torch.bool)
    if soft.soft_tokens != "both":
        carries_T = kind_T == (CHAIN if soft.soft_tokens == "chain" else LABEL)
    square = soft.temperature**2 if soft.square_temperature else 1.0
    hard_T = torch.where(carries_T, weight_T * (1 - soft.soft), weight_T)
    return torch.stack([hard_T, carries_T * weight_T * soft.soft * square], -1)


def _losses(
    token_T: Tensor, weights_TL: Tensor, soft: DistillationObjective | None, soft_targets: BatchSoftTargets | None
) -> SliceLosses:
    """The function from a slice of logits to its hard and soft losses."""

    def losses(logits_CV: Tensor, part: slice) -> Tensor:
        hard_C = cross_entropy(logits_CV, token_T[part], reduction="none")
        soft_C = torch.zeros_like(hard_C)
        if soft is not None and soft_targets is not None:
            carrying = weights_TL[part, SOFT].nonzero()[:, 0]
            # A copy of the logits is only worth it where some tokens carry no soft label.
            student_CV = logits_CV if len(carrying) == len(logits_CV) else logits_CV[carrying]
            teacher_CM, student_CM = soft_targets.tokens.compare(student_CV, carrying + part.start)
            soft_C = soft_C.index_copy(0, carrying, divergence(teacher_CM, student_CM, soft.divergence))
        return torch.stack([hard_C, soft_C], -1)

    return losses


def _class_loss(scores_EQ: Tensor, soft_targets: BatchSoftTargets, soft: DistillationObjective) -> Tensor:
    """The summed divergence of the label distributions."""
    if soft_targets.classes_EQ is None:
        raise ValueError("the objective's `classes` needs the teacher's label distribution")
    teacher_EQ = (soft_targets.classes_EQ / soft.temperature).log_softmax(-1)
    student_EQ = (scores_EQ / soft.temperature).log_softmax(-1)
    square = soft.temperature**2 if soft.square_temperature else 1.0
    return square * divergence(teacher_EQ, student_EQ, soft.divergence).sum()
