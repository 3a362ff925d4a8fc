"""The last stage, `report`: one page made of the run folder's files alone. It asks no model and needs no torch.

report.html   results, costs, training curves, errors, examples, diagnosis; everything inside one file
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mulcot.records import Json
from mulcot.stages.base import Job, Stage

PAGE = "report.html"


class ReportStage(Stage):
    """The page that a run ends with."""

    name: ClassVar[str] = "report"
    needs: ClassVar[tuple[str, ...]] = ("dataset",)
    wants: ClassVar[tuple[str, ...]] = (
        "teacher", "assistant", "annotate", "student", "features", "rationale", "answer", "evaluate",
    )  # fmt: skip

    examples: int = Field(default=40, ge=0, le=500)
    """How many examples the page shows; the run's seed decides which."""

    def run(self, job: Job) -> Json:
        """Writes the page again."""
        from mulcot.report.pages.report import write_report

        out = job.folder / PAGE
        found = write_report(job.folder.path.parent, job.gallery(), out, number=self.examples, seed=job.seed)
        job.reporter.say(f"report: {out}")
        return {"findings": found.findings, "examples_shown": found.cases, "page": f"{job.folder.path.name}/{PAGE}"}
