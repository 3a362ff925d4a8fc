"""Which examples make up which step: a pure function of lengths, settings, seed and epoch.

The steps do not depend on the number of processes; each process takes every n-th example of a step.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CHUNK = 50
"""Examples are sorted by length inside a window of this many steps; wider would fix who meets whom."""


@dataclass(frozen=True)
class Share:
    """What one process does in one step."""

    micro_batches: tuple[tuple[int, ...], ...]
    """As many as every other process has: what they exchange must fit together."""
    idle: int = 0
    """So many of the last ones are there for that alone, and count nothing."""


def epoch_steps(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int, by_length: bool
) -> list[tuple[int, ...]]:
    """The steps of an epoch; every example stands in exactly one."""
    dice = random.Random(f"order/{seed}/{epoch}")
    order = list(range(len(lengths)))
    dice.shuffle(order)
    if not by_length:
        return list(_cut(order, batch_size))
    steps = []
    for window in _cut(order, batch_size * CHUNK):
        # Sorting is stable, so equal lengths keep their shuffled order.
        steps += list(_cut(sorted(window, key=lambda index: -lengths[index]), batch_size))
    dice.shuffle(steps)
    return steps


def share(step: Sequence[int], micro_batch: int, *, rank: int, world: int) -> Share:
    """The part of a step that process `rank` of `world` computes."""
    mine, most = (tuple(_cut(step[number::world], micro_batch)) for number in (rank, 0))
    idle = len(most) - len(mine)
    return Share(micro_batches=mine + ((step[0],),) * idle, idle=idle)


def _cut(items: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])
