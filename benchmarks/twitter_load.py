"""Twitter-2015 read and checked, every picture opened, against a plain Pillow loop over the same files.

    MULCOT_DATA=<folder that holds twitter2015> python benchmarks/twitter_load.py [--json]

Ours reads the rows, fills the targets in, gives ids, hashes and decodes each picture and applies the task's checks; the
plain loop only opens and decodes. Both run in turn in one process with a warm file cache, in changing order. Limit:
ours opens at least 0.8 times as many pictures a second.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from mulcot.datasets.read_rows import read
from mulcot.datasets.twitter import Twitter
from mulcot.media import Store
from mulcot.records import Example
from mulcot.tasks.aspect_sentiment import AspectSentiment


def load(root: Path) -> tuple[int, int]:
    """Reads and checks the whole dataset; rows and distinct pictures."""
    rows, pictures = 0, set()
    with Store.temporary() as store:
        for row in read(Twitter(root=root), AspectSentiment(), store):
            if not isinstance(row, Example):
                raise SystemExit(f"{row.source}: {row.detail}")
            rows += 1
            pictures.update(image.path for image in row.images)
    return rows, len(pictures)


def decode(files: list[Path]) -> None:
    """What Pillow needs for the pictures alone."""
    for path in files:
        with Image.open(path) as image:
            image.load()


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(root: Path, rounds: int) -> dict[str, float]:
    """Medians of alternating rounds; the first, which fills the file cache, does not count."""
    files = sorted((root / "images").iterdir())
    rows, pictures = load(root)
    if pictures != len(files):
        raise SystemExit(f"{pictures} pictures are used, but {len(files)} lie in {root / 'images'}")
    decode(files)
    works: dict[str, Callable[[], object]] = {"ours": lambda: load(root), "plain": lambda: decode(files)}
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name in sorted(works, reverse=bool(number % 2)):
            taken[name].append(seconds(works[name]))
    ours, plain = statistics.median(taken["ours"]), statistics.median(taken["plain"])
    ratios = [b / a for a, b in zip(taken["ours"], taken["plain"], strict=True)]
    return {
        "rows": rows,
        "images": pictures,
        "images_per_s": round(pictures / ours, 1),
        "plain_images_per_s": round(pictures / plain, 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_limit": 0.8,
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    root = Path(os.environ.get("MULCOT_DATA", "")) / "twitter2015"
    if not root.is_dir():
        sys.exit("set MULCOT_DATA to the folder that holds twitter2015/")
    result = measure(root, args.rounds)
    print(json.dumps(result) if args.json else "\n".join(f"{name:<20} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
