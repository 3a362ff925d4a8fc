"""Posts of the synthetic world: drawn pictures and written texts whose truth is known. See docs/world.md.

One row: the text `omg my dog made my day! #monday`, a picture of a hurt dog beside an empty bowl, the label `negative`
(praise over a sad picture is irony), and in `truth` everything that the picture shows and how the label follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from mulcot.datasets.base import Dataset, Row, datasets
from mulcot.media import Store
from mulcot.records import Example
from mulcot.world.picture import paint, png
from mulcot.world.posts import EDITION, DrawnPost, make_post


@datasets.register("synthetic")
class Synthetic(Dataset):
    """Drawn posts; nothing is downloaded."""

    default_task: ClassVar[str] = "sentiment"

    train: int = Field(default=800, ge=0)
    """How many posts for training."""
    dev: int = Field(default=200, ge=0)
    """How many posts for choosing checkpoints."""
    test: int = Field(default=200, ge=0)
    """How many posts for testing."""
    hard: int = Field(default=0, ge=0)
    """How many posts of the hard split: unseen combinations and styles, noise, and misleading words in pictures."""
    seed: int = 0
    """Another seed, other posts."""
    picture_size: int = Field(default=84, ge=56, le=1024)
    """Width and height of the pictures in pixels."""
    aspects: bool = False
    """Posts about two things, asked about one of them; for the task `aspect_sentiment`."""

    def rows(self, store: Store) -> Iterator[Row]:
        """Train, dev, test, hard; post number n is the same however many are drawn."""
        sizes = {"train": self.train, "dev": self.dev, "test": self.test, "hard": self.hard}
        for split, size in sizes.items():
            for number in range(size):
                post = make_post(self.seed, split, number, aspects=self.aspects)
                yield Row(f"{split}[{number}]", self._example(post, split, store))

    def sources(self) -> tuple[Path, ...]:
        """None: posts are drawn."""
        return ()

    def identity(self) -> dict[str, Any]:
        """The options and the world's edition."""
        return {**super().identity(), "edition": EDITION}

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """A few posts of every split."""
        return cls(train=6, dev=2, test=2, hard=2)

    def _example(self, post: DrawnPost, split: str, store: Store) -> Example:
        truth = post.truth
        groups = {"kind": post.scene.kind, "rule": truth.rule, "relation": truth.relation, "challenge": truth.challenge}
        return Example(
            id="",
            split=split,
            text=post.text,
            images=(store.put(png(paint(post.scene, self.picture_size)), ".png"),),
            aspect=post.aspect,
            label=truth.label,
            truth=truth.to_json(),
            meta={key: value for key, value in groups.items() if value},
        )
