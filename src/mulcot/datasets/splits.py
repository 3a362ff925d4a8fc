"""Which split a row goes to, where its source does not say."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from mulcot.records import Example, content_id
from mulcot.settings import Settings

UNSPLIT = ""
"""The split of a row whose source has none; `read` gives it one."""


class SplitShares(Settings):
    """How rows without a split of their own are divided, by their content and a seed."""

    dev: float = Field(default=0.1, ge=0, lt=1)
    """Share of the rows that becomes dev."""
    test: float = Field(default=0.1, ge=0, lt=1)
    """Share of the rows that becomes test."""
    seed: int = 0
    """Another seed, another division."""

    @model_validator(mode="after")
    def _check_rest(self) -> Self:
        if self.dev + self.test >= 1:
            raise ValueError(f"dev and test together must stay below 1 (got {self.dev:g} + {self.test:g})")
        return self

    def split_of(self, example: Example) -> str:
        """Posts with one picture stay together, and so do equal texts without one; others can be added beside them."""
        pictures = "|".join(image.sha256 or image.path for image in example.images)
        place = int(content_id(str(self.seed), pictures or example.text), 16) / 2**64
        if place < self.test:
            return "test"
        return "dev" if place < self.test + self.dev else "train"
