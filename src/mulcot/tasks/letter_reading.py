"""Which choice an answer names: its letter, its text, or both.

"B"    "(b)"    "B. the copper wire"    "The answer is (B)."    "the copper wire"
"""

from __future__ import annotations

import re
from string import ascii_uppercase

from mulcot.tasks.label_reading import LabelReading
from mulcot.text import one_line

LETTERS = tuple(ascii_uppercase)

_MARKUP = " \t\n\"'`*_"
_ALONE = re.compile(r"[({\[]{0,2}([A-Za-z])[)}\].:,]{0,3}\Z")
_FIRST = re.compile(r"[({\[]{0,2}(?:\(([A-Za-z])\)|([A-Z])(?:[).:\]]|[*`\"']{1,3}|[ ][-\u2013\u2014]))(?=\s|\Z|\*)")
_NAMED = re.compile(
    r"(?i:\b(?:answer|option|choice)(?:[ ]is)?)[ :]{0,2}(?i:option[ ]|choice[ ])?[*\"'`]{0,3}"
    r"(?:\(([A-Za-z])\)|([A-Za-z])(?=[^\w\s'-]|\s{0,8}\Z|\n|[ ](?:because|since|as)\b))"
)
_SENTENCE = re.compile(r"(?i:the answer is|answer:)[ ]?(?:\(([A-Za-z])\)|([A-Z]))\.?\Z")
_STATED = re.compile(r"(?i:\bthe answer is)[ :]{0,2}(?:\(([A-Za-z])\)|([A-Z])(?=\.?\s{0,8}(?:\n|\Z)))")
_BRACKETED = re.compile(r"(?<!not )(?<!n't )\(([A-Z])\)")
_LEADING = re.compile(r"([B-HJ-Z])(?=[ ,]|\n)|([AI])(?=,| because| since| as )")
_SINGLE = re.compile(r"(?<![\w'])[B-HJ-Z](?![\w'])")
_LISTING = frozenset(("or", "and", "either", "both"))
_LOOK = 2000


def read_letter(value: str, choices: tuple[str, ...], allowed: tuple[str, ...]) -> LabelReading:
    """The one letter that a prediction's value names; without `choices`, only letters are read."""
    head = value[:_LOOK].strip(_MARKUP)
    alone = _ALONE.match(head)
    if alone:
        return _checked({alone[1].upper()}, allowed)
    by_text = _by_text(value, choices)
    if by_text:
        return _checked(by_text, allowed)
    first = _FIRST.match(head)
    if first:
        letter = (first[1] or first[2]).upper()
        named = _by_text(value.strip(_MARKUP)[first.end() :].strip(" -:\u2013\u2014"), choices)
        bracketed = set(_BRACKETED.findall(head[first.end() :]))
        return _checked({letter} | bracketed | (set() if letter in named else named), allowed)
    return _checked(_in_prose(head, allowed), allowed)


def letter_alone(reply: str, choices: tuple[str, ...], allowed: tuple[str, ...]) -> str | None:
    """The letter of a reply that is only a letter or a choice's text, or that says once `The answer is (B).`"""
    head = reply[:_LOOK].strip(_MARKUP)
    sentence = _SENTENCE.match(head)
    if sentence:
        return _checked({(sentence[1] or sentence[2]).upper()}, allowed).label
    alone = _ALONE.match(head)
    letters = {alone[1].upper()} if alone else _by_text(reply, choices) or _stated(reply)
    return _checked(letters, allowed).label


def _stated(reply: str) -> set[str]:
    """The letters of all sentences `The answer is (B).`, before, behind or without reasons."""
    return {(match[1] or match[2]).upper() for match in _STATED.finditer(reply)}


def _in_prose(head: str, allowed: tuple[str, ...]) -> set[str]:
    words = re.findall(r"\w+", head[:80])
    if len(head) <= 80 and all(word in LETTERS or word.lower() in _LISTING for word in words):
        return {word for word in words if word in LETTERS}
    found = {(match[1] or match[2]).upper() for match in _NAMED.finditer(head)} | set(_BRACKETED.findall(head))
    leading = _LEADING.match(head)
    if not found and leading:
        found = {leading[1] or leading[2]} | (set(_SINGLE.findall(head)) & set(allowed))
    return found


def _checked(letters: set[str], allowed: tuple[str, ...]) -> LabelReading:
    if len(letters) > 1:
        return LabelReading(None, "several_predictions")
    letter = next(iter(letters), "")
    return LabelReading(letter) if letter in allowed else LabelReading(None, "outside_label_set")


def _by_text(value: str, choices: tuple[str, ...]) -> set[str]:
    """The letters of the choices that have exactly this text; markup is only dropped where nothing else fits."""
    for key in (_spelled, _unmarked):
        wanted = key(value)
        same = {letter for letter, choice in zip(LETTERS, choices, strict=False) if wanted and key(choice) == wanted}
        if same:
            return same
    return set()


def _spelled(text: str) -> str:
    return one_line(text).casefold()


def _unmarked(text: str) -> str:
    return _spelled(text).strip(_MARKUP).removesuffix(".").rstrip(_MARKUP)
