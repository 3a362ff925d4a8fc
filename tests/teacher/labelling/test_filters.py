from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from mulcot.records import Example
from mulcot.tasks.aspect_sentiment import AspectSentiment
from mulcot.teacher.base import Reply
from mulcot.teacher.labelling.filters import Filters, Length, contradiction, leak, length, repetition
from mulcot.teacher.labelling.reply_judge import UNKNOWN, ReplyJudge, Verdict

LABELS = ("positive", "neutral", "negative")


def analyses(text: str, image: str, conflict: str) -> dict[str, str]:
    return {"Text_analysis": text, "Image_analysis": image, "Conflict_resolution": conflict}


@pytest.mark.parametrize(
    ("text", "image", "conflict", "found"),
    [
        ("It is positive.", "It is negative.", "There is no conflict between words and picture.", True),
        ("It is positive.", "It is negative.", "Both the text and the image agree.", True),
        ("A Positive tone.", "Clearly NEGATIVE.", "There is no significant, direct conflict.", True),
        ("It is positive.", "It is negative.", "They conflict, and the words decide.", False),
        ("It is positive.", "It is positive.", "There is no conflict.", False),
        ("It is positive.", "It is neutral.", "There is no conflict.", False),
        ("It is positive, not negative.", "It is not negative but positive.", "There is no conflict.", False),
        ("It is positive.", "No positive or negative sign.", "There is no conflict.", False),
        ("It doesn't look negative; positive.", "Positive.", "No conflict.", False),
        ("Positive and negative words.", "It is negative.", "There is no conflict.", False),
        ("", "", "", False),
    ],
)
def test_agreement_is_only_disbelieved_where_the_own_analyses_say_the_opposite(
    text: str, image: str, conflict: str, found: bool
) -> None:
    assert (contradiction(analyses(text, image, conflict), LABELS) is not None) is found


def test_length_counts_words_outside_the_prediction() -> None:
    fields = {"Text_analysis": "one two three", "Prediction": "positive"}
    assert length(fields, Length(min_words=3, max_words=3)) is None
    assert "at least 4" in (length(fields, Length(min_words=4)) or "")
    assert "at most 2" in (length(fields, Length(min_words=0, max_words=2)) or "")


def test_bounds_that_nothing_can_satisfy_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than max_words"):
        Length(min_words=9, max_words=3)


def test_repetition_is_a_share_of_four_word_runs() -> None:
    assert repetition({"Text_analysis": "a b c d e f g h"}, 0.01) is None
    assert repetition({"Text_analysis": "a b c d " * 10}, 0.5) is not None
    assert repetition({"Text_analysis": "a"}, 0.01) is None


def test_the_prediction_is_not_searched_for_leaks() -> None:
    assert leak({"Final_conclusion": "Since the given label is positive."}, LABELS)
    assert leak({"Prediction": "the given label is positive"}, LABELS) is None


def test_real_chains_pass_all_filters_but_few(real_data: Path) -> None:
    rows = json.loads((real_data / "twitter2015" / "teacher_rationales_sample.json").read_text("utf-8"))
    judge = ReplyJudge(AspectSentiment(), "checked", Filters())
    found: Counter[Verdict] = Counter()
    for row in rows:
        example = Example(id="x", split="test", text=row["text"], aspect=row["aspect"], label=row["label"])
        found[judge(Reply(text=row["cot"]), example, UNKNOWN).verdict] += 1
    assert found[Verdict.WRONG_LABEL] == 2
    assert found[Verdict.COMPLETE] >= 140
    assert found[Verdict.LENGTH] == found[Verdict.REPETITION] == found[Verdict.MISSING_FIELDS] == 0
