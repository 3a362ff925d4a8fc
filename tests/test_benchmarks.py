"""The figures that benchmarks count instead of measuring, and that they name what they promise."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import forked

HERE = Path(__file__).parents[1] / "benchmarks"


ASKED_BY_A_BENCHMARK = """
import json, os, runpy, subprocess, sys
def fork(command, **_):
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(into, 1)
        sys.argv = command[1:]
        runpy.run_path(command[1], run_name="__main__")
        sys.stdout.flush()
        os._exit(0)
    os.close(into)
    text = open(out).read()
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text)
subprocess.run = fork
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a benchmark whose own processes are forks, so that none of them has to import torch again."""


def run(name: str, *options: str) -> dict[str, Any]:
    done = forked.run("-c", ASKED_BY_A_BENCHMARK, str(HERE / f"{name}.py"), "--json", *options)
    assert done.returncode in {0, 1}, done.stderr[
        -2000:
    ]  # 1: slower than the limit, which this machine does not decide
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_steps_flops_equal_a_count_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import joint_training as bench

    shape = replace(bench.SHAPES["tiny"], examples=1)
    (example,) = bench.draw(shape)
    prefix, chain, label = (len(part) for part in (example.prefix, example.chain.target, example.label.target))
    tokens = prefix + 20 + chain + 20 + label
    # Two layers: q and o 64 x 64, k and v 64 x 32 (two of four heads), three feed-forward matrices of 64 x 128.
    frozen = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)
    # Adapters of rank 16 on all seven: 16 x (in + out).
    lora = 2 * 16 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))
    head = 4 * (chain + label) * 1024 * 64
    # The tower: patches of 2 x 3 x 14 x 14 values, two layers of 32 with a gated feed-forward part of 64, 400 patches.
    tower = 2 * 400 * (1176 * 32 + 2 * (3 * 32 * 32 + 32 * 32 + 3 * 32 * 64))
    # Its merger takes four patches at once: 128 to 128 to 64.
    merger = 2 * 100 * (128 * 128 + 128 * 64)
    # A token sees itself, what came before in its branch, and the prefix.
    own, other = 20 + chain, 20 + label
    seen = prefix * (prefix + 1) // 2 + own * prefix + own * (own + 1) // 2 + other * prefix + other * (other + 1) // 2
    attention = 12 * 2 * seen * 64
    expected = tokens * (4 * frozen + 6 * lora) + head + tower + merger + attention
    counted = bench.flops(bench.build(shape, "cpu", "sdpa"), shape, [example])
    assert counted == expected


def test_micro_batches_and_checkpointing_change_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import joint_training as bench
    import torch

    shape = replace(bench.SHAPES["tiny"], examples=3)
    examples = bench.draw(shape)
    gradients = []
    for micro, checkpointing in ((3, False), (2, True)):
        for step in bench.STEPS.values():
            network = bench.build(shape, "cpu", "sdpa", checkpointing=checkpointing)
            step(network, examples, micro)
            gradients.append(torch.cat([weight.grad.flatten() for weight in bench.trainable(network)]))
    for each in gradients[1:]:
        assert (each - gradients[0]).norm() <= 1e-4 * gradients[0].norm()


@pytest.mark.slow
def test_joint_training_names_what_it_promises() -> None:
    found = run("joint_training", "--shape", "tiny", "--rounds", "1", "--checkpointing", "--peak-tflops", "1")
    keys = {"speedup_over_published", "speedup_over_two_rows", "loss_rel_diff", "grad_rel_diff", "memory_ratio"}
    assert keys | {"examples_per_second", "peak_gib", "mfu", "mfu_formula"} <= found.keys()
    assert found["loss_rel_diff"] < 1e-5
    assert found["grad_rel_diff"] < 1e-4
    assert found["mfu"] == pytest.approx(found["tflop_per_step"] / found["seconds_per_step"]["shared_prefix"])


@pytest.mark.slow
def test_student_memory_names_what_it_promises() -> None:
    found = run("student_memory", "--shape", "tiny", "--rounds", "1")
    for kind in ("stored", "resident"):
        assert found[kind].keys() == {"seconds_per_step", "peak_gib"}
    assert {"speedup", "memory_ratio"} <= found.keys()


@pytest.mark.slow
def test_the_loader_names_what_it_promises() -> None:
    root = os.environ.get("MULCOT_DATA", "")
    if not (Path(root) / "twitter2015").is_dir() or not root:
        pytest.skip("MULCOT_DATA does not name a folder that holds twitter2015")
    found = run("loader", "--rows", "40")
    for kind in ("lazy", "eager"):
        assert {"rows_per_second", "peak_mib"} <= found[kind].keys()
