"""A whole run that is killed in every stage, again and again, ends as one that nobody disturbed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mulcot.pipeline import METHODS
from mulcot.recipe import load_recipe
from mulcot.rundir import RunFolder

KILLED = Path(__file__).parent / "killed_anywhere.py"
STAGES = METHODS["mulcot-rd"]
KILLS = 2
"""In each stage."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def recipe(folder: Path) -> Path:
    training = {"epochs": 2, "batch_size": 6, "checkpoint_minutes": 0.0005}
    backbone = {"name": "tiny", "size": "student"}
    data = {
        "version": 1,
        "output": str(folder / "run"),
        "seed": 3,
        "dataset": {"name": "synthetic", "train": 24, "dev": 6, "test": 6},
        "teacher": {"backend": {"name": "simulated", "skill": 0.7, "latency_ms": 5, "concurrency": 4}, "pilot": None},
        "assistant": {"backbone": backbone, "training": training},
        "annotate": {"decoding": {"temperature": 0.7, "max_tokens": 40}, "shard": 5, "batch_size": 5},
        "student": {"backbone": backbone, "training": training},
        "evaluate": {"decoding": {"max_tokens": 40}, "similarity": False, "faithfulness": 2, "batch_size": 3},
    }
    folder.mkdir()
    path = folder / "r.yaml"
    path.write_text(json.dumps(data), "utf-8")
    assert all(load_recipe(path).recipe.stage(name) for name in STAGES if name != "report")
    return path


def start(path: Path, *kill: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(KILLED), str(path), *kill]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def finished(path: Path, stage: str) -> bool:
    return RunFolder(path.parent / "run").stage(STAGES.index(stage) + 1, stage).record is not None


def results(path: Path) -> dict[str, Any]:
    """What must not depend on how often the run was killed."""
    run = path.parent / "run"
    found: dict[str, Any] = {}
    for pattern in ("*/*.jsonl", "5-student/model/*", "3-assistant/model/*.safetensors", "6-evaluate/predictions/*/*"):
        for file in sorted(run.glob(pattern)):
            if file.name != "metrics.jsonl":  # holds times
                found[file.relative_to(run).as_posix()] = file.read_bytes()
    found["scores"] = json.loads((run / "6-evaluate/scores.json").read_text("utf-8"))
    return found


def test_killed_in_every_stage_the_run_ends_with_the_same_scores_and_weights(tmp_path: Path) -> None:
    calm = recipe(tmp_path / "calm")
    done = start(calm)
    assert done.returncode == 0, done.stderr
    took: dict[str, float] = json.loads(done.stdout)
    assert set(took) == {stage for stage in STAGES if load_recipe(calm).recipe.stage(stage)}

    path, dice, inside = recipe(tmp_path / "killed"), random.Random(11), 0
    for stage, seconds in took.items():
        for _ in range(KILLS):
            killed = start(path, stage, str(dice.uniform(0.05, 0.9 / KILLS) * seconds))
            assert killed.returncode in (0, -signal.SIGKILL), killed.stderr
            inside += not finished(path, stage)
    assert inside >= len(took), "most kills must hit the stage that they were meant for"

    last = start(path)
    assert last.returncode == 0, last.stderr
    expected, found = results(calm), results(path)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    left = [file for file in (path.parent / "run").rglob("*.part*") if "superseded" not in file.parts]
    assert left == [], "nothing half written is left"
