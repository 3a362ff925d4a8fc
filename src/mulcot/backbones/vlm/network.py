"""The network behind every backbone: tokens, positions, mask and patches in, hidden states out.

The language-model head is not part of it: whoever needs logits applies `head_VD` where they are needed, nowhere else.

Letters: B rows, S tokens of a row, A rope axes, N patches, F values of a patch, I pictures, D hidden width,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from torch import Tensor, nn

from mulcot.backbones.vlm import prefix_attention as trunk
from mulcot.backbones.vlm.last_layer import NeededPositions, limit_layer
from mulcot.backbones.vlm.vision_cache import VisionCache, vision_features

Attention = Literal["sdpa", "flex"]
KERNELS = {"sdpa": trunk.NAME, "flex": "flex_attention"}


class Network(nn.Module):
    """A transformers image-text-to-text model, with adapters or without, called with everything made explicit."""

    def __init__(self, model: nn.Module, attention: Attention = "sdpa") -> None:
        super().__init__()
        self.model = model
        self.attention: Attention = attention
        self.vision_cache: VisionCache | None = None
        self.batch_invariant = False
        """Whether what a frozen tower sees in a picture must not depend on its batch; see `vision_cache`."""
        self._wanted_BW: Tensor | None = None
        self.train(model.training)

    @property
    def inner(self) -> Any:
        """The transformers model, adapters injected, without PEFT's wrapper around it."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The layers of the language model."""
        return self.inner.model.language_model.layers  # type: ignore[no-any-return]

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
        causal_prefix: int = 0,
    ) -> Tensor:
        """Hidden states after the last norm.

        `mask` is boolean over (row, 1, query, key), true where a token may look, or a flex block mask, or, for ordinary
        causal rows, boolean over (row, token), those in the cache included: which tokens exist. In the first `plain`
        columns of all rows it must be plainly causal.
        """
        needed = None
        if self._wanted_BW is not None:
            row_B1 = torch.arange(len(mask), device=mask.device)[:, None]
            needed = NeededPositions(self._wanted_BW, self._additive(mask[row_B1, 0, self._wanted_BW][:, None]))
        if isinstance(mask, Tensor) and mask.ndim == 4:
            mask = self._additive(mask[:, :, causal_prefix:])
        model, pictures = self.inner.model, {}
        if pixels_NF is not None and grids_I3 is not None:
            seen = vision_features(model, pixels_NF, grids_I3, self.vision_cache, batch_invariant=self.batch_invariant)
            pictures = {"mm_encoder_outputs": {"image": seen}}
        with limit_layer(self.layers[-1], needed):
            # Without pictures there is nothing to put together: every token of a chain comes this way.
            out = (model if pictures else model.language_model)(
                input_ids=ids_BS,
                position_ids=positions_ABS,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=cache is not None,
                **({"trunk": causal_prefix} if causal_prefix else {}),
                **pictures,
            )
        hidden_BSD: Tensor = out.last_hidden_state
        return hidden_BSD

    def _additive(self, mask: Tensor) -> Tensor:
        """The mask as something to add to the scores, once instead of in every layer; any attention takes it."""
        dtype = self.inner.dtype
        return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)

    def cache_vision(self, folder: Path, limit: float) -> None:
        """Keeps what the vision tower sees in `folder`, up to `limit` bytes. Its weights must stay as they are."""
        self.vision_cache = VisionCache(folder, self.inner.model.visual, limit)

    def merge(self) -> None:
        """Makes adapters part of the weights they adapt, for a model that only answers; not where that would round."""
        if isinstance(self.model, PeftModel) and self.inner.dtype == torch.float32:
            merged: Any = self.model.merge_and_unload()
            self.model = merged.requires_grad_(False)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """No dropout, and an attention that takes any boolean mask, until the block ends."""
        was_training, attention = self.training, self.attention
        self.eval()
        self._attend("sdpa")
        try:
            yield
        finally:
            self._attend(attention)
            self.train(was_training)

    @contextmanager
    def only_positions(self, wanted_BW: Tensor) -> Iterator[None]:
        """Until the block ends, only the hidden states at these places of each row count; the others are not computed.

        The network is then called with a mask over (row, 1, query, key).
        """
        self._wanted_BW = wanted_BW
        try:
            yield
        finally:
            self._wanted_BW = None

    def _attend(self, attention: Attention) -> None:
        self.attention = attention
        self.inner.config.get_text_config()._attn_implementation = KERNELS[attention]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head_VD.device
