"""The loop of both stages: AdamW, a short rise and a cosine fall of the learning rate, clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from mulcot.progress import Reporter
from mulcot.tiny.sizes import TrainingStage

LOWEST = 0.05
FASTER = 10


def train_steps(
    loss: Callable[[int], Tensor],
    learning: Sequence[Parameter],
    stage: TrainingStage,
    reporter: Reporter,
    name: str,
    *,
    far: Sequence[Parameter] = (),
) -> None:
    """Takes the course's steps; `loss` makes the batch of a step and returns its loss.

    Parameters in `far` have a long way to go, and take steps that are `FASTER` times as large.
    """
    groups: list[dict[str, Any]] = [{"params": learning}, {"params": far, "lr": FASTER * stage.rate}]
    optimizer = torch.optim.AdamW(groups[: 1 + bool(far)], lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, stage.steps))
    with reporter.bar(name, total=stage.steps, unit="steps") as bar:
        for step in range(stage.steps):
            found = loss(step)
            optimizer.zero_grad()
            found.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*learning, *far], 1.0)
            optimizer.step()
            schedule.step()
            bar.note(loss=found.item())
            bar.advance()


def _share(step: int, steps: int) -> float:
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    fallen = (step - rise) / max(1, steps - rise)
    return LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * fallen)) / 2
