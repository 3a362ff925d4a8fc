from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from made_runs import make_run
from mulcot.cli import app
from mulcot.errors import MulcotError, RunError


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def two(folder: Path) -> tuple[str, str]:
    first = make_run(folder / "first", count=40, skills={"student": 1.0})
    second = make_run(folder / "second", count=40, skills={"student": 0.2}, recipe={"seed": 9})
    return str(first), str(second)


def test_results_pairs_recipes_and_cost_stand_side_by_side(tmp_path: Path) -> None:
    shown = run("compare", *two(tmp_path))
    assert "set test" in shown
    assert "100.0 [100.0, 100.0]" in shown
    assert "first is better" in shown
    assert [line.split() for line in shown.splitlines() if line.strip().startswith("seed")] == [["seed", "3", "9"]]
    assert "0.12 EUR" in shown


def test_json_holds_the_same_numbers(tmp_path: Path) -> None:
    found = json.loads(run("compare", *two(tmp_path), "--json"))
    assert [one["accuracy"] == 1.0 for one in found["sets"]["test"]["models"]["student"]] == [True, False]
    assert found["pairs"][0]["verdict"] == "first is better"
    assert found["recipe"] == {"seed": ["3", "9"]}


def test_a_page_is_written_on_demand(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    run("compare", *two(tmp_path), "--out", str(out))
    html = out.read_text("utf-8")
    assert "first is better" in html
    assert "<script" not in html
    assert "default-src &#39;none&#39;" in html


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    first, _ = two(tmp_path)
    with pytest.raises(RunError, match="is not a run folder"):
        run("compare", first, str(tmp_path))
    with pytest.raises(MulcotError, match="nothing to compare"):
        run("compare", first)


def test_a_page_that_cannot_be_written_is_told_before_anything_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("runs were compared")

    monkeypatch.setattr("mulcot.report.comparison.compare_runs", refuse)
    with pytest.raises(MulcotError, match="is a folder"):
        run("compare", "first", "second", "--out", str(tmp_path))
