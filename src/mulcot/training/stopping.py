"""When to stop early: on a signal, on numbers that are none, on a loss that runs away, on full memory."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from accelerate.utils.memory import should_reduce_batch_size

from mulcot.errors import TrainingError

PATIENCE = 20
"""Steps that a loss may stay far above its best before training is called off."""
RUNAWAY = 3.0
"""What far means: this many times the best smoothed loss, and more than 1 above it."""


class Signals:
    """Whether the user or the machine asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def heard(self) -> Iterator[Signals]:
        """SIGTERM and Ctrl-C set `asked`; a second Ctrl-C interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def note(number: int, _frame: object) -> None:
            if self.asked and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked = True

        for number in before:
            signal.signal(number, note)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def memory_advice(what: str, hint: str) -> Iterator[None]:
    """Full memory inside becomes an error that says which setting to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's own errors are RuntimeErrors, on the CPU without a class
        if not isinstance(error, MemoryError) and not should_reduce_batch_size(error):
            raise
        first = next(iter(str(error).splitlines()), "")
        raise TrainingError(f"{what}: out of memory. {first}".rstrip(), hint=hint) from error


@dataclass
class LossMonitor:
    """Follows the loss."""

    smoothed: float = math.nan
    best: float = math.inf
    above: int = 0

    def update(self, loss: float, gradient: float, step: int) -> None:
        """Raises where going on makes no sense."""
        advice = "Lower learning_rate, set clip: 1.0, or check the data with `mulcot data check`."
        if not math.isfinite(loss):
            raise TrainingError(f"the loss became {loss} at step {step}", hint=advice)
        if not math.isfinite(gradient):
            raise TrainingError(f"the gradient became {gradient} at step {step} (loss {loss:.4g})", hint=advice)
        self.smoothed = loss if math.isnan(self.smoothed) else 0.9 * self.smoothed + 0.1 * loss
        self.best = min(self.best, self.smoothed)
        far = self.smoothed > RUNAWAY * self.best and self.smoothed > self.best + 1
        self.above = self.above + 1 if far else 0
        if self.above >= PATIENCE:
            rise = f"{self.smoothed:.4g} against {self.best:.4g} at best"
            raise TrainingError(f"the loss runs away at step {step}: {rise}", hint=advice)
