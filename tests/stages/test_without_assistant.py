"""MulCoT-RD without its assistant: the student learns from the teacher's chains alone, and everything after it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from small import go, write_recipe

from mulcot.cli.check import check
from mulcot.errors import RecipeError
from mulcot.export.model import export_model
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.report.comparison import compare_runs
from mulcot.report.run import read_run

OFF = ("assistant=null", "annotate=null", "student.chains=teacher", "student.soft_labels=none")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = write_recipe(tmp_path, posts={"train": 8, "dev": 4, "test": 4})
    written = yaml.safe_load(path.read_text("utf-8"))
    written["evaluate"] = {"decoding": {"max_tokens": 8}, "faithfulness": 1, "similarity": False}
    path.write_text(yaml.safe_dump(written), "utf-8")
    return path


def test_a_run_without_an_assistant_goes_through_evaluation_and_report(recipe: Path, tmp_path: Path) -> None:
    found = check(load_recipe(recipe, list(OFF)), Reporter.silent())
    assert (found.problems, found.undone) == ((), None)
    outcomes = go(recipe, *OFF)
    assert [outcome.stage for outcome in outcomes] == ["dataset", "teacher", "student", "evaluate", "report"]
    made = read_run(tmp_path / "run")
    assert made.scores is not None
    assert set(made.scores.sets["test"].models) == {"student", "majority", "text_only", "image_only"}
    assert made.file("report", "report.html") is not None
    shutil.copytree(tmp_path / "run", tmp_path / "other")
    compared = compare_runs([tmp_path / "run", tmp_path / "other"])
    assert {pair.model for pair in compared.pairs} == {"student"}
    export_model(tmp_path / "run", "merged", tmp_path / "model")
    card = (tmp_path / "model/README.md").read_text("utf-8")
    assert "- Student learned from all of this" in card and "- Assistant" not in card
    assert all(outcome.skipped for outcome in go(recipe, *OFF))


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("student.chains=all", "student.chains: all reads the assistant's chains: add the section annotate, or set"),
        ("student.soft_labels=stored", "student.soft_labels: stored learns the assistant's opinion: add the section"),
        ("student.soft_labels=online", "add the section assistant, or set student.soft_labels: none"),
        ("annotate={}", "annotate: asks the assistant, and there is none"),
        ("evaluate.models=[assistant, student]", "evaluate.models: names the assistant, and there is none"),
    ],
)
def test_sections_that_need_the_assistant_are_refused_with_the_line_to_change(
    recipe: Path, override: str, problem: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, [*OFF, override])
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]
    assert f"{recipe}:" in caught.value.problems[0]


def test_the_assistants_opinion_without_weight_needs_no_assistant(recipe: Path) -> None:
    options = (*OFF[:3], "student.soft_labels=stored", "student.objective.soft=0")
    assert "assistant" not in load_recipe(recipe, list(options)).recipe.described()
