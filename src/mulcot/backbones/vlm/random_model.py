"""New models with random weights: a tokenizer trained on given texts, a small architecture, one folder.

The demo models of the contract tests and the tiny models that ship with the package both start here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    Qwen2_5_VLConfig,
    Qwen2Tokenizer,
    Qwen2VLConfig,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLMoeConfig,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from mulcot.backbones.vlm.quiet import quiet

CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CONFIGS: dict[str, Any] = {
    "qwen2_vl": Qwen2VLConfig,
    "qwen2_5_vl": Qwen2_5_VLConfig,
    "qwen3_vl": Qwen3VLConfig,
    "qwen3_vl_moe": Qwen3VLMoeConfig,
}
DEMO_TEXTS = (
    "Read the post and the picture, then explain the mood step by step.",
    "positive negative neutral Text_analysis Image_analysis Conflict_resolution Final_conclusion Prediction",
)


def train_bpe(texts: Iterable[str], size: int, *, whole: str = "", special: Sequence[str] = ()) -> Tokenizer:
    """Byte-level BPE that divides texts as Qwen does, but for what matches `whole`, which may become one token."""
    split = pre_tokenizers.Split(Regex(whole + PRETOKENIZE_REGEX), behavior="isolated", invert=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(special),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer of the Qwen kind, of at most `size` tokens with the control tokens."""
    learned = json.loads(train_bpe(texts, size - len(CONTROL)).to_str())["model"]
    vocabulary = {**learned["vocab"], CONTROL[0]: len(learned["vocab"])}
    merges: Any = [tuple(merge) for merge in learned["merges"]]
    return Qwen2Tokenizer(vocab=vocabulary, merges=merges, extra_special_tokens=list(CONTROL[1:]))


def configure(family: str, tokenizer: PreTrainedTokenizerBase, text: dict[str, Any], vision: dict[str, Any]) -> Any:
    """A configuration of the family with the tokenizer's ids; `text` and `vision` are its two parts."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in CONTROL}
    text = {
        "vocab_size": len(tokenizer),
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        **text,
    }
    return CONFIGS[family](
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def write(folder: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype) -> None:
    """Writes a model of the configuration with random weights, its tokenizer and its image processor."""
    model = AutoModelForImageTextToText.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    vision = config.vision_config
    processor = Qwen2VLImageProcessorPil(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.spatial_merge_size,
    )
    processor.save_pretrained(folder)


def write_demo(folder: Path, family: str) -> None:
    """The smallest useful model of the family, with weights from a fixed seed and large enough to make a difference."""
    tokenizer = train_tokenizer(DEMO_TEXTS, 360)
    text: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
        "initializer_range": 0.2,
    }
    text |= _TEXT.get(family, {})
    vision = {"depth": 2, "num_heads": 2, "patch_size": 14, "initializer_range": 0.2, **_VISION[family]}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        write(folder, configure(family, tokenizer, text, vision), tokenizer, torch.float32)


_TEXT: dict[str, dict[str, Any]] = {
    "qwen3_vl": {"head_dim": 8},
    "qwen3_vl_moe": {"head_dim": 8, "moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2},
}
_QWEN3_VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "out_hidden_size": 32,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0, 1],
}
_VISION: dict[str, dict[str, Any]] = {
    "qwen2_vl": {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2},
    "qwen2_5_vl": {"hidden_size": 16, "intermediate_size": 24, "out_hidden_size": 32, "fullatt_block_indexes": [1]},
    "qwen3_vl": _QWEN3_VISION,
    "qwen3_vl_moe": _QWEN3_VISION,
}
