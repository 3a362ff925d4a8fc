import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mulcot.datasets import datasets
from mulcot.datasets.demo_files import save_picture
from mulcot.datasets.files import Files
from mulcot.errors import DataError, MulcotError
from mulcot.progress import Reporter
from mulcot.report.pages.preview import FOLD, LONGEST, Choice, write_preview
from mulcot.tasks import tasks

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(2)</script>",
    "{{ 7 * 7 }} {% include 'x' %}",
    "\u202egnirts desrever",
    "javascript:alert(3)",
    "a" * 15_000,
]


class Reader(HTMLParser):
    """Tags as a browser would see them, and the text that it would show in each card."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cards: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "li" and "card" in (dict(attrs).get("class") or ""):
            self.cards.append("")

    def handle_data(self, data: str) -> None:
        if self.cards:
            self.cards[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def page(folder: Path, rows: list[dict[str, Any]], task: str = "sentiment", **choice: Any) -> str:
    save_picture(folder / "p.png", 1)
    (folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    out = folder / "out.html"
    write_preview(Files(path=folder / "x.jsonl"), tasks.get(task)(), out, Choice(**choice), Reporter.silent())
    return out.read_text("utf-8")


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def posts(*texts: str, **rest: Any) -> list[dict[str, Any]]:
    return [{"text": text, "label": "positive", "split": "train", **rest} for text in texts]


def test_nothing_from_the_data_becomes_markup(tmp_path: Path) -> None:
    rows = posts(*HOSTILE, image="p.png") + posts("x", label="<script>alert(4)</script>")
    rows += posts("y", id="<script>alert(5)</script>")
    html = page(tmp_path, rows)
    found = read(html)
    names = [tag for tag, _ in found.tags]
    assert "script" not in names
    assert names.count("style") == 1
    assert not [attrs for _, attrs in found.tags if any(key.startswith("on") for key in attrs)]
    shown = "\n".join(found.cards)
    assert [text for text in HOSTILE[:-1] if text not in shown] == []
    assert "<script>alert(5)</script>" in shown
    assert "&lt;script&gt;alert(4)&lt;/script&gt;" in html, "rejected rows are shown, escaped"


def test_an_aspect_and_choices_are_escaped_too(tmp_path: Path) -> None:
    html = page(tmp_path, posts("a <b>c</b> d", aspect="<b>c</b>"), task="aspect_sentiment")
    assert "a <mark>&lt;b&gt;c&lt;/b&gt;</mark> d" in html
    row = {"text": "q", "label": "B", "split": "train", "choices": ["<i>1</i>", "<u>2</u>"]}
    html = page(tmp_path, [row], task="multiple_choice")
    assert '<li class="right"><bdi>&lt;u&gt;2&lt;/u&gt;</bdi></li>' in html
    assert "<li><bdi>&lt;i&gt;1&lt;/i&gt;</bdi></li>" in html


def test_the_page_loads_nothing_and_its_policy_says_so(tmp_path: Path) -> None:
    html = page(tmp_path, posts("a", image="p.png"))
    assert [attrs.get("http-equiv") for attrs in read(html).all("meta")].count("Content-Security-Policy") == 1
    assert not re.search(r"(src|href|action|srcset)=\"(?!data:|#)", html)
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r'\sstyle="', html), "the policy would block it"


def test_a_long_text_is_folded_and_a_very_long_one_is_cut_and_says_so(tmp_path: Path) -> None:
    words = " ".join(f"w{number}" for number in range(3000))
    card = read(page(tmp_path, posts(words))).cards[0]
    card = card.removeprefix(card[: card.index("w0")])
    open_part = card.split("the rest")[0].strip()
    assert FOLD // 2 < len(open_part) <= FOLD
    assert words.startswith(open_part)
    assert re.sub(r"\s*the rest\s*", " ", card).strip().startswith(words[:LONGEST].strip())
    assert f"{len(words) - LONGEST:,} more characters are not on this page" in card
    assert "the rest" not in page(tmp_path, posts("short"))


def test_the_aspect_is_marked_where_it_stands(tmp_path: Path) -> None:
    html = page(tmp_path, posts("Luna and Luna's bed", aspect="Luna"), task="aspect_sentiment")
    assert "<mark>Luna</mark> and <mark>Luna</mark>&#39;s bed" in html


def test_examples_are_drawn_evenly_and_by_the_seed_alone(tmp_path: Path) -> None:
    labels = ["positive"] * 50 + ["neutral"] * 5 + ["negative"] * 5
    rows = [{"text": f"post {n}", "label": label, "split": "train"} for n, label in enumerate(labels)]
    one = page(tmp_path, rows, number=9)
    assert [sum(label in card for card in read(one).cards) for label in ("positive", "neutral", "negative")] == [
        3,
        3,
        3,
    ]
    assert page(tmp_path, rows, number=9) == one
    assert read(page(tmp_path, rows, number=9, seed=1)).cards != read(one).cards
    reordered = page(tmp_path, rows[::-1], number=9)
    assert read(reordered).cards == read(one).cards


def test_every_card_can_be_filtered_by_its_split_and_label(tmp_path: Path) -> None:
    splits, labels = ("train", "dev", "test"), ("positive", "neutral", "negative")
    rows = [{"text": f"{s} {lb}", "split": s, "label": lb} for s in splits for lb in labels]
    html = page(tmp_path, rows)
    found = read(html)
    cards = [attrs["class"] or "" for attrs in found.all("li") if "card" in (attrs.get("class") or "")]
    assert len(set(cards)) == 9
    for name, values in (("split", splits), ("label", labels)):
        for index, value in enumerate(values):
            assert f"main:has(#{name}-{index}:checked) .post:not(.{name}-{index})" in html
            assert all(
                value in card
                for card, kind in zip(found.cards, cards, strict=True)
                if re.search(rf"\b{name}-{index}\b", kind)
            )
            assert re.search(rf'<label for="{name}-{index}"><bdi>{value}</bdi>', html)


def test_only_the_wished_split_is_shown_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    rows = [{"text": f"post {n}", "label": "positive", "split": ("train", "test")[n % 2]} for n in range(8)]
    cards = read(page(tmp_path, rows, split="test")).cards
    assert sorted(re.findall(r"post (\d)", " ".join(cards))) == ["1", "3", "5", "7"]
    with pytest.raises(DataError, match="no split 'dev'") as caught:
        page(tmp_path, rows, split="dev")
    assert "train, test" in caught.value.hint


def test_a_dataset_without_examples_and_a_folder_as_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no example"):
        page(tmp_path, posts("a", label="purple"))
    with pytest.raises(MulcotError, match="is a folder"):
        write_preview(Files(path=tmp_path / "x.jsonl"), tasks.get("sentiment")(), tmp_path, Choice(), Reporter.silent())


def test_a_place_that_cannot_be_written_is_refused_before_the_data_is_read(tmp_path: Path) -> None:
    missing = Files(path=tmp_path / "x.jsonl")
    (tmp_path / "file").touch()
    with pytest.raises(MulcotError, match="file is not a folder"):
        write_preview(missing, tasks.get("sentiment")(), tmp_path / "file/deep/p.html", Choice(), Reporter.silent())


def test_every_picture_has_a_text_and_the_table_its_headers(tmp_path: Path) -> None:
    found = read(page(tmp_path, posts("a", image="p.png", caption="a red ball") + posts("b", image="p.png")))
    assert sorted(str(attrs["alt"]) for attrs in found.all("img")) == ["a red ball", "the post's picture"]
    assert all(attrs.get("scope") in ("col", "row") for attrs in found.all("th"))
    assert found.all("html")[0]["lang"] == "en"
    fields = {attrs["id"] for attrs in found.all("input")}
    assert fields == {attrs["for"] for attrs in found.all("label")}


@pytest.mark.parametrize("name", datasets.names())
def test_every_dataset_can_be_shown(name: str, tmp_path: Path) -> None:
    dataset = datasets.get(name).demo(tmp_path)
    task = tasks.get(dataset.default_task)()
    assert write_preview(dataset, task, tmp_path / "out.html", Choice(), Reporter.silent()) > 0
