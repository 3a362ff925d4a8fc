"""The shared-prefix row: what the model is given, what it must predict from where, and who may look at whom.

    token     [ system, pictures, post ][ ask for chain | chain ][ ask for label | label ]
    branch      0 0 0 0 0 0 0 0 0 0 0 0   1 1 1 1 1 1 1 1 1 1 1   2 2 2 2 2 2 2 2 2 2 2
    position    0 1 2 ...           p-1   p p+1 ...               p p+1 ...

A token looks at itself and at earlier tokens of its own branch and of branch 0. So the label is blind to the chain,
both branches start where the prefix ends, and each is computed as if the other were not there, while the prefix is
computed once. Where every label of a label set is scored, the label branch forks once more, into choices.

Letters: B rows, S tokens of a row, A rope axes, T target tokens of the batch, N patches, F values of a patch,
I pictures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask

from mulcot.backbones.vlm.encoded import Branch, Encoded, Ids, Layout

PADDING, PREFIX, CHAIN, LABEL = -1, 0, 1, 2
"""Branch numbers; CHAIN and LABEL are the two tasks as well."""


class Counts(NamedTuple):
    """How much there is to learn from. The losses are divided by the sum over a whole optimizer step."""

    chain: int
    label: int
    examples: int
    batches: int

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Targets:
    """Tokens to predict, example by example, the chain before the label."""

    source_T: Tensor
    """The place in the flattened batch whose hidden state predicts the token: the one before it in its branch."""
    token_T: Tensor
    kind_T: Tensor
    """CHAIN or LABEL; for the choices of a label set, the label's number."""
    owner_T: Tensor
    """Index of the example in the batch."""

    def to(self, device: torch.device | str) -> Targets:
        """The targets on a device."""
        return Targets(*(getattr(self, f.name).to(device) for f in dataclasses.fields(self)))


@dataclass(frozen=True)
class Batch:
    """Several examples, ready for the network."""

    layout: Layout
    counts: Counts
    ids_BS: Tensor
    positions_ABS: Tensor
    branch_BS: Tensor
    choice_BS: Tensor
    causal_prefix: int
    """Leading columns that belong to the prefix in every row; there attention is plainly causal."""
    targets: Targets
    choices: Targets
    """Every label of every example's label set, where its branch has `choices`."""
    pixels_NF: Tensor | None = None
    grids_I3: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in fields.items() if isinstance(v, Tensor | Targets)}
        return dataclasses.replace(self, **moved)


class Place(NamedTuple):
    """Where tokens stand: at which place of the row, in which branch, in which choice."""

    place: Tensor
    branch: Tensor
    choice: Tensor


def visible(query: Place, key: Place) -> Tensor:
    """Whether `query` may look at `key`. The one rule that makes two rows one."""
    along = (key.branch == query.branch) & ((key.choice == 0) | (key.choice == query.choice))
    return (key.place <= query.place) & ((key.branch == PREFIX) | along)


def mask(batch: Batch, attention: Literal["sdpa", "flex"]) -> Any:
    """What the network's attention takes: who may look at whom, or in ordinary rows which tokens exist.

    Boolean, hence only for `sdpa`: eager attention would add it to the scores and silently see everything.
    """
    if batch.layout == "two_rows":
        return batch.branch_BS != PADDING
    index_S = torch.arange(batch.ids_BS.shape[1], device=batch.ids_BS.device)
    if attention == "flex":
        return _flex_mask(batch, index_S)
    queries = Place(index_S[:, None], batch.branch_BS[:, :, None], batch.choice_BS[:, :, None])
    keys = Place(index_S[None, :], batch.branch_BS[:, None, :], batch.choice_BS[:, None, :])
    mask_BSS = visible(queries, keys)
    return mask_BSS[:, None]


def _flex_mask(batch: Batch, index_S: Tensor) -> Any:
    def rule(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        ends = (Place(index_S[at], batch.branch_BS[row, at], batch.choice_BS[row, at]) for at in (query, key))
        return visible(*ends)

    rows, size = batch.ids_BS.shape
    return create_block_mask(rule, rows, None, size, size, device=str(batch.ids_BS.device))


def hidden_states(network: Any, batch: Batch) -> Tensor:
    """The hidden states of all tokens of the batch in one list; `Targets.source_T` points into it."""
    hidden_BSD: Tensor = network(
        batch.ids_BS,
        batch.positions_ABS,
        mask(batch, network.attention),
        batch.pixels_NF,
        batch.grids_I3,
        causal_prefix=batch.causal_prefix,
    )
    return hidden_BSD.flatten(0, 1)


def pack(examples: Sequence[Encoded], layout: Layout, pad: int) -> Batch:
    """Examples as one batch, rows filled up on the right with `pad`, at which no token looks."""
    rows = [row for owner, example in enumerate(examples) for row in _rows(example, owner, layout)]
    width = max(len(row.ids) for row in rows)
    positions_ABS = np.zeros((examples[0].positions_AP.shape[0], len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        positions_ABS[:, number, : len(row.ids)] = np.concatenate(row.positions, axis=1)
    pixels = [row.example.pixels_NF for row in rows if row.example.pixels_NF is not None]
    grids = [grid for row in rows for grid in row.example.grids]
    targets = _targets([row.targets for row in rows], rows, width)
    kinds = targets.kind_T.tolist()
    return Batch(
        layout=layout,
        counts=Counts(kinds.count(CHAIN), kinds.count(LABEL), len(examples), 1),
        ids_BS=_stack([row.ids for row in rows], width, pad, torch.long),
        positions_ABS=torch.from_numpy(positions_ABS),
        branch_BS=_stack([row.branch for row in rows], width, PADDING, torch.int8),
        choice_BS=_stack([row.choice for row in rows], width, 0, torch.int8),
        causal_prefix=min(len(example.prefix) for example in examples) if layout == "shared_prefix" else 0,
        targets=targets,
        choices=_targets([row.choices for row in rows], rows, width),
        pixels_NF=torch.from_numpy(np.concatenate(pixels)) if pixels else None,
        grids_I3=torch.tensor(grids) if grids else None,
    )


def _rows(example: Encoded, owner: int, layout: Layout) -> Iterator[_Row]:
    """One row with everything, or an ordinary row for every path from the prefix to an end."""
    if layout == "shared_prefix":
        row = _Row(example, owner)
        for branch, task in _tasks(example):
            row.add_branch(branch, task)
            for choice, _ in enumerate(branch.choices):
                row.add_choice(branch, task, choice)
        yield row
        return
    for branch, task in _tasks(example):
        for choice in range(len(branch.choices) or 1):
            row = _Row(example, owner)
            row.add_branch(branch, task)
            if branch.choices:
                row.add_choice(branch, task, choice)
            yield row


def _tasks(example: Encoded) -> Iterator[tuple[Branch, int]]:
    for branch, task in ((example.chain, CHAIN), (example.label, LABEL)):
        if branch is not None:
            yield branch, task


class _Target(NamedTuple):
    source: int
    token: int
    kind: int


@dataclass
class _Row:
    """One row under construction; it begins with the example's prefix."""

    example: Encoded
    owner: int
    ids: list[int] = field(default_factory=list)
    positions: list[npt.NDArray[np.int64]] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    choice: list[int] = field(default_factory=list)
    targets: list[_Target] = field(default_factory=list)
    choices: list[_Target] = field(default_factory=list)
    fork: int = 0
    """The last token of the newest prompt: it predicts the first token of whatever follows."""

    def __post_init__(self) -> None:
        self._append(self.example.prefix, self.example.positions_AP, PREFIX, 0)

    def add_branch(self, branch: Branch, task: int) -> None:
        """Appends a prompt, and its target unless that comes as one of the choices."""
        start = self.example.next_position
        self.fork = self._add(branch.prompt, start, task, 0) + len(branch.prompt) - 1
        if not branch.choices:
            place = self._add(branch.target, start + len(branch.prompt), task, 0)
            self.targets += self._chain_of_sources(place, branch.target, task)

    def add_choice(self, branch: Branch, task: int, number: int) -> None:
        """Appends one label of the label set behind the newest prompt, blind to the others."""
        choice = branch.choices[number]
        place = self._add(choice, self.example.next_position + len(branch.prompt), task, number + 1)
        self.choices += self._chain_of_sources(place, choice, number)
        if choice == branch.target:
            self.targets += self._chain_of_sources(place, choice, task)

    def _chain_of_sources(self, place: int, tokens: Ids, kind: int) -> Iterator[_Target]:
        for offset, token in enumerate(tokens):
            yield _Target(self.fork if offset == 0 else place + offset - 1, token, kind)

    def _add(self, ids: Ids, start: int, branch: int, choice: int) -> int:
        axes = self.example.positions_AP.shape[0]
        return self._append(ids, np.tile(np.arange(start, start + len(ids)), (axes, 1)), branch, choice)

    def _append(self, ids: Ids, positions: npt.NDArray[np.int64], branch: int, choice: int) -> int:
        place = len(self.ids)
        self.ids += ids
        self.positions.append(positions)
        self.branch += [branch] * len(ids)
        self.choice += [choice] * len(ids)
        return place


def _targets(lists: list[list[_Target]], rows: list[_Row], width: int) -> Targets:
    found = [
        (number * width + target.source, target.token, target.kind, row.owner)
        for number, (row, targets) in enumerate(zip(rows, lists, strict=True))
        for target in targets
    ]
    columns = torch.tensor(found, dtype=torch.long).reshape(-1, 4).unbind(1)
    return Targets(*(column.contiguous() for column in columns))


def _stack(rows: list[list[int]], width: int, fill: int, dtype: torch.dtype) -> Tensor:
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows], dtype=dtype)
