"""Everything a model has to say about some examples: label scores on one branch, a chain on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mulcot.encoded import Encoded
from mulcot.inference.chains import Chain, room_for_chain, write
from mulcot.inference.labels import room_for_labels, score_labels
from mulcot.inference.prefill import prefill
from mulcot.inference.settings import Decoding

if TYPE_CHECKING:
    from mulcot.backbones.runtime.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked of one example."""

    label_logprobs: tuple[float, ...] = ()
    """Of every label written out in full, in the order of the branch's choices; empty if it had no label branch."""
    chain: Chain | None = None


def answer(model: LoadedModel, examples: Sequence[Encoded], decoding: Decoding) -> list[Answer]:
    """One batch: every prefix is read once. Its examples must all have the same branches."""
    labels = [example.label for example in examples if example.label is not None]
    chains = [example.chain for example in examples if example.chain is not None]
    if any(0 < len(branches) < len(examples) for branches in (labels, chains)):
        raise ValueError("the examples of one batch must have the same branches")
    room = max(room_for_labels(labels) if labels else 0, room_for_chain(chains, decoding) if chains else 0)
    prefilled = prefill(model, examples, room)
    scores: list[tuple[float, ...]] = [()] * len(examples)
    if labels:
        rows = score_labels(prefilled).tolist()
        scores = [tuple(row[: len(branch.choices)]) for row, branch in zip(rows, labels, strict=True)]
    written: list[Chain] | list[None] = write(prefilled, decoding) if chains else [None] * len(examples)
    return [Answer(own, chain) for own, chain in zip(scores, written, strict=True)]
