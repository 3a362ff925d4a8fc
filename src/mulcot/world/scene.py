"""A scene: what a drawn picture shows, and what it looks like."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from mulcot.records import Record
from mulcot.world import vocabulary
from mulcot.world.vocabulary_types import MOODS, Detail, Mood, SceneKind

SHIFTS = (-2, 0, 2)
KINDS = {kind.name: kind for kind in vocabulary.KINDS}
STYLES = {style.name: style for style in (*vocabulary.STYLES, *vocabulary.HARD_STYLES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Record):
    """How a scene is painted; none of it means anything."""

    style: str = "plain"
    mirrored: bool = False
    across: int = 0
    """Moved to the right, in units of the 84 x 84 drawing grid."""
    down: int = 0
    word: str = ""
    """A word written into the picture."""
    grain: int = 0
    """The seed of the noise; 0 for a clean picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(Record):
    """Everything that a picture of a post shows."""

    kind: str
    main: str
    setting: str
    colour: str
    count: int
    extra: str
    look: Look = field(default_factory=Look)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scene:
        """The scene that wrote `data`."""
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        return cls(**{**known, "look": Look.from_json(data.get("look", {}))})

    @property
    def terms(self) -> SceneKind:
        """The vocabulary's entry of this kind of scene."""
        return KINDS[self.kind]

    @property
    def main_detail(self) -> Detail:
        """The vocabulary's entry of the main thing."""
        return detail(self.terms.main, self.main)

    @property
    def setting_detail(self) -> Detail:
        """The vocabulary's entry of the setting."""
        return detail(self.terms.setting, self.setting)

    @property
    def mood(self) -> Mood:
        """What the picture conveys: the main thing's mood, or the setting's where the main thing has none."""
        main = self.main_detail.mood
        return self.setting_detail.mood if main == "neutral" else main

    def seen(self) -> Scene:
        """The scene without its look: two pictures of it show the same."""
        return dataclasses.replace(self, look=Look())


class Shown(NamedTuple):
    """One attribute of a scene, for supervised training of a vision tower."""

    attribute: str
    value: str
    values: tuple[str, ...]


def detail(details: tuple[Detail, ...], name: str) -> Detail:
    """The entry of this name."""
    return next(entry for entry in details if entry.name == name)


def attributes(scene: Scene) -> tuple[Shown, ...]:
    """Every attribute with its value and all values of that head. Heads with a dot in their name are of one kind."""
    kind = scene.terms
    setting = "sky" if kind.setting is vocabulary.SKY else f"{kind.name}.setting"
    return (
        Shown("kind", scene.kind, tuple(KINDS)),
        Shown(f"{kind.name}.main", scene.main, tuple(entry.name for entry in kind.main)),
        Shown(setting, scene.setting, tuple(entry.name for entry in kind.setting)),
        Shown("colour", scene.colour, tuple(vocabulary.COLOURS)),
        Shown("count", str(scene.count), tuple(map(str, vocabulary.COUNTS))),
        Shown("extra", scene.extra, vocabulary.EXTRAS),
    )


def combinations(kind: SceneKind, mood: Mood, *, held_out: bool | None = False) -> list[tuple[str, str, int]]:
    """(main, setting, weight) of every picture of this mood; the weights of one mood are its distribution.

    `held_out`: only those that training shows (False), only those it never shows (True), or all (None).
    """
    pairs = [(main, setting) for main in kind.main for setting in kind.setting]
    pairs = [(m, s) for m, s in pairs if (m.mood if m.mood != "neutral" else s.mood) == mood]
    if held_out is not None:
        pairs = [(m, s) for m, s in pairs if ((m.name, s.name) in kind.held_out) == held_out]
    by_main = [(m, s) for m, s in pairs if m.mood != "neutral"]
    by_setting = [(m, s) for m, s in pairs if m.mood == "neutral"]
    shares = (vocabulary.MAIN_SHARE, 10 - vocabulary.MAIN_SHARE) if by_main and by_setting else (1, 1)
    return [
        (m.name, s.name, shares[n] * max(1, len((by_setting, by_main)[n])))
        for n, group in enumerate((by_main, by_setting))
        for m, s in group
    ]


def random_scene(rng: Random, *, hard: bool = False) -> Scene:
    """Any scene, every mood equally likely: for pretraining pictures."""
    kind = rng.choice(vocabulary.KINDS)
    main, setting = choose(rng, combinations(kind, rng.choice(MOODS), held_out=None if hard else False))
    return dress(rng, kind, main, setting, random_look(rng, hard=hard))


def choose(rng: Random, weighted: list[tuple[str, str, int]]) -> tuple[str, str]:
    """One combination by its weight."""
    main, setting, _ = rng.choices(weighted, [weight for *_, weight in weighted])[0]
    return main, setting


def dress(rng: Random, kind: SceneKind, main: str, setting: str, look: Look) -> Scene:
    """The scene with a colour, a count and an extra thing."""
    return Scene(
        kind=kind.name,
        main=main,
        setting=setting,
        colour=rng.choice(tuple(vocabulary.COLOURS)),
        count=rng.choice(vocabulary.COUNTS),
        extra=rng.choice(vocabulary.EXTRAS),
        look=look,
    )


def random_look(rng: Random, *, hard: bool = False) -> Look:
    """A style that training shows (or any), a side and a place."""
    styles = (*vocabulary.STYLES, *vocabulary.HARD_STYLES) if hard else vocabulary.STYLES
    return Look(
        style=rng.choice(styles).name,
        mirrored=rng.random() < 0.5,
        across=rng.choice(SHIFTS),
        down=rng.choice(SHIFTS),
    )
