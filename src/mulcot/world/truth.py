"""The truth about a post: what each side says, how they relate, which wins by which rule, and the label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mulcot.records import Record
from mulcot.world import vocabulary
from mulcot.world.scene import Scene
from mulcot.world.vocabulary_types import Marker, Mood, Relation, Rule, Winner

OPPOSITE: dict[Mood, Mood] = {"positive": "negative", "neutral": "neutral", "negative": "positive"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause(Record):
    """One statement of a text about one thing."""

    topic: str
    """The thing as the text names it, in lower case."""
    kind: str
    """The kind of scene that shows such a thing."""
    words: str
    """The words around the topic that carry the tone."""
    tone: Mood
    """What the words say when taken literally."""
    marker: Marker = "none"
    mark: str = ""
    """The marker as written."""

    @property
    def conveys(self) -> Mood:
        """What the words mean: sarcasm turns them around."""
        return OPPOSITE[self.tone] if self.marker == "sarcasm" else self.tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth(Record):
    """Everything there is to know about one post."""

    clauses: tuple[Clause, ...]
    asked: int = 0
    """Which clause the label is about."""
    scene: Scene | None = None
    text: Mood
    """What the asked clause conveys."""
    picture: Mood
    """What the picture conveys; neutral where there is none."""
    relation: Relation
    winner: Winner
    rule: str
    why: str
    label: Mood
    challenge: str = ""
    """Why a post of the hard split is hard."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Truth:
        """The truth that wrote `data`."""
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        known["clauses"] = tuple(Clause.from_json(clause) for clause in data["clauses"])
        known["scene"] = Scene.from_json(data["scene"]) if "scene" in data else None
        return cls(**known)

    @property
    def clause(self) -> Clause:
        """The statement that is asked about."""
        return self.clauses[self.asked]


def judge(clauses: tuple[Clause, ...], scene: Scene | None, asked: int = 0, challenge: str = "") -> Truth:
    """Applies the rules to what is said and what is shown."""
    clause = clauses[asked]
    text: Mood = clause.conveys
    picture: Mood = scene.mood if scene else "neutral"
    related = scene is not None and clause.kind == scene.kind
    rule = first_rule(related=related, text=text, picture=picture, firm=clause.marker == "firm")
    relation: Relation = "unrelated" if not related else "agree" if text == picture else "conflict"
    return Truth(
        clauses=clauses,
        asked=asked,
        scene=scene,
        text=text,
        picture=picture,
        relation=relation,
        winner=rule.winner,
        rule=rule.name,
        why=explain(rule, 0, clause, scene) if scene else "There is no picture.",
        label=picture if rule.winner == "picture" else text,
        challenge=challenge,
    )


def first_rule(*, related: bool, text: Mood, picture: Mood, firm: bool) -> Rule:
    """The line of the rules that decides."""
    return next(rule for rule in vocabulary.RULES if rule.fits(related=related, text=text, picture=picture, firm=firm))


def explain(rule: Rule, variant: int, clause: Clause, scene: Scene) -> str:
    """The rule's reason, said about this post."""
    words = rule.why[variant % len(rule.why)]
    said = words.format(text=clause.conveys, picture=scene.mood, topic=clause.topic, kind=scene.kind)
    return said[0].upper() + said[1:]
