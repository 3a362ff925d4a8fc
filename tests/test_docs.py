"""The pages as a whole: links, files and names lead somewhere, the README leads to every page and command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from mulcot.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`((?:src|tests|tools|docs|benchmarks|experiments|recipes)/[\w./]+)`")
IMPORT = re.compile(r"^from (mulcot[\w.]*) import (.+)$", re.MULTILINE)
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


def test_every_file_and_name_that_a_page_shows_exists() -> None:
    pages = [page for page in PAGES if page.name not in ("CHANGELOG.md", "CONTRIBUTING.md")]  # past, to come
    faults = [f"{page.name} {fault}" for page in pages for fault in missing(page.read_text("utf-8"))]
    assert not faults, "\n".join(["", *faults])


def missing(text: str) -> Iterator[str]:
    yield from (f"names {path}" for path in NAMED.findall(text) if not (ROOT / path).exists())
    for module, names in IMPORT.findall(text):
        path = ROOT.joinpath("src", *module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        known = set(top_level(file)) if file.is_file() else set()
        yield from (f"imports {name} of {module}" for name in re.findall(r"\w+", names) if name not in known)


def top_level(file: Path) -> Iterator[str]:
    for node in ast.parse(file.read_text("utf-8")).body:
        for part in ast.walk(node) if isinstance(node, ast.If | ast.Assign | ast.AnnAssign) else [node]:
            if isinstance(part, ast.ClassDef | ast.FunctionDef):
                yield part.name
            elif isinstance(part, ast.ImportFrom):
                yield from (alias.name for alias in part.names)
            elif isinstance(part, ast.Name):
                yield part.id


def test_every_command_was_announced() -> None:
    announced = (ROOT / "CHANGELOG.md").read_text("utf-8")
    commands = getattr(get_command(app), "commands", {})
    assert len(commands) > 10
    assert [name for name in commands if f"`mulcot {name}" not in announced] == []
