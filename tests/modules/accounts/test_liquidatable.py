"""Who is below a ratio of 1, the lowest ratio of now first, without looking at anybody else."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain._pb.margin.accounts.v1 import query_pb2 as pb
from chain.modules.accounts import margin, queries
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, AccountId, Position
from chain.risk.margin import (
    MarginState,
    compare_ratios,
    compute_better_deposit_uusd,
    compute_margin_state,
)
from tests.modules.economy import ALICE, BOB, ETHER, MARKET, USD, build_economy

AMOUNTS = st.integers(-(10**20), 10**20)
REQUIREMENTS = st.integers(0, 10**20)


def add(ctx, number, cash_usd, recorded, owner=ALICE):
    """An account long 10 ETH that cost 20,000, whose equity is its cash."""
    account_id = AccountId(owner, number)
    position = Position(10 * ETHER, 20_000 * USD)
    accounts.set_account(ctx, Account(owner, number, cash_usd * USD, {MARKET: position}))
    if recorded is not MarginState.HEALTHY:
        accounts.set_margin_state(ctx, account_id, recorded, 5 + number)


@pytest.fixture
def ctx():
    """Recorded states that prices of now no longer agree with: 1,066 USD are asked of each."""
    ctx = build_economy()
    add(ctx, 0, 900, MarginState.LIQUIDATE)
    add(ctx, 1, 400, MarginState.LIQUIDATE)
    add(ctx, 2, 600, MarginState.BACKSTOP)
    add(ctx, 3, -100, MarginState.BANKRUPT)
    add(ctx, 4, 2_000, MarginState.LIQUIDATE)
    add(ctx, 5, 10, MarginState.HEALTHY)
    add(ctx, 1, 400, MarginState.LIQUIDATE, owner=BOB)
    return ctx


def ask(ctx, **fields):
    return queries.query_liquidatable(ctx, pb.QueryLiquidatableRequest(**fields))


def test_the_lowest_ratio_of_now_is_first_then_the_id(ctx):
    answer = ask(ctx)
    assert [(line.owner, line.number) for line in answer.accounts] == [
        (ALICE, 3),
        *sorted([(ALICE, 1), (BOB, 1)]),
        (ALICE, 2),
        (ALICE, 0),
        (ALICE, 4),
    ]
    assert not answer.is_partial
    last = answer.accounts[-1]
    assert (last.state, last.state_now) == (MarginState.LIQUIDATE, MarginState.HEALTHY)
    for line in answer.accounts:
        found = margin.compute_account_margin(
            ctx, accounts.require_account(ctx, AccountId(line.owner, line.number))
        )
        assert (int(line.equity_uusd), int(line.maintenance_uusd)) == (
            found.equity_uusd,
            found.maintenance_uusd,
        )
        assert line.state_now == found.state
        assert line.since_height == 5 + line.number


def test_a_limit_takes_the_worst(ctx):
    assert [line.number for line in ask(ctx, limit=1).accounts] == [3]


def test_work_is_bounded_and_said_so(ctx, monkeypatch):
    monkeypatch.setattr(queries, "LIQUIDATABLE_COMPUTED_MAX", 2)
    answer = ask(ctx)
    assert answer.is_partial
    assert [line.number for line in answer.accounts] == [3, 2]


@given(AMOUNTS, REQUIREMENTS, AMOUNTS, REQUIREMENTS)
def test_ratios_compare_as_fractions_do(equity, asked, other_equity, other_asked):
    order = compare_ratios((equity, asked), (other_equity, other_asked))
    assert order == -compare_ratios((other_equity, other_asked), (equity, asked))
    if asked and other_asked:
        left, right = Fraction(equity, asked), Fraction(other_equity, other_asked)
        assert (order > 0, order < 0) == (left > right, left < right)
    elif asked or other_asked:
        free = equity if not asked else other_equity
        assert (order > 0) == ((free >= 0) == (asked == 0))


@given(AMOUNTS, REQUIREMENTS)
def test_the_least_deposit_that_helps(equity, asked):
    state = compute_margin_state(equity, asked)
    needed = compute_better_deposit_uusd(equity, asked)
    if state is MarginState.HEALTHY:
        assert needed == 0
        return
    assert needed > 0
    assert compute_margin_state(equity + needed, asked) < state
    assert compute_margin_state(equity + needed - 1, asked) is state
