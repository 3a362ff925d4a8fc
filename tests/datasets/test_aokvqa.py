"""A-OKVQA: what is evaluated on, where dev comes from, hidden answers, bad items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mulcot.datasets.aokvqa import Aokvqa
from mulcot.datasets.demo_files import save_json, save_picture
from mulcot.errors import DataError


def item(number: int, part: str = "train", **changes: Any) -> dict[str, Any]:
    base = {
        "split": part, "image_id": number, "question_id": f"q{number}", "question": "What is it?",
        "choices": ["cup", "hat", "cat", "car"], "correct_choice_idx": 2, "rationales": ["It purrs.", "It has fur."],
    }  # fmt: skip
    return {**base, **changes}


def folder(root: Path, train: list[Any], val: list[Any] | None = None, test: list[Any] | None = None) -> Path:
    parts = {"train": train, "val": val or [], "test": test or []}
    for part, items in parts.items():
        save_json(root / f"aokvqa_v1p0_{part}.json", items)
        (root / "coco" / f"{part}2017").mkdir(parents=True, exist_ok=True)
        for each in items:
            if isinstance(each, dict) and isinstance(each.get("image_id"), int):
                save_picture(root / "coco" / f"{part}2017" / f"{each['image_id']:012d}.jpg", each["image_id"])
    return root


def test_an_item_keeps_its_choices_answer_and_all_rationales(tmp_path: Path, collect: Any) -> None:
    (example,) = collect(Aokvqa(root=folder(tmp_path, [], [item(42, "val")]))).examples
    assert (example.id, example.text, example.label) == ("q42", "What is it?", "C")
    assert example.choices == ("cup", "hat", "cat", "car")
    assert example.rationale == "It purrs."
    assert example.meta == {"rationales": ["It purrs.", "It has fur."]}
    assert example.images[0].path == "val2017/000000000042.jpg"


def test_val_is_evaluated_on_and_dev_is_divided_by_picture(tmp_path: Path, collect: Any) -> None:
    train = [item(n, question_id=f"q{n}-{k}") for n in range(60) for k in range(2)]
    root = folder(tmp_path, train, [item(100, "val")])
    examples = collect(Aokvqa(root=root, dev_share=0.3)).examples
    by_picture: dict[str, set[str]] = {}
    for example in examples:
        by_picture.setdefault(example.images[0].path, set()).add(example.split)
    assert all(len(splits) == 1 for splits in by_picture.values())
    counts = {split: sum(splits == {split} for splits in by_picture.values()) for split in ("train", "dev", "test")}
    assert counts["test"] == 1
    assert 8 <= counts["dev"] <= 28
    assert [e.split for e in examples if e.images[0].path.startswith("val")] == ["test"]


def test_the_hidden_test_has_no_labels(tmp_path: Path, collect: Any) -> None:
    hidden = item(3, "test")
    del hidden["correct_choice_idx"], hidden["rationales"]
    root = folder(tmp_path, [item(1)], [item(2, "val")], [hidden])
    assert [(e.split, e.label) for e in collect(Aokvqa(root=root, evaluate="test")).examples] == [
        ("train", "C"), ("dev", "C"), ("test", None),
    ]  # fmt: skip
    (root / "aokvqa_v1p0_test.json").unlink()
    assert {e.split for e in collect(Aokvqa(root=root)).examples} <= {"train", "dev", "test"}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (item(2, correct_choice_idx=4), "answer_out_of_range"),
        (item(2, correct_choice_idx=None), "missing_value"),
        (item(2, choices=[]), "no_choices"),
        (item(2, image_id="2"), "bad_value"),
        (item(2, question=None), "missing_value"),
        (item(2, question_id="q1"), "duplicate_id"),
        (item(2, rationales="It purrs."), "bad_value"),
        (["a list"], "not_an_object"),
    ],
)
def test_a_bad_item_is_rejected_alone(tmp_path: Path, collect: Any, broken: Any, reason: str) -> None:
    outcome = collect(Aokvqa(root=folder(tmp_path, [item(1), broken, item(3)])))
    assert outcome.ids == ["q1", "q3"]
    assert outcome.reasons == [("aokvqa_v1p0_train.json:[1]", reason)]


def test_a_missing_picture_rejects_its_question(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, [item(1), item(2)])
    (root / "coco" / "train2017" / "000000000001.jpg").unlink()
    outcome = collect(Aokvqa(root=root))
    assert outcome.ids == ["q2"]
    assert [row.reason for row in outcome.rejected] == ["missing_image"]


def test_the_coco_folder_is_looked_for_or_given(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path / "aokvqa", [item(1)])
    (root / "coco").rename(tmp_path / "coco")
    assert collect(Aokvqa(root=root)).ids == ["q1"]
    (tmp_path / "coco").rename(tmp_path / "pictures")
    with pytest.raises(DataError, match="no folder of pictures"):
        collect(Aokvqa(root=root))
    assert collect(Aokvqa(root=root, images=tmp_path / "pictures")).ids == ["q1"]


def test_a_file_that_is_no_list_is_one_error(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, [item(1)])
    (root / "aokvqa_v1p0_val.json").write_text('"text"')
    with pytest.raises(DataError, match="a list of records is needed"):
        collect(Aokvqa(root=root))
