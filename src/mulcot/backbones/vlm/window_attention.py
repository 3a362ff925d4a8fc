"""Attention of the vision tower: all windows of equal size at once.

The tower looks at pictures in windows, packed one behind the other. Stock code calls the attention once per window,
which for 16 pictures of 280 x 280 is 144 calls per layer; here it is one call per distinct size. This uses the
library's own extension point: a name with `flash` in it is handed all windows together, with their borders.

Letters: H heads, N patches, W windows of one size, L patches of a window, D width of a head.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "mulcot_flash_windows"


def attend_windows(
    module: Any, query_1HND: Tensor, key_1HND: Tensor, value_1HND: Tensor, attention_mask: None, **options: Any
) -> tuple[Tensor, None]:
    """What the tower calls in place of its loop."""
    borders = options["cu_seq_lens_q"].tolist()
    sizes: dict[int, list[int]] = {}
    for start, end in pairwise(borders):
        sizes.setdefault(end - start, []).append(start)
    out_HND = torch.empty_like(query_1HND[0])
    for size, starts in sizes.items():
        place_WL = torch.tensor([range(start, start + size) for start in starts], device=query_1HND.device)
        query, key, value = (tensor[0][:, place_WL].transpose(0, 1) for tensor in (query_1HND, key_1HND, value_1HND))
        found_WHLD = scaled_dot_product_attention(query, key, value, scale=options["scaling"])
        out_HND = out_HND.index_copy(1, place_WL.flatten(), found_WHLD.transpose(0, 1).flatten(1, 2))
    return out_HND.transpose(0, 1)[None], None


AttentionInterface.register(NAME, attend_windows)


def group_windows(model: Any) -> None:
    """Makes the vision tower of a loaded model take its windows together."""
    model.model.visual.config._attn_implementation = NAME
