"""150 chains that a 72B teacher wrote for Twitter-2015; found through MULCOT_DATA."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.tasks.label_leak import find_leak

TASK = AspectSentiment()


@pytest.fixture(scope="module")
def chains() -> list[dict[str, Any]]:
    root = os.environ.get("MULCOT_DATA")
    path = Path(root or "") / "twitter2015" / "teacher_rationales_sample.json"
    if not root or not path.is_file():
        pytest.skip("MULCOT_DATA names no folder with twitter2015/teacher_rationales_sample.json")
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    assert len(rows) == 150
    return rows


def test_every_real_chain_is_complete(chains: list[dict[str, Any]]) -> None:
    readings = [TASK.read(row["cot"]) for row in chains]
    assert [number for number, reading in enumerate(readings) if not reading.complete or reading.repeated] == []


def test_no_value_keeps_notation_of_the_reply(chains: list[dict[str, Any]]) -> None:
    for row in chains:
        for value in TASK.read(row["cot"]).fields.values():
            assert not value.startswith(("#", "*", "{", ":", "\\"))
            assert not value.endswith((",", "}", "`", "*", "\\"))
            assert value.count('"') % 2 == 0
            assert "_analysis" not in value


def test_148_of_150_predictions_equal_the_label_by_both_rules(chains: list[dict[str, Any]]) -> None:
    predictions = [TASK.read(row["cot"]).prediction for row in chains]
    assert sum(found == row["label"] for found, row in zip(predictions, chains, strict=True)) == 148
    assert predictions == [TASK.read_published(row["cot"]) for row in chains]


def test_the_last_line_says_what_was_read(chains: list[dict[str, Any]]) -> None:
    for row in chains:
        end = row["cot"][row["cot"].rindex("rediction") :]
        named = [label for label in TASK.labels() if label in end]
        assert [TASK.read(row["cot"]).prediction] == named


def test_a_real_chain_survives_being_written_anew(chains: list[dict[str, Any]]) -> None:
    for row in chains:
        reading = TASK.read(row["cot"])
        assert TASK.read(TASK.write_chain(reading.fields)) == reading


def test_no_real_chain_gives_its_label_away(chains: list[dict[str, Any]]) -> None:
    assert [phrase for row in chains if (phrase := find_leak(row["cot"], TASK.labels()))] == []
