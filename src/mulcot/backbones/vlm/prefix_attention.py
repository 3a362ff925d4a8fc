"""Attention of the language model over rows that branch late.

In shared-prefix rows the leading columns belong to the prefix in every row. There attention is plainly causal and no
key behind them matters, so they are one call without a mask, and the rest one call with it: the same result for a fifth
less work than one call over all pairs. This uses the library's own extension point for attention functions.

Letters: B rows, H heads, S tokens, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "mulcot_sdpa_trunk"


def attend_trunk(
    module: Any, query_BHSD: Tensor, key_BHSD: Tensor, value_BHSD: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """What the layers call; `mask` is that of the queries behind the `trunk` columns before any row's first branch."""
    trunk = options.pop("trunk", 0)
    if mask is None or trunk == 0:
        return sdpa_attention_forward(module, query_BHSD, key_BHSD, value_BHSD, mask, **options)
    key_BHSD = repeat_kv(key_BHSD, module.num_key_value_groups)
    value_BHSD = repeat_kv(value_BHSD, module.num_key_value_groups)
    # Split rather than sliced: the gradient is then put together once instead of added up in full size.
    before, behind = torch.split(query_BHSD, [trunk, query_BHSD.shape[2] - trunk], dim=2)
    scale, dropout = options["scaling"], options["dropout"]
    own = key_BHSD[:, :, :trunk], value_BHSD[:, :, :trunk]
    plain = scaled_dot_product_attention(before, *own, is_causal=True, dropout_p=dropout, scale=scale)
    everything = key_BHSD, value_BHSD, mask
    branching = scaled_dot_product_attention(behind, *everything, dropout_p=dropout, scale=scale)
    return torch.cat([plain, branching], dim=2).transpose(1, 2), None


AttentionInterface.register(NAME, attend_trunk)
AttentionMaskInterface.register(NAME, sdpa_mask)
