"""Twitter-2015 and Twitter-2017: both layouts, broken rows, and the real data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mulcot.datasets.demo_files import save_picture
from mulcot.datasets.twitter import Twitter
from mulcot.errors import DataError

HEADER = "index\t#1 Label\t#2 ImageID\t#3 String\t#3 String"
GOOD = "1\t2\t1.jpg\t$T$ sings\tAnna"


def folder(root: Path, train: str | bytes, suffix: str = "tsv") -> Path:
    """The layout with this train file, one good row in dev and test, and three pictures."""
    root.mkdir(parents=True, exist_ok=True)
    rest = f"{HEADER}\n{GOOD}\n" if suffix == "tsv" else "$T$ sings\nAnna\n1\n1.jpg\n"
    for split, content in (("train", train), ("dev", rest), ("test", rest)):
        data = content.encode() if isinstance(content, str) else content
        (root / f"{split}.{suffix}").write_bytes(data)
    for number in (1, 2, 3):
        save_picture(root / "images" / f"{number}.jpg", number)
    return root


def tsv(*rows: str) -> str:
    return "\n".join((HEADER, *rows)) + "\n"


def train_of(outcome: Any) -> list[tuple[str, str, str]]:
    return [(e.text, e.aspect, e.label) for e in outcome.examples if e.split == "train"]


def test_the_target_fills_its_slot_and_is_kept_as_the_aspect(tmp_path: Path, collect: Any) -> None:
    rows = (
        "1\t0\t1.jpg\tRT @ x : $T$ is late\tNorthern Rail",
        "2\t1\t2.jpg\tAnna meets $T$\tBob",
        "3\t2\t3.jpg\t$T$ !\tBob",
    )
    outcome = collect(Twitter(root=folder(tmp_path, tsv(*rows))))
    assert train_of(outcome) == [
        ("RT @ x : Northern Rail is late", "Northern Rail", "negative"),
        ("Anna meets Bob", "Bob", "neutral"),
        ("Bob !", "Bob", "positive"),
    ]
    assert [e.meta["index"] for e in outcome.examples[:3]] == ["1", "2", "3"]
    assert [e.images[0].path for e in outcome.examples[:3]] == ["1.jpg", "2.jpg", "3.jpg"]


def test_both_layouts_give_the_same_posts_with_the_same_ids(tmp_path: Path, collect: Any) -> None:
    one = collect(
        Twitter(root=folder(tmp_path / "a", tsv("1\t0\t1.jpg\t$T$ is late\tRail", "2\t1\t2.jpg\tmeets $T$\tBob")))
    )
    four = "$T$ is late\nRail\n-1\n1.jpg\nmeets $T$\nBob\n0\n2.jpg\n"
    other = collect(Twitter(root=folder(tmp_path / "b", four, "txt")))
    assert train_of(one) == train_of(other)
    assert one.ids == other.ids
    assert not other.rejected


def test_quotes_are_characters_like_any_other(tmp_path: Path, collect: Any) -> None:
    rows = ('1\t0\t1.jpg\t"$T$ is late\tRail', '2\t0\t2.jpg\tsays " $T$\t"Bob"')
    texts = [text for text, _, _ in train_of(collect(Twitter(root=folder(tmp_path, tsv(*rows)))))]
    assert texts == ['"Rail is late', 'says " "Bob"']


def test_every_slot_is_filled(tmp_path: Path, collect: Any) -> None:
    outcome = collect(Twitter(root=folder(tmp_path, tsv("1\t1\t1.jpg\t$T$ , oh $T$\tAnna"))))
    assert train_of(outcome)[0][0] == "Anna , oh Anna"


def test_a_file_without_a_header_loses_no_row(tmp_path: Path, collect: Any) -> None:
    outcome = collect(Twitter(root=folder(tmp_path, f"{GOOD}\n2\t0\t2.jpg\tmeets $T$\tBob\n")))
    assert [aspect for _, aspect, _ in train_of(outcome)] == ["Anna", "Bob"]


def test_a_target_that_looks_like_a_slot_is_filled_in_once(tmp_path: Path, collect: Any) -> None:
    outcome = collect(Twitter(root=folder(tmp_path, tsv("1\t1\t1.jpg\tbuy $T$ now\t$T$ $T$"))))
    assert train_of(outcome)[0][0] == "buy $T$ $T$ now"


def test_a_text_that_is_already_filled_stays_as_it_is(tmp_path: Path, collect: Any) -> None:
    outcome = collect(Twitter(root=folder(tmp_path, tsv("1\t1\t1.jpg\tAnna sings\tAnna"))))
    assert train_of(outcome) == [("Anna sings", "Anna", "neutral")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2\t3\t1.jpg\t$T$ x\tBob", "unknown_label"),
        ("2\tpositive\t1.jpg\t$T$ x\tBob", "unknown_label"),
        ("2\t1\t1.jpg\t$T$ x", "bad_columns"),
        ("2\t1\t1.jpg\t$T$ x\tBob\textra", "bad_columns"),
        ("2\t1\t1.jpg\tnobody here\tBob", "no_target_slot"),
        ("2\t1\t1.jpg\t$T$ x\t ", "no_target"),
        ("2\t1\t9.jpg\t$T$ x\tBob", "missing_image"),
        ("2\t1\t../dev.tsv\t$T$ x\tBob", "outside_root"),
        ("2\t1\t\t$T$ x\tBob", "missing_image"),
        ("2\t1\t1.jpg\t$T$ \0 x\tBob", "nul_byte"),
    ],
)
def test_a_bad_row_is_rejected_alone_with_its_place(tmp_path: Path, collect: Any, row: str, reason: str) -> None:
    whole = collect(Twitter(root=folder(tmp_path / "good", tsv(GOOD, "3\t0\t2.jpg\tmeets $T$\tBob"))))
    outcome = collect(Twitter(root=folder(tmp_path / "bad", tsv(GOOD, row, "3\t0\t2.jpg\tmeets $T$\tBob"))))
    assert outcome.reasons == [("train.tsv:3", reason)]
    assert outcome.rejected[0].split == "train"
    assert outcome.ids == whole.ids


def test_a_line_that_is_not_utf8_is_rejected_alone(tmp_path: Path, collect: Any) -> None:
    data = (
        tsv(GOOD, "2\t1\t1.jpg\t$T$ caf#\tBob", "3\t0\t2.jpg\tmeets $T$\tBob").encode().replace(b"#\tBob", b"\xe9\tBob")
    )
    outcome = collect(Twitter(root=folder(tmp_path, data)))
    assert outcome.reasons == [("train.tsv:3", "bad_encoding")]
    assert len(train_of(outcome)) == 2


def test_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path, collect: Any) -> None:
    plain = tsv(GOOD, "2\t0\t2.jpg\tmeets $T$\tBob")
    windows = b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode()
    one = collect(Twitter(root=folder(tmp_path / "a", plain)))
    other = collect(Twitter(root=folder(tmp_path / "b", windows)))
    assert one.rows == other.rows


GROUP = ["$T$ is late", "Rail", "-1", "1.jpg"]
NEXT = ["meets $T$", "Bob", "0", "2.jpg"]
LAST = ["$T$ wins", "Anna", "1", "3.jpg"]


@pytest.mark.parametrize("lost", range(4))
def test_a_missing_line_spoils_its_own_group_only(tmp_path: Path, collect: Any, lost: int) -> None:
    torn = [line for index, line in enumerate(NEXT) if index != lost]
    outcome = collect(Twitter(root=folder(tmp_path, "\n".join(GROUP + torn + LAST) + "\n", "txt")))
    assert train_of(outcome) == [("Rail is late", "Rail", "negative"), ("Anna wins", "Anna", "positive")]
    assert outcome.reasons == [("train.txt:5", "bad_record")]


@pytest.mark.parametrize("spoilt", range(4))
def test_a_line_of_another_encoding_spoils_its_own_group_only(tmp_path: Path, collect: Any, spoilt: int) -> None:
    lines = [line.encode() for line in GROUP + NEXT + LAST]
    lines[4 + spoilt] = b"\xff\xff\xff"
    outcome = collect(Twitter(root=folder(tmp_path, b"\n".join(lines), "txt")))
    assert [aspect for _, aspect, _ in train_of(outcome)] == ["Rail", "Anna"]
    assert len(outcome.rejected) == 1


def test_a_group_cut_off_at_the_end_is_rejected(tmp_path: Path, collect: Any) -> None:
    outcome = collect(Twitter(root=folder(tmp_path, "\n".join(GROUP + NEXT[:2]), "txt")))
    assert outcome.reasons == [("train.txt:5", "bad_record")]
    assert len(train_of(outcome)) == 1


def test_blank_lines_between_groups_are_nothing(tmp_path: Path, collect: Any) -> None:
    outcome = collect(Twitter(root=folder(tmp_path, "\n".join(["", *GROUP, "", "", *NEXT, ""]), "txt")))
    assert len(train_of(outcome)) == 2
    assert not outcome.rejected


def test_tsv_is_preferred_and_the_layout_can_be_chosen(tmp_path: Path, collect: Any) -> None:
    folder(tmp_path, tsv(GOOD))
    folder(tmp_path, "\n".join(GROUP), "txt")
    assert train_of(collect(Twitter(root=tmp_path)))[0][1] == "Anna"
    assert train_of(collect(Twitter(root=tmp_path, layout="txt")))[0][1] == "Rail"


@pytest.mark.parametrize("name", ["twitter2015_images", "twitter2017_images"])
def test_the_picture_folder_may_lie_inside_or_beside(tmp_path: Path, collect: Any, name: str) -> None:
    root = folder(tmp_path / "inside", tsv(GOOD))
    (root / "images").rename(root / name)
    assert len(collect(Twitter(root=root)).examples) == 3
    beside = folder(tmp_path / name.removesuffix("_images"), tsv(GOOD))
    (beside / "images").rename(tmp_path / name)
    assert len(collect(Twitter(root=beside)).examples) == 3
    (tmp_path / name).rename(tmp_path / "elsewhere")
    assert len(collect(Twitter(root=beside, images=tmp_path / "elsewhere")).examples) == 3
    with pytest.raises(DataError, match="no folder of pictures") as caught:
        collect(Twitter(root=beside))
    assert "Set `images`" in caught.value.hint


def test_a_missing_split_is_one_error_that_lists_what_is_there(tmp_path: Path, collect: Any) -> None:
    root = folder(tmp_path, tsv(GOOD))
    (root / "dev.tsv").rename(root / "valid.tsv")
    with pytest.raises(DataError, match="not all there") as caught:
        collect(Twitter(root=root))
    assert "images/, test.tsv, train.tsv, valid.tsv" in caught.value.hint


def test_the_real_twitter_2015_has_the_published_numbers(real_data: Path, collect: Any) -> None:
    outcome = collect(Twitter(root=real_data / "twitter2015"))
    assert not outcome.rejected
    labels = {
        split: Counter(e.label for e in outcome.examples if e.split == split) for split in ("train", "dev", "test")
    }
    assert labels == {
        "train": {"positive": 928, "neutral": 1883, "negative": 368},
        "dev": {"positive": 303, "neutral": 670, "negative": 149},
        "test": {"positive": 317, "neutral": 607, "negative": 113},
    }
    pictures = {split: {e.images[0].path for e in outcome.examples if e.split == split} for split in labels}
    assert {split: len(paths) for split, paths in pictures.items()} == {"train": 2101, "dev": 727, "test": 674}
    assert len(set(outcome.ids)) == 3179 + 1122 + 1037
    assert not any("$T$" in e.text or e.aspect not in e.text for e in outcome.examples)
