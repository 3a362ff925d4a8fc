"""The distribution that posts are drawn from, and drawing one: post number n of a split, whatever the split's size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, product
from random import Random
from typing import NamedTuple
from zlib import crc32

from mulcot.text import normalise
from mulcot.world import vocabulary
from mulcot.world.post_text import make_clause, write_post
from mulcot.world.scene import Look, Scene, choose, combinations, dress, random_look
from mulcot.world.truth import OPPOSITE, Clause, Truth, first_rule, judge
from mulcot.world.vocabulary_types import MOODS, Marker, Mood, Rule, SceneKind

SHARES = {"train": range(8), "dev": range(8, 11), "test": range(11, 14), "hard": range(14, 16)}
"""Every text and every scene belongs to one of 16 parts by its content, and every part to one split."""
PARTS = 16

EDITION = 1
"""Raised whenever the same seed gives other posts or questions, so that finished stages notice."""

CHALLENGES = ("combination", "style", "noise", "cue")


class PostPlan(NamedTuple):
    """What a post is about, before its scene and words are chosen."""

    rule: str
    related: bool
    text: Mood
    """What the text conveys."""
    picture: Mood
    marker: Marker


@dataclass(frozen=True, slots=True)
class DrawnPost:
    """A post with its truth; the picture is `paint(post.scene)`."""

    text: str
    aspect: str | None
    scene: Scene
    truth: Truth


@lru_cache(maxsize=1)
def cases() -> dict[PostPlan, Fraction]:
    """Every case with its exact probability."""
    found: dict[PostPlan, Fraction] = {}
    for rule in vocabulary.RULES:
        weights = dict(_weights(rule))
        total = Fraction(sum(weights.values())) * sum(rule.share for rule in vocabulary.RULES)
        found |= {case: weight * rule.share / total for case, weight in weights.items()}
    return found


def _weights(rule: Rule) -> Iterator[tuple[PostPlan, Fraction]]:
    """The cases of one rule and how likely they are beside each other."""
    for text, picture in product(MOODS, MOODS):
        markers = [marker for marker in rule.markers if _decides(rule, text, picture, marker)]
        total = sum(vocabulary.MARKER_SHARES[marker] for marker in markers)
        for marker in markers:
            share = Fraction(vocabulary.MARKER_SHARES[marker], total)
            weight = rule.neutral if text == "neutral" else 1
            yield PostPlan(rule.name, rule.related is not False, text, picture, marker), share * weight


def _decides(rule: Rule, text: Mood, picture: Mood, marker: Marker) -> bool:
    """Whether the rule decides such a post; neutral texts carry no marker."""
    if text == "neutral" and marker != "none":
        return False
    related = rule.related is not False
    return first_rule(related=related, text=text, picture=picture, firm=marker == "firm") is rule


def make_post(seed: int, split: str, number: int, *, aspects: bool = False) -> DrawnPost:
    """The post of this number; other posts play no part in it."""
    rng = Random(f"posts {seed} {split} {number} {aspects}")
    case = _any_case(rng)
    kind = rng.choice(vocabulary.KINDS)
    challenge = _challenge(rng, case.picture) if split == "hard" else ""
    scene = _draw_scene(rng, split, kind, case.picture, challenge)
    text, clauses, asked = _draw_text(rng, split, kind, case, aspects=aspects)
    truth = judge(clauses, scene, asked, challenge)
    return DrawnPost(text, clauses[asked].topic if aspects else None, scene, truth)


def _any_case(rng: Random) -> PostPlan:
    known, reached = _reached()
    return rng.choices(known, cum_weights=reached)[0]


@lru_cache(maxsize=1)
def _reached() -> tuple[list[PostPlan], list[float]]:
    return list(cases()), list(map(float, accumulate(cases().values())))


def _challenge(rng: Random, mood: Mood) -> str:
    # A neutral picture is always the neutral thing in the neutral setting: there is no unseen combination of it.
    return rng.choice(CHALLENGES[1:] if mood == "neutral" else CHALLENGES)


def _draw_scene(rng: Random, split: str, kind: SceneKind, mood: Mood, challenge: str) -> Scene:
    main, setting = choose(rng, combinations(kind, mood, held_out=challenge == "combination"))
    while True:
        scene = dress(rng, kind, main, setting, _hard_look(rng, mood, challenge))
        if part_of(repr(scene)) in SHARES[split]:
            return scene


def _hard_look(rng: Random, mood: Mood, challenge: str) -> Look:
    look = random_look(rng)
    style, word, grain = look.style, "", 0
    if challenge == "style":
        style = rng.choice(vocabulary.HARD_STYLES).name
    elif challenge == "noise":
        grain = rng.randrange(1, 2**31)
    elif challenge == "cue":
        opposite = rng.choice(MOODS[::2]) if mood == "neutral" else OPPOSITE[mood]
        word = rng.choice(vocabulary.CHEERFUL_CUES if opposite == "positive" else vocabulary.GLOOMY_CUES)
    return Look(style=style, mirrored=look.mirrored, across=look.across, down=look.down, word=word, grain=grain)


def _draw_text(
    rng: Random, split: str, kind: SceneKind, case: PostPlan, *, aspects: bool
) -> tuple[str, tuple[Clause, ...], int]:
    """The post's text, its statements and which of them is asked about."""
    others = [other for other in vocabulary.KINDS if other is not kind]
    about = kind if case.related else rng.choice(others)
    tone = OPPOSITE[case.text] if case.marker == "sarcasm" else case.text
    beside = rng.choice([other for other in vocabulary.KINDS if other is not about])
    beside_tone, first = rng.choice(MOODS), rng.random() < 0.5
    while True:
        said = make_clause(rng, about, tone, case.marker)
        clauses: tuple[Clause, ...] = (said,)
        if aspects:
            other = make_clause(rng, beside, beside_tone, "none")
            clauses = (said, other) if first else (other, said)
        text = write_post(rng, clauses)
        if part_of(normalise(text)) in SHARES[split]:
            return text, clauses, 0 if first or not aspects else 1


def part_of(*content: str) -> int:
    """The part, of all that is drawn, to which some content belongs."""
    return crc32("\0".join(content).encode()) % PARTS


def posts(seed: int, split: str, count: int, *, aspects: bool = False) -> Iterator[DrawnPost]:
    """The first posts of a split."""
    return (make_post(seed, split, number, aspects=aspects) for number in range(count))
