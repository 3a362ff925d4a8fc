from __future__ import annotations

from scripted import chain, reply

from mulcot.records import Example, Rationale
from mulcot.tasks.sentiment import Sentiment
from mulcot.teacher.base import Sampling
from mulcot.teacher.labelling.chain_files import Failure, RationaleWriter
from mulcot.teacher.labelling.confusion import PredictionCounts
from mulcot.teacher.labelling.counts import Attempts, Histogram, Tally
from mulcot.teacher.labelling.dialogues import DialogueOutcome
from mulcot.teacher.labelling.own_answer import own_prediction
from mulcot.teacher.labelling.pilot import Pilot, PilotResult
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, LABEL_HIDDEN, ReplyJudge, Verdict
from mulcot.teacher.labelling.retry import Ask, Trial
from mulcot.teacher.labelling.sample import draw
from mulcot.teacher.labelling.summary import summary_lines

JUDGE = ReplyJudge(Sentiment())


def outcome(number: int, *asked: tuple[int, str], label: str = "positive") -> DialogueOutcome:
    """An example with these (stage, prediction) replies."""
    example = Example(id=f"e{number}", split="train", text=f"post {number}\x1b[31m", label=label)
    trials: list[Trial] = []
    for stage, prediction in asked:
        attempt = 1 + sum(trial.ask.stage == stage for trial in trials)
        answer = reply(chain(prediction, text=f"{number} {attempt}") if prediction else "")
        trials.append(Trial(Ask(stage, attempt, Sampling()), answer, JUDGE(answer, example, stage)))
    accepted = trials[-1] if trials and trials[-1].verdict is Verdict.COMPLETE else None
    reason = None if accepted or not trials else trials[-1].verdict
    return DialogueOutcome(
        example, tuple(trials), accepted, reason, None if trials else Ask(LABEL_HIDDEN, 1, Sampling())
    )


def test_the_sample_depends_on_seed_and_ids_alone() -> None:
    ids = [f"e{number}" for number in range(1000)]
    drawn = draw(ids, 50, 3)
    assert len(drawn) == 50
    assert draw(reversed(ids), 50, 3) == drawn
    assert draw(ids, 50, 4) != drawn
    assert draw(ids, 2000, 3) == frozenset(ids)


def test_the_pilot_counts_stage_1_alone_and_unread_predictions_as_wrong() -> None:
    outcomes = [
        outcome(1, (LABEL_HIDDEN, "positive")),
        outcome(2, (LABEL_HIDDEN, ""), (LABEL_HIDDEN, "positive")),
        outcome(3, (LABEL_HIDDEN, "negative"), (LABEL_GIVEN, "positive")),
        outcome(4, (LABEL_HIDDEN, "")),
        outcome(5),
    ]
    result = PilotResult.of(Pilot(size=5, min_stage1_accuracy=0.51), outcomes)
    assert (result.confusion.right, result.confusion.total, result.unanswered) == (2, 4, 1)
    assert not result.passed
    assert PilotResult.of(Pilot(min_stage1_accuracy=0.5), outcomes).passed
    assert PilotResult.of(Pilot(min_stage1_accuracy=1), [outcome(5)]).passed, "without a reply nothing is known"


def test_a_failed_pilot_shows_matrix_and_ten_failures_on_harmless_lines() -> None:
    outcomes = [outcome(number, (LABEL_HIDDEN, "negative")) for number in range(15)]
    error = PilotResult.of(Pilot(), outcomes).error()
    assert "0 of 15 labels (0%)" in error.message
    assert "positive" in error.message
    assert "10. positive, got negative: post 9" in error.message
    assert "11." not in error.message
    assert "\x1b" not in error.message
    assert "pilot.json" in error.hint
    assert len(PilotResult.of(Pilot(), outcomes).to_json()["failures"]) == 10


def test_the_matrix_has_a_column_for_what_could_not_be_read() -> None:
    confusion = PredictionCounts()
    confusion.add("a", "a")
    confusion.add("a", None)
    confusion.add("bb", "a")
    assert confusion.to_json() == {"a": {"a": 1, "none": 1}, "bb": {"a": 1}}
    assert confusion.accuracy == 1 / 3
    head, *rows = confusion.lines()
    assert head.split()[:4] == ["label", "a", "bb", "none"]
    assert [row.split() for row in rows] == [["a", "1", "0", "1"], ["bb", "1", "0", "0"]]


def test_the_limit_that_would_have_been_enough() -> None:
    attempts = Attempts()
    for number, accepted in ((1, 980), (2, 15), (3, 5)):
        for index in range(1000):
            attempts.add(number, whole=False, accepted=index < accepted)
    assert (attempts.enough(1.0), attempts.enough(0.99), attempts.enough(0.5)) == (3, 2, 1)
    found = attempts.to_json(3)
    assert found["accepted"] == [980, 15, 5]
    assert found["more_may_help"] is False
    assert Attempts().enough(1.0) == 0


def test_the_tally_adds_up_and_reads_as_a_page() -> None:
    tally = Tally()
    writer = RationaleWriter("teacher")
    outcomes = [
        outcome(1, (LABEL_HIDDEN, "positive")),
        outcome(2, (LABEL_HIDDEN, ""), (LABEL_HIDDEN, "positive")),
        outcome(3, (LABEL_HIDDEN, "neutral"), (LABEL_GIVEN, "positive")),
        outcome(4, (LABEL_HIDDEN, "neutral"), (LABEL_GIVEN, "neutral"), label="negative"),
        outcome(5),
    ]
    records = list(writer.finish(outcomes))
    assert [type(record) for _, record in records] == [Rationale, Rationale, Rationale, Failure, Failure]
    for found, record in records:
        tally.add(found, record)
    summary = tally.to_json({LABEL_HIDDEN: 3, LABEL_GIVEN: 3})
    assert summary["accepted"] == {"stage1": 2, "stage2": 1}
    assert summary["reasons"] == {"wrong_label": 1, "unanswered": 1}
    assert summary["attempts"]["stage1"]["asked"] == [4, 1]
    assert summary["attempts"]["stage1"]["whole"] == [3, 1]
    assert summary["attempts"]["stage1"]["accepted"] == [1, 1]
    assert summary["attempts"]["stage1"]["enough_for_all"] == 2
    assert summary["stage1_accuracy"] == 0.5
    assert summary["labels"]["positive"] == {"examples": 4, "stage1": 2, "stage2": 1, "failed": 1}
    text = "\n".join(summary_lines({"teacher": "m", "preset": "checked", "simulated": True, "spent": {}} | summary))
    assert "simulated: these chains are made up" in text
    assert "a limit of 2 would have been enough" in text


def test_a_histogram_has_lower_bounds_and_exact_extremes() -> None:
    histogram = Histogram(0.5)
    for value in (0.1, 0.4, 0.5, 2.6):
        histogram.add(value)
    found = histogram.to_json()
    assert found["bins"] == {"0": 2, "0.5": 1, "2.5": 1}
    assert (found["count"], found["mean"], found["min"], found["max"]) == (4, 0.9, 0.1, 2.6)


def test_the_first_answer_without_the_label_counts_and_no_later_one() -> None:
    """A second draw because the first was wrong is one that knows the label."""
    found = outcome(1, (LABEL_HIDDEN, ""), (LABEL_HIDDEN, "negative"), (LABEL_HIDDEN, "positive"))
    own = own_prediction(Sentiment(), found)
    assert own is not None and (own.label, own.problem) == ("negative", "")
    assert '"Prediction": "negative"' in (own.chain or "")
    tally = Tally()
    for one, record in RationaleWriter("teacher").finish([found]):
        tally.add(one, record)
    assert tally.to_json({})["confusion"] == {"positive": {"negative": 1}}
    result = PilotResult.of(Pilot(size=1), [found])
    assert result.confusion.right == 0
    assert result.to_json()["failures"][0]["prediction"] == "negative"


def test_what_names_no_label_or_got_no_reply_is_a_miss_with_its_reason() -> None:
    silent, empty = own_prediction(Sentiment(), outcome(5)), own_prediction(Sentiment(), outcome(4, (LABEL_HIDDEN, "")))
    assert silent is not None and (silent.label, silent.chain, silent.problem) == (None, None, "unanswered")
    assert empty is not None and (empty.label, empty.chain, empty.problem, empty.chain_problem) == (
        None, "", "empty", "empty"
    )  # fmt: skip


def test_chains_collected_elsewhere_say_nothing_about_answers_they_do_not_hold() -> None:
    right, told = outcome(1, (LABEL_HIDDEN, "positive")), outcome(2, (LABEL_GIVEN, "positive"))
    none = DialogueOutcome(told.example, reason=Verdict.NO_CHAIN)
    assert own_prediction(Sentiment(), told) is own_prediction(Sentiment(), none) is None
    for other in (told, none):
        tally = Tally()
        for one, record in RationaleWriter("imported").finish([right, other]):
            tally.add(one, record)
        summary = tally.to_json({})
        assert (summary["stage1_accuracy"], summary["confusion"]) == (None, {})
