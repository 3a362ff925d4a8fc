"""MVSA: the merge rule, the vote of three, published divisions, and texts of any encoding."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from mulcot.datasets.demo_files import save_json, save_picture
from mulcot.datasets.mvsa import LABELS, Mvsa, merge
from mulcot.errors import DataError

SINGLE, MULTIPLE = "ID\ttext,image", "ID" + "\ttext,image" * 3


def folder(root: Path, header: str, *lines: str, posts: int = 9) -> Path:
    (root / "data").mkdir(parents=True)
    (root / "labelResultAll.txt").write_text("\n".join((header, *lines)) + "\n")
    for post in range(1, posts + 1):
        (root / "data" / f"{post}.txt").write_text(f"post {post}\n")
        save_picture(root / "data" / f"{post}.jpg", post)
    return root


def labels(outcome: Any) -> dict[str, str]:
    return {example.id: example.label for example in outcome.examples}


def test_the_merge_rule_for_every_pair_of_labels(tmp_path: Path, collect: Any) -> None:
    pairs = list(product(LABELS, LABELS))
    lines = [f"{post}\t{text},{image}" for post, (text, image) in enumerate(pairs, start=1)]
    outcome = collect(Mvsa(root=folder(tmp_path, SINGLE, *lines)))
    expected = {}
    for post, (text, image) in enumerate(pairs, start=1):
        polar = {text, image} - {"neutral"}
        if len(polar) < 2:
            expected[str(post)] = polar.pop() if polar else "neutral"
    assert labels(outcome) == expected
    assert {row.reason for row in outcome.rejected} == {"conflicting_labels"}
    assert len(outcome.rejected) == 2
    assert outcome.examples[0].meta == {"text_label": "positive", "image_label": "positive"}


def test_two_of_three_annotators_decide_each_modality(tmp_path: Path, collect: Any) -> None:
    root = folder(
        tmp_path,
        MULTIPLE,
        "1\tpositive,neutral\tpositive,neutral\tnegative,negative",
        "2\tneutral,negative\tneutral,negative\tnegative,positive",
        "3\tpositive,neutral\tneutral,neutral\tnegative,neutral",
        "4\tpositive,neutral\tpositive,positive\tpositive,negative",
        "5\tpositive,negative\tpositive,negative\tneutral,neutral",
    )
    outcome = collect(Mvsa(root=root))
    assert labels(outcome) == {"1": "positive", "2": "negative"}
    assert outcome.examples[1].meta == {"text_label": "neutral", "image_label": "negative"}
    assert [(row.id, row.reason) for row in outcome.rejected] == [
        ("3", "no_majority"), ("4", "no_majority"), ("5", "conflicting_labels"),
    ]  # fmt: skip
    assert "text was called positive, neutral, negative" in outcome.rejected[0].detail
    assert "picture was called neutral, positive, negative" in outcome.rejected[1].detail


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2\tpositive", "unknown_label"),
        ("2\tgood,bad", "unknown_label"),
        ("2\tpositive,positive\tpositive,positive", "bad_columns"),
        ("2", "bad_columns"),
        ("../2\tpositive,positive", "bad_id"),
        ("99\tpositive,positive", "missing_text"),
        ("1\tpositive,positive", "duplicate_id"),
    ],
)
def test_a_bad_line_is_rejected_alone(tmp_path: Path, collect: Any, line: str, reason: str) -> None:
    outcome = collect(Mvsa(root=folder(tmp_path, SINGLE, "1\tneutral,neutral", line, "3\tneutral,positive")))
    assert labels(outcome) == {"1": "neutral", "3": "positive"}
    assert outcome.reasons == [("labelResultAll.txt:3", reason)]


@pytest.mark.parametrize(
    "encoded",
    [b"caf\xe9", "caf\u00e9".encode(), "\ufeffcaf\u00e9".encode(), "caf\u00e9".encode("utf-16")],
    ids=["latin", "utf-8", "bom", "utf-16"],
)
def test_texts_of_any_encoding_are_read(tmp_path: Path, collect: Any, encoded: bytes) -> None:
    root = folder(tmp_path, SINGLE, "1\tneutral,neutral")
    (root / "data" / "1.txt").write_bytes(encoded + b"" if encoded[:2] == b"\xff\xfe" else encoded + b"\r\n")
    assert collect(Mvsa(root=root)).texts == ["caf\u00e9"]


def test_a_text_that_is_a_link_out_of_the_folder_is_rejected(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path / "mvsa", SINGLE, "1\tneutral,neutral", "2\tneutral,neutral")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "data" / "1.txt").unlink()
    (root / "data" / "1.txt").symlink_to(tmp_path / "secret.txt")
    outcome = collect(Mvsa(root=root))
    assert outcome.reasons == [("labelResultAll.txt:2", "outside_root")]
    assert outcome.texts == ["post 2"]


def test_rows_without_a_division_get_stable_splits(tmp_path: Path, collect: Any) -> None:
    lines = [f"{post}\tneutral,neutral" for post in range(1, 61)]
    root = folder(tmp_path / "a", SINGLE, *lines, posts=60)
    splits = {e.id: e.split for e in collect(Mvsa(root=root)).examples}
    assert set(splits.values()) == {"train", "dev", "test"}
    backwards = folder(tmp_path / "b", SINGLE, *reversed(lines), posts=60)
    assert {e.id: e.split for e in collect(Mvsa(root=backwards)).examples} == splits
    other_seed = Mvsa.model_validate({"root": root, "splits": {"seed": 7}})
    assert {e.id: e.split for e in collect(other_seed).examples} != splits


def division(root: Path, dev: str = "dev") -> Path:
    save_json(root / "train.json", [{"id": "1", "text": "x", "emotion_label": 0}, {"id": 2, "emotion_label": 2}])
    save_json(root / f"{dev}.json", [{"id": "3", "emotion_label": 1}])
    save_json(root / "test.json", [{"id": "8", "emotion_label": 1}])
    return root


def test_a_published_division_decides_split_and_label(tmp_path: Path, collect: Any) -> None:
    lines = [
        "1\tpositive,positive",
        "2\tpositive,negative",
        "3\tneutral,positive",
        "4\tneutral,neutral",
        "5\tnegative,positive",
    ]
    root = folder(tmp_path / "mvsa", SINGLE, *lines)
    for dev in ("dev", "valid", "val"):
        outcome = collect(Mvsa(root=root, split_files=division(tmp_path / dev, dev)))
        assert [(e.id, e.split, e.label) for e in outcome.examples] == [
            ("1", "train", "positive"), ("2", "train", "negative"), ("3", "dev", "neutral"),
        ]  # fmt: skip
        assert [(row.id, row.reason) for row in outcome.rejected] == [
            ("4", "not_in_division"), ("5", "conflicting_labels"), ("8", "no_label"),
        ]  # fmt: skip


def test_a_broken_division_is_one_error(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path / "mvsa", SINGLE, "1\tneutral,neutral")
    split_files = division(tmp_path / "splits")
    save_json(split_files / "dev.json", [{"id": "1", "emotion_label": 1}])
    with pytest.raises(DataError, match="'1' stands twice"):
        collect(Mvsa(root=root, split_files=split_files))
    save_json(split_files / "dev.json", [{"id": "7", "emotion_label": "good"}])
    with pytest.raises(DataError, match=r"item 0 has no `id` or no `emotion_label`"):
        collect(Mvsa(root=root, split_files=split_files))
    (split_files / "dev.json").unlink()
    with pytest.raises(DataError, match=r"no dev\.json") as caught:
        collect(Mvsa(root=root, split_files=split_files))
    assert "test.json, train.json" in caught.value.hint


def test_the_variant_is_checked_against_the_header(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, SINGLE, "1\tneutral,neutral")
    assert len(collect(Mvsa(root=root, variant="single")).examples) == 1
    with pytest.raises(DataError, match="is MVSA-single, not multiple"):
        collect(Mvsa(root=root, variant="multiple"))
    (root / "labelResultAll.txt").write_text("1\tneutral,neutral\n")
    with pytest.raises(DataError, match="no known header"):
        collect(Mvsa(root=root))


def test_merging_is_symmetric() -> None:
    for text, image in product(LABELS, LABELS):
        if {text, image} != {"positive", "negative"}:
            assert merge(text, image) == merge(image, text)
