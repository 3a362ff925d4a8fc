"""What costs nothing to reach: the most frequent label, and the reference of some other example with the same label.

Chains follow a template, so a chain of another post already scores high; a model's numbers mean little without these.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence

SEED = 0


def majority(right: Sequence[str]) -> str:
    """The most frequent label; of equally frequent ones the first by name."""
    counts = Counter(right)
    return min(counts, key=lambda label: (-counts[label], label))


def other_references(groups: Sequence[Hashable], seed: int = SEED) -> list[int | None]:
    """For every example the number of a random other one of its group, or None where it is alone there.

    Without labels, give every example the same group.
    """
    members: dict[Hashable, list[int]] = {}
    places = []
    for number, group in enumerate(groups):
        fellows = members.setdefault(group, [])
        places.append(len(fellows))
        fellows.append(number)
    rng = random.Random(seed)
    chosen: list[int | None] = []
    for group, place in zip(groups, places, strict=True):
        fellows = members[group]
        if len(fellows) == 1:
            chosen.append(None)
        else:
            other = rng.randrange(len(fellows) - 1)
            chosen.append(fellows[other + (other >= place)])
    return chosen
