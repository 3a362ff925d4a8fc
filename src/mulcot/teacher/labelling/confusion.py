"""Which labels were predicted for which, and how that looks as a small table."""

from __future__ import annotations

from collections import Counter

from mulcot.records import Json

NONE = "none"
"""Column of replies in which no label could be read."""


class PredictionCounts:
    """Counts of (label, prediction)."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, label: str, prediction: str | None) -> None:
        """One more."""
        self.counts[label, NONE if prediction is None else prediction] += 1

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    @property
    def right(self) -> int:
        """Predictions that equal the label."""
        return sum(count for (label, predicted), count in self.counts.items() if label == predicted)

    @property
    def accuracy(self) -> float | None:
        """The share of right ones; None where there is nothing."""
        return self.right / self.total if self.total else None

    def to_json(self) -> Json:
        """`{label: {prediction: count}}`, sorted."""
        rows: dict[str, dict[str, int]] = {}
        for (label, predicted), count in sorted(self.counts.items()):
            rows.setdefault(label, {})[predicted] = count
        return rows

    def lines(self) -> list[str]:
        """A table: labels down, predictions across."""
        rows = sorted({label for label, _ in self.counts})
        columns = sorted({predicted for _, predicted in self.counts} | set(rows), key=lambda name: (name == NONE, name))
        width = max(map(len, (*rows, "label")), default=0)
        head = "  ".join(f"{name:>{max(len(name), 6)}}" for name in columns)
        lines = [f"{'label':<{width}}  {head}   (predicted)"]
        for label in rows:
            cells = (f"{self.counts[label, name]:>{max(len(name), 6)},}" for name in columns)
            lines.append(f"{label:<{width}}  {'  '.join(cells)}".rstrip())
        return lines
