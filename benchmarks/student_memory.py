"""One step of the student with stored soft labels against one with the assistant in memory: time and memory.

    python benchmarks/student_memory.py [--json] [--shape tiny|cpu|3b] [--rounds N]

Both train the same student on the same examples with the same objective, shared prefix, LoRA and AdamW included, each
in a process of its own. `stored` reads the 64 largest logits per target token from disk, as the student stage does;
`resident` runs an assistant of about twice the student's size (at `3b` the real 7B shape) over every batch. Random
weights; lengths as in `joint_training.py`. Memory is the peak of the whole process on the CPU, of the allocator on a
GPU. Limits: the stored kind is no slower and needs no more memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from shapes import SHAPES, Shape, build, draw

from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.network import Network
from mulcot.backbones.vlm.packing import Batch, hidden_states, pack
from mulcot.backbones.vlm.trainable_weights import trainable
from mulcot.objectives.settings import DistillationObjective
from mulcot.objectives.soft_targets import InMemoryTeacher, soft_labels
from mulcot.objectives.total_loss import BatchSoftTargets, Joint
from mulcot.rundir import write_json
from mulcot.training.items import ids_hash
from mulcot.training.soft_label_store import SoftIndex, SoftLabelStore

KINDS = ("stored", "resident")
TEMPERATURE, K = 2.0, 64
ASSISTANTS = {
    "tiny": replace(SHAPES["tiny"], hidden=96, layers=3),
    "cpu": replace(SHAPES["cpu"], hidden=768, layers=10, intermediate=4096),
    "3b": SHAPES["7b"],
}
Teach = Callable[[list[Encoded], Batch], BatchSoftTargets]


def store(folder: Path, shape: str, device: str) -> None:
    """What annotate would leave, for the student's examples."""
    assistant, examples = build(ASSISTANTS[shape], device, "sdpa"), draw(SHAPES[shape])
    width = SHAPES[shape].vocabulary
    batch = pack(examples, "shared_prefix", 0).to(device)
    with assistant.answering(), torch.no_grad():
        hidden_TD = hidden_states(assistant, batch)[batch.targets.source_T]
    found = soft_labels(hidden_TD, assistant.head_VD, K, (TEMPERATURE,), width)
    tensors = {"ids_TK": found.ids_TK.int(), "logits_TK": found.logits_TK, "lse_RT": found.lse_RT}
    classes = {"classes_EQ": torch.zeros(len(examples), 3)}
    save_file({name: value.cpu() for name, value in (tensors | classes).items()}, folder / "shard-00000.safetensors")
    rows = [
        {"key": each.id, "hash": ids_hash(each), "tokens": sum(len(branch.target) for branch in each.branches)}
        for each in examples
    ]
    write_json(folder / "shard-00000.json", {"rows": rows})
    index = SoftIndex(
        model="", preprocessing={}, k=K, temperatures=(TEMPERATURE,), width=width, rows_per_shard=len(rows),
        rows=len(rows), keys="",
    )  # fmt: skip
    write_json(folder / "index.json", index.to_json())


def teacher(kind: str, folder: Path, shape: str, device: str) -> Teach:
    """What says how the assistant thinks about a batch."""
    if kind == "stored":
        stored = SoftLabelStore.read(folder)
        return lambda examples, batch: stored.soft_targets(examples, TEMPERATURE, torch.device(device))
    assistant: Network = build(ASSISTANTS[shape], device, "sdpa")
    width = SHAPES[shape].vocabulary

    def teach(examples: list[Encoded], batch: Batch) -> BatchSoftTargets:
        with assistant.answering(), torch.no_grad():
            hidden_TD = hidden_states(assistant, batch)[batch.targets.source_T]
        return BatchSoftTargets(InMemoryTeacher(hidden_TD, assistant.head_VD, TEMPERATURE, width))

    return teach


def measure(kind: str, folder: Path, shape: str, device: str, rounds: int) -> dict[str, float]:
    """The median time of a step and the peak memory of this process; the first step does not count."""
    own: Shape = SHAPES[shape]
    teach = teacher(kind, folder, shape, device)
    student, examples = build(own, device, "sdpa"), draw(own)
    joint = Joint(student, DistillationObjective(temperature=TEMPERATURE))
    optimizer: Any = torch.optim.AdamW(trainable(joint), lr=1e-4)
    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        batch = pack(examples, "shared_prefix", 0).to(device)
        joint(batch, batch.counts, teach(examples, batch)).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    on_gpu = device == "cuda"
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else _resident_gib()
    return {"seconds_per_step": statistics.median(seconds[1:]), "peak_gib": peak}


def _resident_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def apart(kind: str, folder: str, args: argparse.Namespace) -> dict[str, float]:
    """The same in a fresh process."""
    command = [sys.executable, __file__, "--shape", args.shape, "--rounds", str(args.rounds)]
    done = subprocess.run([*command, "--part", kind, folder], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--shape", choices=ASSISTANTS, default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.part:
        kind, folder = args.part
        if kind == "store":
            store(Path(folder), args.shape, device)
            print("{}")
        else:
            print(json.dumps(measure(kind, Path(folder), args.shape, device, args.rounds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        apart("store", folder, args)
        size = (Path(folder) / "shard-00000.safetensors").stat().st_size
        found = {kind: apart(kind, folder, args) for kind in KINDS}
    stored, resident = (found[kind] for kind in KINDS)
    examples = SHAPES[args.shape].examples
    result = {
        "shape": args.shape,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "examples_per_step": examples,
        "speedup": resident["seconds_per_step"] / stored["seconds_per_step"],
        "memory_ratio": stored["peak_gib"] / resident["peak_gib"],
        "stored": stored,
        "resident": resident,
        "stored_kib_per_example": size / examples / 1024,
    }
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<24} {value}")
    if stored["seconds_per_step"] > resident["seconds_per_step"] or stored["peak_gib"] > resident["peak_gib"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
