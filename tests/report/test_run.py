from __future__ import annotations

import json
from pathlib import Path

import pytest

from made_runs import make_run
from mulcot.errors import RunError
from mulcot.report.curves import POINTS, read_curves, thinned
from mulcot.report.run import read_run


def scores_file(run: Path) -> Path:
    return run / "6-evaluate/scores.json"


def test_a_whole_run_is_read_with_everything_it_holds(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "first"))
    assert run.name == "first"
    assert list(run.stages) == ["dataset", "teacher", "assistant", "annotate", "student", "evaluate"]
    assert run.scores is not None
    assert set(run.scores.sets["test"].models) == {"majority", "assistant", "student"}
    assert run.simulated
    assert set(run.curves) == {"assistant", "student"}
    assert run.setting("student", "backbone", "name") == "tiny"
    assert run.setting("student", "objective", "soft", default=0.3) == 0.3


def test_a_run_of_the_teacher_alone_lacks_the_rest(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "r", stages=("dataset", "teacher")))
    assert run.teacher is not None
    assert run.scores is None
    assert run.curves == {}


def test_files_of_an_unfinished_stage_are_not_read(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    (folder / "6-evaluate/stage.json").unlink()
    assert read_run(folder).scores is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"format": 1}', '{"format": 1, "task": "x", "sets": {"a": 3}}', "[" * 9999]
)
def test_damaged_scores_are_told_with_what_to_do(tmp_path: Path, content: str) -> None:
    folder = make_run(tmp_path / "r")
    scores_file(folder).write_text(content)
    with pytest.raises(RunError, match=r"scores\.json (is damaged|was made)") as caught:
        read_run(folder)
    assert "stage.json" in caught.value.hint


def test_scores_of_another_format_are_refused_by_that_name(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    scores_file(folder).write_text(json.dumps({**json.loads(scores_file(folder).read_text()), "format": 0}))
    with pytest.raises(RunError, match="another version of mulcot") as caught:
        read_run(folder)
    assert "answers are kept" in caught.value.hint


def test_a_stage_of_a_later_version_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    path = folder / "2-teacher/stage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(RunError, match="later version"):
        read_run(folder)


@pytest.mark.parametrize("made", ["nothing", "folder", "file"])
def test_what_is_no_run_folder_is_refused(tmp_path: Path, made: str) -> None:
    path = tmp_path / "x"
    if made == "folder":
        path.mkdir()
    if made == "file":
        path.touch()
    with pytest.raises(RunError, match="is not a run folder"):
        read_run(path)


def test_a_line_that_is_still_being_written_ends_a_curve(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "epoch": 0.5, "loss": 2, "seconds": 9}\n{"step": 2, "loss": NaN, "chain": 1}\n{"step": 3, "lo'
    )
    curves = read_curves(path)
    assert curves is not None
    assert curves.losses == {"loss": [(1, 2.0)], "chain": [(2, 1.0)]}
    assert (curves.steps, curves.epochs) == (2, 0.5)
    path.write_text("")
    assert read_curves(path) is None


def test_long_curves_become_means_of_equal_stretches() -> None:
    points = [(float(n), float(n % 2)) for n in range(10 * POINTS)]
    short = thinned(points)
    assert len(short) == POINTS
    assert {value for _, value in short} == {0.5}
    assert short[-1][0] == points[-1][0]
    assert thinned(points[:5]) == points[:5]
