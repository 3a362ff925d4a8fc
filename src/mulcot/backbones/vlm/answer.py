"""What a model answers about some examples: label scores on one branch, a chain on the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.generation import Chain, ChainDecoder
from mulcot.backbones.vlm.label_scoring import score_labels
from mulcot.backbones.vlm.prefill import prefill

if TYPE_CHECKING:
    from torch import Tensor

    from mulcot.backbones.vlm.loaded import LoadedModel

REFILL = 4
"""Free slots are filled again when they are one in so many: reading one example alone costs nearly a step for all."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What was asked of one example."""

    label_logprobs: tuple[float, ...] = ()
    """Of every label written out in full, in the order of the branch's choices; empty if it had no label branch."""
    chain: Chain | None = None


def answer(model: LoadedModel, examples: Sequence[Encoded], decoding: Decoding) -> list[ModelAnswer]:
    """One batch. Its examples must all have the same branches."""
    return list(answers(model, examples, decoding, max(len(examples), 1)))


def answers(model: LoadedModel, examples: Iterable[Encoded], decoding: Decoding, slots: int) -> Iterator[ModelAnswer]:
    """Answers in the order of the examples, which are taken as slots become free; never more than `slots` at once."""
    waiting = iter(examples)
    first = next(waiting, None)
    if first is None:
        return
    waiting = _alike(first, waiting)
    with model.network.answering():
        if first.chain is not None:
            yield from _with_chains(model, waiting, decoding, slots)
            return
        while group := list(islice(waiting, slots)):
            yield from (ModelAnswer(own) for own in _scores(group, score_labels(model, group)))


def _with_chains(
    model: LoadedModel, waiting: Iterator[Encoded], decoding: Decoding, slots: int
) -> Iterator[ModelAnswer]:
    """The labels are scored while an example joins, its answer is whole when its chain has ended."""
    writing = ChainDecoder(decoding)
    scores: list[tuple[float, ...]] = []
    chains: dict[int, Chain] = {}
    told = 0
    while True:
        free = slots - writing.live
        if REFILL * free >= slots and (group := list(islice(waiting, free))):
            prefilled = prefill(model, group, decoding.max_tokens)
            scores += _scores(group, prefilled.scores_EQ)
            writing.join(prefilled)
        tokens = writing.step()
        if not tokens:
            return
        chains |= {token.row: token.chain for token in tokens if token.chain is not None}
        while told in chains:
            yield ModelAnswer(scores[told], chains.pop(told))
            told += 1


def _scores(group: Sequence[Encoded], scores_EQ: Tensor | None) -> list[tuple[float, ...]]:
    if scores_EQ is None:
        return [()] * len(group)
    choices = [0 if example.label is None else len(example.label.choices) for example in group]
    return [tuple(row[:count]) for row, count in zip(scores_EQ.tolist(), choices, strict=True)]


def _alike(first: Encoded, rest: Iterator[Encoded]) -> Iterator[Encoded]:
    """All examples, as long as they have the first one's branches."""
    yield first
    for example in rest:
        if [branch is None for branch in (example.chain, example.label)] != [
            branch is None for branch in (first.chain, first.label)
        ]:
            raise ValueError("examples that are answered together must have the same branches")
        yield example
