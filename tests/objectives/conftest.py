from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from mulcot.backbones import Lora, Turn
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.tasks.base import Prompt

torch.set_num_threads(1)

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
WORDS = ["sun", "rain", "joy", "the", "grief", "and", "a", "picture", "of", "no", "one", "explains", "why"]
LABELS = ("positive", "neutral", "negative")


@dataclass(frozen=True)
class Recipe:
    """An example to be made: sizes decide everything, so hypothesis can draw and shrink it."""

    post: int = 3
    picture: tuple[int, int] | None = (60, 90)
    chain: int | None = 5
    label: str | None = "positive"
    choices: bool = False


def make(model: LoadedModel, number: int, recipe: Recipe) -> Encoded:
    rng = np.random.default_rng(number)

    def text(words: int) -> str:
        return " ".join(rng.choice(WORDS, words))

    def prompt(ask: str) -> Prompt:
        return Prompt(system="You read posts.", post=post, ask=ask)

    post, pictures = text(recipe.post), []
    if recipe.picture:
        width, height = recipe.picture
        pictures = [Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))]
    chain = None if recipe.chain is None else Turn(prompt=prompt("Explain the mood."), target=text(recipe.chain))
    choices = LABELS if recipe.choices else ()
    label = None if recipe.label is None else Turn(prompt=prompt("Name it."), target=recipe.label, choices=choices)
    return model.encode(str(number), pictures, chain=chain, label=label)


def load(settings: QwenVL, **changes: object) -> LoadedModel:
    """A model without dropout, whose adapters already do something."""
    model = settings.model_copy(update={"image_size": None, **changes}).load()
    torch.manual_seed(0)
    for name, parameter in model.network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    model.network.eval()
    return model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LoadedModel]:
    """A model of a family, with adapters on both parts or all weights trained; made once."""
    demos = {family: QwenVL.demo(tmp_path_factory.mktemp(family), family) for family in FAMILIES}
    made: dict[tuple[str, bool], LoadedModel] = {}

    def get(family: str = "qwen2_5_vl", full: bool = False) -> LoadedModel:
        if (family, full) not in made:
            lora = Lora(rank=4, dropout=0, modules=demos[family].lora.modules)
            changes = {"lora": None} if full else {"lora": lora}
            made[family, full] = load(demos[family], trained="both", **changes)
        return made[family, full]

    return get


@pytest.fixture(scope="session")
def example() -> Callable[..., Encoded]:
    """An encoded example: `example(model, number, post=3, picture=(60, 90), chain=5, label="positive")`."""

    def build(model: LoadedModel, number: int = 0, **sizes: object) -> Encoded:
        return make(model, number, Recipe(**sizes))

    return build
