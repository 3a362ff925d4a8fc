"""The report of a run with 10 000 predictions per model, read, drawn and written.

    python benchmarks/report.py [--predictions N] [--json]

Limits: 3 s and 5 MB.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from made_runs import make_run
from mulcot.media import Gallery, Store
from mulcot.report.pages.report import write_report


def measure(predictions: int) -> dict[str, float]:
    """One report, in a fresh folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = make_run(Path(name) / "run", count=predictions, text="a post of some words " * 4)
        started, clock = time.perf_counter(), time.process_time()
        gallery = Gallery(None, Store(folder / "1-dataset/pictures"))
        written = write_report(folder, gallery, Path(name) / "page.html")
        return {
            "predictions": predictions,
            "seconds": round(time.perf_counter() - started, 2),
            "cpu_seconds": round(time.process_time() - clock, 2),
            "megabytes": round(written.path.stat().st_size / 1e6, 2),
            "examples_shown": written.cases,
        }


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.predictions)
    print(json.dumps(found) if options.json else "  ".join(f"{key} {value}" for key, value in found.items()))


if __name__ == "__main__":
    main()
