"""A seeded random sample of a stream, by content: the same examples are drawn in any order, run or machine."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from mulcot.records import content_id


def draw(ids: Iterable[str], size: int, seed: int) -> frozenset[str]:
    """At most `size` of the ids; holds no more than that many in memory."""
    return frozenset(heapq.nsmallest(size, ids, key=lambda each: content_id(str(seed), each)))
