"""Writing posts, and parsing them back: the same vocabulary in both directions."""

from __future__ import annotations

import re
from functools import lru_cache
from random import Random
from typing import NamedTuple

from mulcot.world import vocabulary
from mulcot.world.truth import Clause
from mulcot.world.vocabulary_types import Marker, Mood, SceneKind


def make_clause(rng: Random, kind: SceneKind, tone: Mood, marker: Marker) -> Clause:
    """A statement about something that scenes of this kind show."""
    template = rng.choice(vocabulary.TONES[tone])
    return Clause(
        topic=rng.choice(kind.topics),
        kind=kind.name,
        words=_words(template),
        tone=tone,
        marker=marker,
        mark=rng.choice(vocabulary.MARKERS[marker]) if marker != "none" else "",
    )


def write_post(rng: Random, clauses: tuple[Clause, ...]) -> str:
    """The post: its statements, and noise around them as people make it."""
    said = [_spoken(clause) for clause in clauses]
    if rng.random() < 0.4:
        said[0] = said[0][0].upper() + said[0][1:]
    body = rng.choice(vocabulary.JOINS).join(said) + rng.choice(("", "", "!", "..", "!!"))
    parts = (rng.choice(vocabulary.OPENERS), body, rng.choice(vocabulary.CLOSERS))
    return " ".join(part for part in parts if part)


def parse_clauses(text: str) -> tuple[Clause, ...]:
    """The statements of a post in their order; none where nothing is understood."""
    text = _plain(text)
    grammar = _grammar()
    found = list(grammar.statement.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    clauses = []
    for match, end in zip(found, ends[: len(found)], strict=True):
        rest = text[match.end() : end]
        said = grammar.said[match.group()]
        mark = grammar.mark.search(rest)
        if mark:
            marker = grammar.marks[mark.group()]
            said = Clause(
                topic=said.topic, kind=said.kind, words=said.words, tone=said.tone, marker=marker, mark=mark.group()
            )
        clauses.append(said)
    return tuple(clauses)


class _Grammar(NamedTuple):
    said: dict[str, Clause]
    statement: re.Pattern[str]
    marks: dict[str, Marker]
    mark: re.Pattern[str]


@lru_cache(maxsize=1)
def _grammar() -> _Grammar:
    said: dict[str, Clause] = {}
    for kind in vocabulary.KINDS:
        for topic in kind.topics:
            for tone, templates in vocabulary.TONES.items():
                for template in templates:
                    clause = Clause(topic=topic, kind=kind.name, words=_words(template), tone=tone)
                    said[template.format(topic=topic)] = clause
    marks = {mark: marker for marker, written in vocabulary.MARKERS.items() for mark in written}
    return _Grammar(said, _any_of(said), marks, _any_of(marks))


def _any_of(phrases: dict[str, Clause] | dict[str, Marker]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\w){re.escape(phrase)}(?!\w)" for phrase in longest_first))


def _plain(text: str) -> str:
    """Case, whitespace and written-out emoji as the vocabulary has them."""
    text = " ".join(text.casefold().split())
    for emoji, name in vocabulary.EMOJI_NAMES.items():
        spoken = name.replace("_", " ")
        text = text.replace(f":{name}:", emoji).replace(f":{spoken}:", emoji).replace(spoken, emoji)
    return text


def _spoken(clause: Clause) -> str:
    return f"{_template(clause).format(topic=clause.topic)} {clause.mark}".rstrip()


def _template(clause: Clause) -> str:
    return next(entry for entry in vocabulary.TONES[clause.tone] if _words(entry) == clause.words)


def _words(template: str) -> str:
    return template.replace("{topic}", "").strip()
