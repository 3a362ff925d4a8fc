"""Patches times a matrix: what the stock convolution gives, with the weights under their usual names."""

from __future__ import annotations

import torch
from torch import nn

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.patch_product import PatchProduct


def test_the_product_equals_the_convolution_with_its_gradients(settings: QwenVL) -> None:
    model = settings.model_copy(update={"lora": None, "trained": "vision"}).load()
    embedding = model.network.inner.model.visual.patch_embed
    ours = embedding.proj
    assert isinstance(ours, PatchProduct)
    stock = nn.Conv3d(
        ours.in_channels, ours.out_channels, ours.kernel_size, stride=ours.stride, bias=ours.bias is not None
    )
    stock.load_state_dict(ours.state_dict())
    patches_NF = torch.randn(40, ours.weight[0].numel(), generator=torch.Generator().manual_seed(1))
    found = embedding(patches_NF)
    embedding.proj = stock
    expected = embedding(patches_NF)
    assert found.shape == expected.shape
    assert (found - expected).norm() <= 1e-6 * expected.norm()
    for out in (found, expected):
        out.square().mean().backward()
    for name, weight in stock.named_parameters():
        assert (ours.get_parameter(name).grad - weight.grad).norm() <= 1e-6 * weight.grad.norm()
