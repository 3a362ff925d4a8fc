"""Foreign texts on their way into a prompt: one line, no control tokens, nothing that our parser takes for a field."""

from __future__ import annotations

import re

from mulcot.tasks.markers import break_markers
from mulcot.text import defuse, one_line

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def insertable(text: str, fields: tuple[str, ...]) -> str:
    """The text as it may stand in a prompt whose chain has these fields."""
    clean = _SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text))
    return break_markers(one_line(defuse(one_line(clean))), fields)
