"""The shared part of all answers: system, pictures and posts go through the network once, in one batch.

Letters: B examples, S new tokens, C columns of the cache, D hidden width, A rope axes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mulcot.encoded import Branch, Encoded
from mulcot.inference.cache import SlotCache
from mulcot.objectives.rows import Batch, mask, pack

if TYPE_CHECKING:
    from mulcot.backbones.runtime.loaded import LoadedModel


@dataclass
class Prefilled:
    """Examples whose prefixes the network has read; any branch can follow, one after the other."""

    model: LoadedModel
    examples: list[Encoded]
    cache: SlotCache
    length_B: Tensor
    """Tokens that count, per slot."""
    position_B: Tensor
    """The rope position of the next token, per slot."""

    @torch.inference_mode()
    def read(self, batch: Batch) -> Tensor:
        """The hidden states of tokens that follow each slot's own, which they can all see.

        `batch` holds one row per slot and says who among the new tokens may look at whom. They are written behind the
        slot's end and stay scratch until `advance`.
        """
        batch = batch.to(self.model.device)
        size = batch.ids_BS.shape[1]
        write_BS = self.length_B[:, None] + torch.arange(size, device=self.length_B.device)
        seen = int(self.length_B.max()) + size
        column_C = torch.arange(seen, device=self.length_B.device)
        old_B1C = (column_C < self.length_B[:, None])[:, None]
        mask_BSC = old_B1C.expand(-1, size, -1).clone()
        mask_BSC.scatter_(2, write_BS[:, None].expand(-1, size, -1), mask(batch, "sdpa")[:, 0])
        self.cache.aim(write_BS, seen)
        hidden_BSD: Tensor = self.model.network(
            batch.ids_BS, batch.positions_ABS, mask_BSC[:, None], batch.pixels_NF, batch.grids_I3, cache=self.cache
        )
        return hidden_BSD

    @torch.inference_mode()
    def read_token(self, token_B: Tensor) -> Tensor:
        """Adds one token to every slot; returns its hidden state."""
        seen = int(self.length_B.max()) + 1
        column_C = torch.arange(seen, device=self.length_B.device)
        mask_BC = column_C <= self.length_B[:, None]
        axes = self.examples[0].positions_AP.shape[0]
        positions_AB1 = self.position_B[None, :, None].expand(axes, -1, 1)
        self.cache.aim(self.length_B[:, None], seen)
        hidden_B1D: Tensor = self.model.network(
            token_B[:, None], positions_AB1, mask_BC[:, None, None], cache=self.cache
        )
        self.advance(torch.ones_like(self.length_B))
        return hidden_B1D[:, 0]

    def advance(self, tokens_B: Tensor) -> None:
        """Makes the first tokens of what was read last part of every slot."""
        self.length_B = self.length_B + tokens_B
        self.position_B = self.position_B + tokens_B

    def select(self, slots: Sequence[int]) -> Prefilled:
        """The given slots in that order; for fewer live chains, or for several chains of one example."""
        index = torch.tensor(slots, device=self.length_B.device)
        examples = [self.examples[slot] for slot in slots]
        cache = self.cache.select(index)
        return Prefilled(self.model, examples, cache, self.length_B[index], self.position_B[index])


def prefill(model: LoadedModel, examples: Sequence[Encoded], room: int) -> Prefilled:
    """Reads the prefixes of all examples; `room` is how many tokens any branch may add to its slot."""
    bare = [dataclasses.replace(example, chain=None, label=None) for example in examples]
    batch = pack(bare, "shared_prefix", model.pad)
    lengths = torch.tensor([len(example.prefix) for example in examples], device=model.device)
    positions = torch.tensor([example.next_position for example in examples], device=model.device)
    cache = SlotCache(len(bare), batch.ids_BS.shape[1] + room)
    out = Prefilled(model, list(examples), cache, torch.zeros_like(lengths), torch.zeros_like(positions))
    with model.network.answering():
        out.read(batch)
    out.length_B, out.position_B = lengths, positions
    return out


def follow(examples: Sequence[Encoded], branches: Sequence[Branch], pad: int) -> Batch:
    """Branches as they follow prefixes that have been read: packed like examples whose prefix is empty."""
    bare = [
        Encoded(
            id=example.id,
            prefix=(),
            positions_AP=np.zeros((example.positions_AP.shape[0], 0), dtype=np.int64),
            next_position=example.next_position,
            label=branch,
        )
        for example, branch in zip(examples, branches, strict=True)
    ]
    return pack(bare, "shared_prefix", pad)
