import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.world.chains import FIELDS, describe, write_chain, write_wrong_chain
from mulcot.world.checking import check_chain, check_picture
from mulcot.world.posts import DrawnPost, make_post
from mulcot.world.truth import judge
from mulcot.world.vocabulary_types import MOODS

POSTS = st.builds(
    make_post,
    seed=st.integers(0, 3),
    split=st.sampled_from(["train", "hard"]),
    number=st.integers(0, 10**6),
    aspects=st.booleans(),
)
SEEDS = st.integers(0, 10**6)


@given(post=POSTS, seed=SEEDS)
@settings(max_examples=200, deadline=None)
def test_every_statement_of_a_right_chain_is_true(post: DrawnPost, seed: int) -> None:
    chain = write_chain(post.truth, seed)
    statements = check_chain(chain, post.truth)
    assert tuple(chain) == FIELDS
    assert chain["Prediction"] == post.truth.label
    assert all(statement.verdict == "true" for statement in statements), statements
    assert {statement.field for statement in statements} == set(FIELDS)
    assert {"kind", "main", "setting", "picture", "text", "tone", "relation", "label"} <= {s.about for s in statements}


@given(post=POSTS, seed=SEEDS)
@settings(max_examples=200, deadline=None)
def test_a_wrong_chain_arrives_at_the_given_label_by_saying_false_things_about_the_picture(
    post: DrawnPost, seed: int
) -> None:
    for label in MOODS:
        if label != post.truth.label:
            chain = write_wrong_chain(post.truth, label, seed)
            false = {s.field for s in check_chain(chain, post.truth) if s.verdict == "false"}
            assert tuple(chain) == FIELDS
            assert chain["Prediction"] == label
            assert {"Image_analysis", "Final_conclusion", "Prediction"} <= false
            assert any(s.verdict == "true" for s in check_chain(chain, post.truth))


@given(post=POSTS, seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_a_caption_says_everything_that_is_shown_and_nothing_about_moods(post: DrawnPost, seed: int) -> None:
    statements = check_picture(describe(post.scene, seed), post.scene)
    assert {statement.about for statement in statements} == {"kind", "main", "setting", "colour", "count", "extra"}
    assert all(statement.verdict == "true" for statement in statements)


@given(post=POSTS, other=POSTS, seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_a_chain_about_another_picture_is_found_out(post: DrawnPost, other: DrawnPost, seed: int) -> None:
    swapped = judge(post.truth.clauses, other.scene, post.truth.asked)
    shown = (post.scene.kind, post.scene.main, post.scene.setting)
    if shown != (other.scene.kind, other.scene.main, other.scene.setting):
        statements = check_chain(write_chain(post.truth, seed), swapped)
        assert any(s.verdict == "false" and s.field == "Image_analysis" for s in statements)


def test_the_seed_varies_the_wording_and_repeats_it() -> None:
    truth = make_post(0, "train", 1).truth
    assert write_chain(truth, 3) == write_chain(truth, 3)
    assert len({str(write_chain(truth, seed)) for seed in range(40)}) > 8
    assert len({describe(truth.scene, seed) for seed in range(40) if truth.scene}) > 8


def test_chains_stay_short() -> None:
    lengths = [len(" ".join(write_chain(make_post(0, "train", n).truth, n).values()).split()) for n in range(300)]
    assert sum(lengths) / len(lengths) < 70
    assert max(lengths) < 90


def test_without_a_picture_the_chain_says_so() -> None:
    truth = judge(make_post(0, "train", 2).truth.clauses, None)
    chain = write_chain(truth, 0)
    assert chain["Image_analysis"] == "There is no picture."
    assert all(s.verdict == "true" for s in check_chain(chain, truth))
    assert all(s.verdict == "false" for s in check_picture("A calm face. The picture is positive.", None))


@pytest.mark.parametrize("label", ["cheerful", "", "Positive"])
def test_a_wrong_chain_needs_a_wrong_label(label: str) -> None:
    truth = make_post(0, "train", 3).truth
    for wanted in (label, truth.label):
        with pytest.raises(ValueError, match="is not a wrong label"):
            write_wrong_chain(truth, wanted, 0)


def test_post_chains_about_aspects_name_the_aspect_in_their_conclusion() -> None:
    post = make_post(0, "train", 4, aspects=True)
    assert post.aspect and post.aspect in write_chain(post.truth, 1)["Final_conclusion"]
