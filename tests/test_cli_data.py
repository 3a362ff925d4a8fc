import json
import subprocess
import sys
from pathlib import Path

import pytest

from mulcot.datasets import datasets


def mulcot(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mulcot", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)


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
    assert mulcot("data", "check", "twitter", f"root={twitter}", "--strict").returncode == 0
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
