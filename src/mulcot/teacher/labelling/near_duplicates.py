"""Chains that are nearly the same, found in one pass and in linear time.

Each chain's three-word runs are hashed; a sketch keeps the smallest hash in each of 60 bins (one-permutation MinHash).
The share of equal bins estimates the share of common runs, to about four points. Only chains that agree in one whole
group of bins are compared at all.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from zlib import crc32

BINS = 60
ROWS = 6
"""Bins per group: chains with 0.8 of their runs in common are compared with probability 0.95, with 0.9 surely."""
CANDIDATES = 16
"""Most chains remembered per group; chains from one template share groups without being near-duplicates."""
RUN = 3
_EMPTY = 0xFFFFFFFF


class NearDuplicates:
    """The chains seen so far."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._ids: list[str] = []
        self._sketches: list[bytes] = []
        self._groups: dict[int, int | list[int]] = {}

    def find(self, name: str, words: Sequence[str]) -> tuple[str, float] | None:
        """An earlier chain that is nearly this one, and how alike they are; otherwise remembers this one."""
        sketch = _sketch(words)
        data = sketch.tobytes()
        groups = [hash((start, data[4 * start : 4 * (start + ROWS)])) for start in range(0, BINS, ROWS)]
        best: tuple[str, float] | None = None
        for candidate in sorted({number for group in groups for number in self._in(group)}):
            alike = _alike(sketch, array("I", self._sketches[candidate]))
            if alike >= self.threshold and (best is None or alike > best[1]):
                best = (self._ids[candidate], alike)
        if best is None:
            for group in groups:
                self._put(group, len(self._ids))
            self._ids.append(name)
            self._sketches.append(data)
        return best

    def _in(self, group: int) -> Sequence[int]:
        held = self._groups.get(group, ())
        return (held,) if isinstance(held, int) else held

    def _put(self, group: int, number: int) -> None:
        """Most groups hold one chain, which needs no list of its own."""
        held = self._groups.setdefault(group, number)
        if isinstance(held, list):
            if len(held) < CANDIDATES:
                held.append(number)
        elif held != number:
            self._groups[group] = [held, number]


def _sketch(words: Sequence[str]) -> array[int]:
    """The smallest hash per bin; a chain shorter than a run is one run."""
    bins = array("I", [_EMPTY]) * BINS
    for start in range(max(1, len(words) - RUN + 1)):
        hashed = crc32(" ".join(words[start : start + RUN]).encode("utf-8", "replace")) * 0x9E3779B1 & 0xFFFFFFFF
        number, rest = hashed % BINS, hashed // BINS
        bins[number] = min(bins[number], rest)
    return bins


def _alike(one: array[int], other: array[int]) -> float:
    """The share of equal bins among those that either chain fills."""
    filled = equal = 0
    for left, right in zip(one, other, strict=True):
        if left != _EMPTY or right != _EMPTY:
            filled += 1
            equal += left == right
    return equal / filled if filled else 1.0
