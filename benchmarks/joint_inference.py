"""Label and chain from one reading, against two calls of Hugging Face's `generate()`: the same model, rows and lengths.

    python benchmarks/joint_inference.py [--json] [--shape tiny|cpu|3b] [--batch N] [--chain N] [--rounds N]
                                         [--threads N]

    two_generations   the published protocol: one batched `generate()` for the chain, one for the label, greedy, with
                      the stock cache and stock attention; both read picture and post
    label_generation  its second half alone
    label_passes      what stock code needs for label_only's result: one batched pass over every label's whole text
    joint             one pass over everything given, which scores three labels; the chain written from its cache
    label_only        that pass without the chain
    ..._two_rows      the same in ordinary causal rows, as `layout: two_rows` reads

Lengths are those of the paper's data: 100 picture tokens, 140 to 250 prompt tokens, labels of 12 tokens, of which the
first 9 are the wording they share; chains of 128 tokens on the CPU (theirs have 270 to 300, which only moves the
shares: decoding takes the same time for everyone). No row ends early, so both sides write the same number of tokens.
Rows are padded on the left for `generate()`. On the CPU our side merges the adapters into the weights, as
`Predictor.load` does; theirs has them as PEFT loads them, and `..._merged` is against one that merged them too.

Times are medians over alternating rounds in one process; on the CPU, of processor time, since others may be using the
machine. `label_only_speedup` is against `label_generation`: what it saves are the steps that write the label, so it is
bounded by the reading. `prefill_share` is the part of the joint time spent on reading, `decoding_share` that spent on
writing. `label_diff` is the largest difference between our label scores and those of whole passes of the stock model.
`label_only_two_rows` and `joint_two_rows` say how many times as long ordinary rows take as shared ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from shapes import PICTURE, SHAPES, Shape, build, draw, wait
from torch import Tensor, nn

from mulcot.backbones.vlm.answer import answer
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.encoded import Branch, Encoded, Layout
from mulcot.backbones.vlm.prefill import prefill

LABEL_TOKENS = 12
WORDING = 9
"""The label tokens before the label's own word."""
LABELS = 3


def questions(shape: Shape, count: int) -> list[Encoded]:
    """Rows of the paper's lengths, without answers; three labels to choose from."""
    rng = np.random.default_rng(1)
    made = []
    for row in draw(replace(shape, examples=count)):
        assert row.chain is not None
        assert row.label is not None
        labels = rng.integers(PICTURE + 2, shape.vocabulary, (LABELS, LABEL_TOKENS))
        labels[:, :WORDING], labels[:, -1] = labels[0, :WORDING], labels[0, -1]
        label = Branch(row.label.prompt, choices=tuple(map(tuple, labels.tolist())))
        made.append(replace(row, chain=Branch(row.chain.prompt), label=label))
    return made


def loaded(network: Any, shape: Shape, layout: Layout) -> Any:
    """As much of a loaded model as inference needs; no token ends an answer."""
    words = SimpleNamespace(controls=(0,), known=shape.vocabulary)
    about = {"layout": layout, "pad": 0, "stops": (-1,), "words": words, "text": str}
    return SimpleNamespace(network=network, device=network.device, **about)


def stock(shape: Shape, device: str) -> Any:
    """The same model as plain transformers has it."""
    network = build(shape, device, "sdpa").eval()
    inner = network.inner
    inner.config.get_text_config()._attn_implementation = "sdpa"
    inner.model.visual.config._attn_implementation = "sdpa"
    embedding = inner.model.visual.patch_embed
    ours = embedding.proj
    embedding.proj = nn.Conv3d(ours.in_channels, ours.out_channels, ours.kernel_size, stride=ours.stride, bias=False)
    embedding.proj.weight = ours.weight
    inner.generation_config.eos_token_id = None
    inner.generation_config.pad_token_id = 0
    return network


def generate(network: Any, rows: Sequence[Encoded], branches: Sequence[Branch], tokens: int) -> Tensor:
    """One ordinary batched `generate()` of exactly so many tokens."""
    texts = [[*row.prefix, *branch.prompt] for row, branch in zip(rows, branches, strict=True)]
    width = max(map(len, texts))
    ids = torch.tensor([[0] * (width - len(text)) + text for text in texts], device=network.device)
    seen = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts], device=network.device)
    inner = network.inner
    with torch.inference_mode():
        out: Tensor = inner.generate(
            input_ids=ids,
            attention_mask=seen,
            mm_token_type_ids=(ids == PICTURE).int(),
            pixel_values=pixels(rows).to(network.device, inner.dtype),
            image_grid_thw=torch.tensor([grid for row in rows for grid in row.grids], device=network.device),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
        )
    return out[:, width:]


def pixels(rows: Sequence[Encoded]) -> Tensor:
    return torch.from_numpy(np.concatenate([row.pixels_NF for row in rows if row.pixels_NF is not None]))


def branch(rows: Sequence[Encoded], name: str) -> list[Branch]:
    return [getattr(row, name) for row in rows]


def label_passes(network: Any, rows: Sequence[Encoded]) -> list[list[float]]:
    """Every label scored by a plain pass over its whole text, padded on the right."""
    found: list[list[float]] = [[] for _ in rows]
    for number in range(LABELS):
        labels = [row.label.choices[number] for row in rows if row.label is not None]
        texts = [[*row.prefix, *one.prompt] for row, one in zip(rows, branch(rows, "label"), strict=True)]
        width = max(map(len, texts)) + LABEL_TOKENS
        padding = [width - LABEL_TOKENS - len(text) for text in texts]
        whole = [[*t, *label, *[0] * pad] for t, label, pad in zip(texts, labels, padding, strict=True)]
        ids = torch.tensor(whole, device=network.device)
        with torch.inference_mode():
            logits = network.inner(
                input_ids=ids,
                attention_mask=torch.tensor([[1] * (width - pad) + [0] * pad for pad in padding], device=ids.device),
                mm_token_type_ids=(ids == PICTURE).int(),
                pixel_values=pixels(rows).to(network.device, network.inner.dtype),
                image_grid_thw=torch.tensor([grid for row in rows for grid in row.grids], device=network.device),
            ).logits
        for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
            logprobs = logits[row, len(text) - 1 : len(text) + LABEL_TOKENS - 1].float().log_softmax(-1)
            found[row].append(float(logprobs.gather(1, torch.tensor(label, device=ids.device)[:, None]).sum()))
    return found


def times(network: Any, ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds, ways in turn so that drift hits all alike; the first round does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    clock = time.perf_counter if network.device.type == "cuda" else time.process_time
    for _ in range(rounds + 1):
        for name, way in ways.items():
            wait(network)
            started = clock()
            way()
            wait(network)
            seconds[name].append(clock() - started)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def measure(shape: Shape, count: int, chain: int, rounds: int) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = build(shape, device, "sdpa")
    network.eval()
    network.merge()
    plain, merged = stock(shape, device), stock(shape, device)
    merged.merge()
    rows, decoding = questions(shape, count), Decoding(max_tokens=chain)
    model, ordinary = loaded(network, shape, "shared_prefix"), loaded(network, shape, "two_rows")
    labels_only = [replace(row, chain=None) for row in rows]
    prefixes = [replace(row, label=None) for row in rows]

    def label_generation() -> Tensor:
        return generate(plain, rows, branch(rows, "label"), LABEL_TOKENS)

    def two_generations(theirs: Any = plain) -> None:
        generate(theirs, rows, branch(rows, "chain"), chain)
        generate(theirs, rows, branch(rows, "label"), LABEL_TOKENS)

    ways: dict[str, Callable[[], Any]] = {
        "two_generations": two_generations,
        "two_generations_merged": lambda: two_generations(merged),
        "label_generation": label_generation,
        "label_generation_merged": lambda: generate(merged, rows, branch(rows, "label"), LABEL_TOKENS),
        "joint": lambda: answer(model, rows, decoding),
        "label_only": lambda: answer(model, labels_only, decoding),
        "joint_two_rows": lambda: answer(ordinary, rows, decoding),
        "label_only_two_rows": lambda: answer(ordinary, labels_only, decoding),
        "prefill": lambda: prefill(model, prefixes, chain),
        "label_passes": lambda: label_passes(plain, rows),
    }
    second = times(network, ways, rounds)
    found = answer(model, labels_only, decoding)
    scores = torch.tensor([one.label_logprobs for one in found])
    difference = (scores - torch.tensor(label_passes(plain, rows))).abs()
    theirs = generate(plain, rows, branch(rows, "chain"), min(chain, 16)).tolist()
    ours = [list(one.chain.ids[:16]) for one in answer(model, rows, Decoding(max_tokens=min(chain, 16))) if one.chain]
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "batch": count,
        "chain_tokens": chain,
        "label_only_speedup": second["label_generation"] / second["label_only"],
        "label_only_speedup_merged": second["label_generation_merged"] / second["label_only"],
        "label_scores_speedup": second["label_passes"] / second["label_only"],
        "joint_speedup": second["two_generations"] / second["joint"],
        "joint_speedup_merged": second["two_generations_merged"] / second["joint"],
        "prefill_share": second["prefill"] / second["joint"],
        "decoding_share": (second["joint"] - second["label_only"]) / second["joint"],
        "prefill_share_of_two_generations": 2 * second["prefill"] / second["two_generations"],
        "joint_two_rows": second["joint_two_rows"] / second["joint"],
        "label_only_two_rows": second["label_only_two_rows"] / second["label_only"],
        "label_diff": difference.max().item(),
        "equal_chains": sum(a == b for a, b in zip(ours, theirs, strict=True)) / count,
        "examples_per_second": {name: count / value for name, value in second.items()},
        "seconds": second,
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--shape", choices=SHAPES, default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--chain", type=int, default=128, help="tokens of a chain")
    parser.add_argument("--threads", type=int, help="of the CPU; torch's own choice where left out")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    result = {"shape": args.shape, **measure(SHAPES[args.shape], args.batch, args.chain, args.rounds)}
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<34} {value}")


if __name__ == "__main__":
    main()
