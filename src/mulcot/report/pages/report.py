"""The report: one page that says what a run made, how good it is, what looks wrong, and how to make it again.

A section is a function that finds its values in the run, or None where there is nothing to say, and a template of the
same name in `report_sections/`. A method adds its own by adding a line to `SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mulcot.media import Gallery
from mulcot.report.diagnosis import diagnose
from mulcot.report.pages import report_parts as parts
from mulcot.report.pages.page import asset, render, write_page
from mulcot.report.pages.report_parts import Values, View
from mulcot.report.pages.thumbnails import Thumbnails
from mulcot.report.run import Run, read_run
from mulcot.rundir import need_place
from mulcot.version import __version__


class Section(NamedTuple):
    """One part of the page."""

    name: str
    """Names its template and its anchor."""
    title: str
    values: Callable[[View], Values | None]


SECTIONS: tuple[Section, ...] = (
    Section("results", "Results", parts.results),
    Section("questions", "By kind of question", parts.questions),
    Section("diagnosis", "Diagnosis", parts.diagnosis),
    Section("flow", "Origin of the {chain}s", parts.flow),
    Section("chains", "Quality of the {chain}s", parts.chains),
    Section("training", "Training", parts.training),
    Section("errors", "Errors and confidence", parts.errors),
    Section("grounding", "Grounding and faithfulness", parts.grounding),
    Section("gallery", "Examples", parts.gallery),
    Section("provenance", "Reproduce this run", parts.provenance),
)


class ReportPage(NamedTuple):
    """What a page came to."""

    path: Path
    findings: int
    cases: int


def write_report(folder: Path, gallery: Gallery, out: Path, *, number: int = 40, seed: int = 0) -> ReportPage:
    """Reads a run folder and writes its page."""
    need_place(out)
    view = View(read_run(folder), Thumbnails(gallery), number, seed)
    write_page(out, report_html(view))
    return ReportPage(out, len(diagnose(view.run).findings), len(view.drawn.cases))


def report_html(view: View) -> str:
    """The page itself."""
    shown: list[dict[str, Any]] = []
    for section in SECTIONS:
        values = section.values(view)
        if values is not None:
            title = section.title.format(chain=view.run.words.chain)
            shown.append({"name": section.name, "title": title, "values": values})
    return render(
        "report.html",
        title=f"Report of {view.run.name}",
        styles=[asset("report.css")],
        script=asset("report.js"),
        run=view.run,
        words=view.run.words,
        head=parts.headline(view),
        sections=shown,
        missing=_missing(view.run),
        outdated=[name for name, stage in view.run.stages.items() if stage.outdated and name != "report"],
        version=__version__,
    )


def _missing(run: Run) -> list[str]:
    """What is not in the report because the run has not got there."""
    open_stages = [name for name, stage in run.stages.items() if stage.record is None and name != "report"]
    found = [f"the stage {name} is not finished" for name in open_stages]
    if not run.stages:
        found.append("no stage has run")
    elif run.scores is None and "evaluate" not in open_stages:
        found.append("nothing was evaluated")
    return found
