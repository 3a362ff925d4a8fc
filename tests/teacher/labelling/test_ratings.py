from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.errors import DataError
from mulcot.teacher.labelling.ratings import SCALE, krippendorff_alpha, read_ratings, summarise, summary_lines

# The worked example of Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): ordinal alpha is 0.815.
PUBLISHED = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def units(table: str) -> list[list[int]]:
    rows = [line.split() for line in table.strip().splitlines()]
    return [[int(cell) for cell in column if cell != "."] for column in zip(*rows, strict=True)]


def test_alpha_equals_the_published_example() -> None:
    found = krippendorff_alpha(units(PUBLISHED), SCALE)
    assert found is not None
    assert round(found, 3) == 0.815


def test_alpha_by_hand_on_two_raters() -> None:
    """Ratings 1-1, 2-2, 1-2: between 1 and 2 lie (3 + 3) - 3 = 3 ratings, so observed is 2 * 9, expected 18 * 9 / 5."""
    found = krippendorff_alpha([[1, 1], [2, 2], [1, 2]], (1, 2))
    assert found is not None
    assert abs(found - (1 - (2 * 9) / (2 * 3 * 3 * 9 / 5))) < 1e-12


def test_nobody_to_compare_with_is_unknown_and_full_agreement_is_one() -> None:
    assert krippendorff_alpha([], SCALE) is None
    assert krippendorff_alpha([[1], [5]], SCALE) is None
    assert krippendorff_alpha([[3, 3], [3, 3]], SCALE) is None, "without any variation nothing can be said"
    assert krippendorff_alpha([[1, 1], [5, 5]], SCALE) == 1.0
    worst = krippendorff_alpha([[1, 5], [5, 1]], SCALE)
    assert worst is not None
    assert worst < 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=2, max_size=12))
def test_alpha_depends_neither_on_the_order_of_raters_nor_on_that_of_units(table: list[list[int]]) -> None:
    one = krippendorff_alpha(table, SCALE)
    two = krippendorff_alpha([list(reversed(unit)) for unit in reversed(table)], SCALE)
    assert (one is None) == (two is None)
    if one is not None and two is not None:
        assert abs(one - two) < 1e-9
        assert one <= 1.0 + 1e-9


def save(path: Path, rater: str, *rows: tuple[str, dict[str, Any]], **changed: Any) -> Path:
    ratings = [
        {"example_id": name, "chain": "c", "stage": 1, "label": "positive", "values": values} for name, values in rows
    ]
    path.write_text(json.dumps({"format": 1, "rater": rater, "ratings": ratings} | changed), "utf-8")
    return path


def test_files_of_several_raters_are_summarised_together(tmp_path: Path) -> None:
    one = save(tmp_path / "one.json", "Ann", ("a", {"correctness": 5, "grounding": None}), ("b", {"correctness": 1}))
    two = save(tmp_path / "two.json", "", ("a", {"correctness": 4}), ("b", {"correctness": 2, "grounding": 3}))
    found = summarise(read_ratings([one, two]))
    assert found["raters"] == ["Ann", "two"]
    assert found["chains"] == 2
    correctness = found["questions"]["correctness"]
    assert (correctness["count"], correctness["mean"]) == (4, 3.0)
    assert correctness["by_rater"] == {"Ann": 3.0, "two": 3.0}
    assert correctness["rated_by_several"] == 2
    assert 0 < correctness["alpha"] < 1
    assert found["questions"]["grounding"]["alpha"] is None
    assert found["questions"]["coherence"]["count"] == 0
    text = "\n".join(summary_lines(found))
    assert "2 chains rated by 2: Ann, two" in text
    assert "coherence: not rated" in text
    assert "unknown, over 0 chains" in text


def test_a_chain_written_anew_is_not_compared_with_the_old_one(tmp_path: Path) -> None:
    one = save(tmp_path / "1.json", "A", ("a", {"correctness": 5}))
    two = save(tmp_path / "2.json", "B")
    row = {"example_id": "a", "chain": "new", "stage": 1, "label": "x", "values": {"correctness": 5}}
    save(tmp_path / "2.json", "B", ratings=[row])
    assert summarise(read_ratings([one, two]))["questions"]["correctness"]["rated_by_several"] == 0


def test_two_raters_of_one_name_stay_two(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{n}.json", "A", ("a", {"correctness": n})) for n in (1, 2)]
    assert len({rating.rater for rating in read_ratings(files)}) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nope", "is not JSON"),
        ("[]", "holds no ratings"),
        ("", "is not JSON"),
        ('{"format": 1, "ratings": []}', "nothing was rated"),
        ('{"format": 1, "ratings": [{"example_id": "a", "values": {"grounding": null}}]}', "nothing was rated"),
        ('{"format": 9, "ratings": []}', "format 9"),
        ('{"format": 1, "ratings": [3]}', "rating 1"),
        ('{"format": 1, "ratings": [{"example_id": "a", "values": {"beauty": 1}}]}', "unknown question 'beauty'"),
        ('{"format": 1, "ratings": [{"example_id": "a", "values": {"grounding": 6}}]}', "allowed are 1 to 5"),
        ('{"format": 1, "ratings": [{"example_id": "a", "values": {"grounding": true}}]}', "allowed are 1 to 5"),
        ('{"format": 1, "ratings": [{"example_id": "a", "values": {"grounding": [1]}}]}', "allowed are 1 to 5"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=message):
        read_ratings([path])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json"):
        read_ratings([tmp_path / "gone.json"])
