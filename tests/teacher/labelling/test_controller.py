from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import reply

from mulcot.teacher.base import Sampling
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, LABEL_HIDDEN, Judgement, Verdict
from mulcot.teacher.labelling.retry import Accept, Ask, GiveUp, Move, Retry, Trial, next_move

START = Sampling(temperature=0.0, max_tokens=100, seed=5)
REPLY_VERDICTS = [
    verdict
    for verdict in Verdict
    if verdict not in (Verdict.NEAR_DUPLICATE, Verdict.UNANSWERED, Verdict.NO_LABEL, Verdict.NO_CHAIN)
]


def walk(verdicts: list[Verdict], retry: Retry | None = None, start: Sampling = START) -> tuple[list[Ask], Move]:
    """The questions asked when the replies are of these kinds, and the move that follows."""
    trials: list[Trial] = []
    retry = retry or Retry()
    for verdict in verdicts:
        move = next_move(trials, start, retry, ("good", "bad"))
        assert isinstance(move, Ask), f"{len(trials)} replies led to {move}"
        missing = ("Final_conclusion", "Prediction") if verdict is Verdict.MISSING_FIELDS else ()
        trials.append(Trial(move, reply("x"), Judgement(verdict, missing=missing)))
    return [trial.ask for trial in trials], next_move(trials, start, retry, ("good", "bad"))


def test_the_first_question_is_stage_1_as_the_teacher_is_set() -> None:
    assert walk([])[1] == Ask(LABEL_HIDDEN, 1, START)


def test_a_complete_reply_ends_it() -> None:
    assert walk([Verdict.COMPLETE])[1] == Accept()


def test_a_wrong_label_goes_straight_to_stage_2_with_the_first_sampling() -> None:
    assert walk([Verdict.WRONG_LABEL])[1] == Ask(LABEL_GIVEN, 1, START)


def test_a_wrong_label_is_asked_again_where_that_is_wanted_and_says_nothing_about_it() -> None:
    retry = Retry(wrong_again=True, stage1_attempts=2)
    _, move = walk([Verdict.WRONG_LABEL], retry)
    assert isinstance(move, Ask)
    assert (move.stage, move.attempt, move.note) == (LABEL_HIDDEN, 2, "")
    assert walk([Verdict.WRONG_LABEL] * 2, retry)[1] == Ask(LABEL_GIVEN, 1, START)


def test_missing_fields_are_named() -> None:
    _, move = walk([Verdict.MISSING_FIELDS])
    assert isinstance(move, Ask)
    assert move.stage == LABEL_HIDDEN
    assert '"Final_conclusion" and "Prediction"' in move.note


def test_truncation_raises_the_token_limit_and_nothing_else_up_to_its_end() -> None:
    retry = Retry(most_tokens=300, stage1_attempts=5)
    asks, move = walk([Verdict.TRUNCATED] * 3, retry)
    assert isinstance(move, Ask)
    assert [ask.sampling.max_tokens for ask in [*asks, move]] == [100, 200, 300, 300]
    assert [ask.sampling.temperature for ask in asks] == [0.0, 0.0, 0.0]
    assert [bool(ask.note) for ask in [*asks, move]] == [False, False, False, True]
    assert move.sampling.temperature == 0.4


def test_room_that_was_needed_is_kept_for_stage_2() -> None:
    _, move = walk([Verdict.TRUNCATED, Verdict.WRONG_LABEL])
    assert isinstance(move, Ask)
    assert (move.stage, move.sampling.max_tokens, move.sampling.temperature) == (LABEL_GIVEN, 200, 0.0)


def test_other_failures_are_drawn_warmer_and_with_another_seed() -> None:
    asks, move = walk([Verdict.EMPTY, Verdict.UNPARSABLE], Retry(stage1_attempts=4, temperatures=(0.3, 0.9)))
    assert isinstance(move, Ask)
    assert [(ask.sampling.temperature, ask.sampling.seed) for ask in [*asks, move]] == [(0.0, 5), (0.3, 6), (0.9, 7)]
    assert "good, bad" in move.note


def test_what_a_server_refuses_is_never_sent() -> None:
    start = Sampling(temperature=None, max_tokens=None, seed=None)
    asks, _ = walk([Verdict.EMPTY, Verdict.TRUNCATED], start=start)
    assert all(ask.sampling.sent() == {} for ask in asks)


@pytest.mark.parametrize("blocked", [Verdict.REFUSED, Verdict.FILTERED])
def test_two_refusals_in_a_row_are_enough_for_a_stage(blocked: Verdict) -> None:
    retry = Retry(stage1_attempts=9, stage2_attempts=9)
    asks, move = walk([blocked] * 4, retry)
    assert [ask.stage for ask in asks] == [LABEL_HIDDEN, LABEL_HIDDEN, LABEL_GIVEN, LABEL_GIVEN]
    assert move == GiveUp(blocked)


def test_without_stage_2_it_ends_after_stage_1() -> None:
    assert walk([Verdict.WRONG_LABEL], Retry(stage2_attempts=0))[1] == GiveUp(Verdict.WRONG_LABEL)


def test_a_leak_is_asked_again_in_stage_2_until_the_limit() -> None:
    asks, move = walk([Verdict.WRONG_LABEL, Verdict.LABEL_LEAK, Verdict.LABEL_LEAK, Verdict.LABEL_LEAK])
    assert [ask.stage for ask in asks] == [LABEL_HIDDEN, LABEL_GIVEN, LABEL_GIVEN, LABEL_GIVEN]
    assert asks[2].note
    assert move == GiveUp(Verdict.LABEL_LEAK)


@settings(max_examples=200, deadline=None)
@given(
    verdicts=st.lists(st.sampled_from(REPLY_VERDICTS), min_size=60, max_size=60),
    one=st.integers(1, 6),
    two=st.integers(0, 6),
    again=st.booleans(),
)
def test_any_series_of_replies_ends_within_the_limits(verdicts: list[Verdict], one: int, two: int, again: bool) -> None:
    retry = Retry(stage1_attempts=one, stage2_attempts=two, wrong_again=again)
    trials: list[Trial] = []
    while isinstance(move := next_move(trials, START, retry, ()), Ask):
        number = sum(trial.ask.stage == move.stage for trial in trials)
        assert move.attempt == number + 1 <= (one if move.stage == LABEL_HIDDEN else two)
        assert move.sampling.max_tokens is not None
        assert 100 <= move.sampling.max_tokens <= retry.most_tokens
        trials.append(Trial(move, reply("x"), Judgement(verdicts[len(trials)])))
    stages = [trial.ask.stage for trial in trials]
    assert stages == sorted(stages), "a stage is never gone back to"
    assert isinstance(move, Accept) == (trials[-1].verdict is Verdict.COMPLETE)
