from __future__ import annotations

import random

from mulcot.teacher.labelling.near_duplicates import NearDuplicates
from timed import grows_linearly

WORDS = [f"w{number}" for number in range(500)]


def text(seed: int, count: int = 200) -> list[str]:
    return random.Random(seed).choices(WORDS, k=count)


def edited(words: list[str], changes: int) -> list[str]:
    """Every change spoils three runs of three words."""
    out = list(words)
    for place in range(changes):
        out[5 + place * 20] = f"new{place}"
    return out


def test_only_chains_alike_enough_are_found_and_the_first_is_named() -> None:
    seen = NearDuplicates(0.8)
    for number in range(300):
        assert seen.find(f"e{number}", text(number)) is None
    found = seen.find("copy", text(7))
    assert found == ("e7", 1.0)
    near = seen.find("edited", edited(text(9), 2))
    assert near is not None
    assert near[0] == "e9"
    assert seen.find("half", edited(text(11), 10)) is None


def test_chains_of_one_template_do_not_hide_a_copy_among_them() -> None:
    seen = NearDuplicates(0.95)
    template = text(0, 150)
    for number in range(200):
        assert seen.find(f"e{number}", template + text(1000 + number, 60)) is None
    found = seen.find("copy", template + text(1150, 60))
    assert found is not None
    assert found == ("e150", 1.0)


def test_a_duplicate_is_not_remembered_itself() -> None:
    seen = NearDuplicates(0.9)
    seen.find("a", text(1))
    seen.find("b", text(1))
    found = seen.find("c", text(1))
    assert found is not None
    assert found[0] == "a"


def test_short_and_empty_chains_are_compared_too() -> None:
    seen = NearDuplicates(0.9)
    assert seen.find("a", ["yes"]) is None
    assert seen.find("b", ["no"]) is None
    assert seen.find("c", ["yes"]) == ("a", 1.0)
    assert seen.find("d", []) is None
    assert seen.find("e", []) == ("d", 1.0)


def test_the_time_grows_with_the_number_of_chains_and_no_faster() -> None:
    def add(count: int) -> None:
        seen = NearDuplicates(0.9)
        template = text(0, 100)
        for number in range(count):
            seen.find(str(number), template + text(number, 60))

    assert grows_linearly(add, 1600)
