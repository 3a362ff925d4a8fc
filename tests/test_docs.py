"""The pages as a whole: no link leads nowhere, every page is found from the README, every command was announced."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from mulcot.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


def links(page: Path) -> list[tuple[Path, str]]:
    """Targets of the relative links of a page, each with the heading it names."""
    found = ["".join(match) for match in LINK.findall(CODE.sub("", page.read_text("utf-8")))]
    relative = [target.partition("#") for target in found if not re.match(r"[a-z]+:", target)]
    return [((page.parent / path if path else page).resolve(), heading) for path, _, heading in relative]


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    faults = [f"{page.name} {fault}" for page in PAGES for link in links(page) if (fault := fault_of(*link))]
    assert not faults, "\n".join(["", *faults])


def fault_of(target: Path, heading: str) -> str:
    if not target.is_relative_to(ROOT):
        return f"links to {target}, which is outside the repository"
    if not target.exists():
        return f"links to {target}, which does not exist"
    if heading and target.suffix == ".md" and heading not in anchors(target):
        return f"links to {target.name}#{heading}, which it does not have"
    return ""


def test_every_page_is_found_from_the_readme() -> None:
    found, waiting = set(), [PAGES[0]]
    while waiting:
        page = waiting.pop()
        if page not in found:
            found.add(page)
            waiting += [target for target, _ in links(page) if target in PAGES]
    assert set(PAGES) - found <= {ROOT / "CHANGELOG.md"}


def test_every_command_was_announced() -> None:
    announced = (ROOT / "CHANGELOG.md").read_text("utf-8")
    commands = getattr(get_command(app), "commands", {})
    assert len(commands) > 10
    assert [name for name in commands if f"`mulcot {name}" not in announced] == []
