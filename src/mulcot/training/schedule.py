"""The learning rate: at a step for `cosine` and `linear`, after evaluations for `plateau`. Its state is plain JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mulcot.records import Json
from mulcot.training.settings import Cosine, Linear, Plateau, Training

THRESHOLD = 1e-4
"""An accuracy must be better by this share of the best one to count as better, as in torch's own plateau schedule."""


@dataclass
class Schedule:
    """Follows one training from its first step to its last."""

    settings: Training
    total_steps: int
    scale: float = 1.0
    best: float = -math.inf
    waited: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        peak, kind = self.settings.learning_rate, self.settings.schedule
        if isinstance(kind, Plateau):
            return max(peak * self.scale, min(kind.minimum, peak))
        return peak * _share(kind, step, self.total_steps)

    def seen(self, accuracy: float) -> None:
        """Takes note of an evaluation."""
        kind = self.settings.schedule
        if not isinstance(kind, Plateau):
            return
        if accuracy > self.best + THRESHOLD * abs(self.best) or self.best == -math.inf:
            self.best, self.waited = accuracy, 0
            return
        self.waited += 1
        if self.waited > kind.patience:
            self.scale, self.waited = self.scale * kind.factor, 0

    def state(self) -> Json:
        """What a checkpoint keeps."""
        best = None if self.best == -math.inf else self.best
        return {"scale": self.scale, "best": best, "waited": self.waited}

    def restore(self, state: Json) -> None:
        """The opposite of `state`."""
        self.scale, self.waited = state["scale"], state["waited"]
        self.best = -math.inf if state["best"] is None else state["best"]


def _share(kind: Cosine | Linear, step: int, total: int) -> float:
    warm = round(kind.warmup * total)
    if step < warm:
        return (step + 1) / (warm + 1)
    done = (step - warm) / max(1, total - warm)
    if isinstance(kind, Linear):
        return 1 - min(1.0, done)
    return kind.final + (1 - kind.final) * (1 + math.cos(math.pi * min(1.0, done))) / 2
