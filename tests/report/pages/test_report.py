from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from made_runs import make_run
from mulcot.errors import MulcotError
from mulcot.media import Gallery, Store
from mulcot.report.pages.charts import bar_chart, line_chart, reliability_chart
from mulcot.report.pages.report import SECTIONS, report_html, write_report
from mulcot.report.pages.report_parts import View
from mulcot.report.pages.thumbnails import Thumbnails
from mulcot.report.run import read_run
from mulcot.rundir import RunFolder

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'{{ 7 * 7 }} \u202e \u2028 \x85"


class Reader(HTMLParser):
    """Tags as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def gallery(folder: Path) -> Gallery:
    return Gallery(None, Store(folder / "1-dataset/pictures"))


def page(folder: Path, number: int = 6, budget: int = 1_000_000) -> str:
    return report_html(View(read_run(folder), Thumbnails(gallery(folder), budget), number))


def test_a_whole_run_has_every_section_it_has_numbers_for(tmp_path: Path) -> None:
    html = page(make_run(tmp_path / "r"))
    shown = [section.name for section in SECTIONS if f'<h2 id="{section.name}">' in html]
    assert shown == ["results", "diagnosis", "flow", "chains", "training", "errors", "gallery", "provenance"]
    assert "never right here" in html, "negative never occurs"
    assert "0.12 EUR" in html
    assert "(11.0)" in html, "the floor of BLEU"
    assert "mulcot run recipe.yaml" in html


def test_questions_have_answers_and_rationales_and_no_means_over_letters(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", recipe={"method": "multimodal-cot"}, skills={"answer": 0.7})
    assert "macro F1" in page(folder)
    path = folder / "6-evaluate/scores.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"task": "multiple_choice"}))
    html = page(folder)
    assert not re.search(r"macro F1|weighted F1|names the right label|>no label<|of the same label", html)
    for words in (
        "is right on",
        "answer and rationale agree",
        "Quality of the rationales",
        "another question's reference",
    ):
        assert words in html.replace("&#39;", "'"), words


@pytest.mark.parametrize(
    "stages", [(), ("dataset",), ("dataset", "teacher"), ("dataset", "teacher", "assistant"), ("evaluate",)]
)
def test_a_run_that_has_not_got_far_has_a_report_that_says_so(tmp_path: Path, stages: tuple[str, ...]) -> None:
    html = page(make_run(tmp_path / "r", stages=stages))
    assert ("Nothing has been evaluated yet." in html) == ("evaluate" not in stages)
    assert ("Incomplete:" in html) == ("evaluate" not in stages)


def test_a_model_that_was_not_evaluated_is_not_missed(tmp_path: Path) -> None:
    html = page(make_run(tmp_path / "r", skills={"assistant": 0.5}))
    assert "The <strong>assistant</strong> names the right label" in html


def test_stages_that_no_longer_belong_together_are_told(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    assert "Outdated" not in page(folder)
    path = folder / "6-evaluate/stage.json"
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**record, "inputs": {"dataset": "another"}}))
    assert "Outdated:</strong> evaluate." in page(folder)


def test_scores_may_be_null(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    path = folder / "6-evaluate/scores.json"
    data = json.loads(path.read_text())
    data["sets"]["test"]["models"]["student"]["overlap"]["paper"].update(similarity=None, meteor=None, bleu=None)
    data["sets"]["test"]["models"]["student"].update(agreement=None, calibration=[])
    path.write_text(json.dumps(data))
    assert "not measured" in page(folder)


def test_nothing_from_data_or_models_becomes_markup(tmp_path: Path) -> None:
    recipe = {"dataset": {"name": HOSTILE}, "student": {"backbone": {"name": HOSTILE}}}
    html = page(make_run(tmp_path / "r", text=HOSTILE, recipe=recipe))
    tags = Reader(html)
    assert len(tags.all("img")) == 6, "a line separator within a text ends no line"
    assert len(tags.all("script")) == 1
    assert not [name for _, attrs in tags.tags for name in attrs if name.startswith("on") or name == "style"]
    assert {str(image["src"])[:23] for image in tags.all("img")} == {"data:image/jpeg;base64,"}
    assert "49" not in re.sub(r"base64,\S+|[\d.]*\d\d[\d.]*", "", html)
    assert not re.search(r"(?:src|href)=.?(?:https?:|//|javascript:)", html)


def test_the_policy_allows_its_own_style_and_script_alone(tmp_path: Path) -> None:
    policy = next(m for m in Reader(page(make_run(tmp_path / "r"))).all("meta") if m.get("http-equiv"))["content"] or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"script-src 'sha256-[^']+'(?:;|$)", policy)


def test_every_id_is_there_once_and_every_reference_leads_somewhere(tmp_path: Path) -> None:
    tags = Reader(page(make_run(tmp_path / "r"))).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = [attrs["aria-labelledby"] for _, attrs in tags if "aria-labelledby" in attrs]
    wanted += [str(attrs["href"])[1:] for tag, attrs in tags if tag == "a"]
    assert set(wanted) <= set(ids)
    assert {"main", "header", "footer", "nav"} <= {tag for tag, _ in tags}
    assert all(attrs.get("alt") for tag, attrs in tags if tag == "img")
    assert all(a.get("aria-label") or a.get("aria-hidden") for tag, a in tags if tag == "svg")


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    assert page(folder) == page(folder)


def test_pictures_stop_at_their_budget_and_the_page_says_so(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    one = len(Reader(page(folder, 1)).all("img")[0]["src"] or "")
    html = page(folder, 6, budget=int(one * 0.75 * 2.5))
    assert len(Reader(html).all("img")) == 2
    assert "4 pictures are left out" in html


def test_a_picture_that_is_gone_leaves_a_word_in_its_place(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    (folder / "1-dataset/pictures/p.png").unlink()
    assert "The picture is not on this page." in page(folder)


def test_published_numbers_are_marked_with_their_source(tmp_path: Path) -> None:
    html = page(make_run(tmp_path / "r", recipe={"dataset": {"name": "twitter", "root": "twitter2015"}}))
    row = html[html.index('class="published"') :].partition("</tr>")[0]
    assert "86.8" in row
    assert "published</span>" in row
    assert "2508.05234" in row


def test_a_folder_is_no_place_for_a_page(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    with pytest.raises(MulcotError, match="is a folder"):
        write_report(folder, gallery(folder), tmp_path)


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", count=3)
    code = (
        "import sys\nfor name in ('torch', 'transformers'): sys.modules[name] = None\n"
        f"from mulcot.cli import app; app(['report', {str(folder)!r}, '--examples', '2'], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 examples, ")
    assert (folder / "report.html").stat().st_size > 10_000


def test_charts_are_well_formed_and_stay_inside(tmp_path: Path) -> None:
    lines = line_chart({"<a>": [(1, 2.0), (5, 7.0)], "b": [(3, 0.0)]}, 'about "<x>"', "step & more")
    bars = bar_chart([("1", 0.0), ("<2>", 30.0)], "bars", "n")
    bins = reliability_chart([(0.5, 0.0, 3), (1.0, 1.0, 0)], "bins")
    for chart in (lines, bars, bins):
        root = ElementTree.fromstring(chart)
        width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
        for mark in root:
            for name in ("x", "x1", "x2", "cx"):
                assert 0 <= float(mark.attrib.get(name, 0)) <= width
            assert 0 <= float(mark.attrib.get("y", 0)) <= height
    assert ElementTree.fromstring(lines).attrib["aria-label"] == 'about "<x>"'
    assert str(line_chart({}, "", "")) == str(bar_chart([], "", "")) == ""


def test_what_stages_warned_of_stands_in_the_head_and_is_harmless(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    stage = RunFolder(folder).stage(3, "assistant")
    stage.finish(dataclasses.replace(stage.finished(), warnings=(f"it learned nothing {HOSTILE}",)))
    html = page(folder)
    head = html[html.index("<header") : html.index("</header>")]
    assert '<p class="notice warning"><strong>assistant:</strong> <bdi>it learned nothing &lt;/script&gt;' in head
    assert "it learned nothing" not in html[html.index("</header>") :]
