"""The shared part of all answers: everything that is given goes through the network once, in one batch.

    [ system, pictures, post ][ ask for chain ][ ask for label | label 1 | label 2 | ... ]

This is the row of training. What the label branch leaves in the cache is scratch: it is blind to the chain, and the
chain's tokens overwrite it. In ordinary rows the prefix is read once, too; each branch goes on from a copy.

Letters: B examples, S tokens of a row, D hidden width, E examples, Q labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mulcot.backbones.vlm.cache import SlotCache, Slots
from mulcot.backbones.vlm.encoded import Branch, Encoded, Ids
from mulcot.backbones.vlm.label_scoring import Labels
from mulcot.backbones.vlm.ordinary import Rows
from mulcot.backbones.vlm.packing import mask, pack
from mulcot.backbones.vlm.state import State

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel


_Read = tuple[State, Tensor, Tensor | None]
"""What can go on, its hidden_BD and scores_EQ, as in `Prefilled`."""


@dataclass
class Prefilled:
    """Examples whose prefixes and chain prompts the network has read: their chains can be written."""

    model: LoadedModel
    ids: list[str]
    state: State
    hidden_BD: Tensor
    """What the next token is predicted from, per slot."""
    scores_EQ: Tensor | None = None
    """The log-probability of every label, where the examples have label branches."""

    def read_token(self, token_B: Tensor, grows_B: Tensor) -> None:
        """Adds one token to every slot that grows; what the others show from then on is meaningless."""
        self.hidden_BD = self.state.read_token(token_B, grows_B)

    def fork(self) -> Prefilled:
        """The same slots; those of the original stay where they are."""
        return dataclasses.replace(self, state=self.state.fork())

    def select(self, slots: Sequence[int]) -> Prefilled:
        """The given slots in that order; for fewer live chains, or for several chains of one example."""
        index = torch.tensor(slots, device=self.hidden_BD.device)
        return dataclasses.replace(
            self,
            ids=[self.ids[slot] for slot in slots],
            state=self.state.select(index),
            hidden_BD=self.hidden_BD[index],
            scores_EQ=None if self.scores_EQ is None else self.scores_EQ[index],
        )

    def join(self, other: Prefilled) -> Prefilled:
        """The slots of both, for chains alone."""
        return dataclasses.replace(
            self,
            ids=self.ids + other.ids,
            state=self.state.join(other.state),
            hidden_BD=torch.cat([self.hidden_BD, other.hidden_BD]),
            scores_EQ=None,
        )


@torch.inference_mode()
def prefill(model: LoadedModel, examples: Sequence[Encoded], tokens: int) -> Prefilled:
    """Reads everything about examples with a chain branch; `tokens` is how long their chains may become.

    Their labels are scored in the same pass, where they all have a label branch.
    """
    prompts = [_chain_prompt(example) for example in examples]
    labels = Labels(examples) if all(example.label is not None for example in examples) else None
    with model.network.answering():
        if model.layout == "shared_prefix":
            read = _shared_prefix(model, examples, prompts, labels, tokens)
        else:
            read = _ordinary_rows(model, examples, prompts, labels)
    return Prefilled(model, [example.id for example in examples], *read)


def _ordinary_rows(
    model: LoadedModel, examples: Sequence[Encoded], prompts: Sequence[Ids], labels: Labels | None
) -> _Read:
    rows = Rows.begin(model, examples)
    scores_EQ = None if labels is None else labels.score_rows(rows.fork(), model.network.head_VD)
    return rows, rows.read(prompts)[:, -1], scores_EQ


def _shared_prefix(
    model: LoadedModel, examples: Sequence[Encoded], prompts: Sequence[Ids], labels: Labels | None, tokens: int
) -> _Read:
    bare = [
        dataclasses.replace(example, chain=Branch(prompt)) for example, prompt in zip(examples, prompts, strict=True)
    ]
    bare = [dataclasses.replace(example, label=None) for example in bare] if labels is None else labels.folded(bare)
    batch = pack(bare, "shared_prefix", model.pad).to(model.device)
    lengths = [len(example.prefix) + len(prompt) for example, prompt in zip(examples, prompts, strict=True)]
    width = batch.ids_BS.shape[1]
    cache = SlotCache(len(bare), max(width, max(lengths) + tokens))
    cache.aim(torch.arange(width, device=model.device).expand(len(bare), -1), width)
    network = model.network
    length_B = torch.tensor(lengths, device=model.device)
    wanted_BW = length_B[:, None] - 1
    if labels is not None:
        wanted_BW = torch.cat([wanted_BW, labels.sources(batch)], dim=1)
    with network.only_positions(wanted_BW):
        hidden_BSD: Tensor = network(
            batch.ids_BS, batch.positions_ABS, mask(batch, "sdpa"), batch.pixels_NF, batch.grids_I3,
            cache=cache, causal_prefix=batch.causal_prefix,
        )  # fmt: skip
    scores_EQ = None if labels is None else labels.score(hidden_BSD, network.head_VD, batch)
    starts = [example.next_position + len(prompt) for example, prompt in zip(examples, prompts, strict=True)]
    axes, position_B = batch.positions_ABS.shape[0], torch.tensor(starts, device=model.device)
    hidden_BD = hidden_BSD[torch.arange(len(bare), device=model.device), length_B - 1]
    return Slots(network, cache, length_B, position_B, axes), hidden_BD, scores_EQ


def _chain_prompt(example: Encoded) -> Ids:
    if example.chain is None:
        raise ValueError("a chain can only be written where the example has a chain branch")
    return example.chain.prompt
