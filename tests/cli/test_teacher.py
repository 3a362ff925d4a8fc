from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mulcot.cli import app
from mulcot.errors import MulcotError, NothingUsable, StageMissing

CHAIN = "\n".join(
    f'"{name}": "{" ".join(f"{name[:3].lower()}{number}" for number in range(12))}"'
    for name in ("Text_analysis", "Image_analysis", "Conflict_resolution", "Final_conclusion")
)


def write_recipe(folder: Path, backend: str) -> Path:
    """Three posts and chains for two of them."""
    posts = [{"id": f"p{n}", "text": f"day {n}", "label": "positive", "split": "train"} for n in range(3)]
    chains = [{"text": f"day {n}", "cot": CHAIN + '\n"Prediction": "positive"'} for n in range(2)]
    (folder / "posts.jsonl").write_text("\n".join(map(json.dumps, posts)), "utf-8")
    (folder / "chains.json").write_text(json.dumps(chains), "utf-8")
    recipe = folder / "r.yaml"
    recipe.write_text(
        f"version: 1\noutput: {folder / 'run'}\ntask: {{name: sentiment}}\n"
        f"dataset: {{name: files, path: {folder / 'posts.jsonl'}}}\n" + backend,
        "utf-8",
    )
    return recipe


def imported(folder: Path) -> Path:
    return write_recipe(folder, f"teacher: {{backend: {{name: imported, path: {folder / 'chains.json'}}}}}\n")


def call(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_recipe_with_existing_chains_runs_and_is_shown_and_reviewed(tmp_path: Path) -> None:
    recipe, run = imported(tmp_path), tmp_path / "run"
    assert "imported 2  failed 1" in call("run", recipe)
    assert "unchanged" in call("run", recipe)
    assert "why there is no chain" in call("teacher", "summary", run)
    assert json.loads(call("teacher", "summary", run, "--json"))["accepted"] == {"imported": 2}
    assert "2 examples" in call("teacher", "review", run, "--out", tmp_path / "review.html")
    page = (tmp_path / "review.html").read_text("utf-8")
    assert page.count("<article") == 2
    assert "Chains of run" in page


def test_another_budget_or_pilot_does_not_make_finished_work_stale(tmp_path: Path) -> None:
    recipe = imported(tmp_path)
    call("run", recipe)
    out = call("run", recipe, "teacher.budget.requests=5", "teacher.pilot=null", "teacher.cache=x.sqlite")
    assert "unchanged" in out.splitlines()[1]
    assert "unchanged" not in call("run", recipe, "teacher.preset=published").splitlines()[1]


def test_a_changed_file_of_chains_is_read_again(tmp_path: Path) -> None:
    recipe = imported(tmp_path)
    call("run", recipe)
    chains = json.loads((tmp_path / "chains.json").read_text("utf-8"))
    (tmp_path / "chains.json").write_text(json.dumps(chains[:1]), "utf-8")
    assert "imported 1  failed 2" in call("run", recipe)


def test_an_estimate_asks_nothing_and_needs_no_key(tmp_path: Path) -> None:
    backend = (
        "teacher:\n  backend: {name: openai_compatible, base_url: 'http://127.0.0.1:9/v1', model: m, "
        "api_key_env: MULCOT_TEST_UNSET}\n  prices: {prompt_per_million: 2, completion_per_million: 8, currency: EUR}\n"
    )
    recipe = write_recipe(tmp_path, backend)
    found = json.loads(call("teacher", "estimate", recipe, "--json"))
    assert (found["basis"], found["examples"], found["currency"]) == ("formula", 3, "EUR")
    assert found["money"] > 0
    assert "EUR" in call("teacher", "estimate", recipe)
    assert not (tmp_path / "run" / "2-teacher" / "ledger.sqlite").exists()


def test_an_unset_key_is_found_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULCOT_TEST_UNSET", raising=False)
    backend = "teacher: {backend: {name: openai_compatible, base_url: 'http://127.0.0.1:9/v1', model: m, "
    recipe = write_recipe(tmp_path, backend + "api_key_env: MULCOT_TEST_UNSET}}\n")
    result = CliRunner().invoke(app, ["check", str(recipe)])
    assert result.exit_code == 1
    assert "MULCOT_TEST_UNSET" in result.stdout


def test_without_the_section_or_the_stage_it_is_said_clearly(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "")
    call("run", recipe)
    with pytest.raises(MulcotError, match="no section teacher"):
        call("teacher", "estimate", recipe)
    with pytest.raises(StageMissing, match="no stage teacher"):
        call("teacher", "summary", tmp_path / "run")


def test_ratings_are_summarised(tmp_path: Path) -> None:
    for rater, value in (("Ann", 5), ("Ben", 4)):
        row = {"example_id": "p0", "chain": "c", "stage": 1, "label": "positive", "values": {"correctness": value}}
        (tmp_path / f"{rater}.json").write_text(json.dumps({"format": 1, "rater": rater, "ratings": [row]}), "utf-8")
    files = [tmp_path / "Ann.json", tmp_path / "Ben.json"]
    assert "1 chains rated by 2: Ann, Ben" in call("teacher", "ratings", *files)
    assert json.loads(call("teacher", "ratings", *files, "--json"))["questions"]["correctness"]["mean"] == 4.5


def test_chains_that_are_there_already_cost_nothing(tmp_path: Path) -> None:
    recipe = imported(tmp_path)
    assert "no request is sent, nothing is paid" in call("teacher", "estimate", recipe)
    found = json.loads(call("teacher", "estimate", recipe, "--json"))
    assert (found["basis"], found["requests"], found["money"]) == ("imported", 0, 0.0)


def test_chains_that_were_too_few_can_be_read(tmp_path: Path) -> None:
    recipe, run = imported(tmp_path), tmp_path / "run"
    with pytest.raises(NothingUsable, match="2 of 3 training examples"):
        call("run", recipe, "teacher.min_accepted=0.9")
    assert "why there is no chain" in call("teacher", "summary", run)
    assert "2 examples" in call("teacher", "review", run, "--out", tmp_path / "review.html")
    assert "unfinished" in call("status", run).splitlines()[-1]
    assert "imported 2  failed 1" in call("run", recipe, "teacher.min_accepted=0.6")
