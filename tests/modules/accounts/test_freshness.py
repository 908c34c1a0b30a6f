"""New risk rests on nothing stale: prices, and proofs of what lies on other chains (row 45)."""

from dataclasses import replace

import pytest

from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.errors import ChainError
from chain.modules.accounts import freshness, margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.accounts.types import AccountId
from chain.modules.collateral import state as collateral
from chain.modules.oracle.errors import PriceNotUsable
from chain.modules.scenarios import state as scenarios
from chain.risk.margin import MarginState
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    NOW,
    SELL,
    advance,
    agree,
    build_asset_params,
    build_economy,
    deposit,
    place,
    set_step_bound,
    withdraw,
)
from tests.modules.margin_network import build_asset, build_listing, build_network, touch_client

ACCOUNT = AccountId(ALICE, 0)
CASH = 3_000


@pytest.fixture
def ctx():
    """ALICE holds 20,000 USDC over a route, BOB quotes both sides of ETH at 2,000."""
    ctx = build_network().hub.ctx
    collateral.set_asset(ctx, build_asset(asset="USDC"))
    collateral.set_listing(ctx, build_listing(asset="USDC", denom="uusdc", decimals=6))
    key = collateral.compute_lien_key(collateral.require_route(ctx, "alpha"), "uusdc")
    accounts.credit_lien(ctx, ACCOUNT, key, 20_000 * 10**6)
    deposit(ctx, BOB, 500_000)
    for side, price in ((SELL, 200_001), (BUY, 199_999)):
        place(ctx, BOB, side, 100 * ETHER, price)
    return ctx


def buy(ctx, quantums=ETHER):
    return place(ctx, ALICE, BUY, quantums, tif=NOW)


def let_usdc_age(ctx):
    for _ in range(4):
        advance(ctx, 10, ETH=2_000)
        touch_client(ctx)


def test_collateral_with_a_stale_price_carries_no_new_risk(ctx):
    buy(ctx)
    let_usdc_age(ctx)
    with pytest.raises(InsufficientMargin, match="price of USDC is 40 s old") as refused:
        buy(ctx)
    assert "uusd short" in str(refused.value)
    place(ctx, ALICE, SELL, ETHER, tif=NOW, reduce_only=True)
    advance(ctx, 1, ETH=2_000, USDC=1)
    buy(ctx)


def test_an_account_that_has_enough_without_it_trades_on(ctx):
    deposit(ctx, ALICE, CASH)
    let_usdc_age(ctx)
    buy(ctx)
    with pytest.raises(InsufficientMargin, match="price of USDC"):
        buy(ctx, 20 * ETHER)


def test_collateral_that_was_long_not_proven_carries_no_new_risk(ctx):
    deposit(ctx, ALICE, CASH)
    buy(ctx)
    # 3,590 s and the ten of clock drift that the route's client allows.
    advance(ctx, 3_590, ETH=2_000, USDC=1)
    buy(ctx)
    advance(ctx, 1, ETH=2_000, USDC=1)
    with pytest.raises(InsufficientMargin, match=r"USDC is 0 s old .* proven 3601 s ago"):
        buy(ctx, 20 * ETHER)
    with pytest.raises(PriceNotUsable, match="proven 3601 s ago"):
        withdraw(ctx, ALICE, 1)
    touch_client(ctx)
    withdraw(ctx, ALICE, 1)
    buy(ctx, 20 * ETHER)


def test_profit_at_a_price_still_moving_carries_no_new_risk(ctx):
    """Cash alone carries one ether of two, and its profit at a moving price not the second."""
    account = accounts.require_account(ctx, ACCOUNT)
    account.liens = {}
    account.cash_uusd = 1_000 * 10**6
    buy(ctx)
    account.positions = accounts.require_account(ctx, ACCOUNT).positions
    advance(ctx, 1, ETH=2_500, USDC=1)
    found = margin.compute_account_margin(ctx, account)
    assert found.state is MarginState.HEALTHY
    (line,) = found.positions
    assert line.unrealised_uusd > 0
    tight = replace(found, initial_uusd=found.equity_initial_uusd - 10**6)
    assert freshness.find_refusal(ctx, tight) == ""
    set_step_bound(ctx)
    assert "still moving" in freshness.find_refusal(ctx, tight)
    assert freshness.find_refusal(ctx, replace(found, initial_uusd=0)) == ""


def build_quoted(stable):
    """ETH is quoted in a stable asset; ALICE and BOB have cash."""
    ctx = build_economy(assets=[build_asset_params(asset) for asset in ("DAI", "ETH", "USDC")])
    underlying = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", stable_asset=stable)
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=underlying))
    for owner in (ALICE, BOB):
        deposit(ctx, owner, 100_000)
    return ctx


def test_an_underlying_takes_no_risk_before_its_stable_has_a_price():
    """A missing price is no favourable answer: nobody could tell a depeg."""
    ctx = build_quoted("DAI")
    with pytest.raises(ChainError, match="ETH is quoted in DAI: DAI has no price yet"):
        place(ctx, BOB, SELL, 10 * ETHER, 200_001)
    agree(ctx, DAI=1, ETH=2_000, USDC=1)
    place(ctx, BOB, SELL, 10 * ETHER, 200_001)
    buy(ctx)


@pytest.mark.parametrize("is_stale", [True, False])
def test_an_underlying_takes_no_new_risk_while_its_stable_price_is_not_good_for_it(is_stale):
    ctx = build_quoted("USDC")
    place(ctx, BOB, SELL, 10 * ETHER, 200_001)
    buy(ctx, 2 * ETHER)
    if is_stale:
        advance(ctx, 31)
        agree(ctx, ETH=2_000)
    else:
        set_step_bound(ctx, "USDC")
    with pytest.raises(InsufficientMargin, match="ETH is quoted in USDC"):
        buy(ctx)
    with pytest.raises(PriceNotUsable, match="ETH is quoted in USDC"):
        withdraw(ctx, ALICE, 1)
    place(ctx, BOB, BUY, ETHER, 200_000, reduce_only=True)
    place(ctx, ALICE, SELL, ETHER, tif=NOW, reduce_only=True)
    advance(ctx, 1, ETH=2_000, USDC=1)
    buy(ctx)
    withdraw(ctx, ALICE, 1)


def test_refusals_write_nothing(ctx):
    let_usdc_age(ctx)
    before = accounts.require_account(ctx, ACCOUNT)
    with pytest.raises(ChainError):
        buy(ctx)
    assert accounts.require_account(ctx, ACCOUNT) == before
