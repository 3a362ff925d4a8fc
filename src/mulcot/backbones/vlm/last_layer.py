"""The last layer, only where its result is wanted.

Nothing looks at what the last layer makes of a token, except whoever predicts from it. So there every token needs its
key and value, which later tokens look at, but only the wanted ones their query, attention and feed-forward part. The
result is the same; for a small model it saves nearly a layer.

Letters: B rows, S tokens of a row, W wanted tokens of a row, C keys, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor


class NeededPositions(NamedTuple):
    """What the last layer has to do."""

    wanted_BW: Tensor
    """Places in each row; a place may be named twice."""
    mask_B1WC: Tensor
    """Their part of the mask, as something to add to the scores."""


@contextmanager
def limit_layer(layer: Any, needed: NeededPositions | None) -> Iterator[None]:
    """Until the block ends, the layer's output is zero wherever it is not wanted; None wants everything."""
    if needed is None:
        yield
        return

    def forward(hidden_states: Tensor, **options: Any) -> Tensor:
        return _forward(layer, hidden_states, needed, options)

    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward


def _forward(layer: Any, hidden_BSD: Tensor, needed: NeededPositions, options: dict[str, Any]) -> Tensor:
    """What the layers of all families do, token by token."""
    row_B1 = torch.arange(len(hidden_BSD), device=hidden_BSD.device)[:, None]
    wanted_BW = needed.wanted_BW
    cos_BSD, sin_BSD = options["position_embeddings"]
    normed_BSD = layer.input_layernorm(hidden_BSD)
    keys, values = _keys_and_values(layer.self_attn, normed_BSD, cos_BSD, sin_BSD)
    if options.get("past_key_values") is not None:
        keys, values = options["past_key_values"].update(keys, values, layer.self_attn.layer_idx)
    attended_BWD, _ = layer.self_attn(
        hidden_states=normed_BSD[row_B1, wanted_BW],
        attention_mask=needed.mask_B1WC,
        position_ids=None,
        position_embeddings=(cos_BSD[row_B1, wanted_BW], sin_BSD[row_B1, wanted_BW]),
        past_key_values=_Ready(keys, values),
    )
    out_BWD = hidden_BSD[row_B1, wanted_BW] + attended_BWD
    out_BWD = out_BWD + layer.mlp(layer.post_attention_layernorm(out_BWD))
    out_BSD = torch.zeros_like(hidden_BSD)
    out_BSD[row_B1, wanted_BW] = out_BWD
    return out_BSD


class _Ready(NamedTuple):
    """A cache that has everything: what the layer makes of the wanted tokens alone is not needed."""

    keys_BHCD: Tensor
    values_BHCD: Tensor

    def update(self, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return self.keys_BHCD, self.values_BHCD


def _keys_and_values(attention: Any, normed_BSD: Tensor, cos_BSD: Tensor, sin_BSD: Tensor) -> tuple[Tensor, Tensor]:
    heads = (*normed_BSD.shape[:2], -1, attention.head_dim)
    key_BSHD = attention.k_proj(normed_BSD).view(heads)
    if hasattr(attention, "k_norm"):  # Qwen3
        key_BSHD = attention.k_norm(key_BSHD)
    first, second = key_BSHD.chunk(2, dim=-1)
    turned_BSHD = torch.cat([-second, first], dim=-1)
    key_BSHD = key_BSHD * cos_BSD[:, :, None] + turned_BSHD * sin_BSD[:, :, None]
    value_BSHD = attention.v_proj(normed_BSD).view(heads)
    return key_BSHD.transpose(1, 2), value_BSHD.transpose(1, 2)
