"""Runs every benchmark and keeps its result with hardware, date and commit: `make bench`.

    python benchmarks/run_all.py [NAME ...]

A result is `benchmarks/results/<name>.json`: `{"when", "provenance", "command", "result"}`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from mulcot.provenance import provenance

HERE = Path(__file__).parent


def run(name: str) -> bool:
    """One benchmark; False where it failed."""
    print(f"{name} ...", flush=True)
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        print(f"{name} failed with exit code {done.returncode}")
        return False
    result = json.loads(done.stdout.strip().splitlines()[-1])
    kept = {
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": f"python benchmarks/{name}.py --json",
        "provenance": provenance(),
        "result": result,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    print(json.dumps(result))
    return True


def main() -> int:
    """All of them, or those named."""
    names = sys.argv[1:] or sorted(p.stem for p in HERE.glob("*.py") if p.stem not in ("run_all", "shapes"))
    passed = [run(name) for name in names]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
