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

import forked
from mulcot.methods import method_named
from mulcot.recipe import load_recipe
from mulcot.rundir import RunFolder

KILLED = Path(__file__).parent / "killed_anywhere.py"
KILLS = 2
"""In each stage."""
FEW = {"train": 24, "dev": 6, "test": 6}
TRAINING = {"epochs": 2, "batch_size": 6, "checkpoint_minutes": 0.0005}
TEACHER = {"backend": {"name": "simulated", "skill": 0.7, "latency_ms": 5, "concurrency": 4}, "pilot": None}
STUDENT = {"backbone": {"name": "tiny", "size": "student"}, "training": TRAINING}
T5 = {
    "backbone": {"model": "tiny", "max_target": 64},
    "training": {**TRAINING, "micro_batch": 6, "learning_rate": 1e-3},
}
EVALUATE = {"decoding": {"max_tokens": 40}, "similarity": False, "batch_size": 3}
SECTIONS: dict[str, Any] = {
    "mulcot-rd": {
        "dataset": {"name": "synthetic", **FEW},
        "teacher": TEACHER,
        "assistant": STUDENT,
        "annotate": {"decoding": {"temperature": 0.7, "max_tokens": 40}, "shard": 5, "batch_size": 5},
        "student": STUDENT,
        "evaluate": {**EVALUATE, "faithfulness": 2},
    },
    "multimodal-cot": {
        "dataset": {"name": "synthetic_science", **FEW},
        "teacher": TEACHER,
        "features": {"extractor": {"name": "tiny"}, "batch_size": 2},
        "rationale": {**T5, "folds": 2, "authors": "teacher", "decoding": {"max_tokens": 30}, "shard": 5},
        "answer": {**T5, "rationales": "cross_fitted"},
        "evaluate": EVALUATE,
    },
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def recipe(folder: Path, method: str) -> Path:
    data = {"version": 1, "method": method, "output": str(folder / "run"), "seed": 3, **SECTIONS[method]}
    folder.mkdir()
    path = folder / "r.yaml"
    path.write_text(json.dumps(data), "utf-8")
    assert all(load_recipe(path).recipe.stage(name) for name in method_named(method).stages if name != "report")
    return path


def start(path: Path, *kill: str) -> subprocess.CompletedProcess[str]:
    return forked.run(str(KILLED), str(path), *kill, timeout=600)


def finished(path: Path, method: str, stage: str) -> bool:
    return RunFolder(path.parent / "run").stage(method_named(method).stages.index(stage) + 1, stage).record is not None


def results(path: Path) -> dict[str, Any]:
    """What must not depend on how often the run was killed."""
    run = path.parent / "run"
    found: dict[str, Any] = {}
    for pattern in ("*/*.jsonl", "*/model/*", "*/folds/*/model/*", "6-evaluate/predictions/*/*"):
        for file in sorted(run.glob(pattern)):
            if file.name != "metrics.jsonl":  # holds times
                found[file.relative_to(run).as_posix()] = file.read_bytes()
    found["scores"] = json.loads((run / "6-evaluate/scores.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("method", SECTIONS)
def test_killed_in_every_stage_the_run_ends_with_the_same_scores_and_weights(tmp_path: Path, method: str) -> None:
    calm = recipe(tmp_path / "calm", method)
    command = [sys.executable, str(KILLED), str(calm)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    took: dict[str, float] = json.loads(done.stdout)
    assert set(took) == {stage for stage in method_named(method).stages if load_recipe(calm).recipe.stage(stage)}

    path, dice, inside = recipe(tmp_path / "killed", method), random.Random(11), 0
    for stage, seconds in took.items():
        for _ in range(KILLS):
            killed = start(path, stage, str(dice.uniform(0.05, 0.9 / KILLS) * seconds))
            assert killed.returncode in (0, -signal.SIGKILL), killed.stderr
            inside += not finished(path, method, stage)
    assert inside >= len(took), "most kills must hit the stage that they were meant for"

    last = start(path)
    assert last.returncode == 0, last.stderr
    expected, found = results(calm), results(path)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    left = [file for file in (path.parent / "run").rglob("*.part*") if "superseded" not in file.parts]
    assert left == [], "nothing half written is left"
