from __future__ import annotations

import numpy as np
import torch

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.window_attention import NAME


def test_windows_together_equal_windows_one_by_one(settings: QwenVL, picture) -> None:
    model = settings.model_copy(update={"image_size": None, "lora": None, "trained": "vision"}).load()
    tower = model.network.inner.model.visual
    patches = [model.pictures.patches(picture(*size)) for size in ((280, 280), (280, 280), (300, 90), (56, 56))]
    pixels_NF = torch.tensor(np.concatenate([values for values, _ in patches]))
    grids_I3 = torch.tensor([grid for _, grid in patches])
    results = []
    for attention in (NAME, "sdpa"):
        tower.config._attn_implementation = attention
        tower.zero_grad()
        features = tower(pixels_NF, grid_thw=grids_I3).pooler_output
        features.square().sum().backward()
        results.append(
            (
                features,
                {
                    name: parameter.grad.clone()
                    for name, parameter in tower.named_parameters()
                    if parameter.grad is not None
                },
            )
        )
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-6)
    for name, grad in results[1][1].items():
        assert (results[0][1][name] - grad).norm() <= 1e-4 * grad.norm() + 1e-6, name


def test_a_loaded_model_takes_its_windows_together(demo: QwenVL) -> None:
    assert demo.load().network.inner.model.visual.config._attn_implementation == NAME
