from __future__ import annotations

import dataclasses

import pytest

from mulcot.evaluation.grounding import ground, world_chain
from mulcot.records import Example
from mulcot.world.chains import write_chain, write_wrong_chain
from mulcot.world.posts import make_post
from mulcot.world.science import make_question
from mulcot.world.science_chains import write_science_chain, write_wrong_science_chain


def posts(count: int) -> list[Example]:
    found = []
    for number in range(count):
        post = make_post(0, "test", number)
        found.append(
            Example(id=f"p{number}", split="test", text=post.text, label=post.truth.label, truth=post.truth.to_json())
        )
    return found


def test_right_chains_are_grounded_and_find_every_conflict() -> None:
    examples = posts(60)
    found = ground([(example, world_chain(example)) for example in examples])
    assert found.true_share == found.everything == 1
    assert found.hallucinating == 0
    assert found.conflicts > 5
    assert found.conflicts_found == 1
    assert found.false_alarms == 0
    assert found.uncheckable == 0


def test_wrong_chains_are_told_from_right_ones() -> None:
    examples = posts(60)
    wrong = []
    for number, example in enumerate(examples):
        post = make_post(0, "test", number)
        label = "negative" if example.label != "negative" else "positive"
        wrong.append((example, write_wrong_chain(post.truth, label, number)))
    found = ground(wrong)
    assert found.true_share < 0.95
    assert found.hallucinating > 0.3
    assert found.false_alarms > 0


def test_chains_about_another_picture_are_mostly_untrue() -> None:
    examples = posts(40)
    chains = [world_chain(example) for example in examples]
    assert ground(zip(examples, chains[1:] + chains[:1], strict=True)).true_share < 0.6


def test_only_the_picture_counts_as_the_picture() -> None:
    (example,) = posts(1)
    chain = {**world_chain(example), "Text_analysis": "The words blame everything, so the text is neutral."}
    found = ground([(example, chain)])
    assert found.true_share == 1
    assert found.everything < 1


def test_a_denied_conflict_is_no_claim_of_one() -> None:
    agreeing = next(e for e in posts(60) if e.truth["relation"] == "agree")
    conflicting = next(e for e in posts(60) if e.truth["relation"] == "conflict")
    denied, claimed = {"Conflict_resolution": "Both do not conflict."}, {"Conflict_resolution": "Both conflict."}
    assert ground([(agreeing, denied)]).false_alarms == 0
    assert ground([(agreeing, claimed)]).false_alarms == 1
    assert ground([(conflicting, denied)]).conflicts_found == 0
    assert ground([(conflicting, claimed)]).conflicts_found == 1


def test_empty_and_foreign_chains_leave_shares_empty() -> None:
    (example,) = posts(1)
    found = ground([(example, {"Image_analysis": "Lorem ipsum."}), (example, {})])
    assert (found.chains, found.statements, found.true_share) == (0, 0, None)
    assert found.uncheckable == 1
    assert found.hallucinating == 0
    assert ground([(dataclasses.replace(example, truth=None), {})]) is None


def test_questions_are_checked_too() -> None:
    truth = next(t for n in range(50) if (t := make_question(0, "test", n)).question.board is not None)
    example = Example(id="q", split="test", text="?", choices=truth.question.choices, truth=truth.to_json())
    right = ground([(example, write_science_chain(truth, 1))])
    assert right.true_share == 1
    assert world_chain(example)["Prediction"] == truth.label
    other = "A" if truth.label != "A" else "B"
    assert ground([(example, write_wrong_science_chain(truth, other, 1))]).everything < 1
    assert right.conflicts == 0


@pytest.mark.parametrize("identity", ["", "p", "\udcff", "x" * 300])
def test_any_id_has_its_own_wording(identity: str) -> None:
    (example,) = posts(1)
    assert (
        world_chain(dataclasses.replace(example, id=identity)).keys()
        == write_chain(make_post(0, "test", 0).truth, 0).keys()
    )
