import math
import os
import signal

import pytest

from mulcot.errors import TrainingError
from mulcot.training.guard import PATIENCE, Signals, Watch


@pytest.mark.parametrize(("loss", "gradient"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan)])
def test_numbers_that_are_none_stop_the_training_at_once(loss: float, gradient: float) -> None:
    with pytest.raises(TrainingError, match="step 7"):
        Watch().see(loss, gradient, 7)


def test_a_runaway_loss_stops_the_training_and_a_noisy_one_does_not() -> None:
    noisy = Watch()
    for step in range(300):
        noisy.see(2.0 + (step % 5), 1.0, step)
    watch = Watch()
    with pytest.raises(TrainingError, match="runs away"):
        for step in range(10 * PATIENCE):
            watch.see(0.5 + 0.2 * step, 1.0, step)


def test_sigterm_is_heard_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals().heard() as signals:
        assert not signals.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.asked
    assert signal.getsignal(signal.SIGTERM) is before
