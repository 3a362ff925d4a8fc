from __future__ import annotations

from pathlib import Path

import pytest

from made_runs import make_run
from mulcot.errors import MulcotError
from mulcot.evaluation.published_numbers import benchmark, published
from mulcot.report.chain_sources import costs, learned, sources
from mulcot.report.comparison import NOT_SET, compare_runs
from mulcot.report.run import read_run


def test_runs_are_paired_on_the_examples_they_share(tmp_path: Path) -> None:
    good = make_run(tmp_path / "good", count=80, skills={"student": 1.0})
    bad = make_run(tmp_path / "bad", count=60, skills={"student": 0.2}, seed=1)
    found = compare_runs([good, bad])
    (pair,) = found.pairs
    assert (pair.model, pair.shared, pair.only_second) == ("student", 60, 0)
    assert pair.difference == pytest.approx(pair.only_first / 60)
    assert pair.interval[0] < pair.difference < pair.interval[1]
    assert pair.verdict == "good is better"
    assert found.notes == ["set test: the runs were evaluated on different numbers of examples"]


def test_examples_with_another_right_label_are_not_paired(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "a", count=4), make_run(tmp_path / "b", count=4)
    path = second / "1-dataset/examples.jsonl"
    path.write_text(path.read_text().replace('"label":"positive"', '"label":"negative"', 1))
    assert {pair.shared for pair in compare_runs([first, second]).pairs} == {3}


def test_recipe_lines_that_differ_are_listed_and_no_others(tmp_path: Path) -> None:
    first = make_run(tmp_path / "a", recipe={"output": "x", "seed": 4, "student": {"objective": {"soft": 0.1}}})
    found = compare_runs([first, make_run(tmp_path / "b", recipe={"output": "y"})])
    assert dict(found.settings) == {
        "seed": ["4", "3"],
        "student.objective.soft": ["0.1", NOT_SET],
        "student.backbone": [NOT_SET, "tiny"],
    }


def test_a_run_without_scores_is_noted_and_compared_in_the_rest(tmp_path: Path) -> None:
    half = make_run(tmp_path / "half", stages=("dataset", "teacher"))
    found = compare_runs([make_run(tmp_path / "whole"), half])
    assert "half has not been evaluated" in found.notes
    assert found.tables[0].lines[0].cells[1] is None
    assert found.pairs == []
    assert found.columns[1].tokens == 1000


def test_one_run_alone_cannot_be_compared(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a")
    with pytest.raises(MulcotError, match="nothing to compare"):
        compare_runs([folder, tmp_path / "." / "a"])


def test_runs_of_the_same_name_are_told_apart_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    found = compare_runs([make_run(tmp_path / "x/r"), make_run(tmp_path / "y/r")])
    assert [column.name for column in found.columns] == [str(tmp_path / "x/r"), str(tmp_path / "y/r")]


def test_the_flow_counts_every_chain_once(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "r"))
    teacher, assistant = sources(run)
    assert [(part.name, part.number) for part in teacher.parts] == [
        ("found alone", 3), ("with the label given", 0), ("given up", 1),
    ]  # fmt: skip
    assert sum(part.number for part in assistant.parts) == assistant.whole == 4
    assert assistant.parts[1].note == "incomplete 1"
    assert learned(run) == [("assistant", 7), ("student", 7)]
    assert sum(cost.share for cost in costs(run)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("dataset", "name", "accuracy"),
    [
        ({"name": "twitter", "root": "${DATA}/twitter2015/"}, "Twitter-2015", 0.868),
        ({"name": "twitter", "root": "/d/Twitter2017"}, "Twitter-2017", None),
        ({"name": "mvsa", "variant": "single", "root": "x"}, "MVSA-Single", 0.836),
        ({"name": "mvsa", "root": "d/MVSA_multiple"}, "MVSA-Multiple", 0.772),
        ({"name": "mvsa", "root": "x"}, None, None),
        ({"name": "synthetic"}, None, None),
        ("twitter", None, None),
    ],
)
def test_published_numbers_stand_beside_their_own_dataset_only(
    dataset: object, name: str | None, accuracy: float | None
) -> None:
    recipe = {"dataset": dataset}
    assert benchmark(recipe) == name
    assert [row.accuracy for row in published(recipe)] == ([] if accuracy is None else [accuracy])
