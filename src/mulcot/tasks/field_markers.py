"""Where a reply says "here begins field X", however it says it.

    "Text_analysis": "..."        ### Text_analysis:        **Text analysis:** ...        1) text-analysis - ...

A marker stands at the start of a line, after nothing but decoration, or in the middle of a line as a quoted key or as
the exact name with a colon. Only a bounded neighbourhood of each name is looked at, so finding is linear in the text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_LOOK_BACK = 32
_CLOSERS = "\"'`*_~\\])}>\u3011\u300b\u300d\u201d\u2019\u00bb"
_AFTER = re.compile(
    rf"(?P<closers>[{_CLOSERS}]{{0,6}})[ \t\u00a0\u3000]{{0,8}}"
    r"(?:(?P<colon>[:\uff1a])|(?P<other>[=\u2192\u2013\u2014]|-{1,2}>|-{1,2}(?=\s))|(?P<bracket>(?<=[\]\u3011]))|(?=\n|\Z))"
)
_SEPARATORS = re.compile(rf"[{_CLOSERS}:\uff1a=\u2192\u2013\u2014>-]")
_RUN = re.compile(r"[\W_]+")
_LINE_PREFIX = re.compile(r"[\W_]{0,16}(?:(?:step|part|section|field)[ ]{0,2})?(?:\d{1,2})?[\W_]{0,16}", re.IGNORECASE)
_BEFORE_KEY = re.compile(r"(?:\A|[{\[(,;|.!?)\]}\"'\u201d`*])[ \t]{0,8}[*`]{0,4}[\"'\u201c`]\Z")
_SENTENCE_END = re.compile(r"(?:\A|[.!?;,|*\"'\u201d`)\]}\u3002\uff01\uff1f])[ \t*]{0,4}\Z")


class FieldMarker(NamedTuple):
    """One place where a field begins."""

    name: str
    """The field as the task spells it."""
    start: int
    """Where the decoration before the name begins; the field before ends here."""
    end: int
    """Where the value may begin."""
    quoted: bool
    """Whether the name stands in double or single quotes, as a key of JSON."""
    bold: str
    """Asterisks or underscores that were opened before the name and not yet closed."""


def find_markers(text: str, names: tuple[str, ...]) -> list[FieldMarker]:
    """Every marker in the order of the text. Lines end in `\\n` alone."""
    found = []
    for match in _pattern(names).finditer(text):
        after = _AFTER.match(text, match.end())
        if after is None:
            continue
        name = names[int(match.lastgroup[1:])] if match.lastgroup else ""
        marker = _at_line_start(text, match, after, name) or _in_line(text, match, after, name)
        if marker is not None:
            found.append(marker)
    return found


def break_markers(text: str, names: tuple[str, ...]) -> str:
    """One line of foreign text in which no field name can be taken for a marker any more."""
    parts, position = [], 0
    for match in _pattern(names).finditer(text):
        run = _RUN.match(text, match.end())
        if run is None or _AFTER.match(text, match.end()) is None:
            continue
        harmless = " ".join(_SEPARATORS.sub(" ", run.group()).split())
        parts += [text[position : match.end()], f" {harmless} " if harmless else " "]
        position = run.end()
    return ("".join(parts) + text[position:]).strip() if parts else text


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the names, in any case, with a space or hyphen or nothing for the underscore."""
    spelled = ("[ _-]{0,2}".join(map(re.escape, re.split(r"[ _-]+", name))) for name in names)
    either = "|".join(f"(?P<n{number}>{name})" for number, name in enumerate(spelled))
    return re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", re.IGNORECASE | re.ASCII)


def _at_line_start(text: str, match: re.Match[str], after: re.Match[str], name: str) -> FieldMarker | None:
    begin = match.start()
    line = text.rfind("\n", max(0, begin - _LOOK_BACK), begin) + 1
    if line == 0 and begin > _LOOK_BACK:
        return None
    prefix = text[line:begin]
    if _LINE_PREFIX.fullmatch(prefix) is None:
        return None
    return _marker(match, after, name, start=line, prefix=prefix)


def _in_line(text: str, match: re.Match[str], after: re.Match[str], name: str) -> FieldMarker | None:
    if after["colon"] is None:
        return None
    begin = match.start()
    before = text[max(0, begin - 16) : begin]
    key = _BEFORE_KEY.search(before)
    if key is not None and after["closers"]:
        start = begin - 1
    elif match.group() == name and (("_" in name and before[-1:].isspace()) or _SENTENCE_END.search(before)):
        start = begin
    else:
        return None
    return _marker(match, after, name, start=start, prefix=text[start:begin])


def _marker(match: re.Match[str], after: re.Match[str], name: str, *, start: int, prefix: str) -> FieldMarker:
    quote = prefix[-1:]
    quoted = quote in ("'", '"', "\u201c") and after["closers"][:1] in ("'", '"', "\u201d")
    bold = prefix[len(prefix.rstrip("*_")) :]
    if bold and bold in after["closers"]:
        bold = ""
    return FieldMarker(name, start, after.end(), quoted, bold)
