from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from made_runs import make_run
from mulcot.errors import RunError
from mulcot.report.example_gallery import draw_cases, outcome_of
from mulcot.report.run import read_run


def test_the_same_seed_draws_the_same_cases_and_another_one_others(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "r", count=60))
    first, again, other = (draw_cases(run, 10, seed) for seed in (1, 1, 2))
    assert [c.example.id for c in first.cases] == [c.example.id for c in again.cases]
    assert [c.example.id for c in first.cases] != [c.example.id for c in other.cases]
    assert (len(first.cases), first.whole) == (10, 60)


def test_rare_outcomes_are_drawn_too(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", count=200, skills={"assistant": 1.0, "student": 1.0})
    path = folder / "6-evaluate/predictions/test/student.jsonl"
    lines = path.read_text("utf-8").splitlines()
    wrong = {**json.loads(lines[77]), "label": "negative"}
    path.write_text("\n".join([*lines[:77], json.dumps(wrong), *lines[78:]]) + "\n", "utf-8")
    counts = Counter(case.outcome for case in draw_cases(read_run(folder), 9, 0).cases)
    assert counts == {"all right": 8, "only assistant right": 1}


def test_a_case_shows_every_chain_field_by_field(tmp_path: Path) -> None:
    case = draw_cases(read_run(make_run(tmp_path / "r")), 1, 0).cases[0]
    assert [voice.title for voice in case.voices] == ["teacher", "assistant", "student"]
    assert [name for name, _ in case.rows] == ["Text analysis", "Image analysis"]
    assert dict(case.rows)["Image analysis"][0] == "", "the teacher's chain has no such field"
    assert all(len(texts) == 3 for _, texts in case.rows)


def test_an_answer_that_is_missing_is_no_disaster(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", count=3)
    path = folder / "6-evaluate/predictions/test/student.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    rows[0] = {"source": "test:1", "reason": "missing_image", "detail": "gone", "id": rows[0]["id"]}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    case = next(c for c in draw_cases(read_run(folder), 3, 0).cases if c.example.id == rows[0]["id"])
    student = next(o for o in case.main if o.model == "student")
    assert (student.label, student.right, student.problem) == (None, False, "missing image")


def test_sets_whose_examples_are_elsewhere_are_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    (folder / "1-dataset/examples.jsonl").write_text("")
    drawn = draw_cases(read_run(folder), 5, 0)
    assert (drawn.cases, drawn.elsewhere, drawn.whole) == ([], ["test"], 0)


@pytest.mark.parametrize("name", ["1-dataset/examples.jsonl", "6-evaluate/predictions/test/student.jsonl"])
def test_a_damaged_file_is_told(tmp_path: Path, name: str) -> None:
    folder = make_run(tmp_path / "r")
    (folder / name).write_text('{"id": 1\n')
    with pytest.raises(RunError, match="is damaged"):
        draw_cases(read_run(folder), 5, 0)


def test_outcomes_are_told_in_words() -> None:
    assert outcome_of((("student", True),)) == "right"
    assert outcome_of((("assistant", False), ("student", False))) == "all wrong"
    assert outcome_of((("assistant", False), ("student", True))) == "only student right"
