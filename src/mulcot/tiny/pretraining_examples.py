"""What the models learn from: a picture with its caption, and beside it a post to read.

Pictures and posts are drawn independently of each other, so nothing about how one changes the other's meaning can be
picked up, and no lesson names a mood or a label as an answer. Every lesson is one shared-prefix row like those that
follow later: the caption takes the chain's place and the reading the label's.

    picture   a sleeping dog           Describe the picture.             There is a sleeping dog beside a plain mat. ...
    post      lol our village slaps    Say which words are about what.   'slaps' is said about our village.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import NamedTuple

from PIL import Image

from mulcot.backbones import Turn
from mulcot.records import Example, ImageRef
from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.tasks.base import Prompt, Purpose
from mulcot.tasks.sentiment import Sentiment
from mulcot.text import normalise
from mulcot.tiny.corpus import COMPARE, DESCRIBE, HEAR, LOOK, MATCH, REPEAT, TOPIC, chain_words
from mulcot.world import vocabulary
from mulcot.world.chains import FIELDS, describe
from mulcot.world.picture import paint
from mulcot.world.post_text import make_clause, write_post
from mulcot.world.posts import SHARES, part_of
from mulcot.world.scene import Scene, random_scene
from mulcot.world.truth import Clause
from mulcot.world.vocabulary_types import MOODS, Marker


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each kind of question comes up, in the chain's place and in the label's."""

    long: dict[str, int]
    short: dict[str, int]
    salad: float = 0.0
    """How often the post is words in no order, to be repeated."""
    questions: bool = False
    """Whether heads ask for the facts on the way; see `train_language.py`."""


COPYING = Mix(long={"caption": 4, "repeat": 1}, short={"repeat": 1, "hear": 4, "compare": 3}, salad=0.33)
"""First, what copying is."""
READING = Mix(
    long={"caption": 2, "hear": 1, "compare": 1, "notes": 6},
    short={"match": 2, "topic": 1, "look": 2, "answer": 5},
    questions=True,
)
"""Then, who says what about what; and answering at once, as labels are given."""
TWO_CLAUSES = 0.3


@dataclass(frozen=True, slots=True)
class PretrainingExample:
    """One picture, one post, and what there is to say about them."""

    scene: Scene
    picture: Image.Image
    clause: Clause | None
    """What is asked about; None where the post is words in no order."""
    caption: Turn
    long: Turn
    short: Turn


def lesson(seed: int, number: int, mix: Mix, split: str = "train") -> PretrainingExample:
    """The lesson of this number, from the split's own pictures and posts."""
    rng = Random(f"tiny {seed} {split} {number}")
    scene = draw_scene(rng, split)
    salad = rng.random() < mix.salad
    post = _salad(rng) if salad else _post(rng, split, scene)
    long, short = ("caption", "repeat") if salad else (_pick(rng, mix.long), _pick(rng, mix.short))
    caption = describe(scene, rng.randrange(2**31))
    return PretrainingExample(
        scene=scene,
        picture=paint(scene),
        clause=post.asked,
        caption=_turn(post, scene, "caption", caption),
        long=_turn(post, scene, long, caption),
        short=_turn(post, scene, short, caption),
    )


def _pick(rng: Random, shares: dict[str, int]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]


def draw_scene(rng: Random, split: str) -> Scene:
    """A scene that belongs to the split."""
    while True:
        scene = random_scene(rng)
        if part_of(repr(scene)) in SHARES[split]:
            return scene


class _Post(NamedTuple):
    text: str
    asked: Clause | None
    chain: Prompt
    label: Prompt
    """How the tasks ask about it."""


def _salad(rng: Random) -> _Post:
    words = " ".join(rng.sample(chain_words(), rng.randint(4, 16)))
    return _Post(words, None, *_prompts(words, None))


def _post(rng: Random, split: str, scene: Scene) -> _Post:
    """A post that speaks of what the picture shows as often as not."""
    while True:
        clauses = tuple(_clause(rng) for _ in range(2 if rng.random() < TWO_CLAUSES else 1))
        if rng.random() < 0.4:
            clauses = (_clause(rng, scene.kind), *clauses[1:])
        text = write_post(rng, clauses)
        distinct = len({clause.kind for clause in clauses}) == len(clauses)
        if distinct and part_of(normalise(text)) in SHARES[split]:
            asked = rng.choice(clauses)
            return _Post(text, asked, *_prompts(text, asked.topic if len(clauses) > 1 else None))


def _turn(post: _Post, scene: Scene, kind: str, caption: str) -> Turn:
    """A question of this kind, with its answer."""
    ask, answer = _question(post, scene, kind, caption)
    return Turn(prompt=Prompt(system=post.chain.system, post=post.chain.post, ask=ask), target=answer)


def _question(post: _Post, scene: Scene, kind: str, caption: str) -> tuple[str, str]:
    if kind == "caption":
        return DESCRIBE, caption
    if kind == "look":
        return LOOK, f"{scene.main_detail.phrase} {scene.setting_detail.phrase}"
    clause = post.asked
    if clause is None or kind == "repeat":
        return REPEAT, post.text
    together = clause.kind == scene.kind
    if kind == "notes":
        return post.chain.ask, _notes(clause, scene, caption)
    return {
        "hear": (HEAR, _heard(clause)),
        "compare": (COMPARE, _compared(clause, scene)),
        "topic": (TOPIC, clause.kind),
        "match": (MATCH, "Yes." if together else "No."),
        "answer": (post.label.ask, Sentiment().write_label("together" if together else "apart")),
    }[kind]


def _notes(clause: Clause, scene: Scene, caption: str) -> str:
    """What words and picture say, in the fields of a chain, without what either means."""
    sentences = caption.split(". ")
    seen = f"{sentences[0]}. {sentences[1].rstrip('.')}. The {scene.kind} is a {scene.main_detail.phrase}."
    fields = (_heard(clause), seen, _compared(clause, scene))
    return Sentiment().write_chain(dict(zip(FIELDS, fields, strict=False)))


def _clause(rng: Random, kind: str | None = None) -> Clause:
    about = next((entry for entry in vocabulary.KINDS if entry.name == kind), None) or rng.choice(vocabulary.KINDS)
    tone = rng.choice(MOODS)
    markers: tuple[Marker, ...] = ("none", "none", "sarcasm", "firm")
    return make_clause(rng, about, tone, "none" if tone == "neutral" else rng.choice(markers))


def _heard(clause: Clause) -> str:
    mark = f" with '{clause.mark}'" if clause.mark else ""
    return f"'{clause.words}' is said about {clause.topic}{mark}."


def _compared(clause: Clause, scene: Scene) -> str:
    verdict = "belong together" if clause.kind == scene.kind else "do not belong together"
    return f"{clause.topic} is a {clause.kind} and the picture shows a {scene.kind}, so they {verdict}."


def _prompts(text: str, aspect: str | None) -> tuple[Prompt, Prompt]:
    """How the tasks ask for a chain and for a label."""
    example = Example(id="", split="train", text=text, aspect=aspect, images=(ImageRef(path=""),))
    task = _task(aspect is not None)
    return task.prompt(example, Purpose.CHAIN), task.prompt(example, Purpose.LABEL)


@lru_cache
def _task(aspect: bool) -> AspectSentiment | Sentiment:
    return AspectSentiment() if aspect else Sentiment()
