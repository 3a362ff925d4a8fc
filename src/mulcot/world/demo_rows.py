"""Rows of one's own data as an example: drawn posts and questions, written as anybody would write theirs.

{"id": "train-00", "split": "train", "text": "our boat rocks!", "image": "pictures/train-00.png", "label": "positive"}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from mulcot.records import Json
from mulcot.world.boards import paint_board
from mulcot.world.chains import write_chain
from mulcot.world.picture import paint, png
from mulcot.world.posts import DrawnPost, make_post
from mulcot.world.science import make_question
from mulcot.world.science_chains import explain
from mulcot.world.truth import Truth

SIZES = {"train": 24, "dev": 8, "test": 8}
SEED = 1
SIDE = 168
"""Of the pictures, in pixels."""

RELATIONS = {
    "agree": "words and picture say the same",
    "conflict": "words and picture contradict each other",
    "unrelated": "the picture shows something that the words are not about",
}
"""The labels of the classification example: what each stands for."""


def posts(folder: Path, label: Callable[[Truth], str], *, aspects: bool = False) -> Iterator[Json]:
    """Posts, each with a label read off its truth; with `aspects`, posts about two things that name one of them."""
    for name, split, post in _posts(aspects=aspects):
        words = {"text": post.text, **({"aspect": post.aspect} if aspects else {}), "label": label(post.truth)}
        yield _row(folder, name, split, paint(post.scene, SIDE), **words)


def questions(folder: Path) -> Iterator[Json]:
    """Questions with choices and the solution that a person wrote; some have no picture."""
    for split, size in SIZES.items():
        for number in range(size):
            truth = make_question(SEED, split, number)
            asked = truth.question
            picture = paint_board(asked.board, SIDE) if asked.board else None
            words: Json = {"text": asked.text, "choices": list(asked.choices), "label": truth.label}
            words["solution"] = explain(truth, number)
            if asked.context:
                words["context"] = asked.context
            yield _row(folder, _name(split, number), split, picture, **words)


def relation_chains() -> Iterator[Json]:
    """Chains for the classification's training rows, as another tool might have left them."""
    for number, (name, split, post) in enumerate(_posts()):
        if split == "train":
            relation = post.truth.relation
            conclusion = f"Taken together, {RELATIONS[relation]}."
            fields = write_chain(post.truth, number) | {"Final_conclusion": conclusion, "Prediction": relation}
            yield {"id": name, "cot": fields}


def _posts(*, aspects: bool = False) -> Iterator[tuple[str, str, DrawnPost]]:
    for split, size in SIZES.items():
        for number in range(size):
            yield _name(split, number), split, make_post(SEED, split, number, aspects=aspects)


def _name(split: str, number: int) -> str:
    return f"{split}-{number:02}"


def _row(folder: Path, name: str, split: str, picture: Image.Image | None, **words: Any) -> Json:
    row: Json = {"id": name, "split": split, **words}
    if picture is not None:
        row["image"] = f"pictures/{name}.png"
        (folder / "pictures").mkdir(exist_ok=True)
        (folder / row["image"]).write_bytes(png(picture))
    return row
