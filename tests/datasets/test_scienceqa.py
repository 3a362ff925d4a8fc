"""ScienceQA: splits, pictures of questions and choices, captions in both shapes, damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mulcot.datasets.demo_files import save_json, save_picture
from mulcot.datasets.scienceqa import ScienceQa
from mulcot.errors import DataError

LISTS = {"train": "train", "val": "val", "test": "test"}


def question(**changes: Any) -> dict[str, Any]:
    base = {
        "question": "Which is a metal?", "choices": ["wood", "iron"], "answer": 1, "hint": "", "image": None,
        "task": "closed choice", "grade": "grade2", "subject": "natural science", "topic": "physics",
        "category": "Materials", "skill": "Identify", "lecture": "Metals shine.", "solution": "Iron shines.",
        "split": "train",
    }  # fmt: skip
    return {**base, **changes}


def folder(root: Path, problems: dict[str, Any], splits: dict[str, list[str]] | None = None) -> Path:
    save_json(root / "problems.json", problems)
    lists = {name: [p for p, q in problems.items() if isinstance(q, dict) and q.get("split") == name] for name in LISTS}
    save_json(root / "pid_splits.json", lists if splits is None else splits)
    (root / "images").mkdir(exist_ok=True)
    return root


def test_a_question_keeps_all_its_parts(tmp_path: Path, collect: Any) -> None:
    problems = {"7": question(hint="It shines.", image="image.png")}
    save_picture(tmp_path / "images" / "train" / "7" / "image.png", 1)
    save_json(tmp_path / "captions.json", {"captions": {"7": "a grey cube"}})
    (example,) = collect(ScienceQa(root=folder(tmp_path, problems))).examples
    assert (example.id, example.split, example.text) == ("7", "train", "Which is a metal?")
    assert (example.context, example.choices, example.label) == ("It shines.", ("wood", "iron"), "B")
    assert (example.caption, example.rationale) == ("a grey cube", "Iron shines.")
    assert [(image.path, image.of) for image in example.images] == [("train/7/image.png", "")]
    assert example.meta == {
        "subject": "natural science", "grade": "grade2", "topic": "physics", "category": "Materials",
        "skill": "Identify", "task": "closed choice", "lecture": "Metals shine.",
    }  # fmt: skip


def test_a_question_needs_neither_picture_nor_hint_nor_explanation(tmp_path: Path, collect: Any) -> None:
    (example,) = collect(ScienceQa(root=folder(tmp_path, {"1": question(solution="", lecture="")}))).examples
    assert (example.images, example.context, example.rationale, example.caption) == ((), None, None, None)


def test_the_lecture_can_be_part_of_the_explanation(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, {"1": question(), "2": question(lecture=""), "3": question(lecture="", solution="")})
    outcome = collect(ScienceQa(root=root, rationale="lecture_and_solution"))
    assert [e.rationale for e in outcome.examples] == ["Metals shine.\nIron shines.", "Iron shines.", None]


def test_pictures_of_choices_belong_to_their_letters(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, {"1": question(split="val", choices=["a", "b", "c"], image="image.png")})
    for name in ("image.png", "choice_0.png", "choice_2.png"):
        save_picture(root / "images" / "val" / "1" / name, len(name))
    (example,) = collect(ScienceQa(root=root)).examples
    assert [(image.path, image.of) for image in example.images] == [
        ("val/1/image.png", ""), ("val/1/choice_0.png", "A"), ("val/1/choice_2.png", "C"),
    ]  # fmt: skip
    assert example.split == "dev"


def test_rows_come_in_the_order_of_the_splits_and_mini_is_a_part_of_them(tmp_path: Path, collect: Any) -> None:
    problems = {str(n): question(split=("train", "val", "test")[n % 3]) for n in range(9)}
    splits = {
        "train": ["6", "0", "3"], "val": ["4", "1", "7"], "test": ["8", "5", "2"],
        "minitrain": ["3"], "minival": ["7", "1"], "minitest": ["2"],
    }  # fmt: skip
    root = folder(tmp_path, problems, splits)
    assert collect(ScienceQa(root=root)).ids == ["6", "0", "3", "4", "1", "7", "8", "5", "2"]
    mini = collect(ScienceQa(root=root, subset="mini"))
    assert [(e.id, e.split) for e in mini.examples] == [("3", "train"), ("7", "dev"), ("1", "dev"), ("2", "test")]
    assert not mini.rejected


@pytest.mark.parametrize("shape", [{"captions": {"1": "a cube"}}, {"1": "a cube"}])
def test_captions_are_read_in_both_published_shapes(tmp_path: Path, collect: Any, shape: Any) -> None:
    root = folder(tmp_path, {"1": question()})
    save_json(root / "elsewhere.json", shape)
    assert collect(ScienceQa(root=root, captions=root / "elsewhere.json")).examples[0].caption == "a cube"
    save_json(root / "instruct_captions.json", shape)
    dataset = ScienceQa(root=root)
    assert collect(dataset).examples[0].caption == "a cube"
    assert root / "instruct_captions.json" in dataset.sources()
    save_json(root / "captions.json", {"1": "of an earlier version"})
    assert collect(dataset).examples[0].caption == "a cube"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (question(answer=2), "answer_out_of_range"),
        (question(answer=-1), "answer_out_of_range"),
        (question(answer="1"), "bad_value"),
        (question(answer=True), "bad_value"),
        (question(answer=None), "missing_value"),
        (question(choices=[]), "no_choices"),
        (question(choices=["x"] * 27), "too_many_choices"),
        (question(choices="iron"), "bad_value"),
        (question(choices=["iron", 3]), "bad_value"),
        (question(question=None), "missing_value"),
        (question(question=["?"]), "bad_value"),
        (question(image="image.png"), "missing_image"),
        (question(image="../../../problems.json"), "outside_root"),
        (question(split="../secret"), "bad_value"),
        ("not an object", "no_problem"),
        (None, "no_problem"),
    ],
)
def test_a_bad_question_is_rejected_alone(tmp_path: Path, collect: Any, broken: Any, reason: str) -> None:
    problems = {"1": question(), "2": broken, "3": question()}
    lists: dict[str, list[str]] = {"train": ["1", "2", "3"], "val": [], "test": []}
    outcome = collect(ScienceQa(root=folder(tmp_path, problems, lists)))
    assert outcome.ids == ["1", "3"]
    assert [(row.id, row.split, row.reason) for row in outcome.rejected] == [("2", "train", reason)]


def test_a_question_that_no_split_lists_is_rejected_and_one_that_is_only_listed_too(
    tmp_path: Path, collect: Any
) -> None:
    root = folder(tmp_path, {"1": question(), "2": question()}, {"train": ["1", "9"], "val": [], "test": []})
    outcome = collect(ScienceQa(root=root))
    assert [(row.id, row.reason) for row in outcome.rejected] == [("9", "no_problem"), ("2", "not_in_split")]


def test_a_question_listed_twice_is_read_once(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, {"1": question()}, {"train": ["1"], "val": [], "test": ["1"]})
    outcome = collect(ScienceQa(root=root))
    assert outcome.ids == ["1"]
    assert [(row.split, row.reason) for row in outcome.rejected] == [("test", "duplicate_id")]


def test_a_damaged_file_is_one_error_that_says_where(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, {str(n): question() for n in range(50)})
    text = json.dumps({str(n): question() for n in range(50)}, indent=1)
    middle = text.index('"choices"', len(text) // 2)
    (root / "problems.json").write_text(text[:middle] + text[middle + 12 :])
    with pytest.raises(DataError) as caught:
        collect(ScienceQa(root=root))
    line = text[:middle].count("\n") + 1
    found = int(caught.value.message.split("from line ")[1].split(",")[0])
    assert abs(found - line) <= 1
    assert "damaged" in caught.value.hint
    (root / "problems.json").write_bytes(text.encode()[:middle] + b"\xff" + text.encode()[middle:])
    with pytest.raises(DataError, match="not UTF-8 at byte"):
        collect(ScienceQa(root=root))
    (root / "problems.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="not usable JSON: nested too deep"):
        collect(ScienceQa(root=root))
    (root / "problems.json").write_text("[]")
    with pytest.raises(DataError, match="holds a list, an object is needed"):
        collect(ScienceQa(root=root))


def test_lists_that_are_missing_are_one_error(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, {"1": question()}, {"train": ["1"], "val": [], "test": []})
    with pytest.raises(DataError, match="no list of ids under 'minitrain'") as caught:
        collect(ScienceQa(root=root, subset="mini"))
    assert "train, val, test" in caught.value.hint


def test_pictures_may_lie_beside_the_questions(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, {"1": question(image="image.png")})
    (root / "images").rmdir()
    with pytest.raises(DataError, match="no folder of pictures"):
        collect(ScienceQa(root=root))
    save_picture(root / "train" / "1" / "image.png", 1)
    assert collect(ScienceQa(root=root)).examples[0].images[0].width == 48
