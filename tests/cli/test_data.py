import io
import json
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest

from mulcot.cli import main
from mulcot.datasets import datasets


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def mulcot(*words: str, cwd: Path | None = None) -> Done:
    """The command, in this process: starting Python for each would take most of the time."""
    out, err = io.StringIO(), io.StringIO()
    with (
        chdir(cwd or Path.cwd()),
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["mulcot", *words]),
        pytest.raises(SystemExit) as caught,
    ):
        main()
    return Done(int(caught.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture
def twitter(tmp_path: Path) -> Path:
    datasets.get("twitter").demo(tmp_path)
    return tmp_path


def test_stats_prints_json_and_nothing_else_on_stdout(twitter: Path) -> None:
    done = mulcot("data", "stats", "twitter", f"root={twitter}", "--json")
    assert done.returncode == 0
    data = json.loads(done.stdout)
    assert set(data) == {"dataset", "task", "splits", "rejected", "leakage", "cleaning"}
    assert data["splits"]["train"]["count"] > 0


def test_stats_takes_nested_options_and_counts_what_cleaning_changed(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"text": "hi @anna \U0001f600", "label": "positive", "split": "train"}\n', "utf-8"
    )
    done = mulcot(
        "data", "stats", "files", "path=x.jsonl", "text.emoji=words", "text.mask_users=true", "--json", cwd=tmp_path
    )
    assert json.loads(done.stdout)["cleaning"] == {"users": 1, "emoji": 1}


def test_check_fails_where_something_must_be_done_and_says_what(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": "happy"}\n{"text": "b", "label": "sad"}\n', "utf-8")
    done = mulcot("data", "check", "files", "path=x.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert "not usable yet" in done.stdout
    as_json = mulcot("data", "check", "files", "path=x.jsonl", "--json", cwd=tmp_path)
    assert json.loads(as_json.stdout)["ok"] is False
    assert as_json.returncode == 1


def test_check_passes_good_data_and_strict_fails_on_warnings(twitter: Path) -> None:
    assert mulcot("data", "check", "twitter", f"root={twitter}").returncode == 0
    many = ("synthetic", "train=60", "dev=30", "test=30", "hard=0")
    assert mulcot("data", "check", *many, "--strict").returncode == 0
    few = mulcot("data", "check", "twitter", f"root={twitter}", "limit=1")
    assert few.returncode == 0
    assert "no row labelled" in few.stdout
    assert mulcot("data", "check", "twitter", f"root={twitter}", "limit=1", "--strict").returncode == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["data", "stats"], "a dataset's name is needed"),
        (["data", "stats", "twiter"], "Did you mean 'twitter'?"),
        (["data", "stats", "twitter", "rot=x"], "Did you mean 'root'?"),
        (["data", "stats", "twitter", "root=/nonexistent"], "/nonexistent"),
        (["data", "stats", "twitter", "root"], "key.path=value"),
        (["data", "export", "twitter", "root=x", "--to", "xml", "--out", "o"], "Known: hf, jsonl, parquet, sharegpt"),
        (["data", "export", "twitter", "root=x", "--to", "hf", "--out", "."], "is the current folder"),
        (["data", "preview", "twitter", "root=x", "--out", "."], "is a folder"),
        (["run", "absent.yaml"], "cannot be read"),
        (["status", "."], "not a run folder"),
        (["list", "dataset"], "Did you mean 'datasets'?"),
    ],
)
def test_a_mistake_ends_in_calm_lines_without_a_traceback(words: list[str], complaint: str, tmp_path: Path) -> None:
    done = mulcot(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_preview_and_export_write_what_they_say(twitter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = mulcot("data", "preview", "twitter", f"root={twitter}", "--out", str(out / "p.html"))
    assert done.returncode == 0
    assert (out / "p.html").stat().st_size > 1000
    done = mulcot("data", "export", "twitter", f"root={twitter}", "--to", "jsonl", "--out", str(out / "e"))
    assert done.returncode == 0
    assert (out / "e" / "train.jsonl").exists()


def test_stats_shows_a_table_for_people(twitter: Path) -> None:
    done = mulcot("data", "stats", "twitter", f"root={twitter}")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("twitter, task aspect_sentiment")
    assert lines[1].split()[:5] == ["split", "examples", "positive", "neutral", "negative"]
    assert lines[2].split()[0] == "train"
    assert "rejected rows: 0" in lines


def test_the_task_can_be_another_one_than_the_datasets_usual(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "q", "choices": ["a", "b"], "label": "B", "split": "train"}\n', "utf-8")
    done = mulcot("data", "stats", "files", "path=x.jsonl", "--task", "multiple_choice", "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (data["task"], data["splits"]["train"]["labels"]) == ("multiple_choice", {"B": 1})


def test_a_recipe_stands_in_for_name_and_options(twitter: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"version: 1\ndataset: {{name: twitter, root: {twitter}}}\n", "utf-8")
    by_recipe = mulcot("data", "stats", "--recipe", str(recipe), "--json")
    by_name = mulcot("data", "stats", "twitter", f"root={twitter}", "--json")
    assert by_recipe.returncode == 0
    assert by_recipe.stdout == by_name.stdout


def test_data_cannot_steer_the_terminal(tmp_path: Path) -> None:
    name = "train-\x1b[31m\udcff.jsonl"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_text('{"text": "[red]a", "label": "positive"}\n{broken\n', "utf-8")
    done = mulcot("data", "stats", "files", "path=d", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "train-\\x1b[31m\\udcff.jsonl:2" in done.stdout
    as_json = mulcot("data", "stats", "files", "path=d", "--json", cwd=tmp_path)
    assert json.loads(as_json.stdout)["rejected"]["examples"]["bad_json"][0]["source"] == f"{name}:2"


def test_a_closed_pipe_ends_quietly(twitter: Path) -> None:
    command = f"'{sys.executable}' -m mulcot data stats twitter root='{twitter}' --json 2>err.txt | true"
    subprocess.run(["sh", "-c", command], cwd=twitter, timeout=60, check=False)
    assert "Traceback" not in (twitter / "err.txt").read_text("utf-8")
    assert "BrokenPipe" not in (twitter / "err.txt").read_text("utf-8")
