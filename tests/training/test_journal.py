from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mulcot.training.metrics_file import Journal


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_lines_after_the_step_that_is_continued_from_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 2.0}\n{"step": 3, "lo', "utf-8")
    with Journal(path, after=1) as journal:
        journal.write({"step": 2, "loss": 2.5})
    assert lines(path) == [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.5}]


class Tracker:
    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, float], int]] = []
        self.finished = False

    def finish(self) -> None:
        self.finished = True


class Tracking:
    """What accelerate offers where trackers are on."""

    def __init__(self) -> None:
        self.trackers = [Tracker()]

    def log(self, values: dict[str, float], step: int) -> None:
        self.trackers[0].seen.append((values, step))


def test_trackers_get_the_numbers_with_their_step_and_are_finished(tmp_path: Path) -> None:
    tracking = Tracking()
    with Journal(tmp_path / "metrics.jsonl", after=0, accelerator=tracking) as journal:
        journal.write({"step": 4, "evaluation": {"accuracy": 0.5, "dev": {"macro_f1": 0.25}}, "note": "text"})
    tracker = tracking.trackers[0]
    assert tracker.seen == [({"evaluation/accuracy": 0.5, "evaluation/dev/macro_f1": 0.25}, 4)]
    assert tracker.finished
