"""What the teacher may cost: declared prices, a budget, and a tracker that is asked before every request.

Nobody's price list is built in, since prices change: what is not declared is unknown, never 0. Before a request is
sent its worst case is set aside; when that no longer fits, the tracker waits for what is under way and then closes. So
the money goes far, and a reply never costs more than is left, as far as the server keeps to the limits it was given.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import Field

from mulcot.errors import Interrupted, TeacherError
from mulcot.settings import Settings
from mulcot.teacher.base import Load, Reply, Request, Session
from mulcot.teacher.transport.ledger import Totals

USUAL_REPLY = 2048
"""Tokens set aside for a reply where no limit is sent and none has been seen."""
PICTURE_TOKENS = 400
CHARACTERS_PER_TOKEN = 3.0
"""On the careful side: English has about four."""


class Prices(Settings):
    """What your provider charges, per million tokens."""

    prompt_per_million: float = Field(ge=0)
    """For the prompt, pictures included."""
    completion_per_million: float = Field(ge=0)
    """For the reply."""
    cached_per_million: float | None = Field(default=None, ge=0)
    """For the part of the prompt that came from the provider's cache; null for the full price."""
    currency: str = Field(default="USD", min_length=1, max_length=12)
    """Only shown."""

    def cost(self, prompt: float, completion: float, cached: float = 0) -> float:
        """What these tokens cost."""
        rebate = 0.0
        if self.cached_per_million is not None:
            rebate = min(cached, prompt) * (self.prompt_per_million - self.cached_per_million)
        return (prompt * self.prompt_per_million + completion * self.completion_per_million - rebate) / 1_000_000


class Budget(Settings):
    """Where the stage stops, cleanly, over everything ever asked in this run folder. With more, it continues."""

    money: float | None = Field(default=None, gt=0)
    """In the currency of `prices`, which it needs."""
    tokens: int | None = Field(default=None, gt=0)
    """Prompt and completion together."""
    requests: int | None = Field(default=None, gt=0)
    """Replies, without those from the cache."""

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return (self.money, self.tokens, self.requests) != (None, None, None)


class BudgetUsedUp(TeacherError):
    """The next request might cost more than is left."""


@dataclass(slots=True)
class Spent:
    """A sum of requests."""

    requests: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    unknown: int = 0
    """Replies whose tokens the server did not tell; with any, the other sums are lower bounds."""

    @classmethod
    def before(cls, totals: Totals) -> Spent:
        """What a ledger holds."""
        tokens = (totals.prompt_tokens, totals.completion_tokens, totals.cached_tokens)
        return cls(totals.replies, *tokens, totals.unknown_usage)

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt + self.completion


class BudgetTracker:
    """Keeps a budget over everything that is asked at once."""

    def __init__(self, budget: Budget, prices: Prices | None, spent: Spent, *, section: str = "teacher") -> None:
        self.budget = budget
        self.section = section
        """Of the recipe, which says how much there is."""
        self.prices = prices
        self.spent = spent
        self._closed = False
        self._changed = asyncio.Event()
        self._under_way: dict[int, tuple[int, int]] = {}
        self._unseen = (0, 0)
        """Worst cases of replies whose tokens the server did not tell."""
        self._largest_prompt = 0
        self._tickets = 0

    async def reserve(self, request: Request) -> int:
        """A ticket for the request. Raises `BudgetUsedUp`, or `Interrupted` after `close`."""
        worst = self._worst(request)
        while True:
            if self._closed:
                raise Interrupted("stopped")
            limit = self._exceeded(worst)
            if limit is None:
                break
            if not self._under_way:
                message = f"the budget of {self.section} is used up: {limit}"
                raise BudgetUsedUp(message, hint=f"Raise it under {self.section}.budget.")
            await self._changed.wait()
        self._tickets += 1
        self._under_way[self._tickets] = worst
        return self._tickets

    def settle(self, ticket: int, reply: Reply | None) -> None:
        """Replaces what was set aside by what it cost; nothing where there is no reply."""
        worst = self._under_way.pop(ticket)
        if reply is not None:
            self._count(reply, worst)
        self._wake()

    def close(self) -> None:
        """Wakes every waiting request."""
        self._closed = True
        self._wake()

    @property
    def money(self) -> float | None:
        """What was paid so far; None is unknown."""
        return cost_of(self.spent, self.prices)

    @property
    def shown(self) -> str:
        """The same for people."""
        return shown_money(self.money, self.prices, at_least=bool(self.spent.unknown))

    def _count(self, reply: Reply, worst: tuple[int, int]) -> None:
        usage, spent = reply.usage, self.spent
        spent.requests += 1
        spent.prompt += usage.prompt or 0
        spent.completion += usage.completion or 0
        spent.cached += usage.cached or 0
        self._largest_prompt = max(self._largest_prompt, usage.prompt or 0)
        if usage.prompt is None or usage.completion is None:
            spent.unknown += 1
            left = (0 if usage.prompt is not None else worst[0], 0 if usage.completion is not None else worst[1])
            self._unseen = (self._unseen[0] + left[0], self._unseen[1] + left[1])

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _worst(self, request: Request) -> tuple[int, int]:
        characters = len(request.system) + len(request.user)
        guess = int(characters / CHARACTERS_PER_TOKEN) + PICTURE_TOKENS * len(request.pictures)
        return self._largest_prompt or guess, request.sampling.max_tokens or USUAL_REPLY

    def _exceeded(self, worst: tuple[int, int]) -> str | None:
        """Which limit the next request might break."""
        budget, spent = self.budget, self.spent
        requests = spent.requests + len(self._under_way)
        if budget.requests is not None and requests + 1 > budget.requests:
            return f"{spent.requests:,} of {budget.requests:,} requests"
        aside = [worst, self._unseen, *self._under_way.values()] if budget.limited else []
        prompt = spent.prompt + sum(each[0] for each in aside)
        completion = spent.completion + sum(each[1] for each in aside)
        if budget.tokens is not None and prompt + completion > budget.tokens:
            return f"{spent.tokens:,} of {budget.tokens:,} tokens, and a reply may take {sum(worst):,}"
        if budget.money is None or self.prices is None:
            return None
        if self.prices.cost(prompt, completion, spent.cached) <= budget.money:
            return None
        paid, most = self.prices.cost(spent.prompt, spent.completion, spent.cached), self.prices.cost(*worst)
        return f"{paid:,.4f} of {budget.money:,.2f} {self.prices.currency}, and a reply may cost {most:,.4f}"


class BudgetedSession:
    """A session whose requests are counted against a budget. What the ledger or the cache knows never comes here."""

    def __init__(self, session: Session, budget_tracker: BudgetTracker) -> None:
        self._session = session
        self._purse = budget_tracker

    async def complete(self, request: Request) -> Reply:
        """The reply, if the budget allows for it."""
        ticket = await self._purse.reserve(request)
        reply = None
        try:
            reply = await self._session.complete(request)
            return reply
        finally:
            self._purse.settle(ticket, reply)

    def drain(self) -> None:
        """Starts nothing any more."""
        self._purse.close()
        self._session.drain()

    def load(self) -> Load:
        """How busy it is."""
        return self._session.load()


def cost_of(spent: Spent, prices: Prices | None) -> float | None:
    """What it cost; None where no price is declared, or nothing is known of any tokens."""
    if prices is None or (spent.unknown and spent.unknown == spent.requests):
        return None
    return prices.cost(spent.prompt, spent.completion, spent.cached)


def shown_money(amount: float | None, prices: Prices | None, *, at_least: bool = False) -> str:
    """Money for people, as unsure as it is."""
    if amount is None or prices is None:
        return "unknown"
    digits = 2 if amount >= 1 or amount == 0 else 4
    return f"{'at least ' if at_least else ''}{amount:,.{digits}f} {prices.currency}"
