"""What `mulcot run` says when it has ended."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from made_runs import make_run
from mulcot.cli import commands
from mulcot.report.run import read_run


def test_a_run_ends_with_a_table_and_the_place_of_its_report(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = make_run(tmp_path / "run")
    (run / "7-report").mkdir(exist_ok=True)
    (run / "7-report/report.html").write_text("")
    commands._show_results(read_run(run), {"evaluate", "report"})
    shown = capsys.readouterr().out
    assert re.search(r"^test +student +\d+\.\d% \(\d+\.\d% to \d+\.\d%\) +\d+\.\d%$", shown, re.MULTILINE)


def test_a_command_that_did_not_evaluate_says_nothing_about_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    commands._show_results(read_run(make_run(tmp_path / "run")), {"dataset"})
    assert capsys.readouterr().out == ""
