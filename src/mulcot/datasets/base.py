"""What every dataset promises.

A dataset file only knows its layout: it yields rows in the order of the source, or a `Rejected` for what it cannot
read. `read_rows.read` does the rest for all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from pydantic import Field

from mulcot.datasets.splits import UNSPLIT, SplitShares
from mulcot.media import ImageLimits, Store
from mulcot.records import Example, Rejected
from mulcot.registry import Registry
from mulcot.settings import Settings
from mulcot.text import Cleaning

__all__ = ["UNSPLIT", "Dataset", "Row", "SplitShares", "datasets"]


class Row(NamedTuple):
    """An example as its source tells it, and where it stood."""

    source: str
    """File and place, such as `train.tsv:17`; relative, never a machine's own path."""
    example: Example
    """`id` may be empty: then it is made of the content. Texts are raw. Pictures are not yet opened."""


class Dataset(Settings):
    """The base class of all datasets."""

    default_task: ClassVar[str] = "sentiment"
    """The task that a recipe without a `task` section gets."""

    limit: int | None = Field(default=None, ge=1)
    """At most this many examples per split, the first ones of the source."""
    text: Cleaning = Cleaning()
    """Cleaning of texts; off by default."""
    splits: SplitShares = SplitShares()
    """Used only for rows whose source has no split."""
    images_limit: ImageLimits = ImageLimits()
    """Pictures beyond these limits are rejected before they are decoded."""

    @abstractmethod
    def rows(self, store: Store) -> Iterator[Row | Rejected]:
        """Every row of the source in its order. Raises `DataError` only where the source itself is unusable."""

    @abstractmethod
    def sources(self) -> tuple[Path, ...]:
        """The files whose content decides the rows (not the pictures); none for a generated dataset."""

    def picture_root(self) -> Path | None:
        """The folder that `ImageRef.path` is relative to; None where all pictures are stored."""
        return None

    @classmethod
    @abstractmethod
    def demo(cls, folder: Path) -> Self:
        """A tiny copy of the layout, made in code inside `folder`; contract tests and docs use it."""


datasets: Registry[Dataset] = Registry("dataset", "mulcot.datasets", Dataset)  # type: ignore[type-abstract]
