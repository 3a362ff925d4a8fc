from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small import chain

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.example_encoder import ExampleEncoder
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.records import Example, ImageRef, Rationale
from mulcot.tasks.sentiment import Sentiment
from mulcot.training.items import TrainingItems, ids_hash, make_training_items
from mulcot.training.prefetch import Feed
from mulcot.training.settings import Training


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return QwenVL.demo(tmp_path_factory.mktemp("base")).load("cpu", trainable=False)


class Album:
    """A gallery that remembers what was opened."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open(self, ref: ImageRef) -> Image.Image:
        self.opened.append(ref.path)
        return Image.new("RGB", (60, 60), "red")


def post(number: int, *, images: int = 1, label: str | None = "positive") -> Example:
    pictures = tuple(ImageRef(path=f"{number}-{index}.png") for index in range(images))
    return Example(id=f"e{number}", split="train", text=f"post {number}", images=pictures, label=label)


def written(number: int, label: str = "positive", source: str = "teacher") -> Rationale:
    return Rationale(example_id=f"e{number}", source=source, stage=1, fields=chain(label), prediction=label)


def encoder(model: LoadedModel) -> tuple[ExampleEncoder, Album]:
    album: Any = Album()
    return ExampleEncoder(model, Sentiment(), album), album


def test_every_chain_is_a_lesson_in_the_order_of_the_examples() -> None:
    posts = [post(0), post(1), post(2), post(3, label=None)]
    chains = [[written(2), written(0)], [written(0, source="assistant")]]
    items = make_training_items(posts, chains, Sentiment(), label_only=True)
    assert [item.key for item in items] == ["e0#teacher-0", "e0#assistant-1", "e1#label", "e2#teacher-0"]
    assert [item.chain is None for item in items] == [False, False, True, False]
    without = make_training_items(posts, chains, Sentiment(), label_only=False)
    assert [item.key for item in without] == ["e0#teacher-0", "e0#assistant-1", "e2#teacher-0"]


def test_keys_are_unique_however_many_chains_an_example_has() -> None:
    dice = random.Random(0)
    posts = [post(number) for number in range(20)]
    chains = [[written(dice.randrange(20), source=source) for _ in range(60)] for source in ("teacher", "assistant")]
    items = make_training_items(posts, chains, Sentiment(), label_only=True)
    assert len({item.key for item in items}) == len(items) >= 120


def test_pictures_are_opened_when_a_lesson_is_asked_for_and_not_before(model: LoadedModel) -> None:
    own, album = encoder(model)
    items = TrainingItems(own, make_training_items([post(n) for n in range(40)], [[]], Sentiment(), label_only=True))
    assert [items.length(index) > 0 for index in range(len(items))]
    assert album.opened == []
    items.encoded(7)
    assert album.opened == ["7-0.png"]


def test_a_training_prepares_one_step_ahead_and_no_more(model: LoadedModel) -> None:
    own, album = encoder(model)
    items = TrainingItems(own, make_training_items([post(n) for n in range(40)], [[]], Sentiment(), label_only=True))
    steps = Feed(items, Training(batch_size=4, epochs=1), 0).steps(0)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert len(album.opened) <= 8


def test_a_lesson_without_picture_or_chain_is_whole(model: LoadedModel) -> None:
    own, album = encoder(model)
    item = make_training_items([post(0, images=0)], [[]], Sentiment(), label_only=True)[0]
    encoded = own.item(item)
    assert encoded.pixels_NF is None
    assert encoded.chain is None
    assert encoded.label is not None
    assert model.text(encoded.label.target) == Sentiment().write_label("positive")
    assert album.opened == []


def test_the_hash_tells_lessons_apart_but_not_whether_the_label_set_is_there(model: LoadedModel) -> None:
    own, _ = encoder(model)
    posts = [post(0), post(1)]
    first, second = make_training_items(posts, [[written(0), written(1)]], Sentiment(), label_only=True)
    hashes = {ids_hash(own.item(item)) for item in (first, second)}
    label_only = make_training_items(posts[:1], [[]], Sentiment(), label_only=True)[0]
    assert len({*hashes, ids_hash(own.item(label_only))}) == 3
    assert ids_hash(own.item(first, choices=True)) == ids_hash(own.item(first))


def test_a_question_holds_no_answer(model: LoadedModel, tmp_path: Path) -> None:
    own, _ = encoder(model)
    asked = own.question(post(0), chain=True, label=True)
    assert asked.chain is not None
    assert asked.label is not None
    assert asked.chain.target == asked.label.target == ()
    assert len(asked.label.choices) == 3
