"""Counters, gauges and histograms in the text format of Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class CumulativeHistogram:
    """How many values are at most how large."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """As Prometheus reads it: every bucket holds those below it too."""
        total = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {total}'
        yield f"{name}_sum{{{labels}}} {self.sum:.6f}"
        yield f"{name}_count{{{labels}}} {total}"


class Monitor:
    """What the service has done so far; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, CumulativeHistogram] = {}
        self._batches: dict[str, CumulativeHistogram] = {}
        self._tokens: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Name to meaning and current value."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """One finished request."""
        with self._lock:
            self._requests[route, status] += 1
            self._seconds.setdefault(route, CumulativeHistogram(SECONDS)).add(seconds)

    def batch(self, size: int, *, label_only: bool) -> None:
        """One group that begins."""
        with self._lock:
            self._batches.setdefault("label" if label_only else "chain", CumulativeHistogram(SIZES)).add(size)

    def tokens(self, read: int, written: int) -> None:
        """Tokens of one answer."""
        with self._lock:
            self._tokens["read"] += read
            self._tokens["written"] += written

    def failure(self, *, memory: bool) -> None:
        """One group that failed."""
        with self._lock:
            self._failures["memory" if memory else "error"] += 1

    def text(self) -> str:
        """All of it."""
        with self._lock:
            return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        yield from _head("mulcot_requests_total", "counter", "Finished requests.")
        for (route, status), count in sorted(self._requests.items()):
            yield f'mulcot_requests_total{{route="{route}",status="{status}"}} {count}'
        yield from _head("mulcot_request_seconds", "histogram", "Time from the first byte to the last.")
        for route, histogram in sorted(self._seconds.items()):
            yield from histogram.lines("mulcot_request_seconds", f'route="{route}"')
        yield from _head("mulcot_batch_size", "histogram", "Requests that were answered together.")
        for kind, histogram in sorted(self._batches.items()):
            yield from histogram.lines("mulcot_batch_size", f'kind="{kind}"')
        yield from _head("mulcot_tokens_total", "counter", "Tokens read and written by the model.")
        for kind in ("read", "written"):
            yield f'mulcot_tokens_total{{kind="{kind}"}} {self._tokens[kind]}'
        yield from _head("mulcot_failed_batches_total", "counter", "Batches that failed and were tried in parts.")
        for cause in ("error", "memory"):
            yield f'mulcot_failed_batches_total{{cause="{cause}"}} {self._failures[cause]}'
        for name, (meaning, value) in sorted(self.gauges.items()):
            yield from _head(name, "gauge", meaning)
            yield f"{name} {value():g}"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
