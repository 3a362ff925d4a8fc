"""The three stages together, in one process and in two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small import go, write_recipe

import forked
from mulcot.methods import MULCOT_RD
from mulcot.recipe import load_recipe


def test_a_run_from_posts_to_a_student(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    outcomes = {outcome.stage: outcome.record.counts for outcome in go(recipe)}
    assert tuple(outcomes) == MULCOT_RD.stages[: len(outcomes)]
    assert outcomes["assistant"]["lessons"] == outcomes["student"]["lessons"] == 40
    assert outcomes["annotate"]["sampled"] == 40
    assert outcomes["student"]["steps"] == 10
    assert all(outcome.skipped for outcome in go(recipe))
    assert (tmp_path / "run/5-student/model/adapter_model.safetensors").stat().st_size > 0


def launch(recipe: Path, output: Path, processes: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "mulcot", "run", str(recipe), f"output={output}", *options]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=env)


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One recipe in one process and in two."""
    folder = tmp_path_factory.mktemp("twice")
    recipe = write_recipe(folder, posts={"train": 12, "dev": 5, "test": 0})
    done = launch(recipe, folder / "two", 2)
    assert done.returncode == 0, done.stderr[-3000:]
    go(recipe, f"output={folder / 'one'}")
    return folder, done


@pytest.mark.slow
def test_two_processes_give_the_models_of_one(twice: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = twice
    for stage in ("3-assistant", "5-student"):
        one, two = (load_file(folder / run / stage / "model/adapter_model.safetensors") for run in ("one", "two"))
        assert one.keys() == two.keys()
        for name in one:
            assert torch.allclose(one[name], two[name], atol=1e-4), name
    accuracies = [
        (folder / run / "5-student/metrics.jsonl").read_text("utf-8").count("evaluation") for run in ("one", "two")
    ]
    assert accuracies == [2, 2]


@pytest.mark.slow
def test_sharded_processes_give_the_same_models(
    twice: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """The assistant is spread over both processes, the student is not: one run may do either."""
    folder, _ = twice
    words = (str(folder / "recipe.yaml"), f"output={folder / 'sharded'}", "assistant.training.sharding=full")
    done = forked.together(2, "-m", "mulcot", "run", *words)
    assert done.returncode == 0, done.stderr[-3000:]
    for stage in ("3-assistant", "5-student"):
        one, two = (load_file(folder / run / stage / "model/adapter_model.safetensors") for run in ("one", "sharded"))
        assert one.keys() == two.keys()
        for name in one:
            assert torch.allclose(one[name], two[name], atol=1e-4), name


@pytest.mark.slow
def test_only_the_first_process_writes_and_speaks(twice: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = twice
    assert done.stderr.count("student: 0 of") == 1
    assert done.stderr.count("annotate: chains: 0 of") == 1
    assert sum(line.startswith("student ") for line in done.stdout.splitlines()) == 1
    assert (folder / "two/5-student/metrics.jsonl").read_text("utf-8").count('"step": 1,') == 1
    names = {run: sorted(p.relative_to(folder / run) for p in (folder / run).rglob("*")) for run in ("one", "two")}
    extra = {path.name for path in set(names["two"]) - set(names["one"])}
    assert extra == set()


@pytest.mark.slow
def test_a_finished_run_is_skipped_by_all_processes(twice: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = twice
    done = forked.together(2, "-m", "mulcot", "run", str(folder / "recipe.yaml"), f"output={folder / 'two'}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("student: unchanged, skipped") == 1


def test_a_helping_process_ends_with_the_first_ones_error(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, posts={"train": 4, "dev": 0, "test": 0})
    assert load_recipe(recipe).recipe.assistant is not None
    (tmp_path / "chains.json").write_text("no chains", "utf-8")
    done = launch(recipe, tmp_path / "run", 2)
    assert done.returncode != 0
    assert "chains.json" in done.stderr
