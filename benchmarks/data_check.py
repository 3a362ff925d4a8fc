"""Statistics and checks of 100 000 JSONL rows through the `files` dataset, in a process of its own.

    python benchmarks/data_check.py [--rows N] [--json]

Limits: 15 s and 300 MB at the peak.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

PICTURES = 200


def write_rows(folder: Path, rows: int) -> Path:
    """Posts of 8 to 30 words, each with one of a few pictures."""
    dice = random.Random(1)
    words = [f"word{number}" for number in range(5000)]
    for number in range(PICTURES):
        colour = tuple(dice.randrange(256) for _ in range(3))
        Image.new("RGB", (84, 84), colour).save(folder / f"{number}.png")
    path = folder / "posts.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            text = " ".join(dice.choices(words, k=dice.randint(8, 30)))
            label = dice.choice(("positive", "neutral", "negative"))
            row = {"id": f"p{number}", "text": text, "image": f"{number % PICTURES}.png", "label": label}
            file.write(json.dumps(row) + "\n")
    return path


def count(path: Path) -> dict[str, float]:
    """What `mulcot data check files path=...` does, timed."""
    from mulcot.datasets import datasets, read
    from mulcot.datasets.statistics import DatasetCounter
    from mulcot.media import Store
    from mulcot.tasks import tasks

    started = time.perf_counter()
    dataset = datasets.get("files").model_validate({"path": path})
    task = tasks.get("sentiment")()
    counter = DatasetCounter(dataset, task)
    with Store.temporary() as store:
        for record in read(dataset, task, store):
            counter.add(record)
    statistics = counter.statistics()
    statistics.findings()
    seconds = time.perf_counter() - started
    rows = statistics.summary()["examples"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "seconds": round(seconds, 2), "rows_per_s": round(rows / seconds), "peak_rss_mb": round(peak)}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--count", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count:
        print(json.dumps(count(args.count)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder), args.rows)
        command = [sys.executable, __file__, "--count", str(path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = {**json.loads(done.stdout), "seconds_limit": 15, "peak_rss_mb_limit": 300}
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<18} {value}")


if __name__ == "__main__":
    main()
