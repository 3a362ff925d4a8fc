from __future__ import annotations

import hashlib
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from small import go, write_recipe

import forked
from mulcot.errors import TrainingError

KILLED = str(Path(__file__).parent / "killed.py")


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe whose soft labels are there: of the whole vocabulary, at temperature 2."""
    folder = tmp_path_factory.mktemp("annotated")
    recipe = write_recipe(folder, posts={"train": 12, "dev": 4, "test": 0})
    go(recipe, "annotate.top_k=100000", last="annotate")
    return folder


def student(annotated: Path, folder: Path, *options: str) -> dict[str, Any]:
    """Trains a student in a copy of the run; returns its counts."""
    if not folder.exists():
        shutil.copytree(annotated / "run", folder)
    options = (f"output={folder}", "annotate.top_k=100000", *options)
    found: dict[str, Any] = go(annotated / "recipe.yaml", *options, first="student")[-1].record.counts
    return found


def curve(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "5-student" / "metrics.jsonl").read_text("utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "5-student/model/adapter_model.safetensors").read_bytes()).hexdigest()


def test_a_killed_student_continues_to_the_same_weights_bit_for_bit(annotated: Path, tmp_path: Path) -> None:
    dropout = 'student.backbone.lora={"dropout": 0.1}'
    student(annotated, tmp_path / "undisturbed", dropout)
    shutil.copytree(annotated / "run", tmp_path / "killed")
    options = (f"output={tmp_path / 'killed'}", "annotate.top_k=100000", dropout)
    slow = "student.training.checkpoint_minutes=1e-9"
    done = forked.run(KILLED, str(annotated / "recipe.yaml"), "21", *options, slow)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert 0 < len(curve(tmp_path / "killed")) < len(curve(tmp_path / "undisturbed"))
    student(annotated, tmp_path / "killed", dropout)
    assert weights(tmp_path / "killed") == weights(tmp_path / "undisturbed")
    assert curve(tmp_path / "killed") == curve(tmp_path / "undisturbed")


@pytest.mark.parametrize("option", ["student.objective.classes=0", "student.objective.classes=1"])
def test_stored_and_online_give_the_same_losses_where_everything_was_stored(
    annotated: Path, tmp_path: Path, option: str
) -> None:
    stored, online = tmp_path / "stored", tmp_path / "online"
    student(annotated, stored, option)
    student(annotated, online, option, "student.soft_labels=online")
    steps = 0
    for one, two in zip(curve(stored), curve(online), strict=True):
        names = {"loss", "chain", "label", "soft_chain", "soft_label", "classes"} & set(one)
        assert names == {"loss", "chain", "label", "soft_chain", "soft_label", "classes"} & set(two)
        assert {name: one[name] for name in names} == pytest.approx(
            {name: two[name] for name in names}, rel=1e-4, abs=1e-6
        )
        steps += "soft_chain" in names
        assert ("classes" in names) == (option[-1] == "1" and "loss" in one)
    assert steps == 4


def test_without_soft_labels_it_learns_from_the_hard_ones_alone(annotated: Path, tmp_path: Path) -> None:
    student(annotated, tmp_path / "none", "student.soft_labels=none")
    student(annotated, tmp_path / "zero", "student.objective.soft=0")
    assert not [name for line in curve(tmp_path / "none") for name in line if name.startswith("soft")]
    assert weights(tmp_path / "none") == weights(tmp_path / "zero")


def test_a_temperature_that_was_not_declared_is_refused(annotated: Path, tmp_path: Path) -> None:
    student(annotated, tmp_path / "whole", "student.objective.temperature=3")  # everything was stored
    shutil.copytree(annotated / "run", tmp_path / "some")
    recipe, output = annotated / "recipe.yaml", f"output={tmp_path / 'some'}"
    go(recipe, output, "annotate.top_k=8", last="annotate")
    with pytest.raises(TrainingError, match="stored for temperature 2, not 3"):
        go(recipe, output, "annotate.top_k=8", "student.objective.temperature=3")


def test_other_pictures_than_the_assistants_are_refused(annotated: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="other token ids"):
        student(annotated, tmp_path / "stored", "student.backbone.image_size=84")
    with pytest.raises(TrainingError, match=r"differently \(pictures\)"):
        student(annotated, tmp_path / "online", "student.backbone.image_size=84", "student.soft_labels=online")


def test_two_ordinary_rows_give_the_same_student(annotated: Path, tmp_path: Path) -> None:
    student(annotated, tmp_path / "shared")
    student(annotated, tmp_path / "rows", "student.backbone.layout=two_rows")
    losses = [[line["loss"] for line in curve(tmp_path / name) if "loss" in line] for name in ("shared", "rows")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_what_distillation_is_worth_is_trained_beside_it_and_continued(annotated: Path, tmp_path: Path) -> None:
    plain = student(annotated, tmp_path / "plain")
    options = ("student.without_distillation=true",)
    counts = student(annotated, tmp_path / "both", *options)
    assert weights(tmp_path / "both") == weights(tmp_path / "plain"), "the student itself stays as it is"
    assert counts["without_distillation_steps"] == counts["steps"] == plain["steps"]
    alone = tmp_path / "both/5-student/without_distillation"
    lines = [json.loads(line) for line in (alone / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert not [name for line in lines for name in line if "chain" in name or "soft" in name]
    made = (alone / "model/adapter_model.safetensors").read_bytes()
    shutil.rmtree(alone)
    (tmp_path / "both/5-student/stage.json").unlink()
    assert student(annotated, tmp_path / "both", *options) == counts
    assert (alone / "model/adapter_model.safetensors").read_bytes() == made
