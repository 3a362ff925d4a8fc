from __future__ import annotations

import asyncio

import pytest
from scripted import reply

from mulcot.errors import Interrupted
from mulcot.teacher.base import Request, Sampling, Usage
from mulcot.teacher.labelling.budget import Budget, BudgetTracker, BudgetUsedUp, Prices, Spent, cost_of, shown_money

PRICES = Prices(prompt_per_million=2, completion_per_million=10)
ASK = Request(system="s" * 150, user="u" * 150, sampling=Sampling(max_tokens=100))
"""At worst 100 prompt tokens and 100 of the reply."""


def answer(prompt: int | None, completion: int | None, **rest: object) -> object:
    return reply("x", usage=Usage(prompt=prompt, completion=completion), **rest)


def test_unknown_prices_and_unknown_tokens_are_unknown_and_never_nothing() -> None:
    spent = Spent(requests=2, prompt=1_000_000, completion=100_000)
    assert cost_of(spent, None) is None
    assert cost_of(spent, PRICES) == 3.0
    assert cost_of(Spent(requests=2, unknown=2), PRICES) is None
    assert shown_money(None, PRICES) == "unknown"
    assert shown_money(3.0, PRICES, at_least=True) == "at least 3.00 USD"
    assert shown_money(0.0123, PRICES) == "0.0123 USD"


def test_cached_tokens_have_their_own_price_where_one_is_declared() -> None:
    assert PRICES.cost(1_000_000, 0, cached=1_000_000) == 2
    assert Prices(prompt_per_million=2, completion_per_million=1, cached_per_million=0.5).cost(1e6, 0, 1e6) == 0.5


async def test_a_request_waits_for_what_is_under_way_and_goes_where_that_cost_less_than_feared() -> None:
    budget_tracker = BudgetTracker(Budget(tokens=250), None, Spent())
    first = await budget_tracker.reserve(ASK)
    second = asyncio.create_task(budget_tracker.reserve(ASK))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not second.done()
    budget_tracker.settle(first, answer(40, 10))  # type: ignore[arg-type]
    ticket = await second
    budget_tracker.settle(ticket, answer(40, 60))  # type: ignore[arg-type]
    assert budget_tracker.spent.tokens == 150
    with pytest.raises(BudgetUsedUp, match="150 of 250 tokens"):
        for _ in range(9):
            budget_tracker.settle(await budget_tracker.reserve(ASK), answer(40, 60))  # type: ignore[arg-type]
    assert budget_tracker.spent.tokens == 150, "40 + 100 might have been more than what was left"


async def test_requests_are_counted_to_the_last_one_also_side_by_side() -> None:
    budget_tracker = BudgetTracker(Budget(requests=5), None, Spent(requests=2))
    tickets = [await budget_tracker.reserve(ASK) for _ in range(3)]
    waiting = asyncio.create_task(budget_tracker.reserve(ASK))
    await asyncio.sleep(0)
    for ticket in tickets[:2]:
        budget_tracker.settle(ticket, answer(1, 1))  # type: ignore[arg-type]
    budget_tracker.settle(tickets[2], None)
    assert await waiting, "a request that got no reply was not paid"
    assert budget_tracker.spent.requests == 4


async def test_money_stops_before_the_reply_that_could_be_too_dear() -> None:
    budget_tracker = BudgetTracker(Budget(money=0.0024), PRICES, Spent())
    budget_tracker.settle(await budget_tracker.reserve(ASK), answer(100, 100))  # type: ignore[arg-type]
    assert budget_tracker.money == 0.0012
    budget_tracker.settle(await budget_tracker.reserve(ASK), answer(100, 90))  # type: ignore[arg-type]
    with pytest.raises(BudgetUsedUp, match="USD") as caught:
        await budget_tracker.reserve(ASK)
    assert "teacher.budget" in caught.value.hint


async def test_a_reply_of_unknown_size_counts_as_its_worst_case_in_the_budget_and_as_unknown_in_the_sum() -> None:
    budget_tracker = BudgetTracker(Budget(tokens=450), PRICES, Spent())
    budget_tracker.settle(await budget_tracker.reserve(ASK), answer(None, None))  # type: ignore[arg-type]
    assert (budget_tracker.spent.tokens, budget_tracker.spent.unknown) == (0, 1)
    assert budget_tracker.money is None
    budget_tracker.settle(await budget_tracker.reserve(ASK), answer(None, None))  # type: ignore[arg-type]
    with pytest.raises(BudgetUsedUp):
        await budget_tracker.reserve(ASK)


async def test_closing_lets_nobody_wait() -> None:
    budget_tracker = BudgetTracker(Budget(requests=1), None, Spent())
    await budget_tracker.reserve(ASK)
    waiting = asyncio.create_task(budget_tracker.reserve(ASK))
    await asyncio.sleep(0)
    budget_tracker.close()
    with pytest.raises(Interrupted):
        await waiting
