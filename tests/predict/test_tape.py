from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.errors import MulcotError, RunLocked
from mulcot.predict.resumable_output import InputRow, ResumableOutput
from mulcot.records import Example, Prediction, Rejected


def rows(count: int, bad: Sequence[int] = ()) -> Iterator[InputRow]:
    for n in range(count):
        source = f"posts.jsonl:{n + 1}"
        item = Example(id=f"p{n}", split="", text=f"text {n}")
        yield InputRow(source, Rejected(source=source, reason="bad_json", detail="odd") if n in bad else item)


def answer(items: Sequence[Example]) -> list[Prediction | Rejected]:
    """Depends on the whole batch, as a real model's last digits do."""
    together = "+".join(item.id for item in items)
    return [
        Rejected(source="item", reason="too_long", detail="x", id=item.id)
        if item.id == "p5"
        else Prediction(id=item.id, label="yes", chain=f"\ud800 {together}")
        for item in items
    ]


def finish(path: Path, count: int = 11, size: int = 4, bad: Sequence[int] = (2,), mark: str = "m") -> ResumableOutput:
    answers_file = ResumableOutput(path, {"model": mark})
    list(answers_file.run(rows(count, bad), answer, size))
    return answers_file


def test_every_row_gets_its_line_in_order(tmp_path: Path) -> None:
    answers_file = finish(tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [line["source"] for line in lines] == [f"posts.jsonl:{n + 1}" for n in range(11)]
    assert [n for n, line in enumerate(lines) if "reason" in line] == [2, 5]
    assert answers_file.count.to_json() == {
        "rows": 11, "answered": 9, "labels": {"yes": 9}, "rejected": {"bad_json": 1, "too_long": 1}
    }  # fmt: skip


@given(keep=st.integers(0, 3000))
@settings(max_examples=40, deadline=None)
def test_a_file_cut_off_anywhere_is_completed_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, keep: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "out.jsonl"
    whole = finish(path)
    expected = path.read_bytes()
    path.write_bytes(expected[:keep])
    again = finish(path)
    assert path.read_bytes() == expected
    assert again.count == whole.count


def test_finished_rows_are_not_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    finish(path)

    def never(items: Sequence[Example]) -> list[Prediction | Rejected]:
        raise AssertionError("asked again")

    assert list(ResumableOutput(path, {"model": "m"}).run(rows(11, (2,)), never, 4)) == [4, 8, 11]


def test_an_input_that_has_grown_is_continued(tmp_path: Path) -> None:
    finish(tmp_path / "grown.jsonl", 6)
    finish(tmp_path / "grown.jsonl", 11)
    finish(tmp_path / "whole.jsonl", 11)
    assert (tmp_path / "grown.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_answers_of_other_rows_models_or_hands_are_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    finish(path)
    with pytest.raises(MulcotError, match="another model"):
        finish(path, mark="other")
    with pytest.raises(MulcotError, match="more lines"):
        finish(path, 10)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(MulcotError, match="no answer to it"):
        finish(path)
    path.write_bytes(b"".join([b"[]\n", *lines[1:]]))
    with pytest.raises(MulcotError, match="no answer to it"):
        finish(path)
    path.with_name("out.jsonl.made.json").unlink()
    with pytest.raises(MulcotError, match="by hand"):
        finish(path)


def test_force_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("something else\n")
    list(ResumableOutput(path, {"model": "m"}).run(rows(3), answer, 4, force=True))
    assert len(path.read_text("utf-8").splitlines()) == 3
    finish(path, 3, bad=())


def test_only_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RunLocked):
            finish(path)
