import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mulcot.datasets import datasets
from mulcot.datasets.demo import save_picture
from mulcot.datasets.files import Files
from mulcot.errors import DataError
from mulcot.pages.preview import Choice, write_preview
from mulcot.progress import Reporter
from mulcot.tasks import tasks

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(2)</script>",
    "{{ 7 * 7 }} {% include 'x' %}",
    "\u202egnirts desrever",
    "javascript:alert(3)",
    "a" * 5000,
]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def page(folder: Path, rows: list[dict[str, str]], **choice: object) -> str:
    save_picture(folder / "p.png", 1)
    (folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    dataset = Files(path=folder / "x.jsonl")
    write_preview(dataset, tasks.get("sentiment")(), folder / "out.html", Choice(**choice), Reporter.silent())  # type: ignore[arg-type]
    return (folder / "out.html").read_text("utf-8")


def test_nothing_from_the_data_becomes_markup(tmp_path: Path) -> None:
    rows = [{"text": text, "label": "positive", "image": "p.png", "split": "train"} for text in HOSTILE]
    rows += [{"text": "x", "label": "<script>alert(4)</script>", "split": "train"}]
    html = page(tmp_path, rows)
    parser = Tags()
    parser.feed(html)
    names = [tag for tag, _ in parser.tags]
    assert "script" not in names
    assert names.count("style") == 1
    assert not [attrs for _, attrs in parser.tags if any(key.startswith("on") for key in attrs)]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "{{ 7 * 7 }}" in html
    assert "&lt;script&gt;alert(4)&lt;/script&gt;" in html, "rejected rows are shown, escaped"
    assert "a" * 2000 not in html


def test_the_page_loads_nothing_and_its_policy_says_so(tmp_path: Path) -> None:
    html = page(tmp_path, [{"text": "a", "label": "positive", "image": "p.png", "split": "train"}])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    assert "url(" not in html
    assert "@import" not in html


def test_examples_are_drawn_evenly_and_by_the_seed_alone(tmp_path: Path) -> None:
    labels = ["positive"] * 50 + ["neutral"] * 5 + ["negative"] * 5
    rows = [{"text": f"post {n}", "label": label, "split": "train"} for n, label in enumerate(labels)]
    one = page(tmp_path, rows, number=9)
    assert [one.count(f'<span class="chip"><bdi>{label}') for label in ("positive", "neutral", "negative")] == [3, 3, 3]
    assert page(tmp_path, rows, number=9) == one
    assert page(tmp_path, rows, number=9, seed=1) != one


def test_only_the_wished_split_is_shown(tmp_path: Path) -> None:
    rows = [{"text": f"post {n}", "label": "positive", "split": ("train", "test")[n % 2]} for n in range(8)]
    html = page(tmp_path, rows, split="test")
    assert "post 1<" in html
    assert "post 2<" not in html
    with pytest.raises(DataError):
        page(tmp_path, rows, split="dev")


@pytest.mark.parametrize("name", datasets.names())
def test_every_dataset_can_be_shown(name: str, tmp_path: Path) -> None:
    dataset = datasets.get(name).demo(tmp_path)
    task = tasks.get(dataset.default_task)()
    assert write_preview(dataset, task, tmp_path / "out.html", Choice(), Reporter.silent()) > 0
