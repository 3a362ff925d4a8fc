"""T5 with one layer between encoder and decoder in which the text looks at the picture.

    H_vis = W_h patches            H_attn = attention(query H_lang, key and value H_vis)
    gate = sigmoid(W [H_lang; H_attn])          H = (1 - gate) H_lang + gate H_attn

The layer stands behind the encoder's last norm and dropout, as published (Multimodal-CoT, section 4.2). Rows without
pictures go past it; padded patches are masked.

Letters: B rows, S source tokens, T target tokens, P rows with pictures, N patches, F values of a patch, D hidden width,
V vocabulary, C target tokens of all rows.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from transformers.cache_utils import EncoderDecoderCache

from mulcot.backbones.vlm.chunked_head import weighted_loss
from mulcot.multimodal_cot.batch import FusionBatch

HEAD_SLICE = 1024
"""Target tokens whose logits exist at once."""


class Fusion(nn.Module):
    """The layer itself."""

    def __init__(self, patch_width: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(patch_width, width)
        self.attention = nn.MultiheadAttention(width, num_heads=1, batch_first=True)
        self.gate = nn.Linear(2 * width, width)

    def forward(self, text_PSD: Tensor, patches_PNF: Tensor, there_PN: Tensor) -> Tensor:
        """The text of some rows, mixed with the patches that are there."""
        seen_PND = self.project(patches_PNF)
        looked_PSD, _ = self.attention(text_PSD, seen_PND, seen_PND, key_padding_mask=~there_PN, need_weights=False)
        gate_PSD = torch.sigmoid(self.gate(torch.cat([text_PSD, looked_PSD], dim=-1)))
        return (1 - gate_PSD) * text_PSD + gate_PSD * looked_PSD  # type: ignore[no-any-return]


class FusionNetwork(nn.Module):
    """Encoder, fusion, decoder."""

    def __init__(self, t5: nn.Module, fusion: Fusion | None, arithmetic: torch.dtype) -> None:
        super().__init__()
        self.t5 = t5
        self.fusion = fusion
        self.arithmetic = arithmetic

    @property
    def inner(self) -> Any:
        """The transformers model, without PEFT's wrapper around it."""
        return self.t5.get_base_model() if isinstance(self.t5, PeftModel) else self.t5

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.inner.shared.weight.device  # type: ignore[no-any-return]

    def precision(self) -> torch.autocast:
        """The arithmetic of the settings; weights keep their own type."""
        on = self.arithmetic != torch.float32
        return torch.autocast(self.device.type, dtype=self.arithmetic if on else torch.bfloat16, enabled=on)

    def forward(self, batch: FusionBatch) -> Tensor:
        """The summed cross entropy of all target tokens; padding counts nothing."""
        if batch.target_BT is None:
            raise ValueError("a loss needs targets")
        target_BT = batch.target_BT
        with self.precision():
            hidden_BTD = self.decode(self._shifted(target_BT), self.encode(batch), batch.mask_BS)
            real_BT = target_BT >= 0
            token_C = target_BT[real_BT]
            weights_C1 = torch.ones_like(token_C, dtype=torch.float32)[:, None]
            total, _ = weighted_loss(
                self._scaled(hidden_BTD[real_BT]),
                self.inner.lm_head.weight,
                weights_C1,
                lambda logits_CV, part: cross_entropy(logits_CV, token_C[part], reduction="none")[:, None],
                HEAD_SLICE,
            )
        return total

    def encode(self, batch: FusionBatch) -> Tensor:
        """What the decoder looks at."""
        text_BSD: Tensor = self.inner.encoder(input_ids=batch.input_BS, attention_mask=batch.mask_BS).last_hidden_state
        if batch.patches_PNF is None or self.fusion is None:
            return text_BSD
        row_P = batch.row_P
        mixed_PSD = self.fusion(text_BSD[row_P], batch.patches_PNF, batch.there_PN)
        return text_BSD.index_copy(0, row_P, mixed_PSD.to(text_BSD.dtype))

    def decode(
        self, input_BT: Tensor, memory_BSD: Tensor, mask_BS: Tensor, cache: EncoderDecoderCache | None = None
    ) -> Tensor:
        """Hidden states of the decoder for its inputs; with a cache they continue what it holds."""
        out = self.inner.decoder(
            input_ids=input_BT,
            encoder_hidden_states=memory_BSD,
            encoder_attention_mask=mask_BS,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden_BTD: Tensor = out.last_hidden_state
        return hidden_BTD

    def logits(self, hidden_BTD: Tensor) -> Tensor:
        """The language-model head, in fp32 whatever the arithmetic: near choices must not become equal."""
        with torch.autocast(self.device.type, enabled=False):
            return linear(self._scaled(hidden_BTD).float(), self.inner.lm_head.weight.float())

    def _scaled(self, hidden_BTD: Tensor) -> Tensor:
        config = self.inner.config
        return hidden_BTD * config.d_model**-0.5 if config.scale_decoder_outputs else hidden_BTD

    def _shifted(self, target_BT: Tensor) -> Tensor:
        """Decoder inputs: the start token, then all but the last target."""
        config = self.inner.config
        start_B1 = torch.full_like(target_BT[:, :1], config.decoder_start_token_id)
        return torch.cat([start_B1, target_BT[:, :-1].clamp_min(0)], dim=1)
