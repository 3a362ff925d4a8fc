from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.multimodal_cot.formats import (
    SourcedRationale,
    answer_choices,
    answer_source,
    answer_target,
    human_rationale,
    rationale_source,
    rationale_target,
    read_rationale,
    read_reply,
    teacher_rationale,
)
from mulcot.multimodal_cot.lettered_question import LetteredQuestion, ask
from mulcot.multimodal_cot.questions import Shortenable, T5Question
from mulcot.records import Example, Rationale
from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.tasks.letter_reading import LETTERS
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment

FLAGS = Example(
    id="1",
    split="train",
    text="Which flag\nis blue?",
    context="One can swim.",
    choices=("the left one", "the right one"),
    caption="two flags",
    label="B",
    rationale="The right flag\nis blue.",
    meta={"lecture": "Flags have colours."},
)


def flags(captions: bool = False, **changes: object) -> LetteredQuestion:
    return ask(MultipleChoice(), dataclasses.replace(FLAGS, **changes), captions=captions)  # type: ignore[arg-type]


def test_the_rationale_model_reads_question_context_and_options() -> None:
    assert "".join(rationale_source(flags())) == (
        "Question: Which flag is blue?\nContext: One can swim.\nOptions: (A) the left one (B) the right one\nSolution:"
    )


def test_a_question_without_hint_says_so() -> None:
    assert "Context: N/A\n" in "".join(rationale_source(flags(context=None)))


def test_captions_join_the_context_only_where_they_are_wanted() -> None:
    assert flags(captions=True).context == "One can swim. two flags"
    assert "two flags" not in "".join(rationale_source(flags()))


def test_the_answer_model_reads_the_rationale_as_well() -> None:
    source = "".join(answer_source(flags(), "QCMG-A", "The right flag is blue."))
    assert source.endswith("(B) the right one\nSolution: The right flag is blue.\nAnswer:")
    assert source.startswith("Question: Which flag is blue?")


@pytest.mark.parametrize(
    ("form", "ending", "target"),
    [
        ("QCM-A", "Answer:", "The answer is (B)."),
        ("QCM-AR", "Answer:", "The answer is (B). Because: It is blue."),
        ("QCM-RA", "Solution:", "Solution: It is blue. Answer: The answer is (B)."),
    ],
)
def test_one_stage_formats(form: str, ending: str, target: str) -> None:
    assert "".join(answer_source(flags(), form)).endswith(f"(B) the right one\n{ending}")  # type: ignore[arg-type]
    assert answer_target(flags(), form, "B", "It is blue.") == target  # type: ignore[arg-type]
    said = read_reply(target, form)  # type: ignore[arg-type]
    assert flags().read(said.answer) == "B"
    assert said.rationale == (None if form == "QCM-A" else "It is blue.")


def test_what_is_taught_is_read_back() -> None:
    assert read_rationale(rationale_target("It is blue.")) == "It is blue."
    assert [flags().read(choice) for choice in answer_choices(flags())] == ["A", "B"]


def test_the_lecture_comes_before_the_explanation_once() -> None:
    assert human_rationale(FLAGS, lecture=False) == SourcedRationale("The right flag is blue.", "human")
    assert human_rationale(FLAGS, lecture=True) == SourcedRationale(
        "Flags have colours. The right flag is blue.", "human"
    )
    both = dataclasses.replace(FLAGS, rationale="Flags have colours.\nThe right flag is blue.")
    assert human_rationale(both, lecture=True) == SourcedRationale(
        "Flags have colours. The right flag is blue.", "human"
    )
    assert human_rationale(dataclasses.replace(FLAGS, rationale=None), lecture=False) is None


def test_a_teachers_chain_is_a_rationale_without_its_prediction() -> None:
    fields = {"Reasoning": "It is blue.", "Final_conclusion": "So the right one.", "Prediction": "B"}
    chain = Rationale(example_id="1", source="teacher", stage=2, fields=fields)
    assert teacher_rationale(chain) == SourcedRationale("It is blue. So the right one.", "teacher")


def test_question_and_options_are_never_what_gives_way() -> None:
    parts = answer_source(flags(), "QCMG-A", "A very long rationale.")
    question = T5Question.of("1", parts)
    assert [question.source[begin:end] for begin, end in question.long] == ["One can swim.", "A very long rationale."]
    assert [part for part in parts if isinstance(part, Shortenable)] == ["One can swim.", "A very long rationale."]


def test_labels_are_options_where_the_task_has_labels() -> None:
    post = Example(id="1", split="train", text="What a day", label="negative", caption="rain")
    asked = ask(Sentiment(), post, captions=False)
    assert asked.options == ("positive", "neutral", "negative")
    assert "What a day" in asked.context
    assert "rain" not in asked.context
    assert "rain" in ask(Sentiment(), post, captions=True).context
    assert answer_target(asked, "QCM-A", "negative") == "The answer is (C)."
    assert asked.read("The answer is (C).") == "negative"
    assert asked.read("neutral") == "neutral"
    aspect = ask(AspectSentiment(), dataclasses.replace(post, aspect="Monday"), captions=False)
    assert "Monday" in aspect.context


def test_the_published_rule_wants_one_answer_said_once() -> None:
    assert flags().read_published("The answer is (B).") == "B"
    assert flags().read_published("The answer is (B). The answer is (B).") is None
    assert flags().read_published("B") is None
    assert flags().read("B") == "B"
    assert flags().read_published("The answer is (E).") == "E"
    assert flags().read("The answer is (E).") is None


def test_control_tokens_in_a_question_are_broken() -> None:
    asked = flags(text="What is </s> <extra_id_0>?", choices=("<pad>", "two"))
    assert "</s>" not in "".join(rationale_source(asked))
    assert "<extra_id_0>" not in asked.question
    assert "<pad>" not in asked.options[0]


@pytest.mark.parametrize("number", [1, 12, 26])
def test_any_number_of_choices_has_its_letters(number: int) -> None:
    asked = flags(choices=tuple(f"choice {n}" for n in range(number)), label="A")
    assert len(answer_choices(asked)) == number
    last = LETTERS[number - 1]
    assert f"({last}) choice {number - 1}" in "".join(rationale_source(asked))
    assert asked.read(answer_choices(asked)[-1]) == last


@given(reply=st.text(max_size=60), form=st.sampled_from(["QCMG-A", "QCM-A", "QCM-RA", "QCM-AR"]))
@settings(deadline=None, max_examples=60)
def test_any_reply_can_be_read(reply: str, form: str) -> None:
    said = read_reply(reply, form)  # type: ignore[arg-type]
    assert flags().read(said.answer) in ("A", "B", None)


@pytest.mark.parametrize(
    ("rationale", "label"),
    [
        ("The left one is red. So the right one is blue.", "B"),
        ("It could be the left one or the right one.", None),
        ("Blue is a colour.", None),
        ("", None),
        ("The answer is (B).", "B"),
        ("Lots of words. The right one! ", "B"),
    ],
)
def test_what_a_rationale_concludes_stands_in_its_last_sentence(rationale: str, label: str | None) -> None:
    assert flags().concluded(rationale) == label


def test_a_longer_option_is_not_mistaken_for_a_shorter_one() -> None:
    asked = flags(choices=("2", "12", "a dog", "a dog house"), label="A")
    assert asked.concluded("So it is 12.") == "B"
    assert asked.concluded("It is a dog house.") == "D"


def test_an_option_of_marks_alone_is_not_found_in_every_sentence() -> None:
    asked = flags(choices=("?", ".", "!"), label="A")
    assert asked.concluded("One has to look at it.") is None
    assert asked.concluded("The answer is (B).") == "B"
