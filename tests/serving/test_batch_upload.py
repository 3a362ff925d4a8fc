from __future__ import annotations

import contextlib
import io
import json
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mulcot.errors import MediaError
from mulcot.serving.picture_zip import ArchiveLimits, ArchivePictures, UploadRefused
from mulcot.serving.upload_table import UploadLimits, UploadRow, read_table

LIMITS = UploadLimits()


def zipped(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out


def refused(file: io.BytesIO, **limits: int) -> UploadRefused:
    with pytest.raises(UploadRefused) as caught:
        ArchivePictures(file, ArchiveLimits(**limits))
    return caught.value


def reason(pictures: ArchivePictures, name: str) -> str:
    with pytest.raises(MediaError) as caught:
        pictures.read(name)
    return caught.value.reason


def table(
    folder: Path, content: str | bytes, name: str = "posts.csv", limits: UploadLimits = LIMITS
) -> list[UploadRow]:
    path = folder / "upload-7f3a"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, name, limits)


def reasons(rows: list[UploadRow]) -> list[str | None]:
    return [row.rejected and row.rejected.reason for row in rows]


def test_a_picture_is_found_by_its_path_and_by_the_end_of_its_path() -> None:
    pictures = ArchivePictures(zipped({"export/day.jpg": b"day", "export/more/night.jpg": b"night"}))
    assert pictures.read("export/day.jpg") == pictures.read("day.jpg") == pictures.read("./day.jpg") == b"day"
    assert pictures.read("more\\night.jpg") == b"night"
    assert reason(pictures, "ay.jpg") == "missing_image"
    assert reason(pictures, "") == "missing_image"
    assert reason(pictures, "../day.jpg") == "missing_image"


def test_a_name_that_fits_two_pictures_is_not_guessed() -> None:
    pictures = ArchivePictures(zipped({"a/day.jpg": b"1", "b/day.jpg": b"2"}))
    assert reason(pictures, "day.jpg") == "ambiguous_image"
    assert pictures.read("b/day.jpg") == b"2"


def test_letters_decomposed_by_another_system_still_match() -> None:
    name = "caf\u00e9.jpg"
    pictures = ArchivePictures(zipped({unicodedata.normalize("NFD", name): b"x"}))
    assert pictures.read(name) == b"x"


def test_what_macos_adds_is_passed_over() -> None:
    assert len(ArchivePictures(zipped({"a.jpg": b"x", "__MACOSX/._a.jpg": b"y"}))) == 1


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "C:/evil.jpg", "..\\evil.jpg"])
def test_names_that_lead_out_refuse_the_archive(name: str) -> None:
    assert "leads out" in refused(zipped({"fine.jpg": b"x", name: b"x"})).message


@pytest.mark.parametrize("name", ["inner.zip", "more/inner.TAR", "a.tar.gz", "b.7z"])
def test_archives_inside_refuse_the_archive(name: str) -> None:
    assert "archive inside" in refused(zipped({name: b"x"})).message


def test_a_nested_archive_under_a_pictures_name_is_never_unpacked() -> None:
    inner = zipped({"day.jpg": b"day"}).getvalue()
    pictures = ArchivePictures(zipped({"picture.jpg": inner}))
    assert pictures.read("picture.jpg") == inner
    assert reason(pictures, "day.jpg") == "missing_image"


def test_links_refuse_the_archive() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("link.jpg")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    assert "link" in refused(out).message


def test_a_bomb_is_refused_by_what_it_says_it_unpacks_to() -> None:
    bomb = zipped({"flat.bmp": bytes(3_000_000)})
    assert "bomb" in refused(bomb).message
    error = refused(zipped({f"{n}.jpg": bytes(500_000) for n in range(5)}), max_unpacked_bytes=1_000_000)
    assert error.too_large and "2,500,000" in error.message


def test_a_bomb_that_lies_about_its_size_gives_no_more_than_it_said() -> None:
    data = zipped({"a.bmp": bytes(3_000_000)}).getvalue()
    # Local header and table of contents both state the unpacked size.
    lying = data.replace(struct.pack("<I", 3_000_000), struct.pack("<I", 1000))
    assert lying != data
    assert reason(ArchivePictures(io.BytesIO(lying)), "a.bmp") == "damaged_in_zip"


def test_files_that_share_their_bytes_refuse_the_archive() -> None:
    data = bytearray(zipped({"a.jpg": b"x" * 100, "b.jpg": b"y" * 100}, zipfile.ZIP_STORED).getvalue())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    message = refused(io.BytesIO(bytes(data))).message
    assert "overlap" in message or "damaged" in message  # newer Pythons notice themselves


def test_too_many_files_and_too_large_archives_are_refused() -> None:
    files = {f"{n}.jpg": b"x" for n in range(30)}
    assert refused(zipped(files), max_entries=29).too_large
    assert len(ArchivePictures(zipped(files), ArchiveLimits(max_entries=30))) == 30
    assert refused(zipped(files), max_archive_bytes=100).too_large


def test_a_giant_table_of_contents_is_not_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(9000):
            archive.writestr(f"{number:0200}", b"")
    assert "more files than the 10" in refused(out, max_entries=10).message


@pytest.mark.parametrize(("flag", "method"), [(1, 0), (0, zipfile.ZIP_LZMA), (0, 99)])
def test_passwords_and_rare_compressions_refuse_the_archive(flag: int, method: int) -> None:
    data = bytearray(zipped({"a.jpg": b"x"}, zipfile.ZIP_STORED).getvalue())
    at = data.index(b"PK\x01\x02")
    data[at + 8 : at + 12] = struct.pack("<HH", flag, method)
    message = refused(io.BytesIO(bytes(data))).message
    assert ("password" if flag else "compression") in message


def test_the_same_name_twice_refuses_the_archive() -> None:
    assert "twice" in refused(zipped({"a/b.jpg": b"1", "a\\b.jpg": b"2"})).message


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_archives_end_in_a_refusal_or_a_rejection(data: st.DataObject) -> None:
    whole = bytearray(zipped({"a.jpg": b"one" * 50, "b/c.jpg": b"two" * 50}).getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for damaged in (whole, whole[:cut]):
        with contextlib.suppress(UploadRefused, MediaError):
            ArchivePictures(io.BytesIO(bytes(damaged))).read("a.jpg")


def test_a_picture_beyond_the_limit_rejects_its_row_alone() -> None:
    pictures = ArchivePictures(zipped({"a.jpg": b"x" * 50, "b.jpg": b"y"}), ArchiveLimits(max_picture_bytes=49))
    assert reason(pictures, "a.jpg") == "too_many_bytes"
    assert pictures.read("b.jpg") == b"y"


def test_a_table_becomes_rows_in_order(tmp_path: Path) -> None:
    rows = table(tmp_path, 'id,text,image,aspect,label\np1,"a day, friends",day.jpg,day,odd\np2,night,,,\n')
    assert [row.number for row in rows] == [1, 2]
    first, second = rows
    assert first.post and (first.id, first.post.text, first.post.aspect) == ("p1", "a day, friends", "day")
    assert (first.pictures, second.pictures) == (("day.jpg",), ())
    assert first.post.image is None


def test_semicolons_and_tabs_separate_columns_too(tmp_path: Path) -> None:
    for name, sign in (("a.csv", ";"), ("a.tsv", "\t")):
        (row,) = table(tmp_path, f"id{sign}text\np1{sign}a day, friends\n", name)
        assert row.post and row.post.text == "a day, friends"


def test_questions_carry_choices_in_csv_and_jsonl(tmp_path: Path) -> None:
    line = json.dumps({"question": "Which?", "choices": ["a", "b"], "context": "hint"})
    cell = '"[""a"", ""b""]"'
    for name, content in (("q.jsonl", line), ("q.csv", f"question,choices,context\nWhich?,{cell},hint\n")):
        (row,) = table(tmp_path, content, name)
        assert row.post and (row.post.text, row.post.choices, row.post.context) == ("Which?", ("a", "b"), "hint")


def test_bad_rows_are_kept_with_their_reason_and_place(tmp_path: Path) -> None:
    content = b'id,text\np1,fine\np2\np3,caf\xe9\np4,"open\np5,fine\n'
    rows = table(tmp_path, content)
    assert reasons(rows) == [None, "bad_columns", "bad_encoding", "broken_quote", None]
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    assert rows[2].rejected and rows[2].rejected.source == "posts.csv:4"


def test_a_row_with_too_much_text_is_rejected_alone(tmp_path: Path) -> None:
    rows = table(tmp_path, f"text\n{'x' * 30}\nfine\n", limits=UploadLimits(max_row_characters=29))
    assert reasons(rows) == ["too_long", None]


def test_too_many_or_embedded_pictures_reject_their_row(tmp_path: Path) -> None:
    embedded = {"bytes": "eA=="}
    images = (["1.jpg", "2.jpg"], [f"{n}.jpg" for n in range(9)], embedded, ["1.jpg", embedded], None)
    lines = [{"text": "a", "image": image} for image in images]
    rows = table(tmp_path, "\n".join(map(json.dumps, lines)), "posts.jsonl")
    assert reasons(rows) == [None, "too_many_images", "bad_value", "bad_value", None]
    assert rows[0].pictures == ("1.jpg", "2.jpg")


def test_a_table_with_too_many_rows_or_bytes_is_refused(tmp_path: Path) -> None:
    assert len(table(tmp_path, "text\na\nb\n", limits=UploadLimits(max_rows=2))) == 2
    for limits in (UploadLimits(max_rows=1), UploadLimits(max_table_bytes=5)):
        with pytest.raises(UploadRefused) as caught:
            table(tmp_path, "text\na\nb\n", limits=limits)
        assert caught.value.too_large


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("posts.xlsx", b"PK"),
        ("posts.csv", b""),
        ("posts.csv", b"text\n"),
        ("posts.csv", b"a,b\n1,2\n"),
        ("posts.csv", "text\na\n".encode("utf-16")),
        ("posts.csv", b"text,text\na,b\n"),
        ("../../etc/posts.csv", b"a\n1\n"),
    ],
)
def test_useless_tables_are_refused_without_naming_our_paths(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(UploadRefused) as caught:
        table(tmp_path, content, name)
    assert str(tmp_path) not in str(caught.value) and "upload-7f3a" not in str(caught.value)
    assert "etc" not in str(caught.value)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.tsv", "a.jsonl"]))
def test_any_bytes_end_in_rows_or_a_refusal(tmp_path: Path, content: bytes, name: str) -> None:
    head = b"" if name.endswith("jsonl") else b"text\n" if name == "a.csv" else b"text\timage\n"
    try:
        rows = table(tmp_path, head + content, name)
    except UploadRefused:
        return
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert all((row.post is None) != (row.rejected is None) for row in rows)
