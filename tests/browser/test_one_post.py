from __future__ import annotations

import json
import subprocess
from pathlib import Path

from .opening import Open, Site, ask

TEXT = "sunny hours by the sea, don't tell anybody"


def test_a_post_is_answered_label_first_then_field_by_field(open_page: Open, site: Site, picture: Path) -> None:
    page = open_page(site)
    page.set_input_files("#picture-file", picture)
    page.wait_for_selector("#preview:not([hidden])")
    page.fill("#text", f"{TEXT} slowly")
    page.click("#send")
    page.wait_for_selector(".bars li")
    assert page.locator(".note.same").count() == 0, "the label stands before the chain is complete"
    assert page.get_attribute("#answer", "aria-busy") == "true"
    page.wait_for_selector(".chain dd.writing")
    page.wait_for_selector(".note.same")
    assert page.locator(".bars li").count() == 3
    assert page.locator(".bars .best .share").inner_text() == "87.0 %"
    names = page.locator(".chain dt").all_inner_texts()
    assert names == ["Text analysis", "Image analysis", "Conflict resolution", "Final conclusion"]
    assert page.locator(".chain dd").nth(1).inner_text() == "There is a picture."
    assert page.locator(".said mark").all_inner_texts() == ["sunny hours"]
    assert "agree" in page.inner_text("#status")
    assert page.get_attribute("#answer", "aria-busy") == "false"


def test_markup_from_post_and_model_stays_text(open_page: Open, site: Site) -> None:
    page = open_page(site)
    evil = "<img src=x onerror=alert(1)> <b>bold</b>"
    ask(page, evil)
    assert page.locator(".said").inner_text() == evil
    assert "<b>markup</b>" in page.locator(".chain dd").first.inner_text()
    assert page.locator(".answer b, .answer img, .tile b").count() == 0


def test_a_chain_that_ends_with_another_label_is_pointed_out(open_page: Open, site: Site) -> None:
    page = open_page(site)
    page.fill("#text", "contrary weather")
    page.click("#send")
    page.wait_for_selector(".note.differs")
    note = page.inner_text(".note")
    assert "Label and chain differ." in note
    assert "but the chain ends with" in note


def test_a_picture_is_previewed_removed_dropped_and_pasted(open_page: Open, site: Site, picture: Path) -> None:
    page = open_page(site)
    page.set_input_files("#picture-file", picture)
    page.wait_for_selector("#preview:not([hidden])")
    page.click("#picture-remove")
    assert page.is_hidden("#preview")
    assert page.evaluate("document.activeElement.id") == "picture-file"
    data = list(picture.read_bytes())
    for event, place, key in (("drop", "#picture", "dataTransfer"), ("paste", "#text", "clipboardData")):
        page.evaluate(
            """([event, place, key, data]) => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(data)], `${event}.png`, { type: "image/png" }));
                const kind = event === "drop" ? DragEvent : ClipboardEvent;
                document.querySelector(place).dispatchEvent(
                    new kind(event, { [key]: files, bubbles: true, cancelable: true }));
            }""",
            [event, place, key, data],
        )
        page.wait_for_selector("#preview:not([hidden])")
        assert page.inner_text("#preview-name") == f"{event}.png"
        page.click("#picture-remove")


def test_a_file_that_is_no_picture_is_refused_at_once(open_page: Open, site: Site, tmp_path: Path) -> None:
    page = open_page(site)
    (tmp_path / "notes.txt").write_text("no picture")
    page.set_input_files("#picture-file", tmp_path / "notes.txt")
    assert "notes.txt is not a picture" in page.inner_text("#ask-problem")
    assert page.is_hidden("#preview")


def test_label_only_has_no_chain(open_page: Open, site: Site) -> None:
    page = open_page(site)
    page.check("#label-only")
    page.fill("#text", TEXT)
    page.click("#send")
    page.wait_for_selector(".foot button")
    assert page.locator(".bars li").count() == 3
    assert page.locator(".chain dd").count() == 0
    assert page.locator(".note p").count() == 0


def test_stopping_keeps_what_has_come(open_page: Open, site: Site) -> None:
    page = open_page(site)
    page.fill("#text", f"{TEXT} slowly")
    page.click("#send")
    page.wait_for_selector(".chain dd")
    page.click("#stop")
    assert page.inner_text(".note") == "Stopped."
    assert page.locator(".chain dd").count() >= 1
    assert page.is_enabled("#send")
    assert page.is_hidden("#stop")


def test_an_example_is_one_click(open_page: Open, site: Site) -> None:
    page = open_page(site)
    assert page.locator("#example-list li").count() == 3
    page.locator("#example-list button").first.click()
    page.wait_for_selector(".note.same")
    assert page.is_visible("#preview")
    assert page.input_value("#text") == page.locator("#example-list .what").first.inner_text()
    assert page.locator(".said mark").count() >= 1


def test_questions_have_choices_and_context(open_page: Open, question_site: Site) -> None:
    page = open_page(question_site)
    assert page.inner_text("#text-label") == "Question"
    page.fill("#text", "Which one is heavier?")
    page.fill("#choices", "a stone\n\na feather\n")
    page.fill("#context", "on the moon")
    page.click("#send")
    page.wait_for_selector(".note.same")
    assert page.locator(".bars .name").all_inner_texts() == ["A, a stone", "B, a feather"]
    assert page.inner_text(".headline") == "A, a stone"


def test_a_rationale_may_come_before_the_label(open_page: Open, later_site: Site) -> None:
    page = open_page(later_site)
    page.fill("#text", "Which one is heavier? slowly")
    page.fill("#choices", "a stone\na feather")
    page.click("#send")
    page.wait_for_selector(".chain dd.writing")
    assert page.locator(".bars li").count() == 0
    page.wait_for_selector(".note.same")
    assert page.inner_text(".headline") == "A, a stone"
    assert page.locator(".chain dd.writing").count() == 0


def test_history_is_kept_in_the_browser_until_cleared(open_page: Open, site: Site, picture: Path) -> None:
    page = open_page(site)
    page.set_input_files("#picture-file", picture)
    ask(page, TEXT)
    page.wait_for_selector("#history-list .tile img")
    page.reload()
    page.wait_for_selector("#history-list .tile img")
    page.click("#history-list .tile")
    assert page.locator(".said").inner_text() == TEXT
    assert page.locator(".note.same").count() == 1
    kept = page.evaluate("localStorage.getItem('mulcot-history')")
    assert len(json.loads(kept)) == 1
    assert len(kept) < 20_000, "only a small picture is kept"
    page.click("#history-clear")
    assert page.evaluate("localStorage.getItem('mulcot-history')") is None
    assert page.locator("#history-list .tile").count() == 0


def test_history_switched_off_keeps_nothing(open_page: Open, site: Site) -> None:
    page = open_page(site)
    ask(page, TEXT)
    page.wait_for_selector("#history-list .tile")
    page.uncheck("#history-on")
    assert page.locator("#history-list .tile").count() == 0
    ask(page, "another post")
    page.reload()
    assert not page.is_checked("#history-on")
    assert page.evaluate("localStorage.getItem('mulcot-history')") is None


def test_history_stays_small(open_page: Open, site: Site) -> None:
    page = open_page(site)
    count = page.evaluate("""async () => {
        const { History } = await import("./static/history.js");
        const history = new History(() => {});
        for (let n = 0; n < 40; n++) history.add({ text: `post ${n}` }, { label: "neutral" }, "");
        history.add({ text: "x".repeat(100000) }, { label: "neutral" }, "");
        return JSON.parse(localStorage.getItem("mulcot-history")).map((entry) => entry.question.text);
    }""")
    assert len(count) == 24
    assert count[0] == "post 39"


def test_a_damaged_history_is_passed_over(open_page: Open, site: Site) -> None:
    page = open_page(site)
    page.evaluate("localStorage.setItem('mulcot-history', '[null, 3, {\"question\": 1}]')")
    page.reload()
    page.wait_for_selector("#send:enabled")
    assert page.locator("#history-list .tile").count() == 0
    page.evaluate("localStorage.setItem('mulcot-history', '{{')")
    page.reload()
    page.wait_for_selector("#send:enabled")


def test_what_is_copied_can_be_run(open_page: Open, site: Site, picture: Path) -> None:
    page = open_page(site, permissions=["clipboard-read", "clipboard-write"])
    page.set_input_files("#picture-file", picture)
    ask(page, 'it\'s "quoted": true $HOME; @day')
    said = {}
    for name, command in (("curl", ["bash", "-c"]), ("Python", ["python3", "-c"])):
        page.click(f"text=Copy as {name}")
        page.wait_for_selector("text=Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        said[name] = subprocess.run(
            [*command, copied], cwd=picture.parent, capture_output=True, text=True, check=True, timeout=30
        ).stdout
    answer = json.loads(said["curl"])
    assert answer["fields"]["Image_analysis"] == "There is a picture."
    assert answer["label"] in said["Python"]
