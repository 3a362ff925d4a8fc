"""What a sentence claims about a scene, found by the words of the vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from mulcot.world import vocabulary
from mulcot.world.scene import KINDS, Scene

NEGATION = re.compile(r"\b(?:no|not|never|without|isn't|aren't|neither)\b(?: \w+){0,2} *$")
ABSENT = re.compile(r"\b(?:no|without an?) (?:picture|image|photo)\b")
EMPTY_CORNER = re.compile(r"\bcorner is empty\b|\bnothing (?:is )?in the corner\b")
NUMBERS = {
    **{word: number for number, word in enumerate(vocabulary.NUMBER_WORDS)},
    **{str(number): number for number in range(100)},
    "a": 1, "an": 1, "zero": 0,
}  # fmt: skip
NUMBER = rf"(?:{'|'.join(NUMBERS)})"


class Claim(NamedTuple):
    """A statement with what it is about and whether it holds."""

    about: str
    said: str
    true: bool


class Fact(NamedTuple):
    """One attribute with one value, and the kind of scene that it says something about; empty for all kinds."""

    about: str
    value: str
    kind: str = ""

    def holds(self, scene: Scene | None) -> bool:
        """Whether it is so in this scene."""
        return scene is not None and self.kind in ("", scene.kind) and getattr(scene, self.about) == self.value


def about_scene(sentence: str, scene: Scene | None) -> Iterator[Claim]:
    """Every claim of one sentence in lower case; of no scene nothing is true."""
    for match in _coloured().finditer(sentence):
        part, colour = match["part"] or match["part2"], match["colour"] or match["colour2"]
        holds = scene is not None and (scene.terms.coloured, scene.colour) == (part, colour)
        yield Claim("colour", match.group(), holds)
    for match in _counted().finditer(sentence):
        yield Claim("count", match.group(), _count_holds(match["number"], match["thing"], scene))
    if empty := EMPTY_CORNER.search(sentence):
        yield Claim("extra", empty.group(), scene is not None and scene.extra == "none")
    words, facts = _lexicon()
    for match in words.finditer(sentence):
        found = facts[match.group()]
        denied = is_denied(sentence, match.start())
        holds = any(fact.holds(scene) for fact in found) != denied
        yield Claim(found[0].about, match.group(), holds and scene is not None)
        if " " in match.group():
            yield from _named_kinds(match.group(), scene)


def is_denied(sentence: str, place: int) -> bool:
    """Whether a negation stands close before this place."""
    return bool(NEGATION.search(sentence[max(0, place - 40) : place]))


def _named_kinds(phrase: str, scene: Scene | None) -> Iterator[Claim]:
    """A phrase such as `happy dog` names the dog as well."""
    for word in phrase.split():
        if word in KINDS:
            yield Claim("kind", phrase, scene is not None and scene.kind == word)


def _count_holds(number: str, thing: str, scene: Scene | None) -> bool:
    if scene is None:
        return False
    present = scene.count if thing in scene.terms.counted else 0
    return present == NUMBERS[number]


@lru_cache(maxsize=1)
def _lexicon() -> tuple[re.Pattern[str], dict[str, list[Fact]]]:
    """Every word of kinds, main things, settings and extras with the facts that it may state."""
    facts: dict[str, list[Fact]] = {}
    for kind in vocabulary.KINDS:
        facts.setdefault(kind.name, []).append(Fact("kind", kind.name))
        for about, details in (("main", kind.main), ("setting", kind.setting)):
            for entry in details:
                for word in entry.words:
                    facts.setdefault(word, []).append(Fact(about, entry.name, kind.name))
    for extra in vocabulary.EXTRAS[1:]:
        facts.setdefault(extra, []).append(Fact("extra", extra))
    return re.compile(rf"\b(?:{_any(facts)})\b"), facts


@lru_cache(maxsize=1)
def _coloured() -> re.Pattern[str]:
    part = _any({kind.coloured for kind in vocabulary.KINDS})
    colour = _any(vocabulary.COLOURS)
    return re.compile(
        rf"\b(?P<part>{part}) (?:is|looks|seems) (?P<colour>{colour})\b|\b(?P<colour2>{colour}) (?P<part2>{part})\b"
    )


@lru_cache(maxsize=1)
def _counted() -> re.Pattern[str]:
    things = _any({thing for kind in vocabulary.KINDS for thing in kind.counted})
    return re.compile(rf"\b(?P<number>{NUMBER}) (?P<thing>{things})\b")


def _any(words: set[str] | dict[str, list[Fact]] | dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
