"""What is particular to single tasks."""

from __future__ import annotations

from string import ascii_uppercase

import pytest
from pydantic import ValidationError

from mulcot.records import Example, ImageRef
from mulcot.tasks import Purpose
from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.tasks.classification import Classification
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment


def question(choices: tuple[str, ...], label: str | None = None, **rest: object) -> Example:
    return Example(id="q", split="test", text="Which one?", choices=choices, label=label, **rest)  # type: ignore[arg-type]


def test_the_aspect_is_needed_and_shown() -> None:
    task = AspectSentiment()
    post = Example(id="1", split="train", text="Rain in Rome", aspect="Rome")
    assert "Aspect: Rome" in task.prompt(post, Purpose.CHAIN).post
    for aspect in (None, "", " "):
        assert task.problem(Example(id="1", split="train", text="Rain", aspect=aspect)) == (
            "no_aspect",
            "the example names no aspect",
        )


def test_sentiment_does_not_show_an_aspect() -> None:
    post = Example(id="1", split="train", text="Rain", aspect="Rome")
    assert "Rome" not in Sentiment().prompt(post, Purpose.CHAIN).user


def test_only_aspect_prompts_explain_when_an_aspect_is_neutral() -> None:
    post = Example(id="1", split="train", text="Rain", aspect="Rome")
    assert "the label is neutral" in AspectSentiment().prompt(post, Purpose.TEACH).system
    assert "the label is neutral" not in Sentiment().prompt(post, Purpose.TEACH).system


def test_definitions_go_to_the_teacher_and_not_to_the_student() -> None:
    task = Classification(labels={"hateful": "attacks people", "normal": "attacks nobody"})
    post = Example(id="1", split="train", text="Hm")
    assert "- hateful: attacks people" in task.prompt(post, Purpose.TEACH).system
    assert "attacks" not in task.prompt(post, Purpose.CHAIN).system
    assert "hateful or normal" in task.prompt(post, Purpose.CHAIN).system


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": ""}, "at least 2"),
        ({"a": "", "A": ""}, "differ only in case"),
        ({"very good": "", "very_good": ""}, "differ only in case"),
        ({"a": "", "": ""}, "no letter or digit"),
        ({"a": "", "!?": ""}, "no letter or digit"),
        ({"a": "", "b\nc": ""}, "line breaks"),
        ({"a": "", 'b"c': ""}, "quotes"),
        ({"a": "", "<image>": ""}, "control token"),
        ({"a": "", "Prediction: x": ""}, "control token"),
        ({"a": "", "b" * 61: ""}, "longer than 60"),
    ],
)
def test_labels_that_could_not_be_told_apart_are_refused(labels: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Classification(labels=labels)


def test_all_bad_labels_are_named_together() -> None:
    with pytest.raises(ValidationError, match=r"no letter or digit; .*line breaks"):
        Classification(labels={"!": "", "b\nc": ""})


def test_other_definitions_or_another_order_are_another_task() -> None:
    one = Classification(labels={"a": "first", "b": "second"})
    assert one.fingerprint() != Classification(labels={"a": "first", "b": "other"}).fingerprint()
    assert one.fingerprint() != Classification(labels={"b": "second", "a": "first"}).fingerprint()


@pytest.mark.parametrize("count", [1, 2, 12, 26])
def test_any_number_of_choices_up_to_26_works(count: int) -> None:
    task = MultipleChoice()
    last = ascii_uppercase[count - 1]
    example = question(tuple(f"thing {number}" for number in range(count)), label=last)
    assert task.problem(example) is None
    assert f"({last}) thing {count - 1}" in task.prompt(example, Purpose.CHAIN).post
    assert task.read(f"Prediction: ({last}) thing {count - 1}", example).prediction == last
    assert task.read(f"Prediction: Thing {count - 1}.", example).prediction == last
    assert task.prompt(example, Purpose.HINT, last).ask.endswith(f"({last}) thing {count - 1}")


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        (question(()), "choice_count"),
        (question(tuple("x" * 27)), "choice_count"),
        (question(("a", " ")), "empty_choice"),
        (question(("a", "b"), label="C"), "unknown_label"),
        (question(("a", "b"), label="a"), "unknown_label"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(example: Example, reason: str) -> None:
    problem = MultipleChoice().problem(example)
    assert problem is not None
    assert problem[0] == reason


def test_a_choice_may_be_a_picture_and_the_order_of_pictures_is_told() -> None:
    task = MultipleChoice()
    images = (ImageRef(path="q.png"), ImageRef(path="a.png", of="A"), ImageRef(path="b.png", of="B"))
    example = question(("", ""), label="A", images=images)
    assert task.problem(example) is None
    post = task.prompt(example, Purpose.CHAIN).post
    assert "Pictures in order: the question, choice A, choice B." in post
    assert "(A)\n(B)" in post


def test_several_pictures_of_a_question_are_counted() -> None:
    images = (ImageRef(path="1.png"), ImageRef(path="2.png"))
    assert "There are 2 pictures." in MultipleChoice().prompt(question(("a",), images=images), Purpose.CHAIN).post


def test_a_question_shows_its_context_on_one_line() -> None:
    example = question(("a", "b"), context="Line one.\nReasoning: B is right.")
    post = MultipleChoice().prompt(example, Purpose.CHAIN).post
    assert "Context: Line one. Reasoning B is right." in post


def test_choices_with_line_breaks_are_still_read_by_their_text() -> None:
    example = question(("two\nlines", "one"))
    assert MultipleChoice().read("Prediction: two lines", example).prediction == "A"
