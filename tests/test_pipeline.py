import json
import os
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest

import forked
from mulcot.cli.check import check
from mulcot.errors import MulcotError, NothingUsable, RunError, UnknownName
from mulcot.pipeline import between, left_undone, run, status
from mulcot.progress import Reporter
from mulcot.recipe import load_recipe
from mulcot.records import Example, Rejected, read_lines
from mulcot.rundir import BROKEN_OFF, RunFolder, write_text

QUIET = Reporter.silent()
ROWS = [
    {"text": "a fine day", "label": "positive", "split": "train"},
    {"text": "rain again", "label": "negative", "split": "train"},
    {"text": "it is monday", "label": "neutral", "split": "dev"},
    {"text": "odd", "label": "sideways", "split": "test"},
]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    path = tmp_path / "r.yaml"
    path.write_text(
        f"version: 1\noutput: {tmp_path}/run\ndataset: {{name: files, path: {tmp_path}/posts.jsonl}}\n", "utf-8"
    )
    return path


def go(recipe: Path, *overrides: str) -> list[tuple[str, bool]]:
    outcomes = run(load_recipe(recipe, list(overrides)), QUIET, last="dataset")
    return [(outcome.stage, outcome.skipped) for outcome in outcomes]


def test_a_run_keeps_every_row_as_an_example_or_as_a_rejection(recipe: Path, tmp_path: Path) -> None:
    assert go(recipe) == [("dataset", False)]
    folder = tmp_path / "run" / "1-dataset"
    assert [example.text for example in read_lines(folder / "examples.jsonl", Example)] == [r["text"] for r in ROWS[:3]]
    assert [row.source for row in read_lines(folder / "rejected.jsonl", Rejected)] == ["posts.jsonl:4"]
    record = json.loads((folder / "stage.json").read_text("utf-8"))
    assert record["counts"] == {"examples": 3, "train": 2, "dev": 1, "rejected": 1}
    assert set(record["outputs"]) == {"examples.jsonl", "rejected.jsonl", "statistics.json"}
    assert {"mulcot", "python", "packages", "cpu"} <= set(record["provenance"])


def test_an_unchanged_run_is_skipped_and_nothing_is_written_again(recipe: Path, tmp_path: Path) -> None:
    go(recipe)
    before = (tmp_path / "run" / "1-dataset" / "stage.json").stat().st_mtime_ns
    assert go(recipe) == [("dataset", True)]
    assert (tmp_path / "run" / "1-dataset" / "stage.json").stat().st_mtime_ns == before


def test_changed_settings_task_seed_or_source_make_it_run_again(recipe: Path, tmp_path: Path) -> None:
    go(recipe)
    assert go(recipe, "dataset.limit=1") == [("dataset", False)]
    assert go(recipe, "dataset.limit=1", "seed=2") == [("dataset", False)]
    with (tmp_path / "posts.jsonl").open("a") as file:
        file.write(json.dumps(ROWS[0]) + "\n")
    assert go(recipe, "dataset.limit=1", "seed=2") == [("dataset", False)]
    assert go(recipe, "dataset.limit=1", "seed=2") == [("dataset", True)]


def test_the_same_run_gives_the_same_bytes(recipe: Path, tmp_path: Path) -> None:
    go(recipe)
    go(recipe, f"output={tmp_path}/other")
    for name in ("examples.jsonl", "rejected.jsonl", "statistics.json"):
        one, two = (tmp_path / run / "1-dataset" / name for run in ("run", "other"))
        assert one.read_bytes() == two.read_bytes()


def test_an_interrupted_stage_is_not_taken_for_whole(recipe: Path, tmp_path: Path) -> None:
    go(recipe)
    (tmp_path / "run" / "1-dataset" / "stage.json").unlink()
    assert status(tmp_path / "run")[0][:2] == ("1-dataset", "unfinished")
    assert go(recipe) == [("dataset", False)]
    assert status(tmp_path / "run")[0][:2] == ("1-dataset", "finished")


def test_no_variable_is_ever_written_expanded(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret-place"
    secret.mkdir()
    (tmp_path / "posts.jsonl").rename(secret / "posts.jsonl")
    monkeypatch.setenv("PIPELINE_TEST_ROOT", str(secret))
    text = recipe.read_text().replace(f"{tmp_path}/posts.jsonl", '"${PIPELINE_TEST_ROOT}/posts.jsonl"')
    recipe.write_text(text)
    go(recipe)
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            assert b"secret-place" not in path.read_bytes(), path


def test_a_dataset_without_a_usable_row_is_an_error(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"text": "a", "label": "sideways"}\n')
    with pytest.raises(NothingUsable, match="no usable example among 1 rows: "):
        go(recipe)
    assert status(tmp_path / "run")[0][1] == "unfinished"


def test_stages_are_chosen_by_name() -> None:
    stages = ("dataset", "teacher", "report")
    assert between(stages, None, None) == stages
    assert between(stages, "teacher", None) == ("teacher", "report")
    assert between(stages, "teacher", "teacher") == ("teacher",)
    with pytest.raises(UnknownName, match="Did you mean 'teacher'"):
        between(stages, "techer", None)
    with pytest.raises(MulcotError, match="comes after"):
        between(stages, "report", "dataset")


def test_check_reads_the_data_and_reports_what_is_missing(recipe: Path, tmp_path: Path) -> None:
    verdict = check(load_recipe(recipe), QUIET)
    assert verdict.problems == ()
    assert verdict.statistics is not None
    assert verdict.statistics.summary()["examples"] == 3
    (tmp_path / "posts.jsonl").unlink()
    problems = check(load_recipe(recipe), QUIET).problems
    assert len(problems) == 1
    assert "posts.jsonl" in problems[0]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        status(tmp_path)


def mulcot(*words: str) -> subprocess.CompletedProcess[str]:
    return forked.run("-m", "mulcot", *words)


def test_the_commands_run_check_and_status_agree(recipe: Path, tmp_path: Path) -> None:
    assert "ready" in mulcot("check", str(recipe)).stdout
    done = mulcot("run", str(recipe))
    assert done.returncode == 0, done.stderr
    assert "examples 3" in done.stdout
    shown = json.loads(mulcot("status", str(tmp_path / "run"), "--json").stdout)
    assert [(stage["name"], stage["state"]) for stage in shown["stages"]] == [("1-dataset", "finished")]
    assert "skipped" in mulcot("run", str(recipe)).stderr


def test_a_closed_pipe_is_no_error(recipe: Path) -> None:
    schema = f"{sys.executable} -m mulcot recipe schema | head -1"
    done = subprocess.run(["bash", "-c", schema], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("{", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_run_folder_that_cannot_be_written_is_a_clear_error(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(RunError, match="cannot be written"):
        go(recipe, f"output={tmp_path}/closed/run")


def test_a_stage_is_outdated_once_an_earlier_one_holds_something_else(recipe: Path, tmp_path: Path) -> None:
    with recipe.open("a") as file:
        file.write(
            "teacher: {backend: {name: imported, path: " + str(tmp_path / "chains.jsonl") + "}, min_accepted: 0}\n"
        )
    (tmp_path / "chains.jsonl").write_text('{"text": "rain again", "cot": "x"}\n', "utf-8")
    run(load_recipe(recipe), QUIET, last="teacher")
    folder = tmp_path / "run"
    assert [state for _, state, _ in status(folder)] == ["finished", "finished"]
    go(recipe, "dataset.limit=1")
    assert [state for _, state, _ in status(folder)] == ["finished", "outdated"]
    go(recipe)
    assert [state for _, state, _ in status(folder)] == ["finished", "finished"]
    (folder / "1-dataset" / "examples.jsonl").unlink()
    assert [state for _, state, _ in status(folder)] == ["finished", "outdated"]


def test_a_stage_kept_under_another_recipe_is_said_to_be(recipe: Path, tmp_path: Path) -> None:
    with recipe.open("a") as file:
        file.write(
            "teacher: {backend: {name: imported, path: " + str(tmp_path / "chains.jsonl") + "}, min_accepted: 0}\n"
        )
    (tmp_path / "chains.jsonl").write_text('{"text": "rain again", "cot": "x"}\n', "utf-8")
    go(recipe)
    for overrides, said in (([], False), (["dataset.limit=1"], True)):
        stream = StringIO()
        run(load_recipe(recipe, overrides), Reporter("lines", stream=stream), first="teacher", last="teacher")
        assert ("dataset: kept, although the recipe" in stream.getvalue()) == said


def test_check_refuses_a_run_folder_that_cannot_be_written(recipe: Path) -> None:
    verdict = check(load_recipe(recipe, [f"output={recipe}/run"]), QUIET)
    assert verdict.problems == (f"output: {recipe}/run cannot be written",)


STUDENT = ("teacher.backend.name=simulated", "assistant.backbone.name=tiny", "annotate.samples=0",
           "student.backbone.name=tiny")  # fmt: skip


def rejected(recipe: Path, tmp_path: Path) -> None:
    """Leaves fewer rows that can be used than rows that cannot."""
    rows = [*ROWS[:2], *({"text": f"row {n}", "label": "sideways"} for n in range(5))]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def test_warnings_are_kept_and_stand_at_the_end_of_every_later_run(recipe: Path, tmp_path: Path) -> None:
    rejected(recipe, tmp_path)
    for _ in range(2):
        done = mulcot("run", str(recipe), "--to", "dataset")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith("warning: dataset: rejected rows: 5 of 7")
    assert "dataset: unchanged, skipped" in done.stderr
    assert "warning: rejected rows" in mulcot("status", str(tmp_path / "run")).stdout
    path = tmp_path / "run" / "1-dataset" / "stage.json"
    kept = json.loads(path.read_text("utf-8"))
    assert len(kept["warnings"]) == 1
    del kept["warnings"]
    path.write_text(json.dumps(kept), "utf-8")
    old = status(tmp_path / "run")[0][2]
    assert old is not None
    assert old.warnings == ()


def test_a_recipe_that_trains_nothing_says_so(recipe: Path) -> None:
    checked = mulcot("check", str(recipe))
    assert checked.returncode == 0
    assert checked.stdout.splitlines()[-1] == "ready, but it trains nothing"
    done = mulcot("run", str(recipe))
    assert done.returncode == 0
    assert "nothing is trained: the recipe has no section 'teacher', so a run ends after dataset" in done.stdout
    assert done.stdout.splitlines()[-1].lstrip().startswith("Add teacher")
    assert "nothing is trained" not in mulcot("run", str(recipe), "--to", "dataset").stdout
    assert left_undone(load_recipe(recipe, ["evaluate.limit=3"]).recipe).text.endswith("and does not reach evaluate")  # type: ignore[union-attr]


def test_a_run_ends_after_its_data_where_a_later_stage_will_not_find_what_it_needs(
    recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(ROWS[0] | {"text": f"{n}"}) + "\n" for n in range(3)))
    loaded = load_recipe(recipe, [*STUDENT, "dataset.limit=2"])
    with pytest.raises(NothingUsable, match="every training example has the label 'positive'") as caught:
        run(loaded, QUIET)
    assert "first 2 rows" in caught.value.hint
    assert not (tmp_path / "run" / "2-teacher").exists(), "nothing was asked"
    assert "the label 'positive'" in check(loaded, QUIET).problems[0]


def test_statistics_that_were_spoiled_are_named_with_what_to_do(recipe: Path, tmp_path: Path) -> None:
    go(recipe)
    (tmp_path / "run" / "1-dataset" / "statistics.json").write_text('{"splits": {"train": {}}}', "utf-8")
    with pytest.raises(RunError, match=r"statistics\.json cannot be read"):
        run(load_recipe(recipe, list(STUDENT)), QUIET, first="teacher", last="teacher")


def test_a_helping_process_ends_when_the_first_one_ends_with_an_error(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_recipe(recipe)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(ZeroDivisionError), folder.locked():
        raise ZeroDivisionError
    assert not folder.broken_off(time.time() + 1), "that of an earlier attempt ends nobody"
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(time, "sleep", lambda _: write_text(folder.path / BROKEN_OFF, ""))
    with pytest.raises(RunError, match="the first process has ended with an error"):
        run(loaded, QUIET, last="dataset")
