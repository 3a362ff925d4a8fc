"""What a command costs before it does anything: `mulcot --help` and `import mulcot` against a bare interpreter.

    python benchmarks/startup.py [--json]

Limits: 0.4 s and 0.2 s more than `python -c pass` in the same run (medians of alternating runs).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "bare": [sys.executable, "-c", "pass"],
    "help": [sys.executable, "-m", "mulcot", "--help"],
    "import": [sys.executable, "-c", "import mulcot"],
}


def measure(rounds: int) -> dict[str, float]:
    """Median seconds of each command, run in turn so that drift hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    median = measure(args.rounds)
    result = {
        "bare_s": round(median["bare"], 4),
        "help_extra_s": round(median["help"] - median["bare"], 4),
        "import_extra_s": round(median["import"] - median["bare"], 4),
        "help_limit_s": 0.4,
        "import_limit_s": 0.2,
    }
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<16} {value}")


if __name__ == "__main__":
    main()
