from dataclasses import replace

import pytest

from chain._pb.margin.accounts.v1 import query_pb2
from chain.modules.accounts import margin, queries
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import InsufficientMargin, TooManyLines
from chain.modules.accounts.types import AccountId, LienKey
from chain.modules.oracle import state as oracle
from chain.modules.oracle.errors import PriceNotUsable
from chain.risk.margin import MarginState
from chain.units import WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETH_LIEN,
    ETHER,
    MARKET,
    NOW,
    SELL,
    USD,
    advance,
    build_economy,
    deposit,
    fix_haircuts,
    get_account,
    place,
    set_step_bound,
    withdraw,
)

ID = AccountId(BOB, 0)


@pytest.fixture
def ctx(monkeypatch):
    fix_haircuts(monkeypatch)
    context = build_economy()
    deposit(context, ALICE, 500_000)
    accounts.credit_lien(context, ID, ETH_LIEN, 10 * WAD)
    return context


def compute(ctx, owner=BOB):
    return margin.compute_account_margin(ctx, get_account(ctx, owner))


def open_long(ctx, quantums):
    place(ctx, ALICE, SELL, quantums, 200_000)
    place(ctx, BOB, BUY, quantums, tif=NOW)


def test_lien_counts_its_floored_value(ctx):
    assert compute(ctx).equity_uusd == 16_446_360_000


def test_three_chains_are_one_equity_and_each_line_adds_its_value(ctx):
    for chain_id, amount in (("beta-1", 7 * WAD), ("gamma-1", 3 * WAD + 1)):
        accounts.credit_lien(ctx, ID, LienKey(chain_id, "aeth", "main", chain_id), amount)
    whole = compute(ctx)
    assert len(whole.liens) == 3
    for line in whole.liens:
        account = get_account(ctx, BOB)
        del account.liens[line.lien]
        rest = margin.compute_account_margin(ctx, account)
        assert whole.equity_uusd - rest.equity_uusd == line.value.counted_uusd > 0


def test_lines_of_an_account_are_bounded(ctx):
    for index in range(127):
        accounts.credit_lien(ctx, ID, LienKey("alpha-1", f"d{index}", "main", "alpha"), 1)
    with pytest.raises(TooManyLines):
        accounts.credit_lien(ctx, ID, LienKey("alpha-1", "more", "main", "alpha"), 1)
    accounts.credit_lien(ctx, ID, ETH_LIEN, 1)


def test_lien_totals_follow_every_change(ctx):
    accounts.credit_lien(ctx, AccountId(BOB, 3), ETH_LIEN, 5)
    accounts.credit_lien(ctx, AccountId(ALICE, 0), ETH_LIEN, 7)
    assert accounts.get_owner_lien_total(ctx, BOB, "alpha-1", "aeth") == 10 * WAD + 5
    assert accounts.get_lien_total(ctx, "alpha-1", "aeth") == 10 * WAD + 12
    accounts.debit_lien(ctx, ID, ETH_LIEN, 10 * WAD)
    assert accounts.get_route_lien_total(ctx, "alpha", "alpha-1", "aeth") == 12
    assert ETH_LIEN not in get_account(ctx, BOB).liens


def test_states_follow_the_price_down(ctx):
    open_long(ctx, 40 * ETHER)
    seen = [compute(ctx).state]
    for price in range(1_950, 1_300, -10):
        advance(ctx, 1, ETH=price, USDC=1)
        state = compute(ctx).state
        if state is not seen[-1]:
            seen.append(state)
    assert seen == [state for state in MarginState if state >= seen[0]]
    assert seen[-1] is MarginState.BANKRUPT


def test_longer_delta_t_lowers_the_ratio_in_the_same_block(ctx, monkeypatch):
    open_long(ctx, 20 * ETHER)
    before = compute(ctx)
    fix_haircuts(monkeypatch, latency_ppm=36_264)
    after = compute(ctx)
    assert after.maintenance_uusd == before.maintenance_uusd
    assert after.equity_uusd < before.equity_uusd


def test_profit_counts_in_part_for_initial_margin(ctx):
    open_long(ctx, ETHER)
    advance(ctx, 1, ETH=2_100, USDC=1)
    line = compute(ctx)
    assert line.unrealised_uusd == 100 * USD
    assert line.equity_uusd - line.equity_initial_uusd == 20 * USD


def test_withdrawal_needs_the_ratio_after_it_to_the_unit(ctx):
    deposit(ctx, BOB, 50_000)
    open_long(ctx, 200 * ETHER)
    explained = queries.explain_margin(ctx, get_account(ctx, BOB))
    free = int(explained.withdrawable_uusd)
    assert 0 < free < get_account(ctx, BOB).cash_uusd
    before = get_account(ctx, BOB)
    with pytest.raises(InsufficientMargin) as refusal:
        withdraw(ctx, BOB, free + 1)
    assert "deposit 1 uusd" in refusal.value.detail
    assert get_account(ctx, BOB) == before
    withdraw(ctx, BOB, free)
    assert queries.explain_margin(ctx, get_account(ctx, BOB)).withdrawable_uusd == "0"


def test_lien_cannot_leave_at_a_low_ratio(ctx):
    open_long(ctx, 40 * ETHER)
    after = get_account(ctx, BOB)
    after.liens[ETH_LIEN] -= 7 * WAD
    with pytest.raises(InsufficientMargin):
        margin.require_withdrawable(ctx, after)


def test_withdrawal_waits_for_a_good_price_unless_nothing_can_be_owed(ctx):
    deposit(ctx, BOB, 1_000)
    advance(ctx, 1_000)
    withdraw(ctx, BOB, 1)  # No position: no price is needed.
    advance(ctx, 1, ETH=2_000, USDC=1)
    open_long(ctx, ETHER)
    withdraw(ctx, BOB, 1)
    set_step_bound(ctx)
    with pytest.raises(PriceNotUsable):
        withdraw(ctx, BOB, 1)
    advance(ctx, 31)
    with pytest.raises(PriceNotUsable):
        withdraw(ctx, BOB, 1)


def test_debt_without_position_holds_collateral_back(ctx):
    account = get_account(ctx, BOB)
    account.cash_uusd = -16_000 * USD
    accounts.set_account(ctx, account)
    margin.require_withdrawable(ctx, get_account(ctx, BOB))
    after = get_account(ctx, BOB)
    after.liens[ETH_LIEN] -= WAD
    with pytest.raises(InsufficientMargin):
        margin.require_withdrawable(ctx, after)


def test_explanation_shows_every_factor(ctx):
    open_long(ctx, ETHER)
    answer = queries.query_margin(ctx, query_pb2.QueryMarginRequest(owner=BOB)).margin
    lien, position = answer.liens[0], answer.positions[0]
    assert (lien.value_uusd, lien.haircut_ppm, lien.counted_uusd) == (
        "20000000000",
        "177682",
        "16446360000",
    )
    assert (lien.latency_ppm, lien.security_ppm, lien.size_weight_ppm) == (
        "12822",
        "20000",
        "1000000",
    )
    assert position.maintenance_uusd == str(2_000 * (50_000 + int(position.latency_ppm)))
    assert int(answer.equity_uusd) == int(answer.collateral_uusd) + int(answer.cash_uusd) + int(
        answer.unrealised_uusd
    )
    assert answer.gmr_ppm == str(int(answer.equity_uusd) * 10**6 // int(answer.maintenance_uusd))


def test_lien_without_a_price_counts_nothing(ctx, monkeypatch):
    fix_haircuts(monkeypatch, asset="NEW")
    assert compute(ctx).equity_uusd == 0


def test_raised_volatility_raises_both_requirements(ctx):
    open_long(ctx, 10 * ETHER)
    before = compute(ctx)
    record = oracle.get_volatility_record(ctx, "ETH")
    oracle.set_volatility_record(ctx, "ETH", replace(record, volatility_wad=3 * WAD))
    after = compute(ctx)
    assert after.maintenance_uusd > before.maintenance_uusd
    assert (
        after.initial_uusd - before.initial_uusd > after.maintenance_uusd - before.maintenance_uusd
    )
    assert after.positions[0].market == MARKET
