"""The loop as a whole, on a tiny real Qwen2.5-VL with random weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy import Posts, curve, train

import forked
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.errors import Interrupted, RunError, TrainingError
from mulcot.training.loop import Score

TOY = str(Path(__file__).parent / "toy.py")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    QwenVL.demo(folder)
    return folder


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def run(base: Path, folder: Path, *options: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    if processes == 1:
        return forked.run(TOY, str(base), str(folder), *options, timeout=300)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [*launch, TOY, str(base), str(folder), *options], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def undisturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(base, folder)
    return folder


def test_the_loss_falls_and_every_task_has_its_curve(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path, epochs=6)
    steps = [line for line in curve(tmp_path) if "loss" in line]
    assert len(steps) == 18
    assert steps[-1]["loss"] < 0.7 * steps[0]["loss"]
    assert {"chain", "label", "learning_rate", "gradient", "target_tokens"} <= set(steps[0])
    assert "soft_chain" not in steps[0]


def test_the_same_seed_gives_the_same_weights_bit_for_bit(base: Path, undisturbed: Path, tmp_path: Path) -> None:
    train(base, tmp_path)
    assert (tmp_path / "weights.txt").read_text() == (undisturbed / "weights.txt").read_text()
    assert curve(tmp_path) == curve(undisturbed)


def test_micro_batches_do_not_change_the_result(base: Path, tmp_path: Path) -> None:
    losses = []
    for micro in (1, 3, 4):
        folder = fresh(tmp_path / str(micro))
        train(base, folder, dropout=0.0, micro_batch=micro)
        losses.append([line["loss"] for line in curve(folder) if "loss" in line])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] == pytest.approx(losses[2], rel=1e-4)


@pytest.mark.parametrize("after", [9, pytest.param(15, marks=pytest.mark.slow)])
def test_a_killed_training_continues_to_the_same_weights(
    base: Path, undisturbed: Path, tmp_path: Path, after: int
) -> None:
    killed = run(base, tmp_path, f"kill={after}", "checkpoint_minutes=1e-9")
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "weights.txt").exists()
    done = run(base, tmp_path, "checkpoint_minutes=1e-9")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "weights.txt").read_text() == (undisturbed / "weights.txt").read_text()
    assert curve(tmp_path) == curve(undisturbed)


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_continues(base: Path, undisturbed: Path, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, TOY, str(base), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "metrics.jsonl").exists() or not (tmp_path / "metrics.jsonl").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the training ended before the signal came")
    assert process.returncode == 130
    assert "The same command continues" in out
    assert list((tmp_path / "checkpoints").glob("step-*"))
    assert run(base, tmp_path).returncode == 0
    assert (tmp_path / "weights.txt").read_text() == (undisturbed / "weights.txt").read_text()


def test_a_half_written_checkpoint_is_never_resumed_from(base: Path, undisturbed: Path, tmp_path: Path) -> None:
    half = tmp_path / "checkpoints" / "step-00000099"
    half.mkdir(parents=True)
    (half / "weights.safetensors").write_bytes(b"\0" * 100)
    train(base, tmp_path)
    assert (tmp_path / "weights.txt").read_text() == (undisturbed / "weights.txt").read_text()


def test_a_checkpoint_of_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path, epochs=1)
    newest = sorted((tmp_path / "checkpoints").glob("step-*"))[-1]
    (newest / "weights.safetensors").unlink()
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(1)}, newest / "weights.safetensors")
    with pytest.raises(RunError, match="other weights"):
        train(base, tmp_path, epochs=2)


def test_a_damaged_checkpoint_is_named_with_what_to_do(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path, epochs=2)
    newest = sorted((tmp_path / "checkpoints").glob("step-*"))[-1]
    (newest / "optimizer.safetensors").write_bytes(b"\0\1")
    with pytest.raises(RunError, match="step-00000006 is damaged") as found:
        train(base, tmp_path, epochs=3)
    assert "Delete it" in found.value.hint
    shutil.rmtree(newest)
    assert train(base, tmp_path, epochs=2).steps == 6


def test_full_memory_names_the_setting(base: Path, tmp_path: Path) -> None:
    class Greedy(Posts):
        def soft_targets(self, examples: object, device: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    with pytest.raises(TrainingError, match="toy, step 1: out of memory") as found:
        train(base, tmp_path, source=Greedy)
    assert "micro_batch (now 2)" in found.value.hint


def test_stopping_in_the_last_step_stops_as_well(base: Path, tmp_path: Path) -> None:
    def evaluate(machine: object) -> Score:
        os.kill(os.getpid(), signal.SIGTERM)
        return Score(0.5, 0.5)

    with pytest.raises(Interrupted, match="step 3"):
        train(base, tmp_path, evaluate=evaluate, epochs=1)
    assert train(base, tmp_path, epochs=1).steps == 3


def test_checkpoints_hold_no_pickle_and_only_what_learns(base: Path, undisturbed: Path) -> None:
    newest = sorted((undisturbed / "checkpoints").glob("step-*"))[-1]
    assert {path.suffix for path in newest.iterdir()} == {".safetensors", ".json"}
    assert all("lora" in name for name in load_file(newest / "weights.safetensors"))
    assert len(list((undisturbed / "checkpoints").iterdir())) <= 2


def test_the_best_state_is_kept_by_accuracy_then_tie(base: Path, tmp_path: Path) -> None:
    scores = iter([Score(0.5, 0.1), Score(0.7, 0.1), Score(0.7, 0.2), Score(0.7, 0.2), Score(0.6, 0.9)])
    result = train(base, tmp_path, evaluate=lambda machine: next(scores), epochs=5)
    assert result.best_step == 9
    assert (result.best.value, result.best.tie) == (0.7, 0.2)
    assert result.best_folder == tmp_path / "best" / "step-00000009"
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["step-00000009"]
    assert (result.best_folder / "preprocess.json").exists()


def test_patience_ends_the_training_early(base: Path, tmp_path: Path) -> None:
    result = train(base, tmp_path, epochs=20, patience=2)
    assert result.stopped_early
    assert result.steps == 9


def test_a_nan_ends_the_training_with_advice(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="learning_rate"):
        train(base, tmp_path, epochs=30, learning_rate=1e30)


def test_evaluation_does_not_disturb_the_draws_of_training(base: Path, undisturbed: Path, tmp_path: Path) -> None:
    def evaluate(machine: object) -> Score:
        torch.rand(100)
        return Score(0.5, 0.5)

    train(base, tmp_path, evaluate=evaluate)
    assert (tmp_path / "weights.txt").read_text() == (undisturbed / "weights.txt").read_text()


def test_two_processes_equal_one(base: Path, tmp_path: Path) -> None:
    """Dropout off, gloo on the CPU. Sums are taken in another order, hence the tolerance of 1e-4 on losses."""
    losses = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        done = run(base, folder, "epochs=3", "dropout=0.0", processes=processes)
        assert done.returncode == 0, done.stderr[-3000:]
        losses[processes] = [line["loss"] for line in curve(folder) if "loss" in line]
        newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
        losses[f"w{processes}"] = load_file(newest / "weights.safetensors")
        assert json.loads((newest / "state.json").read_text())["step"] == 9
    assert losses[1] == pytest.approx(losses[2], rel=1e-4)
    for name, weight in losses["w1"].items():
        assert torch.allclose(weight, losses["w2"][name], atol=1e-4), name


@pytest.mark.slow
def test_sharded_processes_train_save_and_continue_like_whole_ones(base: Path, tmp_path: Path) -> None:
    weights, curves = {}, {}
    for sharding in ("none", "full"):
        folder = tmp_path / sharding
        for epochs in (2, 3):  # the second continues the first
            folder.mkdir(exist_ok=True)
            done = forked.together(2, TOY, str(base), str(folder), f"epochs={epochs}", f'sharding="{sharding}"')
            assert done.returncode == 0, done.stderr[-3000:]
        newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
        assert newest.name == "step-00000009"
        weights[sharding] = load_file(newest / "weights.safetensors")
        curves[sharding] = [line["loss"] for line in curve(folder) if "loss" in line]
        best = load_file(next((folder / "best").iterdir()) / "adapter_model.safetensors")
        assert len(best) == len(weights[sharding])
    assert curves["full"] == pytest.approx(curves["none"], rel=1e-4)
    assert weights["full"].keys() == weights["none"].keys()
    for name, weight in weights["none"].items():
        assert torch.allclose(weight, weights["full"][name], atol=1e-4), name


def test_a_launcher_that_silently_runs_one_process_is_noticed(base: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "2")
    monkeypatch.delitem(os.environ, "RANK", raising=False)
    with pytest.raises((TrainingError, ValueError)):
        train(base, tmp_path)
