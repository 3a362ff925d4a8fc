"""Drawing synthetic posts and questions into a store, as a run's first stage does, on one core.

    python benchmarks/synthetic_generation.py [--json] [--count N]

Painting, writing, truth, PNG and the file in the store are all counted. Limit: 500 posts per second. Each figure is the
best of three rounds with fresh stores; `see_ms` is reading one sent picture (280 x 280 JPEG) back into its scene.
"""

from __future__ import annotations

import argparse
import io
import json
import time

from PIL import Image

from mulcot.datasets.base import Dataset
from mulcot.datasets.synthetic import Synthetic
from mulcot.datasets.synthetic_science import SyntheticScience
from mulcot.media import Store
from mulcot.world.picture import paint
from mulcot.world.posts import posts
from mulcot.world.scene_reading import read_scene

ROUNDS = 3


def rows_per_second(dataset: Dataset, count: int) -> float:
    """Rows written into a fresh store per second."""
    best = 0.0
    for _ in range(ROUNDS):
        with Store.temporary() as store:
            started = time.perf_counter()
            drawn = sum(1 for _ in dataset.rows(store))
            best = max(best, drawn / (time.perf_counter() - started))
            assert drawn == count
    return round(best, 1)


def see_ms(count: int) -> float:
    """Milliseconds to recognise one picture, after the first, which prepares what is typical."""
    sent = []
    for post in posts(0, "train", count + 1):
        out = io.BytesIO()
        paint(post.scene).resize((280, 280)).save(out, "JPEG", quality=90)
        sent.append(Image.open(out))
    read_scene(sent[0])
    started = time.perf_counter()
    for image in sent[1:]:
        read_scene(image)
    return round((time.perf_counter() - started) / count * 1000, 2)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--count", type=int, default=1000)
    args = parser.parse_args()
    share = args.count // 4
    splits = {"train": args.count - 3 * share, "dev": share, "test": share, "hard": share}
    result = {
        "posts_per_s": rows_per_second(Synthetic(**splits), args.count),
        "science_per_s": rows_per_second(SyntheticScience(**splits), args.count),
        "see_ms": see_ms(100),
        "posts_per_s_limit": 500,
    }
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<18} {value}")


if __name__ == "__main__":
    main()
