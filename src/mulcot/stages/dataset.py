"""Stage 1, `dataset`: raw files become checked examples.

examples.jsonl     one example per line, in the order of the source
rejected.jsonl     every row that could not become one, with its place and reason
statistics.json    counts, lengths, duplicates, leakage between splits
pictures/          drawn or unpacked pictures; those of published sets stay where they are
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mulcot.datasets.base import Dataset
from mulcot.datasets.read_rows import read
from mulcot.datasets.statistics import DatasetCounter
from mulcot.errors import DataError, NothingUsable
from mulcot.media import Store
from mulcot.records import Example, Json
from mulcot.rundir import atomic, write_json
from mulcot.stages.base import Job, Stage, stages
from mulcot.tasks.base import Task


@stages.register("dataset")
class DatasetStage(Stage):
    """Reads, checks and counts the examples of a run."""

    bulky: ClassVar[tuple[str, ...]] = ("pictures",)

    source: Dataset

    def sources(self) -> tuple[Path, ...]:
        """The dataset's own files."""
        return self.source.sources()

    def run(self, job: Job) -> Json:
        """Streams the rows once; nothing is held in memory but counters and hashes."""
        counter = DatasetCounter(job.dataset, job.task)
        store = Store(job.folder / "pictures")
        with (
            atomic(job.folder / "examples.jsonl") as examples,
            atomic(job.folder / "rejected.jsonl") as rejected,
            job.reporter.bar("dataset", unit="rows") as bar,
        ):
            for record in read(job.dataset, job.task, store):
                counter.add(record)
                file = examples if isinstance(record, Example) else rejected
                file.write(record.to_line().encode("utf-8", "backslashreplace"))
                bar.advance()
        statistics = counter.statistics()
        write_json(job.folder / "statistics.json", statistics.to_json())
        counts = statistics.summary()
        if not counts["examples"]:
            reasons = ", ".join(f"{reason} {number:,}" for reason, number in statistics.rejected["reasons"].items())
            why = f": {reasons}" if reasons else ""
            hint = f"Look at {job.folder / 'rejected.jsonl'}: it says of every row why it cannot be used."
            raise NothingUsable(f"no usable example among {counts['rejected']:,} rows{why}", hint=hint)
        for finding in statistics.findings():
            if finding.level == "error":
                job.warn(f"{finding.message}. {finding.advice}")
        return counts

    def problems(self, task: Task, dataset: Dataset) -> list[str]:
        """Source files that are not there."""
        try:
            return [f"{path} does not exist" for path in dataset.sources() if not path.exists()]
        except DataError as error:
            return [str(error)]
