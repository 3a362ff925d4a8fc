"""ViT and CLIP of transformers: all tokens of the last layer, the class token included, as the published features have.

Letters: B pictures, N patches, F values of a patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from mulcot.backbones.vlm.quiet import quiet
from mulcot.errors import MulcotError
from mulcot.extractors.runtime.loaded import Array, LoadedExtractor
from mulcot.records import Json


class TowerExtractor(LoadedExtractor):
    """A vision model of transformers with its image processor."""

    def __init__(self, tower: nn.Module, processor: Any, device: str) -> None:
        super().__init__(tower, device)
        self.processor = processor

    @property
    def width(self) -> int:
        """See `LoadedExtractor.width`."""
        return int(self.tower.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def prepare(self, picture: Image.Image) -> Array:
        """See `LoadedExtractor.prepare`."""
        pixels: Array = self.processor(images=[picture.convert("RGB")], return_tensors="np")["pixel_values"][0]
        return pixels.astype(np.float32, copy=False)

    def describe(self) -> Json:
        """See `LoadedExtractor.describe`."""
        kept = {key: value for key, value in self.processor.to_dict().items() if not key.startswith("_")}
        return {"layer": "last", "processor": {key: value for key, value in kept.items() if _plain(value)}}

    def look(self, prepared: Sequence[Array]) -> Tensor:
        """See `LoadedExtractor.look`."""
        pixels = torch.from_numpy(np.stack(prepared)).to(self.device)
        patches_BNF: Tensor = self.tower(pixel_values=pixels).last_hidden_state
        return patches_BNF


def load_vit(source: str, device: str) -> TowerExtractor:
    """A ViT without its pooling layer."""
    return _load(ViTModel, ("vit",), source, device, add_pooling_layer=False)


def load_clip(source: str, device: str) -> TowerExtractor:
    """The vision model of a CLIP."""
    return _load(CLIPVisionModel, ("clip", "clip_vision_model"), source, device)


def write_vit(folder: Path) -> None:
    """A small ViT with random weights: 10 patches of 16 values."""
    config = ViTConfig(**_SMALL, initializer_range=0.2)
    _write(ViTModel(config, add_pooling_layer=False), ViTImageProcessorPil(size=_SIDE), folder)


def write_clip(folder: Path) -> None:
    """A small CLIP vision model with random weights: 10 patches of 16 values."""
    processor = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=_SIDE)
    _write(CLIPVisionModel(CLIPVisionConfig(**_SMALL)), processor, folder)


_SIDE = {"height": 24, "width": 24}
_SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 24,
    "patch_size": 8,
}


def _load(kind: Any, types: tuple[str, ...], source: str, device: str, **options: Any) -> TowerExtractor:
    try:
        config = AutoConfig.from_pretrained(source)
        if config.model_type not in types:
            message = f"{source} is a {config.model_type!r} model; this extractor reads {' or '.join(map(repr, types))}"
            raise MulcotError(message, hint="Choose another model or another extractor.")
        with quiet():
            tower = kind.from_pretrained(source, use_safetensors=True, dtype=torch.float32, **options)
            processor = AutoImageProcessor.from_pretrained(source, backend="pil")  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        hint = "Give a folder or a hub name with safetensors weights and a preprocessor_config.json."
        raise MulcotError(f"no extractor at {source}: {error}", hint=hint) from error
    return TowerExtractor(tower, processor, device)


def _write(model: Any, processor: Any, folder: Path) -> None:
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        model.init_weights()
        model.save_pretrained(folder)
        processor.save_pretrained(folder)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | tuple | dict)
