"""Reading in ordinary causal rows, for models whose attention takes no other mask.

    [  system, pictures, post ]                    read once
      copied --> [ ask for chain ][ a ][ token ][ at ][ a ][ time ]
      copied --> [ ask for label, what all labels begin with ]
                   copied --> [ label 1 ]
                   copied --> [ label 2 ]

Every piece is filled up on the left, so the last token of every row stands in the last column, and the next piece
stands right behind it. All that the network is told is which tokens exist.

Letters: B rows, S columns of a piece, C columns so far, A rope axes, H heads, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from mulcot.backbones.vlm.encoded import Encoded, Ids

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel


def fork(cache: DynamicCache, index_B: Tensor) -> DynamicCache:
    """A copy of the given rows in that order, of the keys and values of every layer."""
    copied = copy.deepcopy(cache)
    copied.reorder_cache(index_B.long())  # type: ignore[arg-type]
    return copied


@dataclass
class Rows:
    """What the network has read of several rows; a `State`."""

    model: LoadedModel
    cache: DynamicCache
    there_BC: Tensor
    """Which columns hold a token."""
    position_B: Tensor
    """The rope position of the next token."""
    axes: int

    @classmethod
    @torch.inference_mode()
    def begin(cls, model: LoadedModel, examples: Sequence[Encoded]) -> Rows:
        """Reads the prefixes, pictures included."""
        device, axes = model.device, len(examples[0].positions_AP)
        rows = cls(
            model=model,
            cache=DynamicCache(config=model.network.inner.config),
            there_BC=torch.zeros(len(examples), 0, dtype=torch.bool, device=device),
            position_B=torch.tensor([example.next_position for example in examples], device=device),
            axes=axes,
        )
        ids_BS, there_BS = rows._left([example.prefix for example in examples])
        positions_ABS = torch.zeros(axes, *ids_BS.shape, dtype=torch.long, device=device)
        for row, example in enumerate(examples):
            positions_ABS[:, row, -len(example.prefix) :] = torch.from_numpy(example.positions_AP)
        pixels = [example.pixels_NF for example in examples if example.pixels_NF is not None]
        grids = [grid for example in examples for grid in example.grids]
        pictures = (torch.from_numpy(np.concatenate(pixels)), torch.tensor(grids)) if pixels else ()
        rows._forward(ids_BS, positions_ABS, there_BS, *(part.to(device) for part in pictures))
        return rows

    @torch.inference_mode()
    def read(self, pieces: Sequence[Ids]) -> Tensor:
        """One more piece of every row, as hidden_BSD; the shorter ones begin later, an empty one nowhere."""
        ids_BS, there_BS = self._left(pieces)
        length_B = there_BS.sum(1)
        start_B1 = (self.position_B + length_B)[:, None] - ids_BS.shape[1]
        positions_BS = (start_B1 + torch.arange(ids_BS.shape[1], device=ids_BS.device)).clamp_min(0)
        hidden_BSD = self._forward(ids_BS, positions_BS.expand(self.axes, -1, -1), there_BS)
        self.position_B = self.position_B + length_B
        return hidden_BSD

    @torch.inference_mode()
    def read_token(self, token_B: Tensor, grows_B: Tensor) -> Tensor:
        """See `State`."""
        positions_AB1 = self.position_B[None, :, None].expand(self.axes, -1, 1)
        hidden_B1D = self._forward(token_B[:, None], positions_AB1, grows_B.bool()[:, None])
        self.position_B = self.position_B + grows_B
        return hidden_B1D[:, 0]

    def fork(self) -> Rows:
        """See `State`."""
        return self.select(torch.arange(len(self.there_BC), device=self.there_BC.device))

    @torch.inference_mode()
    def select(self, index_B: Tensor) -> Rows:
        """See `State`; columns that none of them needs are dropped."""
        cache, there_BC = fork(self.cache, index_B), self.there_BC[index_B]
        _widen(cache, -int(there_BC.any(0).int().argmax()))
        there_BC = there_BC[:, there_BC.shape[1] - cache.get_seq_length() :]
        return Rows(self.model, cache, there_BC, self.position_B[index_B], self.axes)

    @torch.inference_mode()
    def join(self, other: Rows) -> Rows:
        """See `State`."""
        both = [self.fork(), other.fork()]
        width = max(rows.there_BC.shape[1] for rows in both)
        for rows in both:
            missing = width - rows.there_BC.shape[1]
            _widen(rows.cache, missing)
            rows.there_BC = pad(rows.there_BC, (missing, 0))
        own: Any
        theirs: Any
        for own, theirs in zip(both[0].cache.layers, both[1].cache.layers, strict=True):
            own.keys, own.values = torch.cat([own.keys, theirs.keys]), torch.cat([own.values, theirs.values])
        there_BC = torch.cat([rows.there_BC for rows in both])
        return Rows(self.model, both[0].cache, there_BC, torch.cat([self.position_B, other.position_B]), self.axes)

    def _left(self, pieces: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """The pieces as ids_BS, and where in it they are."""
        width = max(map(len, pieces))
        ids = [[self.model.pad] * (width - len(piece)) + list(piece) for piece in pieces]
        there = [[False] * (width - len(piece)) + [True] * len(piece) for piece in pieces]
        return torch.tensor(ids, device=self.model.device), torch.tensor(there, device=self.model.device)

    def _forward(self, ids_BS: Tensor, positions_ABS: Tensor, there_BS: Tensor, *pictures: Tensor) -> Tensor:
        self.there_BC = torch.cat([self.there_BC, there_BS], dim=1)
        hidden_BSD: Tensor = self.model.network(ids_BS, positions_ABS, self.there_BC, *pictures, cache=self.cache)
        return hidden_BSD


def _widen(cache: DynamicCache, columns: int) -> None:
    """Adds empty columns on the left, or takes some away."""
    layer: Any
    for layer in cache.layers if columns else ():
        layer.keys, layer.values = (pad(store, (0, 0, columns, 0)) for store in (layer.keys, layer.values))
