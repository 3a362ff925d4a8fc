import json
import math
import random

import pytest
import torch

from mulcot.training.schedule import Schedule
from mulcot.training.settings import Cosine, Linear, Plateau, Training


def test_plateau_equals_torchs_own_over_random_accuracies() -> None:
    for seed in range(20):
        dice = random.Random(seed)
        settings = Training(learning_rate=1e-2, schedule=Plateau(factor=0.5, patience=2, minimum=1e-4))
        own = Schedule(settings, 100)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-2)
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=0.5, patience=2, min_lr=1e-4, threshold=1e-4
        )
        for step in range(60):
            accuracy = dice.choice([0.5, 0.6, 0.60001, 0.7, 0.0])
            own.seen(accuracy)
            theirs.step(accuracy)
            assert own.rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def test_cosine_rises_then_falls_to_its_end() -> None:
    schedule = Schedule(Training(learning_rate=1.0, schedule=Cosine(warmup=0.1, final=0.2)), 100)
    rates = [schedule.rate(step) for step in range(101)]
    assert rates[:11] == sorted(rates[:11])
    assert max(rates) == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.2)
    assert rates[55] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 2)) / 2)


def test_its_state_survives_json() -> None:
    one = Schedule(Training(), 10)
    for accuracy in (0.1, 0.2, 0.2, 0.2, 0.2, 0.1):
        one.seen(accuracy)
    two = Schedule(Training(), 10)
    two.restore({**json.loads(json.dumps(one.state())), "history": [0.5]})  # as older checkpoints have it
    assert two == one
    fresh = Schedule(Training(), 10)
    fresh.restore(json.loads(json.dumps(Schedule(Training(), 10).state())))
    assert fresh == Schedule(Training(), 10)


def test_linear_falls_evenly_to_nothing() -> None:
    schedule = Schedule(Training(learning_rate=2.0, schedule=Linear()), 10)
    assert [schedule.rate(step) for step in range(11)] == pytest.approx([2 - step / 5 for step in range(11)])
    warm = Schedule(Training(learning_rate=1.0, schedule=Linear(warmup=0.5)), 10)
    assert max(warm.rate(step) for step in range(10)) == warm.rate(5) == 1.0
