from __future__ import annotations

import re
from pathlib import Path

import pytest

from made_runs import make_run
from mulcot import methods
from mulcot.evaluation.scores import SetScores
from mulcot.media import Gallery, Store
from mulcot.methods import MULCOT_RD, MULTIMODAL_COT, Method, Step
from mulcot.report.diagnosis import diagnose
from mulcot.report.pages.report import report_html
from mulcot.report.pages.report_parts import View, headline
from mulcot.report.pages.thumbnails import Thumbnails
from mulcot.report.results import final_model, ordered
from mulcot.report.run import Run, read_run

RELAY = Method(
    "relay",
    steps=(
        Step("dataset"),
        Step("student", trains=True),
        Step("student_small", trains=True),
        Step("pupil", trains=True),
        Step("evaluate"),
    ),
    floors=("majority",),
)
"""Its final model is called otherwise, and models of other methods are on its way."""


@pytest.fixture(autouse=True)
def relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(methods._methods, RELAY.name, RELAY)


def made(folder: Path, *models: str, method: str = RELAY.name) -> Run:
    return read_run(make_run(folder, recipe={"method": method}, skills=dict.fromkeys(models, 0.7)))


def evaluated(run: Run) -> SetScores:
    assert run.scores is not None
    return run.scores.sets["test"]


def page(run: Run) -> str:
    return report_html(View(run, Thumbnails(Gallery(None, Store(run.path / "1-dataset/pictures")), 1_000_000), 2))


def test_the_headline_is_about_the_last_model_of_the_run_s_own_method(tmp_path: Path) -> None:
    run = made(tmp_path / "r", "answer", "student", "pupil", "assistant", "teacher")
    html = page(run)
    assert "The <strong>pupil</strong> names the right label" in html
    assert re.findall(r'<tr class="own"><th scope="row"><bdi>(.*?)</bdi>', html) == ["pupil"]
    result = headline(View(run, Thumbnails(Gallery(None, Store(run.path)), 0)))["result"]
    assert [row.model for row in result["beside"]] == ["teacher", "student", "majority"]


def test_what_was_not_evaluated_leaves_the_headline_to_the_model_before_it(tmp_path: Path) -> None:
    found = evaluated(made(tmp_path / "r", "answer", "student", "teacher"))
    assert [final_model(found, plan) for plan in (RELAY, MULCOT_RD, MULTIMODAL_COT)] == ["student", "student", "answer"]
    assert final_model(evaluated(made(tmp_path / "s", "answer", "teacher")), MULCOT_RD) == "teacher"
    assert final_model(evaluated(made(tmp_path / "t", "answer")), MULCOT_RD) is None


def test_only_the_final_model_is_held_against_the_baselines(tmp_path: Path) -> None:
    """The made runs compare the student, which is not what this method is for."""
    assert "model against baselines" in diagnose(made(tmp_path / "r", "student", "pupil")).unknown
    assert "model against baselines" not in diagnose(made(tmp_path / "s", "student", method="mulcot-rd")).unknown


def test_models_stand_where_their_name_says_and_not_where_it_begins(tmp_path: Path) -> None:
    names = ("studious", "students", "student_small_generated", "student_small", "student_generated", "student")
    found = ordered(evaluated(made(tmp_path / "r", *names)).models)
    assert [name for name in found if name != "majority"] == [
        "student_generated", "student", "student_small_generated", "student_small", "studious", "students",
    ]  # fmt: skip
