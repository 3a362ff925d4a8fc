"""A model in the making: fresh weights, opening it, writing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.quiet import quiet
from mulcot.backbones.vlm.random_model import configure, train_tokenizer, write
from mulcot.tiny.corpus import corpus
from mulcot.tiny.initial_weights import initialise
from mulcot.tiny.sizes import IMAGE_SIZE, VOCABULARY, Size


def fresh(folder: Path, size: Size, seed: int) -> LoadedModel:
    """A model that knows nothing yet, with its tokenizer, opened from `folder`."""
    tokenizer = train_tokenizer(corpus(), VOCABULARY)
    config = configure("qwen2_5_vl", tokenizer, size.text_config(), size.vision_config())
    write(folder, config, tokenizer, torch.float32)
    model = open_model(folder)
    initialise(model.network.inner, seed)
    return model


def open_model(folder: Path) -> LoadedModel:
    """The model in `folder` with all its weights trainable."""
    settings = QwenVL(model=str(folder), lora=None, trained="both", dtype="fp32", image_size=IMAGE_SIZE)
    return settings.load()


def save_model(model: LoadedModel, folder: Path, dtype: torch.dtype) -> None:
    """Weights in the given precision, configuration, tokenizer and image processor."""
    inner: Any = model.network.inner
    with quiet():
        inner.to(dtype).save_pretrained(folder)
    model.words.tokenizer.save_pretrained(folder)
    model.pictures.processor.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner can read
