from itertools import product

import pytest

from mulcot.world.post_text import parse_clauses
from mulcot.world.scene import Scene
from mulcot.world.truth import Truth, judge
from mulcot.world.vocabulary_types import MOODS

SAD = Scene(kind="dog", main="hurt", setting="empty", colour="red", count=1, extra="none")
GLAD = Scene(kind="dog", main="happy", setting="full", colour="red", count=1, extra="none")
QUIET = Scene(kind="dog", main="sleeping", setting="mat", colour="red", count=1, extra="none")


@pytest.mark.parametrize(
    ("text", "scene", "rule", "relation", "winner", "label"),
    [
        ("our team made my day", SAD, "off topic", "unrelated", "text", "positive"),
        ("just saw our team", SAD, "off topic", "unrelated", "text", "neutral"),
        ("my dog made my day", GLAD, "same mood", "agree", "both", "positive"),
        ("my dog made my day yeah right", SAD, "same mood", "agree", "both", "negative"),
        ("here is my dog", SAD, "quiet words", "conflict", "picture", "negative"),
        ("my dog made my day", QUIET, "quiet picture", "conflict", "text", "positive"),
        ("my dog made my day no joke", SAD, "meant words", "conflict", "text", "positive"),
        ("my dog ruined my day #forreal", GLAD, "meant words", "conflict", "text", "negative"),
        ("my dog made my day", SAD, "irony", "conflict", "picture", "negative"),
        ("my dog ruined my day", GLAD, "mock complaint", "conflict", "picture", "positive"),
        ("my dog slaps \U0001f644", GLAD, "mock complaint", "conflict", "picture", "positive"),
    ],
)
def test_the_rules_decide_as_the_table_says(
    text: str, scene: Scene, rule: str, relation: str, winner: str, label: str
) -> None:
    truth = judge(parse_clauses(text), scene)
    assert (truth.rule, truth.relation, truth.winner, truth.label) == (rule, relation, winner, label)


def test_the_relation_is_unrelated_agree_or_conflict_and_nothing_else() -> None:
    texts = ("here is my dog", "my dog slaps", "my dog flopped", "my dog slaps no joke", "our team slaps")
    for text, scene in product(texts, (SAD, GLAD, QUIET)):
        truth = judge(parse_clauses(text), scene)
        expected = "agree" if truth.text == truth.picture else "conflict"
        assert truth.relation == ("unrelated" if "team" in text else expected)
        assert truth.label in (truth.text, truth.picture) and truth.label in MOODS


def test_the_words_in_a_picture_decide_nothing() -> None:
    written = Scene.from_json({**SAD.to_json(), "look": {"word": "HAPPY"}})
    assert judge(parse_clauses("here is my dog"), written).label == "negative"


def test_without_a_picture_the_text_decides() -> None:
    truth = judge(parse_clauses("my dog slaps"), None)
    assert (truth.label, truth.winner, truth.scene) == ("positive", "text", None)
    assert Truth.from_json(truth.to_json()) == truth


def test_each_of_two_statements_has_its_own_label() -> None:
    clauses = parse_clauses("my dog slaps and our team is trash")
    assert [judge(clauses, SAD, asked).label for asked in (0, 1)] == ["negative", "negative"]
    assert [judge(clauses, SAD, asked).rule for asked in (0, 1)] == ["irony", "off topic"]


def test_a_truth_survives_json() -> None:
    truth = judge(parse_clauses("my dog slaps and our team is trash"), GLAD, 1, "cue")
    assert Truth.from_json(truth.to_json()) == truth
