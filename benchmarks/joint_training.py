"""One training step on chain and label, three ways: time, memory, and that all three compute the same.

    python benchmarks/joint_training.py [--json] [--shape tiny|cpu|3b|7b] [--rounds N] [--micro N]
        [--attention sdpa|flex] [--compile] [--checkpointing] [--profile]

    published     two ordinary rows per example, each with Hugging Face's own loss over the full logits
    two_rows      the same rows, the head applied to target tokens only
    shared_prefix one row per example: prefix, chain branch, label branch

The two ordinary kinds run chain rows and label rows as two batches, each padded to its own longest row, which is their
best case. Lengths are those of the paper's data: 100 picture tokens, 140 to 250 prompt tokens, chains of 270 to 300
tokens, labels of 12. LoRA of rank 16 on all projections of the language model, dropout off, random weights.

Times are medians over alternating rounds in one process. Memory is the peak of one process per kind, on the CPU its
whole resident memory at the real vocabulary of 151 936. Limits at `cpu`: 1.8 times `published`, 1.35 times `two_rows`,
0.6 of the memory.

A step is computed in micro-batches of `--micro` examples, all kinds alike; each loss is divided by the target tokens of
the whole step. Weights are made on the device itself, in bf16 on a GPU.

FLOPs, for MFU: forward 2 and backward 2 per frozen weight and token, backward 4 per trained one; the head at target
tokens only; the frozen tower forward only, without its attention; 12 per layer, visible pair of tokens and channel for
attention. Padding and recomputation do no useful work and count nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from shapes import SHAPES, VOCABULARY, Shape, build, draw, wait
from torch import Tensor, nn

from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.network import KERNELS, Attention, Network
from mulcot.backbones.vlm.packing import PADDING, Batch, Counts, Layout, mask, pack
from mulcot.backbones.vlm.trainable_weights import trainable
from mulcot.objectives import JointObjective
from mulcot.objectives.total_loss import Joint

KINDS = ("published", "two_rows", "shared_prefix")
FORMULA = (
    "T (4 N_frozen + 6 N_lora) + 4 targets V D + 2 patches N_tower + 12 layers pairs D, per second of a shared-prefix "
    "step and peak FLOP/s; N without embeddings and head, the tower's merger per merged token"
)


# The three kinds. Each leaves the gradients of one step and returns its loss.


@contextmanager
def stock_patches(network: Network) -> Iterator[None]:
    """Pictures go through the family's own convolution, as they do without us."""
    embedding = network.inner.model.visual.patch_embed.proj
    ours = type(embedding)
    embedding.__class__ = nn.Conv3d
    yield
    embedding.__class__ = ours


def published(network: Network, examples: list[Encoded], micro: int) -> float:
    """As the published code trains, with the described weights: forward and backward per task, full logits."""
    with stock_patches(network):
        return two_losses(network, examples, micro)


def two_losses(network: Network, examples: list[Encoded], micro: int) -> float:
    """Hugging Face's own loss, task by task."""
    total = 0.0
    for weight, part in zip((0.8, 0.2), apart(examples), strict=True):
        targets = sum(len(branch.target) for each in part for branch in each.branches)
        for batch in batches(network, part, micro):
            labels_N = torch.full_like(batch.ids_BS, -100).flatten()
            labels_N[batch.targets.source_T + 1] = batch.targets.token_T
            out = network.inner(
                input_ids=batch.ids_BS,
                attention_mask=mask(batch, "sdpa").long(),
                position_ids=batch.positions_ABS,
                pixel_values=batch.pixels_NF,
                image_grid_thw=batch.grids_I3,
                labels=labels_N.view_as(batch.ids_BS),
                num_items_in_batch=targets,
            )
            (weight * out.loss).backward()
            total += weight * float(out.loss.detach())
    return total


def two_rows(network: Network, examples: list[Encoded], micro: int) -> float:
    """Ordinary rows, our head."""
    return learn(network, [batch for part in apart(examples) for batch in batches(network, part, micro)])


def shared_prefix(network: Network, examples: list[Encoded], micro: int) -> float:
    """Ours."""
    return learn(network, batches(network, examples, micro, "shared_prefix"))


def learn(network: Network, packed: list[Batch]) -> float:
    """Our objective over the micro-batches of one step."""
    joint, counts, total = Joint(network, JointObjective()), Counts(0, 0, 0, 0), 0.0
    for batch in packed:
        counts = counts.plus(batch.counts)
    for batch in packed:
        loss = joint(batch, counts).total
        loss.backward()
        total += float(loss.detach())
    return total


STEPS: dict[str, Callable[[Network, list[Encoded], int], float]] = {
    "published": published,
    "two_rows": two_rows,
    "shared_prefix": shared_prefix,
}


def apart(examples: list[Encoded]) -> list[list[Encoded]]:
    """The examples with their chains alone, and with their labels alone."""
    return [[replace(each, label=None) for each in examples], [replace(each, chain=None) for each in examples]]


def batches(network: Network, examples: list[Encoded], micro: int, layout: Layout = "two_rows") -> list[Batch]:
    """The micro-batches of one step."""
    parts = [examples[start : start + micro] for start in range(0, len(examples), micro)]
    return [pack(part, layout, 0).to(network.device) for part in parts]


# What is measured


@dataclass(frozen=True)
class Way:
    """How a step is computed; results are the same."""

    micro: int
    attention: Attention
    compiled: bool
    checkpointing: bool

    def build(self, shape: Shape, device: str) -> Network:
        """The model of a shape."""
        return build(shape, device, self.attention, compiled=self.compiled, checkpointing=self.checkpointing)


def times(network: Network, examples: list[Encoded], micro: int, rounds: int) -> dict[str, float]:
    """Median seconds of a step, kinds in turn so that drift hits all alike; the first round does not count."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds + 1):
        for kind in KINDS:
            network.zero_grad(set_to_none=True)
            wait(network)
            started = time.perf_counter()
            STEPS[kind](network, examples, micro)
            wait(network)
            seconds[kind].append(time.perf_counter() - started)
    return {kind: statistics.median(values[1:]) for kind, values in seconds.items()}


def differences(network: Network, examples: list[Encoded], micro: int) -> dict[str, float]:
    """How far ours is from the published way: the loss, and the worst gradient tensor, relative to its norm."""
    losses: dict[str, float] = {}
    grads: dict[str, list[Tensor]] = {}
    for kind in ("published", "shared_prefix"):
        network.zero_grad(set_to_none=True)
        losses[kind] = STEPS[kind](network, examples, micro)
        grads[kind] = [p.grad.clone() for p in trainable(network) if p.grad is not None]
    pairs = zip(grads["shared_prefix"], grads["published"], strict=True)
    return {
        "loss_rel_diff": abs(losses["shared_prefix"] / losses["published"] - 1),
        "grad_rel_diff": max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in pairs),
    }


def peak_gib(kind: str, shape: Shape, device: str, way: Way) -> float:
    """The peak memory of this process after one step."""
    STEPS[kind](way.build(shape, device), draw(shape), way.micro)
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def memory() -> dict[str, float]:
    """One fresh process per kind."""
    out = {}
    for kind in KINDS:
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", kind]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{kind} could not be measured")
        out[kind] = float(done.stdout)
    return out


def flops(network: Network, shape: Shape, examples: list[Encoded]) -> float:
    """Of one shared-prefix step, by the formula above."""
    text, tower = network.inner.model.language_model, network.inner.model.visual
    trained = sum(weight.numel() for weight in trainable(network))
    frozen = _weights(text, but="embed_tokens") - trained
    merger = _weights(tower.merger)
    patches = sum(len(each.pixels_NF) for each in examples if each.pixels_NF is not None)
    targets = sum(len(branch.target) for each in examples for branch in each.branches)
    tokens = sum(each.tokens for each in examples)
    return float(
        tokens * (4 * frozen + 6 * trained)
        + targets * 4 * shape.vocabulary * shape.hidden
        + patches * 2 * (_weights(tower) - merger)
        + patches // tower.spatial_merge_size**2 * 2 * merger
        + 12 * shape.layers * pairs(examples) * shape.hidden
    )


def _weights(module: nn.Module, but: str = " ") -> int:
    """Those that are multiplied with."""
    return sum(weight.numel() for name, weight in module.named_parameters() if weight.ndim > 1 and but not in name)


def pairs(examples: list[Encoded]) -> int:
    """How many pairs of tokens see each other, row by row."""
    batch = pack(examples, "shared_prefix", 0)
    real_BS = batch.branch_BS != PADDING
    return int((mask(batch, "sdpa")[:, 0] & real_BS[:, :, None]).sum())


def profile(network: Network, examples: list[Encoded], micro: int) -> str:
    """Where a shared-prefix step spends its time."""
    with torch.profiler.profile() as found:
        shared_prefix(network, examples, micro)
        wait(network)
    by = "self_device_time_total" if network.device.type == "cuda" else "self_cpu_time_total"
    return str(found.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60))


def measure(args: argparse.Namespace, shape: Shape, device: str, way: Way) -> dict[str, Any]:
    """All figures."""
    peak = memory()
    network, examples = way.build(shape, device), draw(shape)
    difference = differences(network, examples, way.micro)
    second = times(network, examples, way.micro, args.rounds)
    if args.profile:
        print(profile(network, examples, way.micro), file=sys.stderr)
    work = flops(network, shape, examples) / 1e12
    rows = sum(batch.ids_BS.numel() for part in apart(examples) for batch in batches(network, part, way.micro))
    own = sum(batch.ids_BS.numel() for batch in batches(network, examples, way.micro, "shared_prefix"))
    result = {
        "shape": args.shape,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        **asdict(way),
        "examples_per_step": shape.examples,
        "vocabulary": shape.vocabulary,
        "speedup_over_published": second["published"] / second["shared_prefix"],
        "speedup_over_two_rows": second["two_rows"] / second["shared_prefix"],
        **difference,
        "memory_ratio": peak["shared_prefix"] / peak["published"],
        "memory_vocabulary": max(shape.vocabulary, VOCABULARY),
        "seconds_per_step": second,
        "examples_per_second": {kind: shape.examples / value for kind, value in second.items()},
        "peak_gib": peak,
        "tokens_per_step": {"published": rows, "two_rows": rows, "shared_prefix": own},
        "tflop_per_step": work,
        "tflops_per_second": work / second["shared_prefix"],
        "mfu_formula": FORMULA,
    }
    if args.peak_tflops:
        result |= {"mfu": work / second["shared_prefix"] / args.peak_tflops, "peak_tflops": args.peak_tflops}
    return result


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--shape", choices=SHAPES, default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--micro", type=int, help="examples at once")
    parser.add_argument("--attention", choices=KERNELS, default="sdpa")
    parser.add_argument("--compile", action="store_true", help="compile every decoder layer")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations in the backward pass")
    parser.add_argument("--profile", action="store_true", help="show where a shared-prefix step spends its time")
    gpu = torch.cuda.is_available()
    parser.add_argument(
        "--peak-tflops", type=float, default=989.0 if gpu else None, help="for MFU: dense bf16 of a H200"
    )
    parser.add_argument("--peak-of", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    device, shape = "cuda" if gpu else "cpu", SHAPES[args.shape]
    way = Way(args.micro or shape.micro, args.attention, args.compile, args.checkpointing)
    try:
        if args.peak_of:
            wide = replace(shape, vocabulary=max(shape.vocabulary, VOCABULARY))
            print(peak_gib(args.peak_of, wide, device, way))
            return
        result = measure(args, shape, device, way)
    except torch.OutOfMemoryError as error:
        sys.exit(f"out of memory: lower --micro (now {way.micro}) or set --checkpointing. {error}")
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<24} {value}")


if __name__ == "__main__":
    main()
