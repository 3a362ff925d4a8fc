"""The exact probability of every label: all its tokens and the end token, all labels of an example in one pass.

The labels stand side by side behind the label prompt, blind to each other; what they all begin with is read once. In
ordinary rows every label goes on from a copy of what came before. Scoring only their first tokens would be wrong
wherever two labels begin alike.

Letters: E examples, Q labels of the label set, B rows, S tokens of a row, T tokens of shared beginnings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mulcot.backbones.vlm.chunked_head import token_logprobs
from mulcot.backbones.vlm.encoded import Branch, Encoded, Ids
from mulcot.backbones.vlm.ordinary import Rows
from mulcot.backbones.vlm.packing import LABEL, Batch, mask, pack

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel

ABSENT = -1e4
"""The log-probability of a label that an example does not have. Finite, so that 0 times it stays 0."""
SLICE = 512
"""Target tokens whose logits are made at a time."""
COPIES = 64
"""Labels that go on from copies at a time, in ordinary rows."""


def label_scores(hidden_ND: Tensor, head_VD: Tensor, batch: Batch, size: int) -> Tensor:
    """The log-probability of every label of every example, all its tokens and the end token; `ABSENT` fills up."""
    choices = batch.choices
    labels = int(choices.kind_T.max()) + 1
    logprob_T = token_logprobs(hidden_ND[choices.source_T], head_VD, choices.token_T, size)
    cell_T = choices.owner_T * labels + choices.kind_T
    cells = logprob_T.new_zeros(batch.counts.examples * labels)
    there = cells.index_fill(0, cell_T, 1.0) > 0
    return cells.index_add(0, cell_T, logprob_T).masked_fill(~there, ABSENT).view(-1, labels)


class Labels:
    """The label branches of some examples, with what all labels of one begin with moved into its prompt."""

    def __init__(self, examples: Sequence[Encoded]) -> None:
        branches = [_label_branch(example.label) for example in examples]
        self._begins = [_beginning(branch) for branch in branches]
        self._prompts = [len(branch.prompt) for branch in branches]
        self._branches = [
            Branch(branch.prompt + begin, choices=tuple(choice[len(begin) :] for choice in branch.choices))
            for branch, begin in zip(branches, self._begins, strict=True)
        ]

    def folded(self, examples: Sequence[Encoded]) -> list[Encoded]:
        """The examples with these branches."""
        pairs = zip(examples, self._branches, strict=True)
        return [dataclasses.replace(example, label=branch) for example, branch in pairs]

    def sources(self, batch: Batch) -> Tensor:
        """All places from which `score` predicts, as sources_EW."""
        width = batch.ids_BS.shape[1]
        places: list[list[int]] = [[] for _ in self._begins]
        for source in batch.choices.source_T.tolist():
            places[source // width].append(source % width)
        for own, begin, start in zip(places, self._begins, self._starts(batch), strict=True):
            own += range(start, start + len(begin))
        longest = max(map(len, places))
        full = [own + own[:1] * (longest - len(own)) for own in places]
        return torch.tensor(full, device=batch.ids_BS.device)

    def score(self, hidden_BSD: Tensor, head_VD: Tensor, batch: Batch) -> Tensor:
        """The log-probability of every label, as scores_EQ; the label branch is the last thing in each row."""
        scores_EQ = label_scores(hidden_BSD.flatten(0, 1), head_VD, batch, SLICE)
        begun = [
            _Token(row, start + place, token, row)
            for row, (begin, start) in enumerate(zip(self._begins, self._starts(batch), strict=True))
            for place, token in enumerate(begin)
        ]
        if not begun:
            return scores_EQ
        return scores_EQ + _summed(hidden_BSD, head_VD, begun, len(scores_EQ))[:, None]

    def score_rows(self, rows: Rows, head_VD: Tensor) -> Tensor:
        """The same in ordinary rows, which have read the prefixes and read on."""
        hidden_ESD = rows.read([branch.prompt for branch in self._branches])
        last, widest = hidden_ESD.shape[1] - 1, max(len(branch.choices) for branch in self._branches)
        begun = [
            _Token(row, last - len(begin) + place, token, row)
            for row, begin in enumerate(self._begins)
            for place, token in enumerate(begin)
        ]
        endings = [
            _Ending(row, row * widest + number, choice)
            for row, branch in enumerate(self._branches)
            for number, choice in enumerate(branch.choices)
        ]
        cells = len(self._branches) * widest
        first = [_Token(ending.row, last, ending.ids[0], ending.cell) for ending in endings]
        scores = _summed(hidden_ESD, head_VD, first, cells) + _read_on(rows, head_VD, endings, cells)
        there = torch.zeros(cells, dtype=torch.bool, device=scores.device)
        there[[ending.cell for ending in endings]] = True
        scores_EQ = scores.masked_fill(~there, ABSENT).view(-1, widest)
        return scores_EQ + _summed(hidden_ESD, head_VD, begun, len(scores_EQ))[:, None]

    def _starts(self, batch: Batch) -> list[int]:
        """Where each row's label prompt ends."""
        before = (batch.branch_BS != LABEL).cummin(1).values.sum(1).tolist()
        return [start + prompt - 1 for start, prompt in zip(before, self._prompts, strict=True)]


def score_labels(model: LoadedModel, examples: Sequence[Encoded]) -> Tensor:
    """The log-probability of every label, as scores_EQ; their softmax is the distribution over the label set."""
    labels, network = Labels(examples), model.network
    if model.layout == "two_rows":
        with network.answering(), torch.inference_mode():
            return labels.score_rows(Rows.begin(model, examples), network.head_VD)
    alone = [dataclasses.replace(example, chain=None) for example in examples]
    batch = pack(labels.folded(alone), "shared_prefix", model.pad).to(model.device)
    with network.answering(), network.only_positions(labels.sources(batch)), torch.inference_mode():
        hidden_BSD: Tensor = network(
            batch.ids_BS, batch.positions_ABS, mask(batch, "sdpa"), batch.pixels_NF, batch.grids_I3,
            causal_prefix=batch.causal_prefix,
        )  # fmt: skip
        return labels.score(hidden_BSD, network.head_VD, batch)


class _Token(NamedTuple):
    """A token to be predicted."""

    row: int
    source: int
    token: int
    cell: int
    """What its log-probability is added to."""


class _Ending(NamedTuple):
    """What is left of a label behind what all begin with."""

    row: int
    cell: int
    ids: Ids


def _summed(hidden_BSD: Tensor, head_VD: Tensor, tokens: Sequence[_Token], cells: int) -> Tensor:
    """The log-probabilities of the tokens, added up cell by cell."""
    row_T, source_T, token_T, cell_T = torch.tensor(tokens, device=hidden_BSD.device).reshape(-1, 4).long().unbind(1)
    logprob_T = token_logprobs(hidden_BSD[row_T, source_T], head_VD, token_T, SLICE)
    return logprob_T.new_zeros(cells).index_add(0, cell_T, logprob_T)


def _read_on(rows: Rows, head_VD: Tensor, endings: Sequence[_Ending], cells: int) -> Tensor:
    """The log-probabilities of all but the first token of each ending, added up cell by cell."""
    total = torch.zeros(cells, device=head_VD.device)
    longer = [ending for ending in endings if len(ending.ids) > 1]
    for start in range(0, len(longer), COPIES):
        some = longer[start : start + COPIES]
        copies = rows.select(torch.tensor([ending.row for ending in some], device=head_VD.device))
        hidden_BSD = copies.read([ending.ids[:-1] for ending in some])
        width = hidden_BSD.shape[1]
        tokens = [
            _Token(row, width - len(ending.ids) + place, token, ending.cell)
            for row, ending in enumerate(some)
            for place, token in enumerate(ending.ids[1:], start=1)
        ]
        total += _summed(hidden_BSD, head_VD, tokens, cells)
    return total


def _beginning(branch: Branch) -> tuple[int, ...]:
    """What all labels begin with, at most everything but the shortest one's last token."""
    low, high = min(branch.choices), max(branch.choices)
    same = next((place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: min(same, *(len(choice) - 1 for choice in branch.choices))]


def _label_branch(branch: Branch | None) -> Branch:
    if branch is None or not branch.choices:
        raise ValueError("labels can only be scored where the example has a label branch with its choices")
    return branch
