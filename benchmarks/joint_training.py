"""One training step on chain and label, three ways: time, memory, and that all three compute the same.

    python benchmarks/joint_training.py [--json] [--shape tiny|cpu|3b|7b] [--rounds N] [--attention sdpa|flex]

    published     two ordinary rows per example, each with Hugging Face's own loss over the full logits
    two_rows      the same rows, the head applied to target tokens only
    shared_prefix one row per example: prefix, chain branch, label branch

The two ordinary kinds run chain rows and label rows as two batches, each padded to its own longest row, which is their
best case. Lengths are those of the paper's data: 100 picture tokens, 140 to 250 prompt tokens, chains of 270 to 300
tokens, labels of 12. LoRA of rank 16 on all projections of the language model, dropout off, random weights.

Times are medians over alternating rounds in one process. Memory is the peak of one process per kind, on the CPU its
whole resident memory at the real vocabulary of 151 936. Limits at `cpu`: 1.8 times `published`, 1.35 times `two_rows`,
0.6 of the memory.

FLOPs, for MFU: forward 2 and backward 2 per frozen weight and token, 4 backward per trained one, the head at target
tokens only, the frozen tower forward only, 12 per layer, visible pair of tokens and channel for attention.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

from mulcot.backbones.base import Lora
from mulcot.backbones.runtime.network import KERNELS, Attention, Network
from mulcot.backbones.runtime.positions import rope_positions
from mulcot.backbones.runtime.quiet import quiet
from mulcot.backbones.runtime.tuning import add_adapters, trainable
from mulcot.backbones.runtime.windows import group_windows
from mulcot.encoded import Branch, Encoded
from mulcot.objectives import JointObjective
from mulcot.objectives.joint import Joint
from mulcot.objectives.rows import PADDING, Batch, mask, pack

VOCABULARY = 151_936
KINDS = ("published", "two_rows", "shared_prefix")
GRID = (1, 20, 20)
"""A picture of 280 x 280: 100 tokens."""
PICTURE = 5


@dataclass(frozen=True)
class Shape:
    """Sizes of a model and of its batch."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vision: dict[str, Any]
    vocabulary: int = VOCABULARY
    examples: int = 16


SHAPES = {
    "tiny": Shape(64, 2, 4, 2, 128, {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64}, 1024, 2),
    "cpu": Shape(
        512, 8, 8, 4, 2752, {"depth": 8, "hidden_size": 256, "num_heads": 8, "intermediate_size": 1024}, 49_152, 2
    ),
    "3b": Shape(2048, 36, 16, 2, 11_008, {"hidden_size": 1280}),
    "7b": Shape(3584, 28, 28, 4, 18_944, {"hidden_size": 1280}, 152_064),
}


def build(shape: Shape, device: str, attention: Attention) -> Network:
    """The real architecture with random weights and adapters that already do something."""
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "intermediate_size": shape.intermediate,
            "vocab_size": shape.vocabulary,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections(shape)},
        },
        vision_config={**shape.vision, "out_hidden_size": shape.hidden},
        image_token_id=PICTURE,
        video_token_id=PICTURE + 1,
        tie_word_embeddings=shape.vocabulary == VOCABULARY,
    )
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = AutoModelForImageTextToText.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    model.config.get_text_config()._attn_implementation = KERNELS[attention]
    group_windows(model)
    with quiet():
        tuned = add_adapters(model.requires_grad_(False), Lora(dropout=0), ("language",))
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return Network(tuned.to(device).train(), attention)


def sections(shape: Shape) -> list[int]:
    """How the rope axes share a head, in the proportion of the real models."""
    half = shape.hidden // shape.heads // 2
    rest = half * 3 // 8
    return [half - 2 * rest, rest, rest]


def draw(shape: Shape) -> list[Encoded]:
    """Examples of the paper's lengths; the question is part of the prompt's length."""
    rng = np.random.default_rng(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(rng.integers(PICTURE + 2, shape.vocabulary, count).tolist())

    made = []
    for number in range(shape.examples):
        ask = 20
        prefix = (*tokens(20), *[PICTURE] * 100, *tokens(int(rng.integers(140, 251)) - ask - 20))
        positions_AP = rope_positions(prefix, PICTURE, [GRID], 2)
        made.append(
            Encoded(
                id=str(number),
                prefix=prefix,
                positions_AP=positions_AP,
                next_position=int(positions_AP.max()) + 1,
                chain=Branch(tokens(ask), tokens(int(rng.integers(270, 301)))),
                label=Branch(tokens(ask), tokens(12)),
                pixels_NF=rng.standard_normal((400, 1176), dtype=np.float32),
                grids=(GRID,),
            )
        )
    return made


# The three ways. Each leaves the gradients of one step and returns its loss.


def published(network: Network, examples: list[Encoded]) -> float:
    """As the published code trains, with the described weights: forward and backward per task, full logits."""
    total = 0.0
    for weight, batch in zip((0.8, 0.2), apart(network, examples), strict=True):
        labels_N = torch.full_like(batch.ids_BS, -100).flatten()
        labels_N[batch.targets.source_T + 1] = batch.targets.token_T
        out = network.inner(
            input_ids=batch.ids_BS,
            attention_mask=mask(batch, "sdpa").long(),
            position_ids=batch.positions_ABS,
            pixel_values=batch.pixels_NF,
            image_grid_thw=batch.grids_I3,
            labels=labels_N.view_as(batch.ids_BS),
        )
        (weight * out.loss).backward()
        total += weight * float(out.loss.detach())
    return total


def two_rows(network: Network, examples: list[Encoded]) -> float:
    """Ordinary rows, our head."""
    joint, batches = Joint(network, JointObjective()), apart(network, examples)
    counts = batches[0].counts.plus(batches[1].counts)
    total = 0.0
    for batch in batches:
        loss = joint(batch, counts).total
        loss.backward()
        total += float(loss.detach())
    return total


def shared_prefix(network: Network, examples: list[Encoded]) -> float:
    """Ours."""
    batch = pack(examples, "shared_prefix", 0).to(network.device)
    loss = Joint(network, JointObjective())(batch, batch.counts).total
    loss.backward()
    return float(loss.detach())


STEPS: dict[str, Callable[[Network, list[Encoded]], float]] = {
    "published": published,
    "two_rows": two_rows,
    "shared_prefix": shared_prefix,
}


def apart(network: Network, examples: list[Encoded]) -> list[Batch]:
    """The chain rows and the label rows, each as a batch of its own."""
    chains, labels = [replace(e, label=None) for e in examples], [replace(e, chain=None) for e in examples]
    return [pack(part, "two_rows", 0).to(network.device) for part in (chains, labels)]


# What is measured


def times(network: Network, examples: list[Encoded], rounds: int) -> dict[str, float]:
    """Median seconds of a step, kinds in turn so that drift hits all alike; the first round does not count."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds + 1):
        for kind in KINDS:
            network.zero_grad(set_to_none=True)
            wait(network)
            started = time.perf_counter()
            STEPS[kind](network, examples)
            wait(network)
            seconds[kind].append(time.perf_counter() - started)
    return {kind: statistics.median(values[1:]) for kind, values in seconds.items()}


def wait(network: Network) -> None:
    if network.device.type == "cuda":
        torch.cuda.synchronize()


def differences(network: Network, examples: list[Encoded]) -> dict[str, float]:
    """How far ours is from the published way: the loss, and the worst gradient tensor, relative to its norm."""
    losses: dict[str, float] = {}
    grads: dict[str, list[Tensor]] = {}
    for kind in ("published", "shared_prefix"):
        network.zero_grad(set_to_none=True)
        losses[kind] = STEPS[kind](network, examples)
        grads[kind] = [p.grad.clone() for p in trainable(network) if p.grad is not None]
    pairs = zip(grads["shared_prefix"], grads["published"], strict=True)
    return {
        "loss_rel_diff": abs(losses["shared_prefix"] / losses["published"] - 1),
        "grad_rel_diff": max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in pairs),
    }


def peak_gib(kind: str, shape: Shape, device: str, attention: Attention) -> float:
    """The peak memory of this process after one step."""
    STEPS[kind](build(shape, device, attention), draw(shape))
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def memory(args: argparse.Namespace) -> dict[str, float]:
    """One fresh process per kind."""
    command = [sys.executable, __file__, "--shape", args.shape, "--attention", args.attention, "--peak-of"]
    out = {}
    for kind in KINDS:
        done = subprocess.run([*command, kind], check=True, stdout=subprocess.PIPE, text=True)
        out[kind] = float(done.stdout)
    return out


def flops(network: Network, shape: Shape, examples: list[Encoded]) -> float:
    """Of one shared-prefix step, by the formula above; padding does no useful work and is not counted."""
    batch = pack(examples, "shared_prefix", 0)
    tokens, targets = sum(e.tokens for e in examples), len(batch.targets.token_T)
    text = network.inner.model.language_model
    frozen = sum(p.numel() for n, p in text.named_parameters() if not p.requires_grad and "embed_tokens" not in n)
    trained = sum(p.numel() for p in trainable(network))
    tower = network.inner.model.visual
    patches = sum(len(e.pixels_NF) for e in examples if e.pixels_NF is not None)
    real_BS = batch.branch_BS != PADDING
    pairs = int((mask(batch, "sdpa")[:, 0] & real_BS[:, :, None]).sum())
    return float(
        tokens * (4 * frozen + 6 * trained)
        + targets * 4 * shape.vocabulary * shape.hidden
        + patches * 2 * sum(p.numel() for p in tower.parameters())
        + 12 * shape.layers * pairs * shape.hidden
    )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--shape", choices=SHAPES, default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--attention", choices=KERNELS, default="sdpa")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="of the GPU, dense bf16; for MFU")
    parser.add_argument("--peak-of", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = SHAPES[args.shape]
    if args.peak_of:
        print(
            peak_gib(args.peak_of, replace(shape, vocabulary=max(shape.vocabulary, VOCABULARY)), device, args.attention)
        )
        return
    peak = memory(args)
    network, examples = build(shape, device, args.attention), draw(shape)
    difference = differences(network, examples)
    second = times(network, examples, args.rounds)
    rows = {kind: sum(b.ids_BS.numel() for b in apart(network, examples)) for kind in KINDS[:2]}
    work = flops(network, shape, examples)
    result = {
        "shape": args.shape,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "attention": args.attention,
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
        "tokens_per_step": {**rows, "shared_prefix": pack(examples, "shared_prefix", 0).ids_BS.numel()},
        "tflop_per_step": work / 1e12,
        "mfu_formula": "4 N_frozen T + 6 N_lora T + 4 V D targets + 2 N_tower patches + 12 layers pairs D, per second",
        "tflops_per_second": work / 1e12 / second["shared_prefix"],
    }
    if device == "cuda":
        result["mfu"] = work / 1e12 / second["shared_prefix"] / args.peak_tflops
        result["peak_tflops"] = args.peak_tflops
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<24} {value}")


if __name__ == "__main__":
    main()
