"""Checking what a chain says: every statement about the picture or the text is true, false or not checkable.

Statements are found by the vocabulary's own words, wherever and in whatever order they stand, so chains of other
writers and damaged ones can be checked too. A sentence in which nothing is recognised is one statement that cannot be
checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mulcot.records import Record
from mulcot.world.claims import ABSENT, Claim, about_scene, is_denied
from mulcot.world.scene import Scene
from mulcot.world.truth import Truth
from mulcot.world.vocabulary_types import MOODS

Verdict = Literal["true", "false", "uncheckable"]

SENTENCE = re.compile(r"[^.!?;\n]+")
QUOTE = re.compile(r"(?<!\w)(?:'([^'\n]{2,80})'|\"([^\"\n]{2,80})\"|\u201c([^\u201d\n]{2,80})\u201d)(?!\w)")
MOOD_WORDS: dict[str, str] = {
    **{str(mood): mood for mood in MOODS},
    "sad": "negative",
    "gloomy": "negative",
    "glad": "positive",
}
SIDES = {
    "text": "text", "words": "text", "writer": "text",
    "picture": "picture", "image": "picture", "photo": "picture", "scene": "picture",
    "post": "label", "tweet": "label", "feeling": "label", "sentiment": "label",
    "both": "both",
}  # fmt: skip
SIDE = rf"(?:{'|'.join(SIDES)})"
BEFORE_SIDE = re.compile(rf"\b({'|'.join(MOOD_WORDS)}) ({SIDE})\b")
AFTER_SIDE = re.compile(rf"\b({SIDE})\b|\b({'|'.join(MOODS)})\b")
QUIET = re.compile(r"\b(text|picture|image) takes no side\b")
RELATIONS = {
    "agree": "agree",
    "agrees": "agree",
    "unrelated": "unrelated",
    "conflict": "conflict",
    "conflicts": "conflict",
}
RELATION = re.compile(rf"\b({'|'.join(RELATIONS)})\b")
WINNER = re.compile(r"\b(text|picture|image) wins\b")
TONES = {"praise": "positive", "only name": "neutral", "blame": "negative"}
TONE = re.compile(rf"\b({'|'.join(TONES)})s?\b")
MARKER = re.compile(r"\b(?:(turns? (?:them|it) around)|(means it))\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Record):
    """One statement of a chain."""

    said: str
    """The words that make it, in lower case."""
    about: str
    """An attribute of the scene (`kind`, `main`, `setting`, `colour`, `count`, `extra`), `picture`, `text`, `tone`,
    `marker`, `quote`, `relation`, `winner` or `label`; `unknown` where it cannot be checked."""
    verdict: Verdict
    field: str = ""
    """The chain's field it stands in."""


def check_chain(fields: Mapping[str, str], truth: Truth) -> tuple[Statement, ...]:
    """Every statement of a chain, field by field; fields of other names are read like a conclusion."""
    readers: dict[str, Callable[[str], Iterator[Claim]]] = {
        "Text_analysis": lambda sentence: _about_text(sentence, truth),
        "Image_analysis": lambda sentence: _about_picture(sentence, truth.scene),
    }
    found: list[Statement] = []
    for field, text in fields.items():
        reader = readers.get(field, lambda sentence: _about_post(sentence, truth))
        found.extend(_statements(text, reader, field))
    return tuple(found)


def check_picture(text: str, scene: Scene | None) -> tuple[Statement, ...]:
    """Every statement about what a picture shows and conveys; where there is no picture all of them are false."""
    return tuple(_statements(text, lambda sentence: _about_picture(sentence, scene)))


def _statements(text: str, reader: Callable[[str], Iterator[Claim]], field: str = "") -> Iterator[Statement]:
    for sentence in SENTENCE.findall(text.casefold()):
        claims = list(reader(sentence))
        for claim in claims:
            verdict: Verdict = "true" if claim.true else "false"
            yield Statement(said=claim.said, about=claim.about, verdict=verdict, field=field)
        if not claims and re.search(r"\w", sentence):
            yield Statement(said=sentence.strip(), about="unknown", verdict="uncheckable", field=field)


def _about_text(sentence: str, truth: Truth) -> Iterator[Claim]:
    clause = truth.clause
    heard = [part for c in truth.clauses for part in (c.words, c.topic, c.mark, f"{c.topic} {c.words}") if part]
    for match in QUOTE.finditer(sentence):
        words = next(group for group in match.groups() if group)
        yield Claim("quote", words, any(words.strip() in part for part in heard))
    sentence = QUOTE.sub(" ", sentence)
    for match in TONE.finditer(sentence):
        yield Claim("tone", match.group(), TONES[match.group(1)] == clause.tone)
    for match in MARKER.finditer(sentence):
        yield Claim("marker", match.group(), clause.marker == ("sarcasm" if match.group(1) else "firm"))
    yield from _moods(sentence, truth, "text")


def _about_picture(sentence: str, scene: Scene | None) -> Iterator[Claim]:
    if ABSENT.search(sentence):
        yield Claim("picture", "no picture", scene is None)
        return
    yield from about_scene(sentence, scene)
    for side, mood, said in _said_moods(sentence, "picture"):
        if side == "picture":
            yield Claim("picture", said, scene is not None and scene.mood == mood)


def _about_post(sentence: str, truth: Truth) -> Iterator[Claim]:
    if ABSENT.search(sentence):
        yield Claim("picture", "no picture", truth.scene is None)
    for match in re.finditer(r"\b(?:shows|only) an? (\w+)", sentence):
        yield from about_scene(match.group(1), truth.scene)
    for match in RELATION.finditer(sentence):
        denied = is_denied(sentence, match.start())
        yield Claim("relation", match.group(), (RELATIONS[match.group(1)] == truth.relation) != denied)
    for match in WINNER.finditer(sentence):
        winner = "picture" if match.group(1) == "image" else match.group(1)
        yield Claim("winner", match.group(), truth.winner in (winner, "both"))
    for match in QUIET.finditer(sentence):
        conveyed = truth.text if match.group(1) == "text" else truth.picture
        yield Claim("text" if match.group(1) == "text" else "picture", match.group(), conveyed == "neutral")
    yield from _moods(sentence, truth, "label")


def _moods(sentence: str, truth: Truth, default: str) -> Iterator[Claim]:
    conveyed = {"text": truth.text, "picture": truth.picture, "label": truth.label}
    for side, mood, said in _said_moods(sentence, default):
        for one in ("text", "picture") if side == "both" else (side,):
            yield Claim(one, said, conveyed[one] == mood)


def _said_moods(sentence: str, default: str) -> Iterator[tuple[str, str, str]]:
    """(side, mood, words) of each mood that a sentence gives to one side of the post, or to `default`."""
    for match in BEFORE_SIDE.finditer(sentence):
        yield SIDES[match.group(2)], MOOD_WORDS[match.group(1)], match.group()
    side = default
    for match in AFTER_SIDE.finditer(BEFORE_SIDE.sub(" ", sentence)):
        if match.group(1):
            side = SIDES[match.group(1)]
        elif not is_denied(sentence, match.start()):
            yield side, match.group(2), f"{side}: {match.group(2)}"
