from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.world import vocabulary
from mulcot.world.speech import hear, say, write
from mulcot.world.terms import MOODS, Marker
from mulcot.world.truth import Clause

MARKERS: tuple[Marker, ...] = ("none", "sarcasm", "firm")


def clauses_from(seed: int, count: int) -> tuple[Clause, ...]:
    rng = Random(seed)
    kinds = rng.sample(vocabulary.KINDS, count)
    return tuple(say(rng, kind, rng.choice(MOODS), rng.choice(MARKERS)) for kind in kinds)


@given(seed=st.integers(0, 10**9), count=st.integers(1, 2))
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_heard(seed: int, count: int) -> None:
    clauses = clauses_from(seed, count)
    assert hear(write(Random(seed), clauses)) == clauses


@given(seed=st.integers(0, 10**9))
@settings(max_examples=100, deadline=None)
def test_case_spacing_and_written_out_emoji_change_nothing(seed: int) -> None:
    clauses = clauses_from(seed, 2)
    text = write(Random(seed), clauses).upper().replace(" ", "  \n")
    for emoji, name in vocabulary.EMOJI_NAMES.items():
        text = text.replace(emoji, f":{name}:")
    assert hear(text) == clauses


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_texts_of_other_origin_say_nothing(text: str) -> None:
    assert hear(text) == ()


def test_a_marker_belongs_to_the_statement_before_it() -> None:
    first, second = hear("My dog made my day yeah right but our team is trash no joke")
    assert (first.tone, first.marker, first.conveys) == ("positive", "sarcasm", "negative")
    assert (second.tone, second.marker, second.conveys) == ("negative", "firm", "negative")


def test_phrases_inside_longer_words_are_not_heard() -> None:
    assert hear("my dogma de my daylight, my dog made my days") == ()
