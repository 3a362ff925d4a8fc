"""Named filters of single chains, each optional: a reply that one of them holds back is asked for again.

    length          too few words to be reasoning, or too many
    repetition      the same four words in a row again and again
    contradiction   "no conflict", though its own analyses of words and picture found opposite labels
    leak            talks about having been told the label

A filter looks at the fields of the chain without its prediction and returns what it found, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import Field, model_validator

from mulcot.settings import Settings
from mulcot.tasks.label_leak import find_leak

PREDICTION = "Prediction"
UNDECIDED = "neutral"
"""An analysis that takes no side can stand beside either."""

_WORD = re.compile(r"\w+")
_RUN = 4
_CLAIMS_AGREEMENT = re.compile(
    r"\bno (?:\w+,? ){0,3}(?:conflicts?|contradictions?|discrepanc(?:y|ies)|tension|disagreement)\b"
    r"|\bboth (?:\w+ ){0,8}(?:agree|convey|express|show|share|present|point|suggest|indicate)"
    r"|\b(?:text|words|image|picture|they|modalities) (?:fully |clearly |also )?"
    r"(?:agrees?|aligns?|(?:is|are) (?:consistent|aligned|in (?:agreement|line|harmony)))\b",
    re.IGNORECASE,
)
_DENIALS = frozenset(("not", "no", "non", "nor", "neither", "never", "without", "than", "hardly", "any", "or"))
_REACH = 4


class Length(Settings):
    """Bounds on the words of a chain."""

    min_words: int = Field(default=15, ge=0)
    """Fewest words."""
    max_words: int = Field(default=800, ge=1)
    """Most words."""

    @model_validator(mode="after")
    def _check(self) -> Length:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is more than max_words {self.max_words}")
        return self


class Filters(Settings):
    """What a chain must satisfy besides being complete; null or false switches a filter off."""

    length: Length | None = Length()
    """Bounds on the number of words."""
    repetition: float | None = Field(default=0.5, gt=0, le=1)
    """The largest share of four-word runs that may have stood in the chain before; real chains stay below 0.3."""
    contradiction: bool = True
    """Hold back chains that claim words and picture agree although their own analyses found opposite labels."""
    leak: bool = True
    """Hold back chains that say that the label was given, wherever they say it."""
    near_duplicates: float | None = Field(default=None, ge=0.8, le=1)
    """Keep only the first of several chains whose share of common three-word runs reaches this, such as 0.9. Off by
    default: posts that mention two things get rightly similar chains. Needs about 2 KB of memory per chain."""


NO_FILTERS = Filters(length=None, repetition=None, contradiction=False, leak=False)


def length(fields: Mapping[str, str], bounds: Length) -> str | None:
    """How many words there are, where that is outside the bounds."""
    count = len(words(fields))
    if count < bounds.min_words:
        return f"{count} words, at least {bounds.min_words} wanted"
    if count > bounds.max_words:
        return f"{count} words, at most {bounds.max_words} wanted"
    return None


def repetition(fields: Mapping[str, str], limit: float) -> str | None:
    """The share of repeated runs, where it is beyond the limit."""
    found = words(fields)
    runs = [tuple(found[start : start + _RUN]) for start in range(len(found) - _RUN + 1)]
    share = 1 - len(set(runs)) / len(runs) if runs else 0.0
    return f"{share:.0%} of its four-word runs are repeated, allowed {limit:.0%}" if share > limit else None


def contradiction(fields: Mapping[str, str], labels: tuple[str, ...]) -> str | None:
    """The opposite findings, where the chain says there are none. Silent for chains without these fields."""
    claimed = _CLAIMS_AGREEMENT.search(fields.get("Conflict_resolution", ""))
    text, image = (_finding(fields.get(name, ""), labels) for name in ("Text_analysis", "Image_analysis"))
    if claimed is None or text is None or image is None or text == image or UNDECIDED in (text, image):
        return None
    return f"the words are found {text} and the picture {image}, but it says {claimed.group()!r}"


def leak(fields: Mapping[str, str], labels: tuple[str, ...]) -> str | None:
    """The phrase that gives the label's origin away."""
    return find_leak("\n".join(value for name, value in fields.items() if name != PREDICTION), labels)


def words(fields: Mapping[str, str]) -> list[str]:
    """The chain's words in lower case, without the prediction."""
    return [word for name, value in fields.items() if name != PREDICTION for word in _WORD.findall(value.lower())]


def _finding(analysis: str, labels: tuple[str, ...]) -> str | None:
    """The one label that an analysis names without denying it."""
    named = {label.lower() for label in labels}
    found = set()
    for sentence in re.split(r"[.!?;\n]", analysis.lower()):
        before: list[str] = []
        for word in _WORD.findall(sentence.replace("n't", " not")):
            if word in named and not _DENIALS.intersection(before[-_REACH:]):
                found.add(word)
            before.append(word)
    return found.pop() if len(found) == 1 else None
