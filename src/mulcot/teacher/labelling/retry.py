"""The retry controller: from what has been answered so far to the next move. A pure function with hard limits.

    wrong label in stage 1      stage 2                  missing fields      again, naming them
    truncated                   again, longer            unparsable, leak    again, saying what is wanted
    refused or withheld twice   on to stage 2            empty               again, drawn differently
    limit reached               stage 2, then give up

Because it is pure, a run that continues finds its way by walking through the committed replies once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from mulcot.settings import Settings
from mulcot.teacher.base import Reply, Sampling
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, LABEL_HIDDEN, Judgement, Verdict
from mulcot.teacher.labelling.retry_notes import note_for

BLOCKED = frozenset((Verdict.REFUSED, Verdict.FILTERED))
BLOCKED_IN_A_ROW = 2
"""A teacher that declines twice will decline again; asking costs money."""


class Retry(Settings):
    """How often, and how, an example is asked about again."""

    stage1_attempts: int = Field(default=3, ge=1, le=50)
    """Most replies per example without the label."""
    stage2_attempts: int = Field(default=3, ge=0, le=50)
    """Most replies per example with the label given; 0 keeps only what was found without it."""
    wrong_again: bool = False
    """Ask again without the label, within the limit, where the prediction was wrong, before the label is given."""
    temperatures: tuple[float, ...] = Field(default=(0.4, 0.7, 1.0), min_length=1)
    """Temperatures of the second, third ... draw of a stage; the last one repeats. Unused where the teacher's own
    temperature is null, for servers that refuse it."""
    longer: float = Field(default=2.0, ge=1, le=10)
    """By what `max_tokens` is multiplied after a reply that was cut off."""
    most_tokens: int = Field(default=4096, ge=1)
    """Where that growth ends."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask, in this stage for this time, drawn like this, with this note at the very end."""

    stage: int
    attempt: int
    sampling: Sampling
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One question with its reply and what that reply is."""

    ask: Ask
    reply: Reply
    judgement: Judgement

    @property
    def verdict(self) -> Verdict:
        """What the reply is."""
        return self.judgement.verdict


@dataclass(frozen=True, slots=True)
class Accept:
    """The last reply is the example's chain."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No chain; the reason of the last reply stands for all of them, which are kept beside it."""

    reason: Verdict


Move = Ask | Accept | GiveUp


def next_move(trials: Sequence[Trial], start: Sampling, retry: Retry, allowed: tuple[str, ...]) -> Move:
    """What to do after these trials of one example, whose labels are `allowed`."""
    if not trials:
        return Ask(LABEL_HIDDEN, 1, start)
    last = trials[-1]
    if last.verdict is Verdict.COMPLETE:
        return Accept()
    stage = last.ask.stage
    own = [trial for trial in trials if trial.ask.stage == stage]
    if _worth_repeating(own, retry):
        sampling = _sampling(own, start, retry)
        stuck = last.verdict is Verdict.TRUNCATED and sampling.max_tokens == last.ask.sampling.max_tokens
        note = note_for(last.verdict, last.judgement, stage, allowed, shorter=stuck)
        return Ask(stage, len(own) + 1, sampling, note)
    if stage == LABEL_HIDDEN and retry.stage2_attempts > 0:
        return Ask(LABEL_GIVEN, 1, _roomy(start, trials))
    return GiveUp(last.verdict)


def _worth_repeating(own: list[Trial], retry: Retry) -> bool:
    stage, verdict = own[-1].ask.stage, own[-1].verdict
    if len(own) >= (retry.stage1_attempts if stage == LABEL_HIDDEN else retry.stage2_attempts):
        return False
    if verdict is Verdict.WRONG_LABEL and stage == LABEL_HIDDEN:
        return retry.wrong_again
    tail = own[-BLOCKED_IN_A_ROW:]
    return len(tail) < BLOCKED_IN_A_ROW or not all(trial.verdict in BLOCKED for trial in tail)


def _sampling(own: list[Trial], start: Sampling, retry: Retry) -> Sampling:
    """Longer after a cut, warmer after anything else."""
    last = own[-1]
    changed: dict[str, float | int] = {}
    tokens = last.ask.sampling.max_tokens
    grown = tokens if tokens is None else max(tokens, min(int(tokens * retry.longer), retry.most_tokens))
    if last.verdict is Verdict.TRUNCATED and tokens is not None and grown is not None:
        changed["max_tokens"] = grown
    elif tokens is not None:
        changed["max_tokens"] = tokens
    redraws = sum(trial.verdict is not Verdict.TRUNCATED or _at_the_top(trial, retry) for trial in own)
    if redraws and start.temperature is not None:
        changed["temperature"] = retry.temperatures[min(redraws, len(retry.temperatures)) - 1]
    if redraws and start.seed is not None:
        changed["seed"] = start.seed + redraws
    return start.model_copy(update=changed)


def _at_the_top(trial: Trial, retry: Retry) -> bool:
    """Cut off although it could not be allowed more."""
    tokens = trial.ask.sampling.max_tokens
    return tokens is None or tokens >= retry.most_tokens or retry.longer == 1


def _roomy(start: Sampling, trials: Sequence[Trial]) -> Sampling:
    """Stage 2 begins with the room that stage 1 turned out to need."""
    needed = [trial.ask.sampling.max_tokens for trial in trials if trial.ask.sampling.max_tokens is not None]
    if start.max_tokens is None or not needed:
        return start
    return start.model_copy(update={"max_tokens": max(needed)})
