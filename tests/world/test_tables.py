"""The tables of docs/world.md: each is on the page, with one line per entry."""

import re
from pathlib import Path

from mulcot.world.tables import TABLES
from mulcot.world.vocabulary import KINDS, RULES

PAGE = Path(__file__).parents[2] / "docs" / "world.md"


def test_the_page_holds_every_table() -> None:
    assert set(re.findall(r"<!-- generated: world:(\w+) -->", PAGE.read_text("utf-8"))) == set(TABLES)


def test_the_tables_have_one_line_per_entry() -> None:
    assert len(TABLES["rules"]().splitlines()) == 2 + len(RULES)
    assert len(TABLES["scenes"]().splitlines()) == 2 + 2 * len(KINDS)
