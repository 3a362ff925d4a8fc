"""How the weights begin. For models this small it decides whether they learn anything in minutes.

Scale: matrices by their inputs, and large embeddings behind small additions, so that a word is still to be found in
the last layer. With the usual 0.02 everywhere such a model hardly learns to copy.

Copying: finding out where a word stood before, and what came after it, takes a narrow model longer than all else it
has to learn. So it begins with the two heads that do it. The first head of the first layer looks one token back and
writes down, in a corner of its own, which token that was. The first head of the second layer looks for the place where
that note is the present token, and hands on the token that stands there. All of it then learns like any other weight.

Letters: D width of the model, H width of a head.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

EMBEDDING = 0.3
LAST_NORM = 0.3
"""Keeps the first logits small in spite of the large embeddings, which are also the head."""

FAST, SLOW = 4, 5
"""Of a head's rope frequencies, the first four tell neighbours apart; from the sixth on a text is too short to turn."""
BACK = 5.0
NOTE = 0.6
MATCH = 2.5
"""How strong each part of the two heads begins."""


@torch.no_grad()
def initialise(model: Any, seed: int) -> None:
    """Sets all weights of a Qwen2.5-VL model; the caller's random state decides the plain ones."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv3d):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.weight[0].numel()))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    language = model.model.language_model
    nn.init.normal_(language.embed_tokens.weight, std=EMBEDDING)  # after the head, which shares it
    language.norm.weight.fill_(LAST_NORM)
    for layer in language.layers:
        for added in (layer.self_attn.o_proj, layer.mlp.down_proj):
            added.weight /= math.sqrt(2 * len(language.layers))
    if len(language.layers) > 1:
        _copy(language, torch.Generator().manual_seed(seed))


def _copy(language: Any, generator: torch.Generator) -> None:
    back, match = language.layers[0].self_attn, language.layers[1].self_attn
    size, width = back.head_dim, back.q_proj.in_features
    token_HD, note_HD, found_HD = (_directions(size, width, generator) for _ in range(3))
    head = slice(size)

    fast = slice(FAST)
    turned = slice(size // 2, size // 2 + FAST)
    angle = language.rotary_emb.inv_freq[fast]  # that of one token
    for projection in (back.q_proj, back.k_proj):
        projection.weight[head] *= 0.2
    back.k_proj.bias[fast] = BACK
    back.q_proj.bias[fast], back.q_proj.bias[turned] = BACK * torch.cos(angle), -BACK * torch.sin(angle)
    back.v_proj.weight[head] = token_HD
    back.o_proj.weight[:, head] = NOTE * note_HD.T

    slow = torch.tensor([n for n in range(size) if n % (size // 2) >= SLOW])
    for projection, directions_HD in ((match.q_proj, token_HD), (match.k_proj, note_HD)):
        projection.weight[head] = 0
        projection.weight[slow] = MATCH * directions_HD[: len(slow)]
    match.v_proj.weight[head] = found_HD
    match.o_proj.weight[:, head] = found_HD.T


def _directions(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Random directions at right angles."""
    drawn: Tensor = torch.linalg.qr(torch.randn(width, count, generator=generator))[0]
    return drawn.T.contiguous()
