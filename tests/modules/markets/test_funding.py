from dataclasses import replace

import pytest

from chain.modules.accounts import state as accounts
from chain.modules.markets import funding, state
from chain.modules.markets.funding import compute_funding_rate_ppm, compute_premium_ppm
from chain.modules.oracle import state as oracle
from chain.units import WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    ETHER,
    MARKET,
    NOW,
    SELL,
    USD,
    advance,
    assert_identities,
    build_economy,
    build_market,
    deposit,
    get_account,
    place,
)


@pytest.fixture
def ctx():
    context = build_economy()
    for trader in (ALICE, BOB, CAROL):
        deposit(context, trader, 100_000)
    place(context, ALICE, SELL, 10 * ETHER, 200_000)
    place(context, BOB, BUY, 10 * ETHER, tif=NOW)
    funding.end_block(context)
    return context


def test_longs_pay_shorts_while_the_book_is_above_the_oracle(ctx):
    # Middle 2,008: a premium of 4,000 ppm, 500 an hour, under the cap of 1,000.
    place(ctx, CAROL, BUY, ETHER, 200_700)
    place(ctx, CAROL, SELL, ETHER, 200_900)
    cash = {owner: get_account(ctx, owner).cash_uusd for owner in (ALICE, BOB)}
    market_state = state.get_market_state(ctx, MARKET)
    market_state.premium_samples = market_state.premium_sum_ppm = 0
    state.set_market_state(ctx, MARKET, market_state)
    advance(ctx, 3_600, ETH=2_000, USDC=1)
    funding.end_block(ctx)
    assert state.get_market_state(ctx, MARKET).funding_index_wad == WAD  # 2,000 · 500 ppm a unit
    place(ctx, BOB, SELL, 10 * ETHER, 195_000, reduce_only=True)
    place(ctx, ALICE, BUY, 10 * ETHER, 200_700)
    assert_identities(ctx)
    paid = accounts.get_funding_pool(ctx, MARKET)
    assert paid >= 0
    assert cash[ALICE] != get_account(ctx, ALICE).cash_uusd


def test_funding_moves_cash_between_the_two_sides_exactly(ctx):
    market_state = state.get_market_state(ctx, MARKET)
    market_state.funding_index_wad = WAD // 2
    state.set_market_state(ctx, MARKET, market_state)
    before = {owner: get_account(ctx, owner).cash_uusd for owner in (ALICE, BOB)}
    place(ctx, BOB, SELL, 10 * ETHER, 200_000)
    place(ctx, ALICE, BUY, 10 * ETHER, tif=NOW)
    fee_bob, fee_alice = 4 * USD, 10 * USD
    assert get_account(ctx, BOB).cash_uusd == before[BOB] - 5 * USD - fee_bob
    assert get_account(ctx, ALICE).cash_uusd == before[ALICE] + 5 * USD - fee_alice
    assert accounts.get_funding_pool(ctx, MARKET) == 0
    assert_identities(ctx)


def test_one_sided_book_has_no_premium_and_rates_are_capped():
    market = state.decode_market(build_market())
    assert compute_premium_ppm(market, None, 210_000, 2_000 * WAD) == 0
    assert compute_premium_ppm(market, 200_000, 201_000, 2_000 * WAD) == 2_500
    assert compute_premium_ppm(market, 300_000, 300_000, 2_000 * WAD) == 8_000
    assert compute_funding_rate_ppm(market, 80_000, 10) == 1_000
    assert compute_funding_rate_ppm(market, -80_000_000, 10) == -1_000
    assert compute_funding_rate_ppm(market, 0, 0) == 0


def test_stale_price_neither_samples_nor_pays(ctx):
    place(ctx, CAROL, BUY, ETHER, 200_700)
    place(ctx, CAROL, SELL, ETHER, 200_900)
    before = state.get_market_state(ctx, MARKET)
    advance(ctx, 7_200)
    funding.end_block(ctx)
    assert state.get_market_state(ctx, MARKET) == before


def test_broken_market_does_not_stop_the_others(ctx, monkeypatch):
    state.set_market(ctx, build_market(id="A-USD", asset="USDC"))
    original = funding._update_market

    def update(child, market, interval_s):
        if market.id == "A-USD":
            raise ZeroDivisionError
        original(child, market, interval_s)

    monkeypatch.setattr(funding, "_update_market", update)
    samples = state.get_market_state(ctx, MARKET).premium_samples
    funding.end_block(ctx)
    assert [dict(e.attributes)["market"] for e in ctx.events if e.type == "funding_failed"] == [
        "A-USD"
    ]
    assert state.get_market_state(ctx, MARKET).premium_samples == samples + 1


def test_smallest_price_does_not_divide_by_zero(ctx):
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(ctx, replace(price, price_wad=1, raw_median_wad=1))
    funding.end_block(ctx)
    assert not [event for event in ctx.events if event.type == "funding_failed"]
