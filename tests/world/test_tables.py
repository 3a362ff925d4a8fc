"""docs/world.md shows the world as it is. `python tests/world/test_tables.py` renews it."""

import re
from pathlib import Path

from mulcot.world.tables import TABLES
from mulcot.world.vocabulary import KINDS, RULES

PAGE = Path(__file__).parents[2] / "docs" / "world.md"
BLOCK = re.compile(r"(<!-- world: (\w+) -->\n).*?(<!-- end world -->)", re.DOTALL)


def renewed(text: str) -> str:
    return BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[3]}", text)


def test_the_page_holds_every_table_as_the_data_has_it() -> None:
    text = PAGE.read_text("utf-8")
    assert {match[2] for match in BLOCK.finditer(text)} == set(TABLES)
    assert renewed(text) == text, "run `python tests/world/test_tables.py`"


def test_the_tables_have_one_line_per_entry() -> None:
    assert len(TABLES["rules"]().splitlines()) == 2 + len(RULES)
    assert len(TABLES["scenes"]().splitlines()) == 2 + 2 * len(KINDS)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
