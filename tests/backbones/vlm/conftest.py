from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mulcot.backbones import Turn
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.tasks.base import Prompt

torch.set_num_threads(1)

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
LABELS = ("neutral", "negative", "positive", "a longer label")


@pytest.fixture(scope="session", params=["shared_prefix", "two_rows"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LoadedModel]:
    """A model of a family in each layout; made once."""
    made: dict[str, LoadedModel] = {}

    def get(family: str = "qwen2_5_vl") -> LoadedModel:
        if family not in made:
            demo = QwenVL.demo(tmp_path_factory.mktemp(family), family)
            changes = {"image_size": None, "layout": request.param}
            made[family] = demo.model_copy(update=changes).load(trainable=False)
        return made[family]

    return get


@pytest.fixture(scope="session")
def examples() -> Callable[..., list[Encoded]]:
    """Posts of very different lengths, some with a picture."""

    def build(model: LoadedModel, sizes: Sequence[int] = (1, 9, 4), labels: Sequence[str] = LABELS) -> list[Encoded]:
        return [build_one(model, number, size, labels) for number, size in enumerate(sizes)]

    def build_one(model: LoadedModel, number: int, size: int, labels: Sequence[str]) -> Encoded:
        rng = np.random.default_rng(size)
        post = " ".join(rng.choice(["sun", "rain", "joy", "grief"], size))
        chain, label = (Prompt(system="Read.", post=post, ask=ask) for ask in (f"Explain{'!' * size}", "Name it."))
        pictures = []
        if size % 3:
            pixels = rng.integers(0, 255, (40 + 8 * size, 90, 3), dtype=np.uint8)
            pictures = [Image.fromarray(pixels)]
        turns = {"chain": Turn(prompt=chain), "label": Turn(prompt=label, choices=tuple(labels))}
        return model.encode(f"post {number}", pictures, **turns)

    return build


@pytest.fixture(scope="session")
def plain_logits() -> Callable[[LoadedModel, Encoded, Sequence[int]], Tensor]:
    """The model's own forward over one whole text, nothing shared and nothing cached."""

    def run(model: LoadedModel, encoded: Encoded, rest: Sequence[int]) -> Tensor:
        inner = model.network.inner
        ids = torch.tensor([[*encoded.prefix, *rest]])
        pictures = {}
        if encoded.grids:
            types = torch.zeros_like(ids, dtype=torch.int)
            types[0, : len(encoded.prefix)] = ids[0, : len(encoded.prefix)] == inner.config.image_token_id
            pictures = {
                "pixel_values": torch.tensor(encoded.pixels_NF),
                "image_grid_thw": torch.tensor(encoded.grids),
                "mm_token_type_ids": types,
            }
        with torch.no_grad():
            return inner(input_ids=ids, **pictures).logits[0]

    return run
