"""Foreign texts on their way into a prompt: one line, no control tokens, nothing that our parser takes for a field."""

from __future__ import annotations

from mulcot.tasks.field_markers import break_markers
from mulcot.text import defuse, one_line


def insertable(text: str, fields: tuple[str, ...]) -> str:
    """The text as it may stand in a prompt whose chain has these fields."""
    return break_markers(one_line(defuse(one_line(text))), fields)
