"""What a model learns from: an example with the chain it should write, turned into tokens when it is its turn.

Pictures are decoded when an example is asked for and forgotten afterwards, so memory does not grow with the dataset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.example_encoder import ExampleEncoder, TrainingItem
from mulcot.objectives.total_loss import BatchSoftTargets
from mulcot.records import Example, Rationale
from mulcot.tasks.base import Task


class TrainingItems:
    """A `Source` for the training loop, without soft labels; `choices` puts the label set on every label branch."""

    def __init__(self, encoder: ExampleEncoder, items: Sequence[TrainingItem], *, choices: bool = False) -> None:
        self.encoder = encoder
        self.items = list(items)
        self.choices = choices

    def __len__(self) -> int:
        return len(self.items)

    def length(self, index: int) -> int:
        """Characters: cheap, and all that grouping needs."""
        item = self.items[index]
        return len(item.example.text) + len(item.chain or "") + 200 * len(item.example.images)

    def encoded(self, index: int) -> Encoded:
        """See `Source`."""
        return self.encoder.item(self.items[index], choices=self.choices)

    def soft_targets(self, examples: Sequence[Encoded], device: torch.device) -> BatchSoftTargets | None:
        """See `Source`."""
        return None


def make_training_items(
    examples: Iterable[Example], chains: Sequence[Iterable[Rationale]], task: Task, *, label_only: bool
) -> list[TrainingItem]:
    """One item per chain, in the order of the examples; `label_only` adds the examples that have none."""
    written: dict[str, list[Rationale]] = {}
    for source in chains:
        for rationale in source:
            written.setdefault(rationale.example_id, []).append(rationale)
    items = []
    for example in examples:
        own = written.pop(example.id, [])
        for number, rationale in enumerate(own):
            key = f"{example.id}#{rationale.source}-{number}"
            items.append(TrainingItem(key, example, task.write_chain(rationale.fields)))
        if not own and label_only and example.label is not None:
            items.append(TrainingItem(f"{example.id}#label", example, None))
    return items


def ids_hash(example: Encoded) -> str:
    """A hash of all token ids of an item, segment by segment: soft labels fit only a row with equal ids."""
    digest = hashlib.sha256()
    segments = [example.prefix]
    for branch in (example.chain, example.label):
        segments += [branch.prompt, branch.target] if branch is not None else [(), ()]
    for ids in segments:
        digest.update(len(ids).to_bytes(4, "little") + np.asarray(ids, dtype="<i4").tobytes())
    return digest.hexdigest()[:32]
