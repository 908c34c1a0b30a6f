"""What would change an account's state: each figure is tried on the chain's own margin."""

import pytest

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.desk.v1 import query_pb2 as pb
from chain.errors import ChainError
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.recompute import recompute_explanation
from chain.modules.accounts.types import AccountId
from chain.modules.desk import explain, probing
from chain.modules.desk import greeks as desk
from chain.risk.margin import MarginState
from chain.runtime.errors import InvalidRequest
from chain.units import WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    SELL,
    deposit,
    place,
    set_step_bound,
    withdraw,
)
from tests.modules.margin_network import ETH, build_network

ACCOUNT = AccountId(ALICE, 0)
UNIT = 10**12


@pytest.fixture
def network():
    """ALICE: 10 ETH of collateral, 10,000 of cash, long 100 ETH at 2,000; BOB is short."""
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    deposit(ctx, BOB, 500_000)
    deposit(ctx, ALICE, 10_000)
    place(ctx, BOB, SELL, 100 * ETHER, 200_000)
    place(ctx, ALICE, BUY, 100 * ETHER, 200_000)
    return network


@pytest.fixture
def ctx(network):
    return network.hub.ctx


def ask(ctx, owner=ALICE):
    return explain.query_explain(ctx, pb.QueryExplainRequest(owner=owner))


def get_state(ctx, price_wad=None, cash_uusd=0, owner=ALICE):
    child = ctx.branch()
    if price_wad is not None:
        probing.set_price(child, "ETH", price_wad)
    account = accounts.require_account(child, AccountId(owner, 0))
    account.cash_uusd += cash_uusd
    return margin.compute_account_margin(child, account).state


def test_a_healthy_account_is_told_where_it_gets_worse_and_what_may_leave(ctx):
    answer = ask(ctx)
    assert answer.margin.state == MarginState.HEALTHY == get_state(ctx)
    assert recompute_explanation(answer.margin) == []
    assert (answer.deposit_uusd, answer.withdrawal_refusal) == ("", "")
    (row,) = answer.prices
    assert (row.asset, row.worse_above_wad, row.better_below_wad) == ("ETH", "", "")
    worse = int(row.worse_below_wad)
    assert get_state(ctx, worse) is MarginState.MARGIN_CALL
    assert get_state(ctx, worse + UNIT) is MarginState.HEALTHY
    (greeks,) = answer.greeks
    asked = desk.query_greeks(ctx, pb.QueryGreeksRequest(owner=ALICE))
    assert [greeks] == list(asked.underlyings)
    assert (greeks.delta_wad, greeks.collateral_delta_wad) == (str(100 * WAD), str(10 * WAD))


def test_what_may_leave_is_exact_to_the_unit(network, ctx):
    answer = ask(ctx)
    cash = int(answer.withdrawable_uusd)
    assert 0 < cash < 10_000 * 10**6
    with pytest.raises(ChainError):
        withdraw(ctx.branch(), ALICE, cash + 1)
    withdraw(ctx.branch(), ALICE, cash)
    (lien,) = answer.liens
    assert (lien.route_id, lien.amount) == ("alpha", str(10 * ETH))
    amount = int(lien.withdrawable)
    assert 0 < amount < 10 * ETH
    with pytest.raises(ChainError):
        network.withdraw(amount + 1)
    network.withdraw(amount)
    assert ask(ctx).liens[0].withdrawable == "0"


def test_without_positions_all_of_it_may_leave():
    network = build_network()
    network.deposit(ETH)
    ctx = network.hub.ctx
    deposit(ctx, ALICE, 100)
    answer = ask(ctx)
    assert answer.withdrawable_uusd == str(100 * 10**6)
    assert answer.liens[0].withdrawable == str(ETH)
    network.withdraw(ETH)
    with pytest.raises(ChainError):
        network.withdraw(1)


@pytest.mark.parametrize(
    ("usd", "present", "after"),
    [
        (1_860, MarginState.MARGIN_CALL, MarginState.HEALTHY),
        (1_850, MarginState.REDUCE_ONLY, MarginState.MARGIN_CALL),
        (1_830, MarginState.LIQUIDATE, MarginState.REDUCE_ONLY),
        (1_780, MarginState.BACKSTOP, MarginState.LIQUIDATE),
        (1_700, MarginState.BANKRUPT, MarginState.BACKSTOP),
    ],
)
def test_the_least_deposit_lifts_the_state_and_one_less_does_not(ctx, usd, present, after):
    probing.set_price(ctx, "ETH", usd * WAD)
    assert get_state(ctx) is present
    answer = ask(ctx)
    needed = int(answer.deposit_uusd)
    assert answer.deposit_state == after == get_state(ctx, cash_uusd=needed)
    assert get_state(ctx, cash_uusd=needed - 1) is present
    assert answer.withdrawal_refusal
    assert (answer.withdrawable_uusd, answer.liens[0].withdrawable) == ("0", "0")
    (row,) = answer.prices
    better = int(row.better_above_wad)
    assert get_state(ctx, better) < present
    assert get_state(ctx, better - UNIT) is present
    if present is MarginState.BANKRUPT:
        assert row.worse_below_wad == ""
    else:
        worse = int(row.worse_below_wad)
        assert get_state(ctx, worse) > present
        assert get_state(ctx, worse + UNIT) is present


def test_a_short_gets_worse_above(ctx):
    (row,) = ask(ctx, BOB).prices
    assert row.worse_below_wad == ""
    worse = int(row.worse_above_wad)
    assert get_state(ctx, worse, owner=BOB) > get_state(ctx, worse - UNIT, owner=BOB)


def test_a_price_that_allows_no_withdrawal_is_said(ctx):
    set_step_bound(ctx)
    answer = ask(ctx)
    assert "still moving" in answer.withdrawal_refusal
    assert (answer.withdrawable_uusd, answer.liens[0].withdrawable) == ("0", "0")


def test_the_recorded_state_is_told_beside_that_of_now(ctx):
    accounts.set_margin_state(ctx, ACCOUNT, MarginState.REDUCE_ONLY, 7)
    answer = ask(ctx)
    assert answer.recorded_state == accounts_pb2.MARGIN_STATE_REDUCE_ONLY
    assert answer.recorded_since_height == 7


def test_work_is_bounded(ctx, monkeypatch):
    monkeypatch.setattr(explain, "UNDERLYINGS_MAX", 0)
    with pytest.raises(InvalidRequest, match="depends on 1 underlyings, the most of one query"):
        ask(ctx)


def test_it_writes_nothing(ctx):
    before = {name: dict(writes) for name, writes in ctx.store.net_writes().items()}
    ask(ctx)
    assert ctx.store.net_writes() == before
