"""How the next token is chosen.

A chain's random numbers come from the seed, the example's id and the chain's number alone, so a chain stays the same
whoever else is in the batch, wherever it stands and however often work was interrupted.

Letters: B rows, V vocabulary, N tokens of a chain.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from mulcot.backbones.vlm.decoding_settings import Decoding


def uniform(key: str, decoding: Decoding) -> Tensor:
    """One number between 0 and 1 for every token that the chain of this key may have."""
    digest = hashlib.blake2b(f"{decoding.seed}\0{key}".encode(), digest_size=16).digest()
    philox = np.random.Philox(key=int.from_bytes(digest, "little"))
    return torch.from_numpy(np.random.Generator(philox).random(decoding.max_tokens))


def choose(logits_BV: Tensor, uniform_B: Tensor, decoding: Decoding) -> Tensor:
    """The next token of every row."""
    if decoding.temperature == 0:
        return logits_BV.argmax(-1)
    share_BV = (logits_BV.double() / decoding.temperature).softmax(-1)
    if decoding.top_p < 1:
        share_BV = _nucleus(share_BV, decoding.top_p)
    sum_BV = share_BV.cumsum(-1)
    aim_B1 = uniform_B[:, None].to(sum_BV) * sum_BV[:, -1:]
    token_B = torch.searchsorted(sum_BV, aim_B1, right=True)[:, 0]
    return token_B.clamp_max(logits_BV.shape[-1] - 1)


def _nucleus(share_BV: Tensor, top_p: float) -> Tensor:
    """Drops every token whose likelier tokens already have `top_p`."""
    sorted_BV, order_BV = share_BV.sort(stable=True, dim=-1, descending=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    kept_BV = torch.where(before_BV < top_p, sorted_BV, 0.0)
    return torch.zeros_like(share_BV).scatter(-1, order_BV, kept_BV)
