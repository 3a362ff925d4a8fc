"""The last stage, `report`: one page made of the run folder's files alone. It asks no model and needs no torch.

report.html   results, costs, training curves, errors, examples, diagnosis; everything inside one file
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from pydantic import Field

from mulcot.records import Json
from mulcot.stages.base import Job, Need, Stage, stages

PAGE = "report.html"


@stages.register("report")
class ReportStage(Stage):
    """The page that a run ends with."""

    always: ClassVar[bool] = True
    about: ClassVar[str] = "The page at the end; it is written without being asked for."

    examples: int = Field(default=40, ge=0, le=500)
    """How many examples the page shows; the run's seed decides which."""

    def needs(self) -> tuple[Need, ...]:
        """The examples."""
        return (Need("dataset"),)

    def wants(self, earlier: Sequence[str]) -> Iterable[str]:
        """Everything that there is."""
        return earlier

    def run(self, job: Job) -> Json:
        """Writes the page again."""
        from mulcot.report.pages.report import write_report

        out = job.folder / PAGE
        found = write_report(job.folder.path.parent, job.gallery(), out, number=self.examples, seed=job.seed)
        job.reporter.say(f"report: {out}")
        return {"findings": found.findings, "examples_shown": found.cases, "page": f"{job.folder.path.name}/{PAGE}"}
