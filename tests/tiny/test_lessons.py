"""What the tiny models are told, and above all what they are not."""

from __future__ import annotations

import re

import pytest

from mulcot.tiny.facts import FACTS, facts
from mulcot.tiny.pretraining_examples import COPYING, READING, Mix, lesson
from mulcot.world import vocabulary
from mulcot.world.chains import DOES
from mulcot.world.posts import SHARES, part_of
from mulcot.world.vocabulary_types import MOODS

VERDICTS = {*MOODS, *DOES.values(), "praises", "blames", "names", "conflict", "conflicts", "agree", "irony", "joke",
            "unrelated", "wins", "decides"}  # fmt: skip


@pytest.mark.parametrize("mix", [COPYING, READING], ids=["copying", "reading"])
def test_no_lesson_says_a_mood_or_what_follows_from_one(mix: Mix) -> None:
    for number in range(300):
        own = lesson(0, number, mix)
        for turn in (own.caption, own.long, own.short):
            if own.clause is None or turn.target in own.long.prompt.post:
                continue  # repeated word for word
            without_fields = re.sub(r'"\w+":', "", turn.target)
            said = set(re.findall(r"[a-z]+", without_fields.lower()))
            allowed = set(re.findall(r"[a-z]+", f"{own.clause.words} {own.clause.mark} {turn.prompt.ask}".lower()))
            assert not (said & VERDICTS) - allowed, turn.target


def test_no_fact_is_a_mood() -> None:
    choices = {choice for values in FACTS.values() for choice in values}
    assert not choices & set(MOODS)
    assert len(FACTS["words"]) == sum(map(len, vocabulary.TONES.values())), "every phrase is a choice of its own"


def test_picture_and_words_are_drawn_independently() -> None:
    """Beyond what the post is about: else the models could learn how one goes with the other."""
    lessons = [lesson(0, number, READING) for number in range(1500)]
    shown = [own.scene.mood for own in lessons]
    said = [own.clause.tone for own in lessons]
    together = sum(a == b for a, b in zip(shown, said, strict=True)) / len(lessons)
    expected = sum(shown.count(mood) * said.count(mood) for mood in MOODS) / len(lessons) ** 2
    assert together == pytest.approx(expected, abs=0.035)


def test_facts_are_those_of_the_lesson() -> None:
    for number in range(100):
        own = lesson(0, number, READING)
        known = {name: FACTS[name][index] for name, index in facts(own).items()}
        assert known["main"] == own.scene.main_detail.phrase
        assert known["topic"] in own.long.prompt.post.lower()
        assert known["words"] == own.clause.words
        assert (known["together"] == "yes") == (own.scene.kind == own.clause.kind)


def test_words_in_no_order_have_no_facts_about_a_post() -> None:
    salad = Mix(long={"caption": 1}, short={"repeat": 1}, salad=1.0)
    assert set(facts(lesson(0, 0, salad))) == {"kind", "main", "setting"}


def test_the_same_lesson_comes_again_and_splits_share_no_scene() -> None:
    first, again = lesson(3, 5, READING), lesson(3, 5, READING)
    assert (first.scene, first.long, first.short) == (again.scene, again.long, again.short)
    for split in ("train", "test"):
        for number in range(20):
            assert part_of(repr(lesson(0, number, READING, split).scene)) in SHARES[split]
