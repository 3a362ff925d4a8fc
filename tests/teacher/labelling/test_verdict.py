from __future__ import annotations

import pytest
from scripted import chain, reply

from mulcot.records import Example
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment
from mulcot.teacher.base import Finish, Reply
from mulcot.teacher.labelling.filters import NO_FILTERS, Filters
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, LABEL_HIDDEN, UNKNOWN, ReplyJudge, Verdict

POST = Example(id="p", split="train", text="what a day", label="positive")
GOOD = chain("positive")
LEAK = chain("positive", Final_conclusion="Since the given label is positive, the post must be cheerful.")


def verdict(answer: Reply, stage: int = LABEL_HIDDEN, **rules: object) -> Verdict:
    return ReplyJudge(Sentiment(), **rules)(answer, POST, stage).verdict  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(GOOD), Verdict.COMPLETE),
        (reply(GOOD, finish=Finish.LENGTH), Verdict.COMPLETE),
        (reply(GOOD, finish=Finish.UNKNOWN), Verdict.COMPLETE),
        (reply(""), Verdict.EMPTY),
        (reply("  \n"), Verdict.EMPTY),
        (reply("<think>I wonder", finish=Finish.STOP), Verdict.EMPTY),
        (reply("", finish=Finish.LENGTH, reasoning="I wonder"), Verdict.TRUNCATED),
        (reply(GOOD[:200], finish=Finish.LENGTH), Verdict.TRUNCATED),
        (reply("I'm sorry, but I can't assist with that request."), Verdict.REFUSED),
        (reply("I\u2019m unable to describe people."), Verdict.REFUSED),
        (reply("no", finish=Finish.REFUSED), Verdict.REFUSED),
        (reply(GOOD, finish=Finish.FILTERED), Verdict.FILTERED),
        (reply(chain("positive", Image_analysis=None)), Verdict.MISSING_FIELDS),
        (reply(chain("positive", Text_analysis="I'm sorry to say the author cannot help it", Image_analysis=None)),
         Verdict.MISSING_FIELDS),
        (reply("<html><body>502</body></html>"), Verdict.MISSING_FIELDS),
        (reply(chain("joyful")), Verdict.UNPARSABLE),
        (reply(chain("positive or negative")), Verdict.UNPARSABLE),
        (reply(chain("negative")), Verdict.WRONG_LABEL),
        (reply('"Text_analysis": "a"\n"Image_analysis": "b"\n"Conflict_resolution": "c"\n"Final_conclusion": "d"\n'
               '"Prediction": "positive"'), Verdict.LENGTH),
        (reply(chain("positive", Text_analysis="the sun is out and " * 60)), Verdict.REPETITION),
        (reply(chain("positive", Text_analysis="The words are positive.", Image_analysis="The picture looks negative.",
                     Conflict_resolution="There is no conflict between them.")), Verdict.CONTRADICTION),
        (reply(LEAK), Verdict.COMPLETE),
    ],
)  # fmt: skip
def test_every_kind_of_reply_is_called_by_what_is_wrong_with_it(answer: Reply, kind: Verdict) -> None:
    assert verdict(answer) is kind


def test_only_a_chain_that_may_have_been_told_can_give_the_label_away() -> None:
    assert verdict(reply(LEAK), LABEL_GIVEN) is Verdict.LABEL_LEAK
    assert verdict(reply(LEAK), UNKNOWN) is Verdict.LABEL_LEAK
    assert verdict(reply(LEAK), LABEL_GIVEN, chosen=Filters(leak=False)) is Verdict.COMPLETE


def test_published_keeps_stage_2_unfiltered_as_long_as_every_field_is_there() -> None:
    for text in (LEAK, chain("negative"), chain("joyful"), chain("positive", Text_analysis="a " * 900)):
        assert verdict(reply(text), LABEL_GIVEN, preset="published") is Verdict.COMPLETE
    assert verdict(reply(chain("positive", Prediction=None)), LABEL_GIVEN, preset="published") is Verdict.MISSING_FIELDS
    assert verdict(reply(chain("negative")), LABEL_HIDDEN, preset="published") is Verdict.WRONG_LABEL
    assert verdict(reply(chain("joyful")), LABEL_HIDDEN, preset="published") is Verdict.WRONG_LABEL


def test_filters_can_be_added_to_published_and_taken_from_checked() -> None:
    assert verdict(reply(LEAK), LABEL_GIVEN, preset="published", chosen=Filters()) is Verdict.LABEL_LEAK
    short = '"Text_analysis": "a"\n"Image_analysis": "b"\n"Conflict_resolution": "c"\n"Final_conclusion": "d"\n'
    assert verdict(reply(short + '"Prediction": "positive"'), chosen=NO_FILTERS) is Verdict.COMPLETE


def test_what_is_kept_holds_no_control_token_and_the_label_as_the_task_spells_it() -> None:
    text = chain("**Positive.**", Text_analysis="Words <|im_end|><|im_start|>system, more words </s> here")
    judgement = ReplyJudge(Sentiment())(reply(text), POST, LABEL_HIDDEN)
    assert judgement.verdict is Verdict.COMPLETE
    assert judgement.fields["Prediction"] == "positive"
    assert "<|im_end|>" not in judgement.fields["Text_analysis"]
    assert "</s>" not in judgement.fields["Text_analysis"]


def test_letters_are_judged_by_the_choices_of_the_question() -> None:
    question = Example(id="q", split="train", text="Which?", choices=("iron", "copper"), label="B")
    judge = ReplyJudge(MultipleChoice())
    fields = {name: f"{name} " + " ".join(f"{name[:3]}{n}" for n in range(8)) for name in MultipleChoice().fields}

    def answer(value: str) -> Verdict:
        text = MultipleChoice().write_chain({**fields, "Prediction": value})
        return judge(reply(text), question, LABEL_HIDDEN).verdict

    assert answer("copper") is Verdict.COMPLETE
    assert answer("A") is Verdict.WRONG_LABEL
    assert answer("C") is Verdict.UNPARSABLE
