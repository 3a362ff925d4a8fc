import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.world.chains import write_chain
from mulcot.world.checking import check_chain, check_picture
from mulcot.world.post_text import parse_clauses
from mulcot.world.posts import make_post
from mulcot.world.scene import Scene
from mulcot.world.truth import judge

SCENE = Scene(kind="face", main="crying", setting="rain", colour="red", count=2, extra="cat")
TRUTH = judge(parse_clauses("my friend made my day yeah right"), SCENE)


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("a crying face", {"main": "true", "kind": "true"}),
        ("a smiling face", {"main": "false", "kind": "true"}),
        ("a happy dog", {"main": "false", "kind": "false"}),
        ("It rains? There is rain.", {"unknown": "uncheckable", "setting": "true"}),
        ("No rain at all", {"setting": "false"}),
        ("no bright sun", {"setting": "true"}),
        ("there is not a smiling face", {"main": "true"}),
        ("the SHIRT is RED", {"colour": "true"}),
        ("a blue shirt", {"colour": "false"}),
        ("a red roof", {"colour": "false"}),
        ("2 badges", {"count": "true"}),
        ("one badge", {"count": "false"}),
        ("two trees", {"count": "false"}),
        ("no trees", {"count": "true"}),
        ("A book is in the corner", {"extra": "false"}),
        ("the corner is empty", {"extra": "false"}),
        ("so the picture is negative", {"picture": "true"}),
        ("the picture looks positive", {"picture": "false"}),
        ("the picture is not positive", {"unknown": "uncheckable"}),
        ("there is no picture", {"picture": "false"}),
        ("lorem ipsum dolor", {"unknown": "uncheckable"}),
    ],
)
def test_statements_about_a_picture_are_found_and_judged(said: str, about: dict[str, str]) -> None:
    found = {statement.about: statement.verdict for statement in check_picture(said, SCENE)}
    assert {key: found.get(key) for key in about} == about, found


@pytest.mark.parametrize(
    ("field", "said", "about", "verdict"),
    [
        ("Text_analysis", "'made my day' praises my friend", "quote", "true"),
        ("Text_analysis", "'ruined my day' is what it says", "quote", "false"),
        ("Text_analysis", "the words blame my friend", "tone", "false"),
        ("Text_analysis", "'yeah right' turns them around", "marker", "true"),
        ("Text_analysis", "'yeah right' means it", "marker", "false"),
        ("Text_analysis", "so the text is negative", "text", "true"),
        ("Conflict_resolution", "they agree", "relation", "true"),
        ("Conflict_resolution", "they do not agree", "relation", "false"),
        ("Conflict_resolution", "they conflict and the picture wins", "relation", "false"),
        ("Conflict_resolution", "the picture shows a dog", "kind", "false"),
        ("Conflict_resolution", "a negative picture", "picture", "true"),
        ("Conflict_resolution", "a glad picture", "picture", "false"),
        ("Final_conclusion", "so the post is positive", "label", "false"),
        ("Prediction", "negative", "label", "true"),
        ("Prediction", "neutral", "label", "false"),
    ],
)
def test_statements_about_the_post_are_found_and_judged(field: str, said: str, about: str, verdict: str) -> None:
    found = {statement.about: statement.verdict for statement in check_chain({field: said}, TRUTH)}
    assert found.get(about) == verdict, found


def test_a_garbled_chain_keeps_what_can_be_recognised() -> None:
    statements = check_picture("The pictre shws a crying fce in heavy rain . . the shirt is is blue", SCENE)
    assert [(s.about, s.verdict) for s in statements] == [
        ("main", "true"),
        ("setting", "true"),
        ("unknown", "uncheckable"),
    ]


@given(st.text(max_size=400))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_checked(text: str) -> None:
    for statement in (*check_picture(text, SCENE), *check_chain({"Image_analysis": text, "Other": text}, TRUTH)):
        assert statement.verdict in ("true", "false", "uncheckable")
        assert statement.said


@given(number=st.integers(0, 10**5), cut=st.floats(0, 1), data=st.data())
@settings(max_examples=100, deadline=None)
def test_dropping_words_from_a_right_chain_leaves_mostly_true_statements(
    number: int, cut: float, data: st.DataObject
) -> None:
    truth = make_post(0, "train", number).truth
    words = write_chain(truth, number)["Image_analysis"].split()
    kept = words[: round(len(words) * cut)]
    assert all(s.verdict != "false" for s in check_picture(" ".join(kept), truth.scene))


def test_long_texts_are_checked_in_linear_time() -> None:
    text = "a crying face in heavy rain with no two badges, " * 4000
    assert len(check_picture(text, SCENE)) > 8000
