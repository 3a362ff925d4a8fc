"""What the tests of datasets share: reading one to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from mulcot.datasets.base import Dataset
from mulcot.datasets.read_rows import read
from mulcot.media import Store
from mulcot.records import Example, Rejected
from mulcot.tasks.base import Task, tasks


@dataclass(frozen=True)
class Outcome:
    rows: list[Example | Rejected]

    @property
    def examples(self) -> list[Example]:
        return [row for row in self.rows if isinstance(row, Example)]

    @property
    def rejected(self) -> list[Rejected]:
        return [row for row in self.rows if isinstance(row, Rejected)]

    @property
    def texts(self) -> list[str]:
        return [example.text for example in self.examples]

    @property
    def ids(self) -> list[str]:
        return [example.id for example in self.examples]

    @property
    def reasons(self) -> list[tuple[str, str]]:
        return [(row.source, row.reason) for row in self.rejected]


Collect = Callable[..., Outcome]


@pytest.fixture
def collect() -> Iterator[Collect]:
    """Reads a dataset with its usual task, or with another."""
    with ExitStack() as stack:

        def run(dataset: Dataset, task: Task | None = None) -> Outcome:
            store = stack.enter_context(Store.temporary())
            chosen = task if task is not None else tasks.get(dataset.default_task)()
            return Outcome(list(read(dataset, chosen, store)))

        yield run
