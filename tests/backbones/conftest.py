from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mulcot.backbones.qwen_vl import QwenVL

torch.set_num_threads(1)


@pytest.fixture(params=["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> QwenVL:
    folder = tmp_path_factory.mktemp(request.param)
    return QwenVL.demo(folder, family=request.param)


@pytest.fixture
def demo(tmp_path: Path) -> QwenVL:
    return QwenVL.demo(tmp_path / "base")


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    def draw(width: int = 70, height: int = 90, seed: int = 0) -> Image.Image:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return draw
