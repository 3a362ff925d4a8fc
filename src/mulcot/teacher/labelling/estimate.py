"""What the rest of a run will cost, before it is paid: from the replies that are there, or else by a declared formula.

measured   means over this teacher's replies in the ledger, such as the pilot's
formula    characters, picture size and the assumptions below, all of them shown
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mulcot.records import Example, Json, Record
from mulcot.teacher.base import Reply, Request
from mulcot.teacher.labelling.budget import Prices, shown_money
from mulcot.teacher.labelling.dialogues import Dialogues, FindReply
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, LABEL_HIDDEN, Verdict
from mulcot.teacher.labelling.retry import Ask, Trial

CHARACTERS_PER_TOKEN = 4.0
PIXELS_PER_TOKEN = 28 * 28
"""Qwen's vision models; others take more or less."""
OWN_SIZE_TOKENS = 1000
REPLY_TOKENS = 320
"""Five lines of about forty words, with their names."""
SECOND_STAGE = 0.4
"""The share of examples whose label is not found alone."""
AGAIN = 1.05
"""Replies per example and stage."""
ENOUGH = 5
"""Replies from which on a mean is used."""


@dataclass(slots=True)
class Mean:
    """A mean that knows whether it rests on anything."""

    count: int = 0
    sum: float = 0.0

    def add(self, value: float | None) -> None:
        """One value; unknown ones do not count."""
        if value is not None:
            self.count += 1
            self.sum += value

    def value(self, otherwise: float) -> float:
        """The mean, or what is assumed without one."""
        return self.sum / self.count if self.count >= ENOUGH else otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Record):
    """What is still to be paid."""

    basis: str
    """`measured`, `formula`, or `imported`: nothing is asked."""
    examples: int
    settled: int
    replies_so_far: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None
    """None is unknown."""
    currency: str
    assumptions: Json

    def lines(self, prices: Prices | None) -> list[str]:
        """For the terminal."""
        if self.basis == "imported":
            return ["estimate for imported chains: no request is sent, nothing is paid"]
        how = (
            "from this teacher's replies in the ledger" if self.basis == "measured" else "by formula, nothing measured"
        )
        hint = "" if self.money is not None else "  (declare teacher.prices to see it)"
        rows = [
            ("examples", f"{self.examples:,}, {self.settled:,} of them settled by {self.replies_so_far:,} replies"),
            ("requests to come", f"about {self.requests:,}"),
            ("prompt tokens", f"about {self.prompt_tokens:,}"),
            ("reply tokens", f"about {self.completion_tokens:,}"),
            ("cost to come", f"{shown_money(self.money, prices)}{hint}"),
        ]
        assumed = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in self.assumptions.items())
        return [f"estimate {how}", *(f"  {name:<18}{value}" for name, value in rows), f"  {assumed}"]


def estimate(
    dialogues: Dialogues, examples: Iterable[Example], known: FindReply, prices: Prices | None, size: int | None
) -> Estimate:
    """Walks through what is committed and extrapolates to what is open."""
    survey = _Survey(size, two_stages=dialogues.retry.stage2_attempts > 0)
    for example in examples:
        if example.label is None:
            continue
        outcome = dialogues.replay(example, known)
        survey.add(dialogues, example, outcome.trials, outcome.open)
    return survey.estimate(prices)


class _Survey:
    def __init__(self, size: int | None, *, two_stages: bool) -> None:
        self.two_stages = two_stages
        self.picture_tokens = OWN_SIZE_TOKENS if size is None else max(1, size * size // PIXELS_PER_TOKEN)
        self.examples = self.settled = self.replies = 0
        self.stage1_open = self.stage2_open = 0
        self.prompt = {LABEL_HIDDEN: Mean(), LABEL_GIVEN: Mean()}
        self.completion = {LABEL_HIDDEN: Mean(), LABEL_GIVEN: Mean()}
        self.attempts = {LABEL_HIDDEN: Mean(), LABEL_GIVEN: Mean()}
        self.second_stage, self.guess = Mean(), Mean()

    def add(self, dialogues: Dialogues, example: Example, trials: tuple[Trial, ...], open_: Ask | None) -> None:
        self.examples += 1
        self.settled += open_ is None
        self.replies += len(trials)
        for trial in trials:
            self.prompt[trial.ask.stage].add(trial.reply.usage.prompt)
            self.completion[trial.ask.stage].add(trial.reply.usage.completion)
        stage = trials[-1].ask.stage if open_ is None and trials else (open_.stage if open_ else LABEL_HIDDEN)
        first = [trial for trial in trials if trial.ask.stage == LABEL_HIDDEN]
        if open_ is None or open_.stage == LABEL_GIVEN:
            self.attempts[LABEL_HIDDEN].add(len(first))
            self.second_stage.add(stage == LABEL_GIVEN or (bool(first) and first[-1].verdict is not Verdict.COMPLETE))
        if open_ is None and stage == LABEL_GIVEN:
            self.attempts[LABEL_GIVEN].add(len(trials) - len(first))
        if open_ is not None:
            self.stage1_open += open_.stage == LABEL_HIDDEN
            self.stage2_open += open_.stage == LABEL_GIVEN
            self.guess.add(self._prompt_tokens(dialogues.request(example, open_)))

    def estimate(self, prices: Prices | None) -> Estimate:
        """The means times what is open."""
        measured = self.completion[LABEL_HIDDEN].count >= ENOUGH
        again = self.attempts[LABEL_HIDDEN].value(AGAIN)
        share = self.second_stage.value(SECOND_STAGE) if self.two_stages else 0.0
        one = self.stage1_open * again
        two = (self.stage2_open + self.stage1_open * share) * self.attempts[LABEL_GIVEN].value(again)
        first = self.prompt[LABEL_HIDDEN].value(self.guess.sum / self.guess.count if self.guess.count else 0.0)
        reply = self.completion[LABEL_HIDDEN].value(REPLY_TOKENS)
        prompt = one * first + two * self.prompt[LABEL_GIVEN].value(first)
        completion = one * reply + two * self.completion[LABEL_GIVEN].value(reply)
        return Estimate(
            basis="measured" if measured else "formula",
            examples=self.examples,
            settled=self.settled,
            replies_so_far=self.replies,
            requests=round(one + two),
            prompt_tokens=round(prompt),
            completion_tokens=round(completion),
            money=None if prices is None else prices.cost(prompt, completion),
            currency="" if prices is None else prices.currency,
            assumptions={
                "tokens_per_prompt": round(first, 1),
                "tokens_per_reply": round(reply, 1),
                "replies_per_example_and_stage": round(again, 3),
                "share_that_needs_the_label": round(share, 3),
                "tokens_per_picture": self.picture_tokens,
            },
        )

    def _prompt_tokens(self, request: Request) -> float:
        characters = len(request.system) + len(request.user)
        return characters / CHARACTERS_PER_TOKEN + self.picture_tokens * len(request.pictures)


def nothing_to_pay(examples: int) -> Estimate:
    """For chains that are there already."""
    return Estimate(
        basis="imported",
        examples=examples,
        settled=examples,
        replies_so_far=0,
        requests=0,
        prompt_tokens=0,
        completion_tokens=0,
        money=0.0,
        currency="",
        assumptions={},
    )


def nothing_known(_: Request) -> Reply | None:
    """For a run without a ledger."""
    return None
