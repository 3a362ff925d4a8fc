"""MMMU: several pictures a question, options written as text, open questions, hostile cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mulcot.datasets.demo_files import png
from mulcot.datasets.mmmu import PICTURES, Mmmu
from mulcot.errors import DataError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def item(number: int = 1, pictures: tuple[int, ...] = (1,), **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": f"validation_Art_Theory_{number}", "question": "What is in <image 1>?", "options": "['sun', 'moon']",
        "explanation": "", "img_type": "['Paintings']", "answer": "B", "topic_difficulty": "Easy",
        "question_type": "multiple-choice", "subfield": "Baroque", **dict.fromkeys(PICTURES),
    }  # fmt: skip
    for picture in pictures:
        base[f"image_{picture}"] = {"bytes": png(picture), "path": f"{picture}.png"}
    return {**base, **changes}


def folder(root: Path, *items: dict[str, Any], flat: bool = False) -> Path:
    place = root if flat else root / "Art_Theory"
    place.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(key, IMAGE if key in PICTURES else pa.string()) for key in item()])
    for part, rows in (("dev", [item(id="dev_Art_Theory_1")]), ("validation", list(items))):
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), place / f"{part}-00000-of-00001.parquet")
    return root


def evaluated(outcome: Any) -> list[Any]:
    return [example for example in outcome.examples if example.split == "test"]


def test_validation_is_read_as_test_and_dev_stays_dev(tmp_path: Path, collect: Any) -> None:
    for flat in (False, True):
        examples = collect(Mmmu(root=folder(tmp_path / str(flat), item(), flat=flat))).examples
        assert [(e.id, e.split) for e in examples] == [
            ("dev_Art_Theory_1", "dev"), ("validation_Art_Theory_1", "test"),
        ]  # fmt: skip
        assert examples[1].label == "B"
        assert examples[1].meta == {
            "subject": "Art_Theory", "subfield": "Baroque", "topic_difficulty": "Easy", "img_type": "['Paintings']",
        }  # fmt: skip


def test_markers_stay_readable_and_are_numbered_by_the_pictures_that_are_there(tmp_path: Path, collect: Any) -> None:
    asked = "Compare <image 1> with <image 4>."
    row = item(1, (1, 4), question=asked, explanation="See <image 4>.")
    (example,) = evaluated(collect(Mmmu(root=folder(tmp_path, row))))
    assert example.text == "Compare (image 1) with (image 2)."
    assert example.rationale == "See (image 2)."
    assert [(image.width, image.stored, image.of) for image in example.images] == [(48, True, "")] * 2
    assert len({image.sha256 for image in example.images}) == 2


def test_an_option_that_is_a_picture_owns_it(tmp_path: Path, collect: Any) -> None:
    row = item(1, (1, 2, 3), question="Which fits <image 1>?", options="['<image 2>', '<image 3>']", answer="A")
    (example,) = evaluated(collect(Mmmu(root=folder(tmp_path, row))))
    assert [image.of for image in example.images] == ["", "A", "B"]
    assert example.choices == ("(image 2)", "(image 3)")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("""['it\\'s', "a \\"b\\""]""", ("it's", 'a "b"')),
        ("['\\\\frac{1}{2}', '$\\\\alpha$']", ("\\frac{1}{2}", "$\\alpha$")),
        ("['$\\pi$', '$\\psi$']", ("$\\pi$", "$\\psi$")),
        ("['a', 'b', 'c']", ("a", "b", "c")),
    ],
)
def test_options_are_read_as_python_writes_lists(
    tmp_path: Path, collect: Any, written: str, expected: tuple[str, ...]
) -> None:
    (example,) = evaluated(collect(Mmmu(root=folder(tmp_path, item(options=written, answer="A")))))
    assert example.choices == expected


@pytest.mark.parametrize(
    "written",
    [
        "__import__('os').system('touch pwned')", "[open('x')]", "['a'", "('a', 'b')", "['a', 3]", "[" * 5000,
        "['a'," * 10_000, "9" * 10_000, "\0", "{'a': 'b'}", "-" * 15_000 + "1",
    ],
)  # fmt: skip
def test_hostile_options_reject_their_row_and_run_nothing(tmp_path: Path, collect: Any, written: str) -> None:
    outcome = collect(Mmmu(root=folder(tmp_path, item(1), item(2, options=written), item(3))))
    assert [e.id[-1] for e in evaluated(outcome)] == ["1", "3"]
    assert [(row.id, row.reason) for row in outcome.rejected] == [("validation_Art_Theory_2", "bad_options")]
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question_type": "open", "options": "[]"}, "open_question"),
        ({"question_type": "essay"}, "bad_value"),
        ({"options": "[]"}, "no_choices"),
        ({"answer": "C"}, "answer_out_of_range"),
        ({"answer": "?"}, "answer_out_of_range"),
        ({"answer": None}, "missing_value"),
        ({"question": "What is in <image 5>?"}, "missing_image"),
        ({"image_1": {"bytes": b"", "path": "x.png"}}, "empty_image"),
        ({"image_1": {"bytes": png(1)[:60], "path": "x.png"}}, "truncated_image"),
        ({"image_1": {"bytes": None, "path": "/etc/passwd"}}, "outside_root"),
        ({"id": "validation_Art_Theory_1"}, "duplicate_id"),
    ],
)
def test_a_bad_question_is_rejected_alone(tmp_path: Path, collect: Any, changes: dict[str, Any], reason: str) -> None:
    outcome = collect(Mmmu(root=folder(tmp_path, item(1), item(2, **changes), item(3))))
    assert [e.id[-1] for e in evaluated(outcome)] == ["1", "3"]
    place = "Art_Theory/validation-00000-of-00001.parquet:2"
    assert outcome.reasons == [(place, reason)]


def test_the_hidden_test_has_no_labels(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, item(answer="?"))
    (root / "Art_Theory" / "validation-00000-of-00001.parquet").rename(root / "Art_Theory" / "test-0.parquet")
    assert [e.label for e in evaluated(collect(Mmmu(root=root, evaluate="test")))] == [None]
    with pytest.raises(DataError, match=r"no validation-\*\.parquet"):
        collect(Mmmu(root=root))


def test_a_file_that_is_not_parquet_is_one_error(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, item())
    path = root / "Art_Theory" / "validation-00000-of-00001.parquet"
    data = path.read_bytes()
    for damaged in (b"", b"hello", data[: len(data) // 2], b"\0" * len(data)):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is not a Parquet file"):
            collect(Mmmu(root=root))
    path.write_bytes(data[:100] + b"\xff" * 200 + data[300:])
    with pytest.raises(DataError, match="is not readable to its end"):
        collect(Mmmu(root=root))
    pq.write_table(pa.table({"id": ["1"], "question": ["?"]}), path)
    with pytest.raises(DataError, match="no column options, answer, question_type"):
        collect(Mmmu(root=root))
