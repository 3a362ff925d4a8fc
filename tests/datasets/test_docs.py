"""docs/datasets.md tells the truth: a section for each dataset, every reason of a rejection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mulcot.datasets.base import datasets

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "datasets.md").read_text("utf-8")


@pytest.mark.parametrize("name", datasets.names())
def test_each_dataset_has_its_section_and_its_options(name: str) -> None:
    assert re.search(rf"^## .*\b{name}\b", PAGE, re.MULTILINE)
    assert f"<!-- generated: options:datasets.{name} -->" in PAGE


@pytest.mark.parametrize("name", ["twitter", "mvsa", "scienceqa", "aokvqa", "mmmu", "files"])
def test_each_section_shows_the_layout_and_a_command(name: str) -> None:
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert "```text\n" in section
    assert f"mulcot data stats {name} " in section


def test_the_commands_name_only_options_that_exist() -> None:
    commands = re.findall(r"^mulcot data \w+ (\w+) (.*?)(?: +#.*)?$", PAGE, re.MULTILINE)
    assert len(commands) >= 8
    for name, arguments in commands:
        for key in re.findall(r"([\w.]+)=", arguments):
            assert key.split(".")[0] in datasets.get(name).model_fields, f"{name} has no option {key}"


def test_every_reason_of_a_rejection_is_named() -> None:
    raised = re.compile(r'(?:(?:BadRow|MediaError)\(\s*|reason=)"([a-z0-9_]+)"')
    source = ROOT / "src" / "mulcot"
    rooms = [*(source / "datasets").rglob("*.py"), *(source / "media").rglob("*.py")]
    texts = [path.read_text("utf-8") for path in rooms]
    reasons = {reason for text in texts for reason in raised.findall(text)} - {"changed_image"}  # of later stages
    assert len(reasons) > 20
    assert {reason for reason in reasons if f"`{reason}`" not in PAGE} == set()
