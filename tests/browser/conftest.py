"""The page in a real browser, before the real service with a predictor that needs no model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mulcot.serving.example_posts import read_samples
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.world.picture import paint, png

from .opening import Open, Site, serve
from .sage import POSTS

HERE = Path(__file__).parent
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Posts for the page to offer."""
    folder = tmp_path_factory.mktemp("examples")
    lines = []
    for number, post in enumerate(POSTS[:3]):
        (folder / f"{number}.png").write_bytes(png(paint(post.scene, 96)))
        lines.append(json.dumps({"text": post.text, "image": f"{number}.png"}))
    (folder / "posts.jsonl").write_text("\n".join(lines))
    return folder / "posts.jsonl"


@pytest.fixture(scope="session")
def site(examples: Path) -> Iterator[Site]:
    with serve(examples=read_samples(examples)) as running:
        yield running


@pytest.fixture(scope="session")
def question_site() -> Iterator[Site]:
    with serve(MultipleChoice()) as running:
        yield running


@pytest.fixture(scope="session")
def later_site() -> Iterator[Site]:
    with serve(MultipleChoice(), first_chain=True) as running:
        yield running


@pytest.fixture(scope="module")  # its event loop must have ended when tests of other rooms begin theirs
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt install chromium")
    with api.sync_playwright() as playwright:
        # Containers often lack what the sandbox needs; only our own page is opened.
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    opened = Open(browser)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "day.png"
    path.write_bytes(png(paint(POSTS[0].scene, 128)))
    return path
