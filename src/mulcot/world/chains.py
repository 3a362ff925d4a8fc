"""Writing about posts from their truth: captions, right chains, and plausible wrong ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from random import Random

from mulcot.world import vocabulary
from mulcot.world.scene import Scene
from mulcot.world.truth import Clause, Truth, explain, judge
from mulcot.world.vocabulary_types import MOODS, Mood

FIELDS = ("Text_analysis", "Image_analysis", "Conflict_resolution", "Final_conclusion", "Prediction")

CAPTIONS = (
    "The picture shows a {main} {setting}.",
    "There is a {main} {setting}.",
    "A {main} {setting} is to be seen.",
)
COLOURED = ("The {part} is {colour}.", "It has a {colour} {part}.")
COUNTED = ("There {are} {count} {things}.", "One can see {count} {things}.")
EXTRA = ("A {extra} is in the corner.", "There is a {extra} too.")
NOTHING = ("The corner is empty.", "Nothing is in the corner.")

DOES: dict[Mood, str] = {"positive": "praise", "neutral": "only name", "negative": "blame"}
SAID = (
    "The words '{words}' {does} {topic}{turn}, so the text is {text}.",
    "'{words}' {verb} {topic}{turn}. The text is {text}.",
)
TURN = {"none": "", "sarcasm": ", but '{mark}' turns them around", "firm": " and '{mark}' means it"}
BY_MAIN = ("The {kind} decides, so the picture is {mood}.", "Above all the {kind} makes the picture {mood}.")
BY_SETTING = ("The {kind} takes no side, so its setting makes the picture {mood}.",)
BY_NOTHING = ("Nothing takes a side, so the picture is neutral.",)
CONCLUSION = ("So the post is {label}.", "All in all the post is {label}.", "The post as a whole is {label}.")
ASPECT_CONCLUSION = ("So the feeling about {topic} is {label}.", "All in all the feeling about {topic} is {label}.")
NO_PICTURE = "There is no picture."


def describe(scene: Scene, seed: int) -> str:
    """A caption: everything the picture shows, and nothing about its mood."""
    rng = Random(f"caption {seed}")
    rest = [_coloured(scene, rng), _counted(scene, rng), _extra(scene, rng)]
    rng.shuffle(rest)
    return " ".join((_shown(scene, rng), *rest))


def write_chain(truth: Truth, seed: int) -> dict[str, str]:
    """A right chain, field by field; the seed varies the wording."""
    rng = Random(f"chain {seed}")
    conclusion = rng.choice(CONCLUSION if len(truth.clauses) == 1 else ASPECT_CONCLUSION)
    analysis = (_text_analysis(truth.clause, rng), _image_analysis(truth.scene, rng), _resolution(truth, rng))
    final = conclusion.format(label=truth.label, topic=truth.clause.topic)
    return dict(zip(FIELDS, (*analysis, final, truth.label), strict=True))


def write_wrong_chain(truth: Truth, label: str, seed: int) -> dict[str, str]:
    """A chain that reads like a right one but arrives at another label, since it says untrue things about the post."""
    if label == truth.label or label not in MOODS:
        raise ValueError(f"{label!r} is not a wrong label of a post that is {truth.label}")
    rng = Random(f"wrong chain {seed}")
    for group in _mistakes(truth, rng):
        wrong = [mistaken for mistaken in group if mistaken.label == label]
        if wrong:
            return write_chain(rng.choice(wrong), seed)
    raise AssertionError("some misreading leads to every label")


def _mistakes(truth: Truth, rng: Random) -> Iterator[list[Truth]]:
    """What a careless reader might believe, smaller mistakes first."""
    shown = list(_misseen(truth.scene)) if truth.scene else [None]
    heard = [_replaced(truth, clause) for clause in _misheard(truth.clause)]
    clauses = truth.clauses
    if truth.scene:
        yield [judge(clauses, scene, truth.asked) for scene in shown]
    yield [judge(misheard, scene, truth.asked) for misheard in heard for scene in shown]
    yield [judge(misheard, _misdressed(scene), truth.asked) for misheard in heard for scene in [truth.scene] if scene]


def _misseen(scene: Scene) -> Iterator[Scene]:
    """Another main thing or another setting or both."""
    for main in scene.terms.main:
        for setting in scene.terms.setting:
            if (main.name, setting.name) != (scene.main, scene.setting):
                yield dataclasses.replace(scene, main=main.name, setting=setting.name)


def _misdressed(scene: Scene) -> Scene:
    """The same mood with every plain detail wrong."""
    colours, extras = tuple(vocabulary.COLOURS), vocabulary.EXTRAS
    return dataclasses.replace(
        scene,
        colour=colours[colours.index(scene.colour) - 1],
        count=scene.count % vocabulary.COUNTS[-1] + 1,
        extra=extras[extras.index(scene.extra) - 1],
    )


def _misheard(clause: Clause) -> Iterator[Clause]:
    """The same words taken for another tone, the marker overlooked."""
    for tone in MOODS:
        if tone != clause.conveys:
            yield dataclasses.replace(clause, tone=tone, marker="none", mark="")


def _replaced(truth: Truth, clause: Clause) -> tuple[Clause, ...]:
    return (*truth.clauses[: truth.asked], clause, *truth.clauses[truth.asked + 1 :])


def _text_analysis(clause: Clause, rng: Random) -> str:
    does = DOES[clause.tone]
    turn = TURN[clause.marker].format(mark=clause.mark)
    verb = "only names" if clause.tone == "neutral" else f"{does}s"
    return rng.choice(SAID).format(
        words=clause.words, does=does, verb=verb, topic=clause.topic, turn=turn, text=clause.conveys
    )


def _image_analysis(scene: Scene | None, rng: Random) -> str:
    if scene is None:
        return NO_PICTURE
    plain = rng.choice((_coloured, _counted, _extra))(scene, rng)
    if scene.main_detail.mood != "neutral":
        verdict = rng.choice(BY_MAIN)
    else:
        verdict = rng.choice(BY_NOTHING if scene.mood == "neutral" else BY_SETTING)
    return f"{_shown(scene, rng)} {plain} {verdict.format(kind=scene.kind, mood=scene.mood)}"


def _resolution(truth: Truth, rng: Random) -> str:
    if truth.scene is None:
        return "There is nothing to compare with, so the text wins."
    rule = next(rule for rule in vocabulary.RULES if rule.name == truth.rule)
    return explain(rule, rng.randrange(len(rule.why)), truth.clause, truth.scene)


def _shown(scene: Scene, rng: Random) -> str:
    return rng.choice(CAPTIONS).format(main=scene.main_detail.phrase, setting=scene.setting_detail.phrase)


def _coloured(scene: Scene, rng: Random) -> str:
    return rng.choice(COLOURED).format(part=scene.terms.coloured, colour=scene.colour)


def _counted(scene: Scene, rng: Random) -> str:
    one, many = scene.terms.counted
    things, are = (one, "is") if scene.count == 1 else (many, "are")
    return rng.choice(COUNTED).format(count=vocabulary.NUMBER_WORDS[scene.count], things=things, are=are)


def _extra(scene: Scene, rng: Random) -> str:
    return rng.choice(NOTHING if scene.extra == "none" else EXTRA).format(extra=scene.extra)
