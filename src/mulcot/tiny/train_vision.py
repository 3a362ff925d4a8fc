"""First stage: the vision tower learns to tell what pictures show, one linear head per attribute on its mean token.

Letters: P pictures, M merged tokens of a picture, D width of the language model, V values of an attribute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mulcot.progress import Reporter
from mulcot.tiny.pretraining_examples import draw_scene
from mulcot.tiny.sizes import TrainingStage
from mulcot.tiny.train_steps import train_steps
from mulcot.world.picture import paint
from mulcot.world.scene import Scene, attributes

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel

SIZE_OF_TOKENS = 1.0
"""The root mean square of picture tokens afterwards, so that they reach the language model at one scale."""


WEIGHTS = {"count": 3.0, "extra": 2.0}
"""Small things are learned last; they count for more."""


def train_vision(model: LoadedModel, stage: TrainingStage, seed: int, reporter: Reporter) -> dict[str, float]:
    """Trains the tower and returns the share of right answers per attribute on unseen pictures."""
    tower: Any = model.network.inner.model.visual
    heads = _heads(model)
    learning = [*tower.parameters(), *heads.parameters()]

    def loss(step: int) -> Tensor:
        scenes = _scenes(seed, "train", stage.batch, step)
        mean_PD = _tokens(model, scenes).mean(1)
        losses = [
            cross_entropy(heads[name](mean_PD[rows]), values, reduction="sum") * WEIGHTS.get(name, 1.0)
            for name, (rows, values) in _answers(scenes).items()
        ]
        return torch.stack(losses).sum() / stage.batch

    train_steps(loss, learning, stage, reporter, "seeing")
    with torch.no_grad():
        unseen = _scenes(seed, "dev", 256, 0)
        tokens_PMD = _tokens(model, unseen)
        tower.merger.mlp[2].weight *= (scale := SIZE_OF_TOKENS / tokens_PMD.square().mean().sqrt())
        tower.merger.mlp[2].bias *= scale
        right: dict[str, float] = {}
        for name, (rows, values) in _answers(unseen).items():
            found = heads[name](tokens_PMD.mean(1)[rows]).argmax(-1)
            right[name] = float((found == values).float().mean())
    return right


def _heads(model: LoadedModel) -> nn.ModuleDict:
    width = model.network.head_VD.shape[1]
    sizes: dict[str, int] = {}
    for number in range(400):
        for shown in attributes(draw_scene(Random(number), "train")):
            sizes[_key(shown.attribute)] = len(shown.values)
    heads = {name: nn.Linear(width, size) for name, size in sorted(sizes.items())}
    return nn.ModuleDict(heads)


def _key(attribute: str) -> str:
    return attribute.replace(".", " ")  # module names have no dots


def _scenes(seed: int, split: str, count: int, step: int) -> list[Scene]:
    return [draw_scene(Random(f"sight {seed} {split} {step * count + n}"), split) for n in range(count)]


def _tokens(model: LoadedModel, scenes: Sequence[Scene]) -> Tensor:
    patches = [model.pictures.patches(paint(scene)) for scene in scenes]
    pixels_NF = torch.cat([torch.from_numpy(values) for values, _ in patches])
    grids_P3 = torch.tensor([grid for _, grid in patches])
    tokens_ND = model.network.inner.model.visual(pixels_NF, grids_P3).pooler_output
    return tokens_ND.view(len(scenes), -1, tokens_ND.shape[-1])  # type: ignore[no-any-return]


def _answers(scenes: Sequence[Scene]) -> dict[str, tuple[Tensor, Tensor]]:
    """For every attribute the pictures that have it, and the numbers of their values."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, scene in enumerate(scenes):
        for shown in attributes(scene):
            found[_key(shown.attribute)].append((row, shown.values.index(shown.value)))
    return {name: (*torch.tensor(pairs).unbind(1),) for name, pairs in sorted(found.items())}  # type: ignore[misc]
