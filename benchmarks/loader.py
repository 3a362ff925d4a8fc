"""Twitter-2015 on its way into a model: lazily, as training reads it, against preparing all rows first.

    MULCOT_DATA=<folder that holds twitter2015> python benchmarks/loader.py [--json] [--rows N]

Every training row with its real picture at 280 x 280, its prompts and a chain of usual length is turned into token ids
and patches by the real processing of Qwen2.5-VL with a small tokenizer. `lazy` is the training loop's feed with two
threads: a step of 40 rows is ready, the next one is being made. `eager` makes all rows and keeps them. Each runs in its
own process; memory is its peak beyond what imports and the tokenizer took. Limits: at least 0.9 of eager's speed,
and from 1200 rows on at most a tenth of its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.example_encoder import ExampleEncoder
from mulcot.datasets.read_rows import read
from mulcot.datasets.twitter import Twitter
from mulcot.media import Gallery, Store
from mulcot.records import Example, Rationale
from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.training.items import TrainingItems, make_training_items
from mulcot.training.prefetch import Feed
from mulcot.training.settings import Training

KINDS = ("lazy", "eager")
ROWS = 1200
FIELDS = ("Text_analysis", "Image_analysis", "Conflict_resolution", "Final_conclusion")
SENTENCE = "The words name the person without praise or blame, and the picture shows a crowd in front of a stage. "


def prepare(root: Path, folder: Path, rows: int) -> TrainingItems:
    """The lessons, not yet decoded or tokenised."""
    task, dataset = AspectSentiment(), Twitter(root=root)
    store = Store(folder)
    examples = [row for row in read(dataset, task, store) if isinstance(row, Example) and row.split == "train"][:rows]
    chains = [
        Rationale(example_id=each.id, source="teacher", stage=1, prediction=each.label,
                  fields={**dict.fromkeys(FIELDS, SENTENCE * 3), "Prediction": each.label or ""})
        for each in examples
    ]  # fmt: skip
    model = QwenVL.demo(folder / "model").model_copy(update={"image_size": 280}).load("cpu", trainable=False)
    encoder = ExampleEncoder(model, task, Gallery(dataset.picture_root(), store, dataset.images_limit))
    return TrainingItems(encoder, make_training_items(examples, [chains], task, label_only=True))


def measure(kind: str, root: Path, rows: int) -> dict[str, float]:
    """Rows per second and the memory that the rows took."""
    with tempfile.TemporaryDirectory() as folder:
        items = prepare(root, Path(folder), rows)
        items.encoded(0)
        before, started, tokens = _resident_mib(), time.perf_counter(), 0
        if kind == "lazy":
            for step in Feed(items, Training(epochs=1), 0).steps(0):
                tokens += sum(example.tokens for portion in step.portions for example in portion)
        else:
            kept = [items.encoded(index) for index in range(len(items))]
            tokens = sum(example.tokens for example in kept)
        seconds = time.perf_counter() - started
    return {
        "rows": len(items),
        "rows_per_second": len(items) / seconds,
        "peak_mib": _resident_mib() - before,
        "tokens": tokens,
    }


def _resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    root = Path(os.environ.get("MULCOT_DATA", "")) / "twitter2015"
    if not os.environ.get("MULCOT_DATA") or not root.is_dir():
        sys.exit("set MULCOT_DATA to a folder that holds twitter2015/")
    if args.kind:
        print(json.dumps(measure(args.kind, root, args.rows)))
        return
    found = {}
    for kind in KINDS:
        command = [sys.executable, __file__, "--rows", str(args.rows), "--kind", kind]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[kind] = json.loads(done.stdout)
    lazy, eager = (found[kind] for kind in KINDS)
    if lazy["tokens"] != eager["tokens"]:
        sys.exit("the two kinds did not prepare the same rows")
    result = {
        "speed_ratio": lazy["rows_per_second"] / eager["rows_per_second"],
        "memory_ratio": lazy["peak_mib"] / eager["peak_mib"],
        **found,
    }
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<16} {value}")
    if result["speed_ratio"] < 0.9 or (args.rows >= ROWS and result["memory_ratio"] > 0.1):
        sys.exit(1)


if __name__ == "__main__":
    main()
