from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from mulcot.errors import DataError
from mulcot.media import Gallery, Store
from mulcot.progress import Reporter
from mulcot.records import Example, ImageRef, Rationale
from mulcot.report.pages.review import Card, ReviewFolders, chain_digest, review_html, write_review
from mulcot.teacher.labelling.chain_files import Failure, Rejection
from mulcot.teacher.labelling.ratings import read_ratings, summarise

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7*7 }} \u202e"
SUMMARY = {"teacher": f"m {EVIL}", "preset": "checked", "examples": 3, "simulated": False}
FIELDS = {"Text_analysis": f"words {EVIL}", "Image_analysis": "picture", "Prediction": "positive"}


def cards(count: int = 2) -> list[Card]:
    found = []
    for number in range(count):
        example = Example(id=f"e{number}{EVIL}", split="train", text=f"post {EVIL}", label="positive", aspect=EVIL)
        chain = Rationale(
            example_id=example.id, source="teacher", stage=1 + number % 2, fields=FIELDS, prediction="positive"
        )
        found.append(Card(example, chain))
    example = Example(id="f", split="train", text="failed", label="negative")
    trial = Rejection(stage=2, attempt=1, verdict="label_leak", detail=EVIL, text=EVIL)
    found.append(Card(example, Failure(example_id="f", reason="label_leak", label="negative", trials=(trial,))))
    return found


def write_run(folder: Path, examples: int) -> tuple[ReviewFolders, Gallery]:
    """A finished run with pictures: every third example failed, some of those without any reply."""
    dataset, teacher = folder / "1-dataset", folder / "2-teacher"
    for each in (dataset, teacher, folder / "pictures"):
        each.mkdir(parents=True)
    lines: dict[str, list[str]] = {"examples": [], "rationales": [], "failures": []}
    for number in range(examples):
        name = f"e{number}"
        Image.new("RGB", (900, 600), (number * 9 % 256, 120, 90)).save(folder / "pictures" / f"{number}.png")
        ref = ImageRef(path=f"{number}.png")
        lines["examples"].append(
            Example(id=name, split="train", text=f"post {number}", images=(ref,), label="positive").to_line()
        )
        if number % 3 == 2:
            trials = (Rejection(stage=1, attempt=1, verdict="empty"),) if number % 2 else ()
            lines["failures"].append(
                Failure(example_id=name, reason="empty", label="positive", trials=trials).to_line()
            )
        else:
            chain = Rationale(
                example_id=name,
                source="teacher",
                stage=1,
                fields={**FIELDS, "Image_analysis": name},
                prediction="positive",
            )
            lines["rationales"].append(chain.to_line())
    (dataset / "examples.jsonl").write_text("".join(lines["examples"]), "utf-8")
    (teacher / "rationales.jsonl").write_text("".join(lines["rationales"]), "utf-8")
    (teacher / "failures.jsonl").write_text("".join(lines["failures"]), "utf-8")
    (teacher / "summary.json").write_text(json.dumps({**SUMMARY, "examples": examples}), "utf-8")
    return ReviewFolders(name="first", dataset=dataset, teacher=teacher), Gallery(folder / "pictures", Store(folder))


def write(folders: ReviewFolders, gallery: Gallery, out: Path, number: int = 200, seed: int = 0) -> str:
    write_review(folders, gallery, out, number=number, seed=seed, reporter=Reporter.silent())
    return out.read_text("utf-8")


def test_nothing_from_outside_becomes_markup() -> None:
    html = review_html(cards(), f"run {EVIL}", SUMMARY)
    assert html.count("<script>") == 1, "our own"
    assert "onerror=alert(1)>" not in html
    assert not re.search(r"<img src=x", html)
    assert "{{ 7*7 }}" in unescape(html)
    assert html.count("alert(1)") == html.count("&lt;script&gt;alert(1)") + html.count("onerror=alert(1)")


def test_the_page_asks_nobody_for_anything() -> None:
    html = review_html(cards(), "first", SUMMARY)
    assert "default-src 'none'" in unescape(html)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!data:)[a-z]+:""", html)
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|import)\(", html)


def test_every_rating_has_its_own_name_and_label() -> None:
    html = review_html(cards(5), "first", SUMMARY)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    radios = re.findall(r'<input type="radio"[^>]* id="([^"]+)"', html)
    assert len(radios) == 5 * 3 * 5
    assert all(f'<label for="{radio}">' in html for radio in radios)


def test_a_simulated_teacher_is_called_simulated() -> None:
    assert "<strong>simulated</strong>" not in review_html(cards(), "first", SUMMARY)
    assert "<strong>simulated</strong>" in review_html(cards(), "first", {**SUMMARY, "simulated": True})


def test_a_page_without_anything_is_refused() -> None:
    with pytest.raises(DataError, match="no chain"):
        review_html([], "first", SUMMARY)


def test_chains_and_failures_stand_beside_their_posts_in_the_order_of_the_dataset(tmp_path: Path) -> None:
    html = write(*write_run(tmp_path, 18), tmp_path / "review.html")
    ids = re.findall(r'data-id="(e\d+)"', html)
    assert ids == [f"e{n}" for n in range(18) if n % 3 != 2 or n % 2], "failures without any reply are left out"
    for article in re.findall(r"<article.*?</article>", html, re.DOTALL):
        number = re.findall(r'data-id="e(\d+)"', article)[0]
        assert f"post {number}</p>" in article
        if int(number) % 3 != 2:
            assert f">e{number}</dd>" in article
        assert article.count("<img") == 1


def test_a_draw_shows_every_group_and_depends_on_its_seed(tmp_path: Path) -> None:
    folders, gallery = write_run(tmp_path, 60)
    one, two = (write(folders, gallery, tmp_path / f"{seed}.html", number=8, seed=seed) for seed in (1, 2))
    assert one.count("<article") == two.count("<article") == 8
    assert one.count('data-outcome="failed"') == 4
    assert re.findall(r'data-id="(e\d+)"', one) != re.findall(r'data-id="(e\d+)"', two)
    assert write(folders, gallery, tmp_path / "again.html", number=8, seed=1) == one


def test_a_picture_that_is_gone_is_said_so(tmp_path: Path) -> None:
    folders, gallery = write_run(tmp_path, 2)
    (tmp_path / "pictures" / "0.png").unlink()
    assert write(folders, gallery, tmp_path / "r.html").count("cannot be opened any more") == 1


def test_a_chain_written_anew_is_another_chain() -> None:
    assert chain_digest(FIELDS) != chain_digest({**FIELDS, "Image_analysis": "other"})
    assert chain_digest({"a": "bc"}) != chain_digest({"ab": "c"})


class Browser:
    """A real one, driven through its debugging port."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.numbers = itertools.count(1)
        self.requests: list[str] = []
        self.messages: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        number = next(self.numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            found = await self.socket.receive_json(timeout=20)
            if found.get("method") == "Network.requestWillBeSent":
                self.requests.append(found["params"]["request"]["url"])
            elif found.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.messages.append(json.dumps(found["params"]))
            elif found.get("id") == number:
                return found.get("result")

    async def value(self, expression: str) -> Any:
        found = await self.call("Runtime.evaluate", expression=expression)
        return found["result"].get("value")

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
            await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        for _ in range(200):
            if await self.value("document.readyState === 'complete' && document.getElementById('count').textContent"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the page did not load")


@pytest.mark.slow
async def test_in_a_browser_chains_are_filtered_and_rated_by_keys_and_the_ratings_come_back(tmp_path: Path) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium")
    write(*write_run(tmp_path, 9), tmp_path / "review.html")
    url = (tmp_path / "review.html").as_uri()
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --remote-debugging-port=0 --remote-allow-origins=*"
    profile = tmp_path / "profile"
    process = subprocess.Popen(
        [program, *flags.split(), f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(400):
            if (profile / "DevToolsActivePort").exists():
                break
            await asyncio.sleep(0.05)
        port = (profile / "DevToolsActivePort").read_text().split()[0]
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json") as response:
                target = next(each for each in await response.json() if each["type"] == "page")
            async with http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                await drive(Browser(socket), url, tmp_path)
    finally:
        process.terminate()
        process.wait()


async def drive(browser: Browser, url: str, folder: Path) -> None:
    for domain in ("Page", "Network", "Log", "Runtime"):
        await browser.call(f"{domain}.enable")
    await browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder / "saved"))
    await browser.open(url)
    assert await browser.value("document.getElementById('count').textContent") == "0 of 6 chains rated"
    assert await browser.value("document.getElementById('save').disabled") is True
    await browser.press("j", "4", "5", "3", "j", "2")
    assert await browser.value("document.getElementById('count').textContent") == "1 of 6 chains rated"
    assert await browser.value("document.activeElement.dataset.id") == "e1"
    await browser.press("0", "5", "1", "1")
    await browser.value("(() => { const s = document.getElementById('rated'); s.value = 'open';"
                        " s.dispatchEvent(new Event('change')); })()")  # fmt: skip
    assert await browser.value("document.getElementById('shown').textContent") == "4 shown"
    await browser.value("document.getElementById('rater').value = 'A. Reader'")
    await browser.value("document.getElementById('rater').dispatchEvent(new Event('input'))")
    await browser.open(url)
    assert await browser.value("document.getElementById('count').textContent") == "2 of 6 chains rated"
    assert await browser.value("document.getElementById('rater').value") == "A. Reader"
    await browser.value("document.getElementById('save').click()")
    for _ in range(200):
        saved = list((folder / "saved").glob("*.json"))
        if saved:
            break
        await browser.value("1")
        await asyncio.sleep(0.05)
    assert [path.name for path in saved] == ["ratings-first-A-Reader.json"]
    found = summarise(read_ratings(saved))
    assert (found["raters"], found["chains"]) == (["A. Reader"], 2)
    assert found["questions"]["correctness"]["counts"] == {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1}
    assert not browser.messages, browser.messages
    assert {request.split("?")[0] for request in browser.requests if not request.startswith(("data:", "blob:"))} == {
        url
    }
