"""Models of the real architecture with random weights, and examples of the paper's lengths: what benchmarks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, AutoModelForImageTextToText, Qwen2_5_VLConfig

from mulcot.backbones.base import Lora
from mulcot.backbones.vlm import prefix_attention as trunk
from mulcot.backbones.vlm.encoded import Branch, Encoded
from mulcot.backbones.vlm.network import KERNELS, Attention, Network
from mulcot.backbones.vlm.patch_product import multiply_patches
from mulcot.backbones.vlm.positions import rope_positions
from mulcot.backbones.vlm.quiet import quiet
from mulcot.backbones.vlm.trainable_weights import add_adapters
from mulcot.backbones.vlm.window_attention import group_windows

VOCABULARY = 151_936
GRID = (1, 20, 20)
"""A picture of 280 x 280: 100 tokens."""
PICTURE = 5


@dataclass(frozen=True)
class Shape:
    """Sizes of a model and of its batch."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vision: dict[str, Any]
    vocabulary: int = VOCABULARY
    examples: int = 16
    micro: int = 8
    """Examples at once, where `--micro` says nothing."""


SHAPES = {
    "tiny": Shape(
        64, 2, 4, 2, 128, {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64}, 1024, 2, 1
    ),
    "cpu": Shape(
        512, 8, 8, 4, 2752, {"depth": 8, "hidden_size": 256, "num_heads": 8, "intermediate_size": 1024}, 49_152, 2, 2
    ),
    "3b": Shape(2048, 36, 16, 2, 11_008, {"hidden_size": 1280}),
    "7b": Shape(3584, 28, 28, 4, 18_944, {"hidden_size": 1280}, 152_064, micro=4),
}


def build(
    shape: Shape, device: str, attention: Attention, *, compiled: bool = False, checkpointing: bool = False
) -> Network:
    """The real architecture with random weights and adapters that already do something."""
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "intermediate_size": shape.intermediate,
            "vocab_size": shape.vocabulary,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections(shape)},
        },
        vision_config={**shape.vision, "out_hidden_size": shape.hidden},
        image_token_id=PICTURE,
        video_token_id=PICTURE + 1,
        tie_word_embeddings=shape.vocabulary == VOCABULARY,
    )
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = AutoModelForImageTextToText.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    model.config.get_text_config()._attn_implementation = KERNELS[attention]
    group_windows(model)
    multiply_patches(model)
    with quiet():
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        tuned = add_adapters(model.requires_grad_(False), Lora(dropout=0), ("language",))
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    network = Network(tuned.to(device).train(), attention)
    if compiled:
        # Attention stays as it is: its backward pass fails to compile for the CPU (torch 2.13), and is a kernel anyway.
        AttentionInterface.register(trunk.NAME, torch.compiler.disable(trunk.attend_trunk))
        for layer in network.inner.model.language_model.layers:
            layer.compile(dynamic=True)  # batches differ in length
    return network


def sections(shape: Shape) -> list[int]:
    """How the rope axes share a head, in the proportion of the real models."""
    half = shape.hidden // shape.heads // 2
    rest = half * 3 // 8
    return [half - 2 * rest, rest, rest]


def draw(shape: Shape) -> list[Encoded]:
    """Examples of the paper's lengths; the question is part of the prompt's length."""
    rng = np.random.default_rng(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(rng.integers(PICTURE + 2, shape.vocabulary, count).tolist())

    made = []
    for number in range(shape.examples):
        ask = 20
        prefix = (*tokens(20), *[PICTURE] * 100, *tokens(int(rng.integers(140, 251)) - ask - 20))
        positions_AP = rope_positions(prefix, PICTURE, [GRID], 2)
        made.append(
            Encoded(
                id=str(number),
                prefix=prefix,
                positions_AP=positions_AP,
                next_position=int(positions_AP.max()) + 1,
                chain=Branch(tokens(ask), tokens(int(rng.integers(270, 301)))),
                label=Branch(tokens(ask), tokens(12)),
                pixels_NF=rng.standard_normal((400, 1176), dtype=np.float32),
                grids=(GRID,),
            )
        )
    return made


def wait(network: Network) -> None:
    """Until the device has done all it was given."""
    if network.device.type == "cuda":
        torch.cuda.synchronize()
