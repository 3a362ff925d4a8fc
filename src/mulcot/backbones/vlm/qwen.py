"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: ChatML mark-up, picture tokens, three rope axes, and how they are loaded.

Everything is done here from tokenizer and Pillow image processor alone, since the official processors cannot be built
without torchvision. Token ids, patches and positions are the same as theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peft import PeftModel
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from mulcot.backbones.base import Backbone
from mulcot.backbones.vlm.loaded import LoadedModel, Preprocessors
from mulcot.backbones.vlm.markup import CHATML
from mulcot.backbones.vlm.network import KERNELS, Network
from mulcot.backbones.vlm.patch_product import multiply_patches
from mulcot.backbones.vlm.picture_patches import Grid, PatchProcessor
from mulcot.backbones.vlm.positions import rope_positions
from mulcot.backbones.vlm.quiet import quiet
from mulcot.backbones.vlm.safe_tokenizer import SafeTokenizer
from mulcot.backbones.vlm.trainable_weights import prepare
from mulcot.backbones.vlm.window_attention import group_windows
from mulcot.errors import MulcotError
from mulcot.tasks.base import Prompt

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class LoadedQwen(LoadedModel):
    """A loaded model of the family."""

    template = CHATML.name
    markup = CHATML

    def prefix(self, prompt: Prompt, grids: Sequence[Grid]) -> list[int]:
        """`<|im_start|>system ... <|im_end|> <|im_start|>user <|vision_start|>...<|vision_end|> post`."""
        words = self.words
        ids: list[int] = []
        if prompt.system:
            ids += [*CHATML.begin(words, "system", prompt.system), *CHATML.close(words)]
        ids += CHATML.begin(words, "user")
        for grid in grids:
            ids += CHATML.image(words, self.pictures.tokens(grid))
        return ids + words.encode_text(f"{prompt.post}\n\n")

    def question(self, prompt: Prompt) -> list[int]:
        """`ask <|im_end|> <|im_start|>assistant`."""
        words = self.words
        return [*words.encode_text(prompt.ask), *CHATML.close(words), *CHATML.begin(words, "assistant")]

    def answer(self, target: str) -> list[int]:
        """`target <|im_end|>`."""
        return [*self.words.encode_text(target), self.words.control(CHATML.end)]

    def positions(self, prefix: Sequence[int], grids: Sequence[Grid]) -> npt.NDArray[np.int64]:
        """See `rope_positions`."""
        merge = int(self.pictures.processor.merge_size)
        return rope_positions(prefix, self.words.control(CHATML.picture[1]), grids, merge)

    @property
    def stops(self) -> tuple[int, ...]:
        """The end of a turn, and the end of a text, which base models write."""
        return (self.words.control(CHATML.end), self.words.control("<|endoftext|>"))


def load_qwen(settings: Backbone, source: str | Path, device: str, adapter: Path | None, trainable: bool) -> LoadedQwen:
    """Base model from `source` (a folder or a hub name), adapters as the settings say or from `adapter`."""
    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        source = adapter  # the whole model was trained
    with quiet():
        model = _base_model(settings, source)
        words = SafeTokenizer(AutoTokenizer.from_pretrained(source))
        processor = AutoImageProcessor.from_pretrained(source, backend="pil")  # type: ignore[no-untyped-call]
        tuned = _tuned(model, settings, adapter, trainable)
    network = Network(tuned.to(device), settings.attention)
    loaded = LoadedQwen(settings, network, Preprocessors(words, PatchProcessor(processor, settings.image_size)))
    if adapter is not None:
        loaded.check_preprocessing(adapter)
    return loaded


def _base_model(settings: Backbone, source: str | Path) -> Any:
    try:
        config = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise MulcotError(f"no model at {source}: {error}", hint="Give a model folder or a hub name.") from error
    if config.model_type not in FAMILIES:
        raise MulcotError(
            f"{source} is a {config.model_type!r} model; backbone 'qwen_vl' reads {', '.join(FAMILIES)}",
            hint="Choose another model or another backbone.",
        )
    model = AutoModelForImageTextToText.from_pretrained(
        source,
        config=config,
        dtype=DTYPES[settings.dtype],
        attn_implementation={"text_config": KERNELS[settings.attention], "vision_config": "sdpa"},
        use_safetensors=True,
    )
    group_windows(model)
    multiply_patches(model)
    return model


def _tuned(model: Any, settings: Backbone, adapter: Path | None, trainable: bool) -> nn.Module:
    if settings.gradient_checkpointing and trainable:
        # The re-entrant kind needs an input that requires a gradient, which frozen embeddings do not give.
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if adapter is not None and (adapter / "adapter_config.json").is_file():
        return PeftModel.from_pretrained(model, adapter, is_trainable=trainable).train(trainable)
    if trainable:
        return prepare(model, settings).train()
    return model.requires_grad_(False).eval()  # type: ignore[no-any-return]
