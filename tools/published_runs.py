"""The tables of docs/real-models.md, from the recipes, the estimate's own formula and the models' shapes.

Nothing here was measured on the models themselves; each table's inputs stand in this file and on the page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mulcot.recipe import Recipe, load_recipe
from mulcot.records import Example, ImageRef
from mulcot.stages.teacher import TeacherStage
from mulcot.tasks.base import Purpose
from mulcot.teacher.labelling.dialogues import Dialogues
from mulcot.teacher.labelling.estimate import (
    CHARACTERS_PER_TOKEN,
    PIXELS_PER_TOKEN,
    REPLY_TOKENS,
    Estimate,
    estimate,
    nothing_known,
)
from mulcot.teacher.labelling.reply_judge import ReplyJudge
from mulcot.teacher.transport.images import Picture

RECIPES = Path(__file__).parent.parent / "recipes" / "mulcot_rd"

ROWS = {
    "twitter2015": (3179, 1122, 1037),
    "twitter2017": (3562, 1176, 1234),
    "mvsa_single": (3611, 450, 450),
    "mvsa_multiple": (13624, 1700, 1700),
}
"""train, dev and test; of MVSA in the published 8:1:1 division."""
TITLES = {
    "twitter2015": "Twitter-2015",
    "twitter2017": "Twitter-2017",
    "mvsa_single": "MVSA-Single",
    "mvsa_multiple": "MVSA-Multiple",
}
POST = "word " * 17
"""A post of usual length: Twitter's have 16 to 17 words on average."""
SAMPLE = 100
IN_FLIGHT, SECONDS_PER_REPLY = 32, 10
PEAK, SHARE = 989e12, 0.3
"""Dense bf16 arithmetic per second of an H100 or H200, and the share of it that training is taken to reach."""
STEP_SECONDS = 0.03
"""One token for a whole batch, when chains are written."""


@dataclass(frozen=True)
class Shape:
    """The architecture of a Qwen2.5-VL model."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    words: int
    tied: bool
    vision_inner: int

    @property
    def linear(self) -> list[tuple[int, int, int]]:
        """Inputs, outputs and number of the language model's matrices."""
        keys = self.hidden // self.heads * self.key_heads
        return [
            (self.hidden, self.hidden, 2 * self.layers),
            (self.hidden, keys, 2 * self.layers),
            (self.hidden, self.inner, 3 * self.layers),
        ]

    @property
    def vision_linear(self) -> list[tuple[int, int, int]]:
        """Those of the vision tower's feed-forward layers."""
        return [(VISION, self.vision_inner, 3 * VISION_LAYERS)]

    @property
    def parameters(self) -> int:
        """All of them."""
        keys = self.hidden // self.heads * self.key_heads
        language = sum(rows * columns * number for rows, columns, number in self.linear)
        language += self.layers * (self.hidden + 2 * keys + 2 * self.hidden) + self.hidden  # biases and norms
        language += self.words * self.hidden * (1 if self.tied else 2)
        tower = sum(rows * columns * number for rows, columns, number in self.vision_linear)
        tower += VISION_LAYERS * (4 * VISION * VISION + 4 * VISION + 2 * self.vision_inner + VISION + 2 * VISION)
        merged = 4 * VISION
        tower += VISION * 3 * 2 * 14 * 14 + VISION + merged * merged + merged + merged * self.hidden + self.hidden
        return language + tower

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA on language model and vision feed-forward layers."""
        return sum((rows + columns) * rank * number for rows, columns, number in self.linear + self.vision_linear)


VISION, VISION_LAYERS = 1280, 32
SHAPES = {
    "72B": Shape("Qwen2.5-VL-72B-Instruct", 8192, 29568, 80, 64, 8, 152064, False, 3456),
    "7B": Shape("Qwen2.5-VL-7B-Instruct", 3584, 18944, 28, 28, 4, 152064, False, 3420),
    "3B": Shape("Qwen2.5-VL-3B-Instruct", 2048, 11008, 36, 16, 2, 151936, True, 3420),
}


def datasets() -> str:
    """What to put where."""
    lines = ["| recipe | dataset | folder | train / dev / test |", "| --- | --- | --- | --- |"]
    for name, rows in ROWS.items():
        root: Any = recipe_of(name).dataset.identity()["root"]
        counted = " / ".join(f"{number:,}" for number in rows)
        lines.append(f"| `{name}.yaml` | {TITLES[name]} | `$DATA/{Path(root).name}` | {counted} |")
    return "\n".join(lines) + "\n"


def models() -> str:
    """What to download, and what it takes in memory."""
    roles = {"72B": "teacher", "7B": "assistant", "3B": "student"}
    lines = [
        "| model | role | parameters | bf16 weights | adapters with optimizer |",
        "| --- | --- | --- | --- | --- |",
    ]
    for size, shape in SHAPES.items():
        learns = "" if size == "72B" else f"{shape.adapters(16) * 16 / 1e9:.1f} GB"
        lines.append(
            f"| {shape.name} | {roles[size]} | {shape.parameters / 1e9:.2f} billion "
            f"| {shape.parameters * 2 / 1e9:.0f} GB | {learns} |"
        )
    awq = four_bit(SHAPES["72B"]) / 1e9
    lines.append(f"| Qwen2.5-VL-72B-Instruct-AWQ | teacher | the same, 4 bits | {awq:.0f} GB | |")
    return "\n".join(lines) + "\n"


def four_bit(shape: Shape) -> float:
    """Bytes where the language model's matrices have 4 bits, and each 128 weights a scale and a zero of 20 bits."""
    small = sum(rows * columns * number for rows, columns, number in shape.linear)
    return small * (4 + 20 / 128) / 8 + (shape.parameters - small) * 2


def teacher() -> str:
    """Requests and tokens of the teacher stage, by the formula of `mulcot teacher estimate`."""
    lines = [
        "| recipe | training examples | requests | prompt tokens | reply tokens | hours |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in ROWS:
        found = teacher_estimate(name)
        hours = found.requests * SECONDS_PER_REPLY / IN_FLIGHT / 3600
        lines.append(
            f"| {TITLES[name]} | {found.examples:,} | {found.requests:,} | {found.prompt_tokens / 1e6:.1f} million "
            f"| {found.completion_tokens / 1e6:.1f} million | {hours:.1f} |"
        )
    return "\n".join(lines) + "\n"


def teacher_estimate(name: str) -> Estimate:
    """For a recipe's whole training split, from a sample of posts of usual length: the formula is linear."""
    recipe = recipe_of(name)
    stage = recipe.teacher
    assert stage is not None
    dialogues = dialogues_of(recipe, stage)
    size = stage.backend.image_settings().size
    found = estimate(dialogues, (post(number) for number in range(SAMPLE)), nothing_known, None, size)
    times = ROWS[name][0] / SAMPLE
    return replace(
        found,
        examples=ROWS[name][0],
        requests=round(found.requests * times),
        prompt_tokens=round(found.prompt_tokens * times),
        completion_tokens=round(found.completion_tokens * times),
    )


def training() -> str:
    """GPU hours of the three stages that use one."""
    lines = [
        "| recipe | tokens per item | assistant | annotate | student | together |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (train, _, _) in ROWS.items():
        recipe = recipe_of(name)
        assert recipe.assistant is not None and recipe.student is not None and recipe.annotate is not None
        tokens = lesson_tokens(recipe)
        learning = [
            hours(SHAPES["7B"], train * recipe.assistant.training.epochs * tokens),
            train * recipe.annotate.samples / recipe.annotate.batch_size * REPLY_TOKENS * STEP_SECONDS / 3600,
            hours(SHAPES["3B"], 2 * train * recipe.student.training.epochs * tokens),
        ]
        shown = " | ".join(f"{value:.1f}" for value in [*learning, sum(learning)])
        lines.append(f"| {TITLES[name]} | {tokens:.0f} | {shown} |")
    return "\n".join(lines) + "\n"


def hours(shape: Shape, tokens: float) -> float:
    """Forward and backward through frozen weights: four operations per weight and token."""
    return 4 * shape.parameters * tokens / (PEAK * SHARE) / 3600


def lesson_tokens(recipe: Recipe) -> float:
    """One reading of prompt and picture, the chain, and the label beside it."""
    prompt = recipe.task.prompt(post(0), Purpose.CHAIN)
    assert recipe.student is not None
    side = getattr(recipe.student.backbone, "image_size", None) or 280
    return (len(prompt.system) + len(prompt.user)) / CHARACTERS_PER_TOKEN + side**2 / PIXELS_PER_TOKEN + REPLY_TOKENS


def recipe_of(name: str) -> Recipe:
    """A published recipe as it is shipped."""
    with variable("DATA", "data"):
        return load_recipe(RECIPES / f"{name}.yaml").recipe


def dialogues_of(recipe: Recipe, stage: TeacherStage) -> Dialogues:
    """Every example, with the requests that it would be asked with."""
    judge = ReplyJudge(recipe.task, stage.preset, stage.filters)
    start = stage.backend.start_sampling()
    pictures: Any = _Pictures()
    return Dialogues(judge, stage.retry, start, pictures)


def post(number: int) -> Example:
    """One post of usual length with a picture."""
    picture = ImageRef(path="1.jpg")
    return Example(id=str(number), split="train", text=POST, images=(picture,), aspect="word word", label="neutral")


class _Pictures:
    """Pictures are counted, not opened."""

    def picture(self, ref: ImageRef) -> Picture:
        return Picture.of_jpeg(b"")


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Sets an environment variable for as long."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
