"""Keys and values of several examples at once, each in a slot of its own.

Slot b holds the tokens of example b in its first columns, without holes, however long its neighbours are. New tokens
are written behind them; only what the slot's length covers counts. So the columns behind the end are scratch space: the
label set is scored there, and the chain then overwrites it. Nothing is copied when a branch begins or a token is added.

Letters: B slots, H heads, C columns, D width of a head (of a hidden state in `Slots`), S new tokens, A rope axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


class SlotCache:
    """What the attention layers of transformers call instead of one of their own caches."""

    def __init__(self, slots: int, columns: int) -> None:
        self.slots = slots
        self.columns = columns
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._write_BS: Tensor | None = None
        self._seen = 0

    def aim(self, write_BS: Tensor, seen: int) -> None:
        """Where the next forward pass writes, and how many columns its mask covers."""
        self._write_BS = write_BS
        self._seen = seen

    def update(self, key_BHSD: Tensor, value_BHSD: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Stores the new tokens of a layer and returns all that the mask covers."""
        if layer == len(self._keys):
            shape = (self.slots, key_BHSD.shape[1], self.columns, key_BHSD.shape[3])
            # Zeros, since a masked column must still hold numbers: 0 times NaN is NaN.
            self._keys.append(key_BHSD.new_zeros(shape))
            self._values.append(value_BHSD.new_zeros(shape))
        assert self._write_BS is not None
        slot_B1 = torch.arange(self.slots, device=key_BHSD.device)[:, None]
        for store, new in ((self._keys[layer], key_BHSD), (self._values[layer], value_BHSD)):
            store[slot_B1, :, self._write_BS] = new.transpose(1, 2)
        return self._keys[layer][:, :, : self._seen], self._values[layer][:, :, : self._seen]

    def select(self, slots: Tensor) -> SlotCache:
        """A cache with a copy of the given slots, in that order; a slot may be taken several times."""
        out = SlotCache(len(slots), self.columns)
        out._keys = [keys[slots] for keys in self._keys]
        out._values = [values[slots] for values in self._values]
        return out

    def join(self, other: SlotCache) -> SlotCache:
        """A cache with a copy of the slots of both, as wide as the wider one."""
        out = SlotCache(self.slots + other.slots, max(self.columns, other.columns))
        out._keys = [out._cat(*pair) for pair in zip(self._keys, other._keys, strict=True)]
        out._values = [out._cat(*pair) for pair in zip(self._values, other._values, strict=True)]
        return out

    def _cat(self, *stores: Tensor) -> Tensor:
        return torch.cat([pad(store, (0, 0, 0, self.columns - store.shape[2])) for store in stores])


@dataclass
class Slots:
    """What the network has read of several examples, behind which it may look anywhere; a `State`."""

    network: Any
    cache: SlotCache
    length_B: Tensor
    """Tokens that count."""
    position_B: Tensor
    """The rope position of the next token."""
    axes: int

    @torch.inference_mode()
    def read_token(self, token_B: Tensor, grows_B: Tensor) -> Tensor:
        """See `State`."""
        seen = int(self.length_B.max()) + 1
        column_C = torch.arange(seen, device=self.length_B.device)
        mask_BC = column_C <= self.length_B[:, None]
        positions_AB1 = self.position_B[None, :, None].expand(self.axes, -1, 1)
        self.cache.aim(self.length_B[:, None], seen)
        hidden_B1D: Tensor = self.network(token_B[:, None], positions_AB1, mask_BC[:, None, None], cache=self.cache)
        self.length_B = self.length_B + grows_B
        self.position_B = self.position_B + grows_B
        return hidden_B1D[:, 0]

    def fork(self) -> Slots:
        """See `State`. Nothing is copied: what is written behind the end of the original is scratch to it."""
        return replace(self)

    def select(self, index_B: Tensor) -> Slots:
        """See `State`."""
        return replace(
            self,
            cache=self.cache.select(index_B),
            length_B=self.length_B[index_B],
            position_B=self.position_B[index_B],
        )

    def join(self, other: Slots) -> Slots:
        """See `State`."""
        return replace(
            self,
            cache=self.cache.join(other.cache),
            length_B=torch.cat([self.length_B, other.length_B]),
            position_B=torch.cat([self.position_B, other.position_B]),
        )
