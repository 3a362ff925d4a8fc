"""The examples a teacher is asked about: a stream that can be begun again, in the order of the dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mulcot.records import Example, read_lines


@dataclass(frozen=True, slots=True)
class Examples:
    """The chosen splits of `examples.jsonl`."""

    path: Path
    splits: tuple[str, ...]
    only_unexplained: bool = False
    """Without those that a person has explained."""

    def __call__(self) -> Iterator[Example]:
        """From the beginning."""
        return (
            example
            for example in read_lines(self.path, Example)
            if example.split in self.splits and not (self.only_unexplained and (example.rationale or "").strip())
        )
