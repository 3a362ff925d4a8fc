"""The fused T5 and its features against the published way of doing the same: time and memory.

    python benchmarks/two_stage.py [--json] [--rounds N]

    train     one step; published: source and target padded to 512, full logits, loss over padding, a blank array of
              patches for every question without a picture. Ours: padded to the longest, head at real tokens only
    generate  200 tokens; published: no cache, all decoder positions computed again for every token
    memory    20 000 questions, half of them with a picture; published: one dense array of all features and a float64
              array of zeros for every other question. Ours: the memory-mapped store. Anonymous memory after every
              question was looked at once, less that of the process before
    extract   pictures per second of the stage `features`, files included, against a plain loop over batches

The published ways are written here from their description. Weights are random and shapes small: a T5 of width 256 with
T5's vocabulary, patches of 145 x 1024; sources of 60 to 260 tokens, targets of 20 to 200. Times are CPU time, medians
over rounds that alternate. Limits: train 4, generate 5, memory 0.1, extract 0.9.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from transformers import (
    AutoImageProcessor,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.quiet import quiet
from mulcot.datasets.synthetic_science import SyntheticScience
from mulcot.extractors.vit import Vit
from mulcot.features import FeatureKind, FeatureStore, FeatureWriter
from mulcot.media import Store, encode_jpeg
from mulcot.multimodal_cot import EncodedQuestion
from mulcot.multimodal_cot.batch import FusionBatch, pack
from mulcot.multimodal_cot.generate_and_score import Vocabulary, write
from mulcot.multimodal_cot.network import Fusion, FusionNetwork
from mulcot.progress import Reporter
from mulcot.records import Example
from mulcot.rundir import StageFolder
from mulcot.stages.base import Job
from mulcot.stages.features import FeaturesStage
from mulcot.tasks.multiple_choice import MultipleChoice

PADDED, BATCH, NEW_TOKENS, WRITTEN_AT_ONCE = 512, 4, 200, 2
PATCHES, WIDTH = 145, 1024
QUESTIONS, SMALL_WIDTH = 20_000, 32
"""For the memory: patches are made narrower, since the published way would need 18 GB."""
PICTURES = 96
LIMITS = {"train_speedup": 4, "generate_speedup": 5, "memory_ratio": 0.1, "extract_ratio": 0.9}


def network() -> FusionNetwork:
    """The shape that is measured."""
    torch.manual_seed(0)
    config = T5Config(d_model=256, d_kv=64, d_ff=512, num_layers=4, num_heads=4, dropout_rate=0.0)
    config.decoder_start_token_id = 0
    t5 = T5ForConditionalGeneration(config)
    return FusionNetwork(t5, Fusion(WIDTH, config.d_model), torch.float32)


def questions(store: FeatureStore) -> list[EncodedQuestion]:
    """A batch of the lengths above, every second question with a picture."""
    chance, keys, rows = random.Random(0), list(store.entries), []
    for number in range(BATCH):
        source = tuple(chance.choices(range(3, 32_000), k=chance.randint(60, 260)))
        target = tuple(chance.choices(range(3, 32_000), k=chance.randint(20, 200)))
        rows.append(EncodedQuestion(str(number), source, target, (keys[number],) if number % 2 else ()))
    return rows


def fill(folder: Path, count: int, width: int) -> FeatureStore:
    """A store of random features."""
    chance = np.random.default_rng(0)
    with FeatureWriter(folder, FeatureKind({}, "", width, "fp16")) as writer:
        for start in range(0, count, 500):
            keys = [f"{number:064d}" for number in range(start, min(start + 500, count))]
            writer.add((key, chance.normal(size=(PATCHES, width)).astype(np.float32)) for key in keys)
    return FeatureStore.open(folder)


def published_batch(rows: Sequence[EncodedQuestion], store: FeatureStore) -> FusionBatch:
    """Everything padded to 512 with zeros that count as tokens of the target; blank patches for the others."""
    input_BS, target_BT = torch.zeros(len(rows), PADDED).long(), torch.zeros(len(rows), PADDED).long()
    patches = np.zeros((len(rows), PATCHES, WIDTH))
    for number, row in enumerate(rows):
        input_BS[number, : len(row.input_ids)] = torch.tensor(row.input_ids)
        target_BT[number, : len(row.target_ids or ())] = torch.tensor(row.target_ids)
        if row.pictures:
            patches[number] = store.get(row.pictures[0])
    return FusionBatch(
        ids=tuple(row.id for row in rows),
        input_BS=input_BS,
        mask_BS=input_BS != 0,
        target_BT=target_BT,
        row_P=torch.arange(len(rows)),
        patches_PNF=torch.from_numpy(patches).float(),
        there_PN=torch.ones(len(rows), PATCHES, dtype=torch.bool),
        target_tokens=target_BT.numel(),
    )


def published_loss(model: FusionNetwork, batch: FusionBatch) -> torch.Tensor:
    """The mean over all positions of the full logits, padding included."""
    assert batch.target_BT is not None
    start_B1 = torch.zeros_like(batch.target_BT[:, :1])
    input_BT = torch.cat([start_B1, batch.target_BT[:, :-1]], dim=1)
    logits_BTV = model.logits(model.decode(input_BT, model.encode(batch), batch.mask_BS))
    return cross_entropy(logits_BTV.flatten(0, 1), batch.target_BT.flatten())


def published_generate(model: FusionNetwork, batch: FusionBatch) -> list[list[int]]:
    """Greedy, without a cache."""
    with torch.inference_mode():
        memory_BSD = model.encode(batch)
        ids_BT = torch.zeros(len(batch.ids), 1).long()
        for _ in range(NEW_TOKENS):
            logits_BTV = model.logits(model.decode(ids_BT, memory_BSD, batch.mask_BS))
            logits_BTV[..., 1] = float("-inf")  # never the end: both ways write the same number
            ids_BT = torch.cat([ids_BT, logits_BTV[:, -1:].argmax(-1)], dim=1)
    return ids_BT[:, 1:].tolist()  # type: ignore[no-any-return]


def cpu_seconds(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median CPU time of each way, taken in turns; the first round does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            way()
            seconds[name].append(time.process_time() - started)
    return {name: statistics.median(found[1:]) for name, found in seconds.items()}


def speedups(folder: Path, rounds: int) -> dict[str, float]:
    """Training and writing."""
    store = fill(folder, BATCH, WIDTH)
    model, rows = network(), questions(store)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step(loss: Callable[[], torch.Tensor]) -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def ours() -> torch.Tensor:
        batch = pack(rows, 0, store)
        return model(batch) / batch.target_tokens  # type: ignore[no-any-return]

    train = cpu_seconds(
        {
            "published": lambda: step(lambda: published_loss(model, published_batch(rows, store))),
            "ours": lambda: step(ours),
        },
        rounds,
    )
    few = rows[:WRITTEN_AT_ONCE]
    decoding, vocabulary = Decoding(max_tokens=NEW_TOKENS), Vocabulary(0, 1, (1,), 32_128)
    keys = [row.id for row in few]
    generate = cpu_seconds(
        {
            "published": lambda: published_generate(model, published_batch(few, store)),
            "ours": lambda: write(model, pack(few, 0, store), decoding, vocabulary, keys),
        },
        1,
    )
    return {
        "train_published_s": train["published"],
        "train_ours_s": train["ours"],
        "train_speedup": train["published"] / train["ours"],
        "generate_published_s": generate["published"],
        "generate_ours_s": generate["ours"],
        "generate_speedup": generate["published"] / generate["ours"],
    }


def anonymous_mb() -> float:
    """Memory that belongs to this process alone and to no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def hold(kind: str, folder: Path) -> float:
    """The anonymous memory that features take once every question has been looked at."""
    before = anonymous_mb()
    if kind == "ours":
        store = FeatureStore.open(folder)
        keys = list(store.entries)
        for number in range(QUESTIONS):
            if number % 2:
                store.get(keys[number // 2]).astype(np.float32).sum()
        return anonymous_mb() - before
    source = FeatureStore.open(folder)
    array = np.empty((len(source), PATCHES, SMALL_WIDTH), dtype=np.float32)
    for row, key in enumerate(source.entries):
        array[row] = source.get(key)
    source.entries.clear()
    items = [array[n // 2] if n % 2 else np.zeros((PATCHES, SMALL_WIDTH)) for n in range(QUESTIONS)]
    for item in items:
        item.sum()
    return anonymous_mb() - before


def memory(folder: Path) -> dict[str, float]:
    """Each way in a process of its own."""
    fill(folder, QUESTIONS // 2, SMALL_WIDTH)
    found = {}
    for kind in ("published", "ours"):
        command = [sys.executable, __file__, "--hold", kind, str(folder)]
        found[kind] = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {
        "memory_published_mb": found["published"],
        "memory_ours_mb": found["ours"],
        "memory_ratio": found["ours"] / found["published"],
    }


def extraction(folder: Path, rounds: int) -> dict[str, float]:
    """The stage against a plain loop over the same model and the same files."""
    torch.manual_seed(0)
    config = ViTConfig(hidden_size=192, num_hidden_layers=6, num_attention_heads=3, intermediate_size=768,
                       image_size=384, patch_size=32)  # fmt: skip
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder / "vit")
    ViTImageProcessorPil(size={"height": 384, "width": 384}).save_pretrained(folder / "vit")
    pictures, chance, examples = Store(folder / "dataset" / "pictures"), np.random.default_rng(0), []
    for number in range(PICTURES):
        small = Image.fromarray(chance.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        ref = pictures.put(encode_jpeg(small.resize((480, 360))), ".jpg")
        examples.append(Example(id=str(number), split="train", text="Which?", images=(ref,)))
    (folder / "dataset" / "examples.jsonl").write_text("".join(example.to_line() for example in examples), "utf-8")
    paths = [pictures.path(example.images[0]) for example in examples]
    stage = FeaturesStage(extractor=Vit(model=str(folder / "vit")), batch_size=16)
    runs = iter(range(1000))

    def ours() -> None:
        job = Job(
            folder=StageFolder(folder / f"features-{next(runs)}"),
            before={"dataset": StageFolder(folder / "dataset")},
            task=MultipleChoice(),
            dataset=SyntheticScience(),
            seed=0,
            reporter=Reporter.silent(),
        )
        stage.run(job)

    def plain() -> None:
        processor: Any = AutoImageProcessor.from_pretrained(folder / "vit", backend="pil")  # type: ignore[no-untyped-call]
        model = ViTModel.from_pretrained(folder / "vit", add_pooling_layer=False).eval()
        found = []
        with torch.inference_mode():
            for start in range(0, PICTURES, 16):
                opened = [Image.open(path).convert("RGB") for path in paths[start : start + 16]]
                found.append(model(**processor(images=opened, return_tensors="pt")).last_hidden_state.numpy())
        np.save(folder / "plain.npy", np.concatenate(found))

    seconds = cpu_seconds({"plain": plain, "ours": ours}, rounds)
    return {
        "extract_plain_per_s": PICTURES / seconds["plain"],
        "extract_ours_per_s": PICTURES / seconds["ours"],
        "extract_ratio": seconds["plain"] / seconds["ours"],
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hold", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.hold:
        print(hold(args.hold[0], Path(args.hold[1])))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, quiet():
        folder = Path(name)
        result = speedups(folder / "one", args.rounds) | memory(folder / "two") | extraction(folder, args.rounds)
    result = {key: round(value, 4) for key, value in result.items()}
    if args.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        limit = f"   (limit {LIMITS[key]})" if key in LIMITS else ""
        print(f"{key:<24}{value:>10.3f}{limit}")


if __name__ == "__main__":
    main()
