"""Keyboard, screen reader, phone, dark: the page is for everybody."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from .opening import Open, Site, ask


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker's script, from the package that carries it."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python is not installed: pip install '.[dev]'")
    return (Path(spec.origin).parent / "axe.min.js").read_text("utf-8")


def violations(page: Any, axe: str) -> list[str]:
    # `evaluate` runs beside the page's policy, which allows no foreign script.
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 20, "the checker must have looked"
    return [f"{one['id']}: {[node['html'][:150] for node in one['nodes']]}" for one in found["violations"]]


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 375])
def test_no_barrier_is_found(open_page: Open, site: Site, axe: str, scheme: str, width: int, tmp_path: Path) -> None:
    page = open_page(
        site, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True, viewport={"width": width, "height": 800}
    )
    found = violations(page, axe)
    page.locator("#example-list button").first.click()
    page.wait_for_selector(".note.same")
    found += violations(page, axe)
    ask(page, "contrary weather")
    page.wait_for_selector(".note.differs")
    found += violations(page, axe)
    table = tmp_path / "posts.csv"
    table.write_text("text\ncontrary words\n\nfine\n")
    page.click("#tab-many")
    page.set_input_files("#table-file", table)
    page.click("#batch-send")
    page.wait_for_selector("#save-csv:enabled")
    found += violations(page, axe)
    assert not found


def test_everything_can_be_done_with_the_keyboard(open_page: Open, site: Site) -> None:
    page = open_page(site)
    keys = page.keyboard
    order = []
    for _ in range(8):
        keys.press("Tab")
        order.append(focused(page))
    assert order == ["Skip to the page", "tab-one", "panel-one", "picture-file", "text", "send", "label-only", ""] or (
        order[:6] == ["Skip to the page", "tab-one", "picture-file", "text", "send", "label-only"]
    )
    page.focus("#text")
    keys.type("typed by hand")
    keys.press("Control+Enter")
    page.wait_for_selector(".note.same")
    page.focus("#tab-one")
    keys.press("ArrowRight")
    assert focused(page) == "tab-many"
    assert page.is_visible("#panel-many") and page.is_hidden("#panel-one")
    assert page.get_attribute("#tab-one", "tabindex") == "-1"
    keys.press("ArrowRight")
    assert focused(page) == "tab-one"
    keys.press("End")
    assert focused(page) == "tab-many"
    keys.press("Home")
    assert page.is_visible("#panel-one")


def test_focus_is_always_seen(open_page: Open, site: Site) -> None:
    page = open_page(site)
    seen = """() => {
        const one = document.activeElement;
        const shown = one.type === "file" ? one.nextElementSibling : one;
        return getComputedStyle(shown).outlineStyle !== "none";
    }"""
    for _ in range(10):
        page.keyboard.press("Tab")
        assert page.evaluate(seen), focused(page)


def test_progress_is_told_to_screen_readers(open_page: Open, site: Site) -> None:
    page = open_page(site)
    page.evaluate("""() => {
        window.told = [];
        new MutationObserver(() => told.push(document.getElementById("status").textContent))
            .observe(document.getElementById("status"), { childList: true, characterData: true, subtree: true });
    }""")
    ask(page, "what a day slowly")
    told = page.evaluate("told")
    assert told[0] == "Asking."
    assert told[1].startswith("Label: ")
    assert "The chain is complete. Label and chain agree." in told[-1]
    assert len(told) < 6, "a growing chain is not read out word by word"


def test_dark_is_dark_and_light_is_light(open_page: Open, site: Site) -> None:
    lightness = """() => {
        const made = document.createElement("canvas").getContext("2d");
        made.fillStyle = getComputedStyle(document.body).backgroundColor;
        made.fillRect(0, 0, 1, 1);
        return made.getImageData(0, 0, 1, 1).data[0];
    }"""
    assert open_page(site, color_scheme="light").evaluate(lightness) > 200
    assert open_page(site, color_scheme="dark").evaluate(lightness) < 60


def test_nothing_moves_for_those_who_ask_for_calm(open_page: Open, site: Site) -> None:
    page = open_page(site, reduced_motion="reduce")
    ask(page, "a calm day")
    moving = page.evaluate("document.getAnimations().length")
    transition = page.evaluate("getComputedStyle(document.querySelector('.fill')).transitionDuration")
    assert (moving, transition) == (0, "0s")


def test_a_phone_never_scrolls_sideways(open_page: Open, site: Site, picture: Path) -> None:
    page = open_page(site, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    page.set_input_files("#picture-file", picture)
    ask(page, "averyveryverylongwordwithoutanybreak" * 5)
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(wide)
    page.click("#tab-many")
    assert page.evaluate(wide)
    small = page.evaluate("""() => [...document.querySelectorAll("button, select, .drop")]
        .filter((one) => one.offsetParent && one.getBoundingClientRect().height < 32).map((one) => one.id)""")
    assert not small, "too small for a finger"


def test_the_policy_allows_nothing_but_ourselves(open_page: Open, site: Site) -> None:
    page = open_page(site, expected=("Content Security Policy", "violates", "Refused"))
    page.evaluate("""() => {
        window.hurt = 0;
        const script = document.createElement("script");
        script.textContent = "window.hurt = 1";
        document.body.append(script);
        const style = document.createElement("style");
        style.textContent = "body { color: red !important }";
        document.body.append(style);
    }""")
    assert page.evaluate("window.hurt") == 0
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
