"""The network behind every backbone: tokens, positions, mask and patches in, hidden states out.

The language-model head is not part of it: whoever needs logits applies `head_VD` where they are needed, nowhere else.

Letters: B rows, S tokens of a row, A rope axes, N patches, F values of a patch, I pictures, D hidden width,
V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn


class Network(nn.Module):
    """A transformers image-text-to-text model, with adapters or without, called with everything made explicit."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def inner(self) -> Any:
        """The transformers model, adapters injected, without PEFT's wrapper around it."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def head_VD(self) -> Tensor:
        """The weights of the language-model head."""
        return self.inner.get_output_embeddings().weight  # type: ignore[no-any-return]

    def forward(
        self,
        ids_BS: Tensor,
        positions_ABS: Tensor,
        mask: Any,
        pixels_NF: Tensor | None = None,
        grids_I3: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Hidden states after the last norm.

        `mask` is boolean over (row, 1, query, key), true where a token may look, or a flex block mask, or boolean over
        (row, token) for ordinary causal rows.
        """
        out = self.inner.model(
            input_ids=ids_BS,
            position_ids=positions_ABS,
            attention_mask=mask,
            pixel_values=pixels_NF,
            image_grid_thw=grids_I3,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden_BSD: Tensor = out.last_hidden_state
        return hidden_BSD

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head_VD.device
