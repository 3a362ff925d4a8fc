"""Rows of one's own data as an example: drawn posts and questions, written as anybody would write theirs.

{"id": "train-00", "split": "train", "text": "our boat rocks!", "image": "pictures/train-00.png", "label": "positive"}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from mulcot.records import Json
from mulcot.world.boards import paint_board
from mulcot.world.chains import write_chain
from mulcot.world.picture import paint, png
from mulcot.world.posts import Post, make_post
from mulcot.world.science import ScienceTruth, make_question
from mulcot.world.science_chains import explain

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


def sentiment(folder: Path) -> Iterator[Json]:
    """Posts with their sentiment."""
    for name, split, post in _posts():
        yield _row(folder, name, split, paint(post.scene, SIDE), text=post.text, label=post.truth.label)


def aspect_sentiment(folder: Path) -> Iterator[Json]:
    """Posts about two things, with the sentiment towards one of them."""
    for name, split, post in _posts(aspects=True):
        picture = paint(post.scene, SIDE)
        yield _row(folder, name, split, picture, text=post.text, aspect=post.aspect, label=post.truth.label)


def classification(folder: Path) -> Iterator[Json]:
    """Posts with how words and picture relate."""
    for name, split, post in _posts():
        yield _row(folder, name, split, paint(post.scene, SIDE), text=post.text, label=post.truth.relation)


def multiple_choice(folder: Path) -> Iterator[Json]:
    """Questions with choices; some have no picture."""
    return _questions(folder, lambda truth, _: {"label": truth.label}, text="text")


def explained(folder: Path) -> Iterator[Json]:
    """Questions with choices and the solution that a person wrote, for models that explain first."""
    solved = lambda truth, number: {"answer": truth.label, "solution": explain(truth, number)}  # noqa: E731
    return _questions(folder, solved, text="question")


def relation_chains() -> Iterator[Json]:
    """Chains for the classification's training rows, as another tool might have left them."""
    for number, (name, split, post) in enumerate(_posts()):
        if split == "train":
            relation = post.truth.relation
            conclusion = f"Taken together, {RELATIONS[relation]}."
            fields = write_chain(post.truth, number) | {"Final_conclusion": conclusion, "Prediction": relation}
            yield {"id": name, "cot": fields}


def write_lines(path: Path, rows: Iterator[Json]) -> int:
    """One row per line; returns how many."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return len(lines)


def _posts(*, aspects: bool = False) -> Iterator[tuple[str, str, Post]]:
    for split, size in SIZES.items():
        for number in range(size):
            yield _name(split, number), split, make_post(SEED, split, number, aspects=aspects)


def _questions(folder: Path, solved: Callable[[ScienceTruth, int], Json], text: str) -> Iterator[Json]:
    for split, size in SIZES.items():
        for number in range(size):
            truth = make_question(SEED, split, number)
            asked = truth.question
            picture = paint_board(asked.board, SIDE) if asked.board else None
            words: Json = {text: asked.text, "choices": list(asked.choices), **solved(truth, number)}
            if asked.context:
                words["context"] = asked.context
            yield _row(folder, _name(split, number), split, picture, **words)


def _name(split: str, number: int) -> str:
    return f"{split}-{number:02}"


def _row(folder: Path, name: str, split: str, picture: Image.Image | None, **words: Any) -> Json:
    row: Json = {"id": name, "split": split, **words}
    if picture is not None:
        row["image"] = f"pictures/{name}.png"
        (folder / "pictures").mkdir(exist_ok=True)
        (folder / row["image"]).write_bytes(png(picture))
    return row
