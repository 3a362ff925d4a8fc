from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from mulcot.cli import app
from mulcot.tiny.sizes import Size, TrainingStage

SMALLEST = Size(
    width=64,
    inner=64,
    layers=2,
    keys=1,
    sight_width=32,
    sight_layers=1,
    seeing=TrainingStage(steps=1, batch=2, rate=1e-3),
    copying=TrainingStage(steps=1, batch=2, rate=1e-3),
    reading=TrainingStage(steps=1, batch=2, rate=1e-3),
)


def test_build_writes_the_chosen_model_and_says_what_it_can_do(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mulcot.tiny.sizes.SIZES", {"assistant": SMALLEST, "student": SMALLEST})
    monkeypatch.setattr("mulcot.cli.tiny.EXAMINED", 2)
    done = CliRunner().invoke(app, ["tiny", "build", "--out", str(tmp_path), "--which", "student"])
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["student"]
    assert json.loads((tmp_path / "student" / "config.json").read_text("utf-8"))["model_type"] == "qwen2_5_vl"
    for word in ("parameters", "captions", "reading", "labels"):
        assert word in done.stdout


def test_build_writes_the_t5_and_says_what_it_can_do(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mulcot.tiny.build_t5.build_t5.__defaults__", (TrainingStage(steps=1, batch=2, rate=1e-3),))
    monkeypatch.setattr("mulcot.cli.tiny.EXAMINED", 12)
    done = CliRunner().invoke(app, ["tiny", "build", "--out", str(tmp_path), "--which", "t5"])
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["t5"]
    assert (tmp_path / "t5" / "fusion.safetensors").is_file()
    for word in ("parameters", "lessons", "answers"):
        assert word in done.stdout


def test_an_unknown_model_is_refused(tmp_path) -> None:
    done = CliRunner().invoke(app, ["tiny", "build", "--out", str(tmp_path), "--which", "teacher"])
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_a_file_is_refused_before_forty_minutes_of_work(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(app, ["tiny", "build", "--out", str(tmp_path / "file")])
    assert "is a file" in str(done.exception)
