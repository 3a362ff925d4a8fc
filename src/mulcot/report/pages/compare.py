"""Several runs on one page."""

from __future__ import annotations

from pathlib import Path

from mulcot.progress import duration
from mulcot.report.comparison import Compared
from mulcot.report.pages.page import asset, render, write_page
from mulcot.report.results import title_of
from mulcot.rundir import need_place
from mulcot.version import __version__


def write_comparison(found: Compared, out: Path) -> None:
    """Writes the page."""
    need_place(out)
    page = render(
        "compare.html",
        title="Comparison of " + ", ".join(column.name for column in found.columns),
        styles=[asset("report.css")],
        found=found,
        title_of=title_of,
        duration=duration,
        version=__version__,
    )
    write_page(out, page)
