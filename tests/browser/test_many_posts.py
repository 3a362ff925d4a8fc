from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from .opening import Open, Site

ROWS = [
    {"id": "a", "text": "fine words", "image": "day.png"},
    {"id": "b", "text": "contrary words"},
    {"id": "c", "text": "lost words", "image": "gone.png"},
    {"id": "=1+1", "text": '@SUM(1) "quoted", and\nmore'},
    {"id": "e", "text": ""},
]


@pytest.fixture
def files(tmp_path: Path, picture: Path) -> tuple[Path, Path]:
    table, archive = tmp_path / "posts.jsonl", tmp_path / "pictures.zip"
    table.write_text("\n".join(map(json.dumps, ROWS)))
    with zipfile.ZipFile(archive, "w") as out:
        out.write(picture, "export/day.png")
    return table, archive


def send(page: Any, table: Path, archive: Path | None = None) -> None:
    page.click("#tab-many")
    page.set_input_files("#table-file", table)
    if archive is not None:
        page.set_input_files("#zip-file", archive)
    page.click("#batch-send")


def shown(page: Any) -> list[str]:
    return [text.split()[0] for text in page.locator("#batch-rows tr").all_inner_texts()]


def saved(page: Any, button: str) -> str:
    with page.expect_download() as caught:
        page.click(button)
    return str(Path(caught.value.path()).read_bytes().decode("utf-8"))


def test_a_table_with_pictures_is_answered_filtered_and_saved(
    open_page: Open, site: Site, files: tuple[Path, Path]
) -> None:
    page = open_page(site)
    send(page, *files)
    page.wait_for_selector("#save-csv:enabled")
    assert page.inner_text("#batch-count") == (
        "All 5 rows are accounted for. 2 not answered, label and chain differ in 1."
    )
    assert shown(page) == ["1", "2", "3", "4", "5"]
    rows = page.locator("#batch-rows tr")
    assert "missing image" in rows.nth(2).inner_text()
    assert "empty text" in rows.nth(4).inner_text()
    assert rows.first.locator("mark").inner_text() == "fine words"
    page.select_option("#filter-kind", "differs")
    assert shown(page) == ["2"]
    page.select_option("#filter-kind", "rejected")
    assert shown(page) == ["3", "5"]
    page.select_option("#filter-kind", "")
    label = rows.first.locator("td.label").inner_text().strip()
    page.select_option("#filter-label", label)
    assert "1" in shown(page) and "3" not in shown(page)

    lines = [json.loads(line) for line in saved(page, "#save-jsonl").splitlines()]
    assert [line["row"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[0]["fields"]["Image_analysis"] == "There is a picture."
    assert lines[2]["rejected"]["reason"] == "missing_image"
    table = saved(page, "#save-csv")
    assert table.startswith("\ufeff")
    cells = list(csv.DictReader(io.StringIO(table.removeprefix("\ufeff"), newline="")))
    assert [row["row"] for row in cells] == ["1", "2", "3", "4", "5"]
    assert (cells[3]["id"], cells[3]["text"]) == ("'=1+1", '\'@SUM(1) "quoted", and\nmore')
    assert float(cells[0][f"probability {label}"]) == 0.87
    assert (cells[0]["agrees"], cells[1]["agrees"], cells[2]["rejected"]) == ("yes", "no", "missing_image")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\t=", "\r", "\n", "|", "%", "\uff1d"])
def test_no_cell_begins_like_a_formula(open_page: Open, site: Site, start: str) -> None:
    page = open_page(site)
    made = page.evaluate(
        "async (text) => (await import('./static/results.js')).cell(text)", f'{start}cmd|" /C calc"!A0'
    )
    assert made.startswith("\"'" + start)
    plain = page.evaluate("async () => (await import('./static/results.js')).cell('a = b')")
    assert plain == '"a = b"'


def test_a_bad_zip_is_refused_with_a_reason(open_page: Open, site: Site, files: tuple[Path, Path]) -> None:
    page = open_page(site, expected=("422",))
    with zipfile.ZipFile(files[1], "w") as out:
        out.writestr("../../evil.png", b"x")
    send(page, *files)
    page.wait_for_selector("#batch-problem:not([hidden])")
    assert "a name that leads out of it" in page.inner_text("#batch-problem")
    assert page.is_hidden("#batch-result")
    assert page.is_enabled("#batch-send")


def test_cancelling_keeps_what_has_come(open_page: Open, site: Site, tmp_path: Path) -> None:
    table = tmp_path / "posts.csv"
    table.write_text("text\nquick\n" + "very slowly\n" * 60)
    page = open_page(site)
    send(page, table)
    page.wait_for_selector("#batch-rows tr")
    page.click("#batch-cancel")
    page.wait_for_selector("#batch-send:enabled")
    assert "Cancelled after" in page.inner_text("#batch-count")
    page.wait_for_selector("#save-jsonl:enabled")
    count = len(saved(page, "#save-jsonl").splitlines())
    assert 1 <= count < 61


def test_a_long_table_is_shown_piece_by_piece(open_page: Open, site: Site, tmp_path: Path) -> None:
    table = tmp_path / "posts.csv"
    table.write_text("text\n" + "".join(f"post {number}\n" for number in range(230)))
    page = open_page(site)
    page.click("#tab-many")
    page.check("#batch-label-only")
    send(page, table)
    page.wait_for_selector("#save-csv:enabled")
    assert len(shown(page)) == 100
    page.click("#batch-more")
    page.click("#batch-more")
    assert shown(page) == [str(number) for number in range(1, 231)]
    assert page.is_hidden("#batch-more")


def test_files_beyond_the_limit_are_not_even_sent(open_page: Open, site: Site, files: tuple[Path, Path]) -> None:
    page = open_page(site)
    page.evaluate("""async () => {
        const { Batch } = await import("./static/batch.js");
        Object.defineProperty(File.prototype, "size", { get: () => 400e6 });
        return Batch.name;
    }""")
    send(page, *files)
    assert "800 MB together; at most 300 MB" in page.inner_text("#batch-problem")


def test_a_missing_table_is_asked_for(open_page: Open, site: Site) -> None:
    page = open_page(site)
    page.click("#tab-many")
    page.click("#batch-send")
    assert page.inner_text("#batch-problem") == "Choose a table first."
    assert page.evaluate("document.activeElement.id") == "table-file"
