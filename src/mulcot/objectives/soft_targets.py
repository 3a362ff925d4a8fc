"""Soft losses: how far the student's next-token distribution is from the teacher's, at a temperature.

The teacher is either read from storage, as its `k` largest raw logits per token with the log-sum-exp of all (`TopK`),
or computed beside the student (`InMemoryTeacher`). Both say the same thing in the same form: log-shares of K entries,
and where K is not the whole vocabulary of one more, the tail, which holds everything that was not stored. The student's
logits are collapsed to the same entries, so the divergence is a lower bound of the full one and equal to it at k = V.

    logits p_i = z_i / T - log sum exp(z / T)          tail: log(1 - sum of the others)

A log-sum-exp belongs to one temperature: it cannot be computed from that of another.

Letters: T target tokens, C those of one slice, K stored entries, V vocabulary, W the part of it that both share,
D hidden width, R declared temperatures, M entries compared (K and the tail, or W).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import linear

Rows = slice | Tensor
"""Some of the batch's target tokens."""
Divergence = Literal["forward_kl", "reverse_kl", "jsd"]
SMALLEST_TAIL = 1e-9
"""What rounding can make negative; below any share that fp32 storage can tell from nothing."""


class SoftTargets(Protocol):
    """What the teacher says about every target token of a batch."""

    def compare(self, logits_CV: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """The log-shares of teacher and student over the same entries; the student's logits are those of `rows`."""


@dataclass(frozen=True)
class TopK:
    """Stored soft labels. `lse_T` is the log-sum-exp of the teacher's logits over `width` entries at `temperature`."""

    ids_TK: Tensor
    logits_TK: Tensor
    lse_T: Tensor
    temperature: float
    width: int

    def compare(self, logits_CV: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """See `SoftTargets`."""
        ids_CK = self.ids_TK[rows]
        scaled_CW = logits_CV[:, : self.width] / self.temperature
        student_CK = scaled_CW.gather(-1, ids_CK) - scaled_CW.logsumexp(-1, keepdim=True)
        teacher_CK = self.logits_TK[rows].float() / self.temperature - self.lse_T[rows, None]
        if ids_CK.shape[-1] == self.width:
            return teacher_CK, student_CK
        # The student's tail is summed directly: as one minus the rest its gradient would explode where it is small.
        rest_C = scaled_CW.scatter(-1, ids_CK, float("-inf")).logsumexp(-1) - scaled_CW.logsumexp(-1)
        share_C = -torch.expm1(teacher_CK.logsumexp(-1))
        tail_C = share_C.clamp_min(SMALLEST_TAIL).log()
        return torch.cat([teacher_CK, tail_C[:, None]], -1), torch.cat([student_CK, rest_C[:, None]], -1)

    def to(self, device: torch.device | str) -> TopK:
        """The soft labels on a device."""
        ids_TK, logits_TK, lse_T = (tensor.to(device) for tensor in (self.ids_TK, self.logits_TK, self.lse_T))
        return TopK(ids_TK, logits_TK, lse_T, self.temperature, self.width)


@dataclass(frozen=True)
class InMemoryTeacher:
    """A teacher in memory: its hidden states at the target tokens and its head; logits are made slice by slice."""

    hidden_TD: Tensor
    head_VD: Tensor
    temperature: float
    width: int

    def compare(self, logits_CV: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """See `SoftTargets`."""
        with torch.no_grad():
            teacher_CV = linear(self.hidden_TD[rows], self.head_VD).float()
        teacher_CW = (teacher_CV[:, : self.width] / self.temperature).log_softmax(-1)
        student_CW = (logits_CV[:, : self.width] / self.temperature).log_softmax(-1)
        return teacher_CW, student_CW


def divergence(teacher_CM: Tensor, student_CM: Tensor, kind: Divergence) -> Tensor:
    """The divergence of every row of log-shares."""
    if kind == "forward_kl":
        return _kl(teacher_CM, student_CM)
    if kind == "reverse_kl":
        return _kl(student_CM, teacher_CM)
    middle_CM = torch.logaddexp(teacher_CM, student_CM) - torch.log(torch.tensor(2.0))
    return (_kl(teacher_CM, middle_CM) + _kl(student_CM, middle_CM)) / 2


def _kl(p_CM: Tensor, q_CM: Tensor) -> Tensor:
    return (p_CM.exp() * (p_CM - q_CM)).sum(-1)


@dataclass(frozen=True)
class SoftLabels:
    """What is stored of a teacher: `lse_RT` holds one row per declared temperature."""

    ids_TK: Tensor
    logits_TK: Tensor
    lse_RT: Tensor


@torch.no_grad()
def soft_labels(
    hidden_TD: Tensor, head_VD: Tensor, k: int, temperatures: Sequence[float], width: int, size: int = 512
) -> SoftLabels:
    """The `k` largest logits of every target token within `width`, and the log-sum-exp for each temperature."""
    ids, logits, sums = [], [], []
    for start in range(0, len(hidden_TD), size):
        logits_CW = linear(hidden_TD[start : start + size], head_VD).float()[:, :width]
        top = logits_CW.topk(min(k, width), dim=-1)
        ids.append(top.indices)
        logits.append(top.values)
        sums.append(torch.stack([(logits_CW / temperature).logsumexp(-1) for temperature in temperatures]))
    return SoftLabels(torch.cat(ids), torch.cat(logits), torch.cat(sums, dim=1))
