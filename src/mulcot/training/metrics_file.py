"""`metrics.jsonl`: one line per step and per evaluation, always; trackers get the same numbers where asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from mulcot.records import Json
from mulcot.rundir import write_text


class Journal:
    """The metrics file of one training. Lines after the step that is continued from are dropped: they come again."""

    def __init__(self, path: Path, *, after: int, accelerator: Any = None) -> None:
        self.accelerator = accelerator
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= after]
        write_text(path, "".join(f"{line}\n" for line in kept))
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def write(self, entry: Json) -> None:
        """Adds a line and hands its numbers to the trackers."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        if self.accelerator is not None and self.accelerator.trackers:
            self.accelerator.log(_numbers(entry), step=entry["step"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        """Ends the file and the trackers."""
        self._file.close()
        for tracker in self.accelerator.trackers if self.accelerator is not None else ():
            tracker.finish()


def _whole_lines(path: Path) -> list[str]:
    """The lines that were written to their end."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text("utf-8").splitlines():
        try:
            json.loads(line)
        except ValueError:
            break
        lines.append(line)
    return lines


def _numbers(entry: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    out: dict[str, float] = {}
    for key, value in entry.items():
        if isinstance(value, Mapping):
            out.update(_numbers(value, f"{prefix}{key}/"))
        elif isinstance(value, int | float) and key != "step":
            out[f"{prefix}{key}"] = float(value)
    return out
