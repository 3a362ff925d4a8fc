import math
import os
import signal

import pytest
import torch

from mulcot.errors import TrainingError
from mulcot.training.stopping import PATIENCE, LossMonitor, Signals, memory_advice


@pytest.mark.parametrize(("loss", "gradient"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan)])
def test_numbers_that_are_none_stop_the_training_at_once(loss: float, gradient: float) -> None:
    with pytest.raises(TrainingError, match="step 7"):
        LossMonitor().update(loss, gradient, 7)


def test_a_runaway_loss_stops_the_training_and_a_noisy_one_does_not() -> None:
    noisy = LossMonitor()
    for step in range(300):
        noisy.update(2.0 + (step % 5), 1.0, step)
    watch = LossMonitor()
    with pytest.raises(TrainingError, match="runs away"):
        for step in range(10 * PATIENCE):
            watch.update(0.5 + 0.2 * step, 1.0, step)


def test_sigterm_is_heard_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals().heard() as signals:
        assert not signals.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.asked
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_full_memory_names_the_setting(error: Exception) -> None:
    with pytest.raises(TrainingError, match="step 3: out of memory") as found, memory_advice("step 3", "Lower it."):
        raise error
    assert found.value.hint == "Lower it."


def test_other_errors_of_torch_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_advice("step 3", "Lower it."):
        raise RuntimeError("shapes do not fit")
