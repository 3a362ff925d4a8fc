"""The pictures of the service's page in docs/pictures/, made anew from a running service.

    mulcot serve --model runs/demo &
    python tools/screenshots.py http://127.0.0.1:8000/

Asks one of the posts that the page offers, and takes the page light, dark and as on a phone.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
LOOKS = {
    "page-light": {"viewport": {"width": 1200, "height": 940}, "color_scheme": "light"},
    "page-dark": {"viewport": {"width": 1200, "height": 940}, "color_scheme": "dark"},
    "page-phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 2},
}


def main() -> None:
    """Takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="where the service listens")
    parser.add_argument("--example", type=int, default=4, help="which of the offered posts to ask, from 1")
    parser.add_argument("--out", type=Path, default=PICTURES)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, look in LOOKS.items():
            context = browser.new_context(reduced_motion="reduce", **look)
            page = context.new_page()
            page.goto(given.url)
            page.locator("#example-list button").nth(given.example - 1).click()
            page.wait_for_selector(".foot button", timeout=120_000)
            page.evaluate("document.activeElement.blur()")
            if name == "page-phone":
                page.locator("#answer-title").evaluate("title => title.scrollIntoView()")
            else:
                page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=given.out / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
