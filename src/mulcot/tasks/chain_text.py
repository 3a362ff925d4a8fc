"""Chains as text: one quoted line per field.

    "Text_analysis": "The words praise the evening."
    "Prediction": "positive"

`write_fields` writes this form, and what it writes `read_fields` reads back equal. `read_fields` also reads what real
teachers write instead: JSON, code fences, headings, bold or unquoted names, missing and repeated fields, broken ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mulcot.tasks.field_markers import FieldMarker, find_markers

_SPACE = re.compile(r"\s*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*+"')
_NEXT_KEY = r"[\"'][\w -]{1,40}[\"']\s{0,8}[:\uff1a]"
_STRING_END = re.compile(rf"[ \t*`]{{0,8}}[,;|]?[ \t]{{0,8}}(?:[\n}}\])]|\Z|{_NEXT_KEY})")
_AFTER_WORD = re.compile(rf"[ \t]{{0,8}}[,;][ \t]{{0,8}}{_NEXT_KEY}")
_ESCAPE = re.compile(r"\\([\"'\\/nrt])")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_THOUGHT = re.compile(r"\s*<(think|thinking|reasoning)>", re.IGNORECASE)
_THOUGHT_END = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_THOUGHT_END_LINE = re.compile(r"^[ \t]{0,8}</(?:think|thinking|reasoning)>", re.IGNORECASE | re.MULTILINE)
_PAIRS = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "`": "`"}


def plain(value: str) -> str:
    """A value as a chain keeps it: lone surrogates replaced, no whitespace around it."""
    return _SURROGATE.sub("\ufffd", value).strip()


def write_fields(fields: Mapping[str, str], order: tuple[str, ...]) -> str:
    """The fields that are not empty, one quoted line each."""
    unknown = sorted(set(fields) - set(order))
    if unknown:
        raise ValueError(f"no such fields: {', '.join(unknown)}; the task has {', '.join(order)}")
    values = ((name, plain(fields.get(name, ""))) for name in order)
    return "\n".join(f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in values if value)


def read_fields(reply: str, order: tuple[str, ...]) -> list[tuple[str, str]]:
    """Every field that is not empty, in the order of the reply; a field appears as often as the reply has it."""
    text = reply.replace("\r\n", "\n").replace("\r", "\n")
    markers = find_markers(text, order)
    found, position = [], 0
    for number, marker in enumerate(markers):
        if marker.start < position:
            continue
        following = markers[number + 1].start if number + 1 < len(markers) else len(text)
        value, position = _value(text, marker, following)
        value = plain(value)
        if value:
            found.append((marker.name, value))
    return found


def answer_part(reply: str) -> str:
    """The reply without the thinking before its answer."""
    opened = _THOUGHT.match(reply)
    closed = _THOUGHT_END.search(reply, opened.end()) if opened else _THOUGHT_END_LINE.search(reply)
    if closed:
        return reply[closed.end() :]
    return "" if opened else reply


def first_paragraph(value: str) -> str:
    """A short value without the prose, fence or further keys that may follow it."""
    if value.startswith("```"):
        value = value.partition("\n")[2]
    head = re.split(r"\n[ \t]*(?:\n|```)", value.strip(), maxsplit=1)[0]
    cut = _AFTER_WORD.search(head)
    return head[: cut.start()].strip() if cut else head.strip()


def _value(text: str, marker: FieldMarker, following: int) -> tuple[str, int]:
    """A marker's value and where it ends."""
    begin = marker.end
    bold = marker.bold
    if bold and text.startswith(bold, begin):
        begin, bold = begin + len(bold), ""
    begin = _end(_SPACE.match(text, begin))
    if text.startswith('"', begin):
        string = _STRING.match(text, begin)
        if string and _STRING_END.match(text, string.end()):
            return _unescape(string.group()), string.end()
    end = max(begin, following)
    return _unwrap(text[begin:end].strip(), marker, bold), end


def _end(match: re.Match[str] | None) -> int:
    assert match is not None
    return match.end()


def _unwrap(value: str, marker: FieldMarker, bold: str) -> str:
    """A value that is not one clean string, without the notation around it."""
    value = _without_fence(value)
    value = value.removesuffix(bold) if bold else value
    close = _PAIRS.get(value[:1], "")
    if marker.quoted or close == '"':
        value = _without_brackets(value)
    if not close:
        return value
    ends = len(value) > 1 and value.endswith(close) and not value.endswith("\\" + close)
    inner = value[1:-1] if ends else value[1:]
    alone = re.search(rf"(?<!\\){re.escape(close)}", inner) is None
    if ends and (marker.quoted or alone):
        return _ESCAPE.sub(_unescaped, inner)
    if alone and (marker.quoted or close == '"'):  # the end was cut off
        return _ESCAPE.sub(_unescaped, inner).removesuffix("\\")
    return value


def _without_fence(value: str) -> str:
    """The last field of a fenced block, or before a rule, ends before it."""
    lines = value.split("\n")
    while lines and lines[-1].strip() in ("", "```", "---", "***"):
        lines.pop()
    return "\n".join(lines)


def _without_brackets(value: str) -> str:
    """The value without commas and closing brackets of the object around it; brackets it opened itself stay."""
    surplus = {close: value.count(close) - value.count(opening) for opening, close in ("{}", "[]")}
    end = len(value)
    while end and (value[end - 1] in ",; \n\t" or surplus.get(value[end - 1], 0) > 0):
        surplus[value[end - 1]] = surplus.get(value[end - 1], 0) - 1
        end -= 1
    return value[:end]


def _unescape(string: str) -> str:
    try:
        return str(json.loads(string, strict=False))
    except ValueError:
        return _ESCAPE.sub(_unescaped, string[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[1], match[1])
