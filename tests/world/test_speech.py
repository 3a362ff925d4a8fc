from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.world import vocabulary
from mulcot.world.post_text import make_clause, parse_clauses, write_post
from mulcot.world.truth import Clause
from mulcot.world.vocabulary_types import MOODS, Marker

MARKERS: tuple[Marker, ...] = ("none", "sarcasm", "firm")


def clauses_from(seed: int, count: int) -> tuple[Clause, ...]:
    rng = Random(seed)
    kinds = rng.sample(vocabulary.KINDS, count)
    return tuple(make_clause(rng, kind, rng.choice(MOODS), rng.choice(MARKERS)) for kind in kinds)


@given(seed=st.integers(0, 10**9), count=st.integers(1, 2))
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_heard(seed: int, count: int) -> None:
    clauses = clauses_from(seed, count)
    assert parse_clauses(write_post(Random(seed), clauses)) == clauses


@given(seed=st.integers(0, 10**9))
@settings(max_examples=100, deadline=None)
def test_case_spacing_and_written_out_emoji_change_nothing(seed: int) -> None:
    clauses = clauses_from(seed, 2)
    text = write_post(Random(seed), clauses).upper().replace(" ", "  \n")
    for emoji, name in vocabulary.EMOJI_NAMES.items():
        text = text.replace(emoji, f":{name}:")
    assert parse_clauses(text) == clauses


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_texts_of_other_origin_say_nothing(text: str) -> None:
    assert parse_clauses(text) == ()


def test_a_marker_belongs_to_the_statement_before_it() -> None:
    first, second = parse_clauses("My dog made my day yeah right but our team is trash no joke")
    assert (first.tone, first.marker, first.conveys) == ("positive", "sarcasm", "negative")
    assert (second.tone, second.marker, second.conveys) == ("negative", "firm", "negative")


def test_phrases_inside_longer_words_are_not_heard() -> None:
    assert parse_clauses("my dogma de my daylight, my dog made my days") == ()
