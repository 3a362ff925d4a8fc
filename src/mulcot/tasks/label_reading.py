"""Which label an answer names: a word of its own, not part of another word, and not denied.

"**Neutral.**"  neutral      "neutral, not negative"  neutral      "unpositive", "non-negative", "not negative"  none
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_AROUND = " \t\n\"'`*_~()[]{}<>.,:;!\u3002\uff0c\uff01\uff1a\u201c\u201d\u2018\u2019\u300c\u300d\u3010\u3011"
_JOINED = r"\w\-\u2010\u2011"
_SENTENCE = re.compile(r"[.!?\u3002\uff01\uff1f](?=[\s\"'*`)]|\Z)|[\u3002\uff01\uff1f\n]")
_DENIALS = frozenset(
    ("not", "no", "non", "nor", "neither", "never", "none", "cannot", "without", "hardly", "than", "instead", "opposed")
)
_DENIAL_END = "n't"
_DENIAL_REACH = 4
_FRESH = frozenset(("but", "however", "rather"))


class LabelReading(NamedTuple):
    """A label, or the stable code of why there is none."""

    label: str | None
    problem: str = ""


def read_label(value: str, labels: tuple[str, ...]) -> LabelReading:
    """The one label that a prediction's value names."""
    exact = exact_label(value, labels)
    if exact is not None:
        return LabelReading(exact)
    sentences = [part for part in _SENTENCE.split(value) if part.strip(_AROUND)]
    whole = [label for part in sentences if (label := exact_label(part, labels)) is not None]
    if sentences and exact_label(sentences[0], labels) is not None:
        named = set(whole)
    else:
        named = _named(sentences[0], labels) if sentences else set()
        named = named or _named(value, labels)
    if len(named) == 1:
        return LabelReading(named.pop())
    return LabelReading(None, "several_predictions" if named else "outside_label_set")


def exact_label(value: str, labels: tuple[str, ...]) -> str | None:
    """The label that is all there is, apart from case, quotes and markup."""
    if len(value) > 1000:
        return None
    return _keys(labels).get(label_key(value))


def label_key(text: str) -> str:
    """What two spellings of one label have in common."""
    return re.sub(r"[\s_-]+", " ", text.strip(_AROUND)).casefold() or text.strip().casefold()


def _named(text: str, labels: tuple[str, ...]) -> set[str]:
    """The labels that a text names without denying them."""
    keys, reach = _keys(labels), 0
    named: set[str] = set()
    for match in _words(labels).finditer(text):
        word = match.group()
        if match["label"] is not None:
            label = keys.get(label_key(word))
            if label is not None and reach <= 0:
                named.add(label)
        elif match["stop"] is not None or word.lower() in _FRESH:
            reach = 0
        elif word.lower() in _DENIALS or word.lower().replace("\u2019", "'").endswith(_DENIAL_END):
            reach = _DENIAL_REACH
        else:
            reach -= 1
    return named


@lru_cache(maxsize=64)
def _keys(labels: tuple[str, ...]) -> dict[str, str]:
    return {label_key(label): label for label in labels}


@lru_cache(maxsize=64)
def _words(labels: tuple[str, ...]) -> re.Pattern[str]:
    """Labels (the longest first), other words, and punctuation that ends a denial."""
    spelled = (
        "[ _-]{1,2}".join(map(re.escape, label_key(label).split(" "))) for label in sorted(labels, key=len)[::-1]
    )
    return re.compile(
        rf"(?P<label>(?<![{_JOINED}])(?:{'|'.join(spelled)})(?![{_JOINED}]))"
        rf"|[{_JOINED}'\u2019]+|(?P<stop>[,;:.()!?\u2014/])",
        re.IGNORECASE,
    )
