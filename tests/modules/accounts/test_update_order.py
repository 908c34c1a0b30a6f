"""GMR does not depend on the order in which one set of updates arrives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, LienKey, MarginMode
from chain.modules.markets import settlement
from chain.modules.markets import state as markets
from chain.modules.scenarios import state as scenarios
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
    advance,
    assert_cash_backed,
    deposit,
    fix_haircuts,
    get_account,
    place,
)
from tests.modules.instruments import (
    CALL,
    FUTURE,
    PUT,
    SPOT,
    build_future,
    build_instruments,
    build_option,
    build_put,
    build_spot,
    deposit_base,
    trade,
)

TRADERS = (ALICE, BOB, CAROL)
PRICES_CENTS = {MARKET: 200_000, FUTURE: 200_000, SPOT: 200_000, CALL: 18_000, PUT: 18_000}
SET = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", stable_asset="USDC")

traders = st.sampled_from(TRADERS)
updates = st.one_of(
    st.tuples(st.just("deposit"), traders, st.integers(1, 1_000)),
    st.tuples(st.just("lien"), traders, st.integers(1, 3 * WAD), st.sampled_from("abc")),
    st.tuples(
        st.just("trade"),
        st.permutations(TRADERS),
        st.sampled_from((MARKET, CALL, PUT, FUTURE, SPOT)),
        st.integers(1, 5_000),
        st.integers(-2, 2),
    ),
    st.tuples(st.just("settle"), traders),
)


def build_world():
    """Everybody holds a position, on which funding is owed that nobody has settled yet."""
    ctx = build_instruments(build_option(), build_put(), build_future(), build_spot(), usd=300_000)
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=SET))
    for trader in TRADERS:
        deposit_base(ctx, trader, 50 * WAD)
    for maker, taker, size in ((ALICE, BOB, 7 * ETHER), (CAROL, BOB, 3 * ETHER + 1_000)):
        place(ctx, maker, SELL, size, 200_000)
        place(ctx, taker, BUY, size, 200_000, tif=NOW)
    state = markets.get_market_state(ctx, MARKET)
    state.funding_index_wad += WAD // 7
    markets.set_market_state(ctx, MARKET, state)
    return ctx


def apply_update(ctx, update):
    kind, *rest = update
    if kind == "deposit":
        deposit(ctx, *rest)
    elif kind == "lien":
        owner, amount, chain = rest
        lien = LienKey(f"{chain}-1", "aeth", "main", chain)
        accounts.credit_lien(ctx, AccountId(owner, 0), lien, amount)
    elif kind == "trade":
        (maker, taker, _), market, steps, percent = rest
        size = steps * (10**15 if market == SPOT else 1_000)
        cents = PRICES_CENTS[market] * (100 + percent) // 100
        trade(ctx, maker, market, SELL, size, cents)
        trade(ctx, taker, market, BUY, size, cents, tif=NOW)
    else:
        account = get_account(ctx, rest[0])
        market_state = markets.get_market_state(ctx, MARKET)
        settlement.settle_funding(ctx, account, market_state, MARKET)
        accounts.set_account(ctx, account)


def take_figures(ctx):
    """What GMR is made of, and the initial requirement, of each account in both modes."""
    figures = []
    for trader in TRADERS:
        for mode in MarginMode:
            account = get_account(ctx, trader)
            account.margin_mode = mode
            result = margin.compute_account_margin(ctx, account)
            figures.append((result.equity_uusd, result.maintenance_uusd, result.initial_uusd))
    return figures


@settings(max_examples=15, deadline=None)
@given(st.lists(updates, min_size=2, max_size=8), st.data())
def test_any_order_of_updates_gives_the_same_ratio(sent, data):
    with pytest.MonkeyPatch.context() as patch:
        fix_haircuts(patch)
        figures = []
        for order in (sent, data.draw(st.permutations(sent))):
            ctx = build_world()
            for update in order:
                apply_update(ctx, update)
            assert_cash_backed(ctx)
            figures.append(take_figures(ctx))
        assert figures[0] == figures[1]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1_500, 2_500), min_size=1, max_size=6))
def test_the_ratio_depends_on_the_last_price_alone(path):
    """Equity and requirement follow the price there and back without a memory of the way."""
    with pytest.MonkeyPatch.context() as patch:
        fix_haircuts(patch)
        ctx = build_world()
        accounts.credit_lien(
            ctx, AccountId(BOB, 0), LienKey("a-1", "aeth", "main", "a"), 3 * WAD + 1
        )
        equities = [row[0] for row in take_figures(ctx)]
        for price in path:
            advance(ctx, 1, ETH=price, USDC=1)
        advance(ctx, 1, ETH=2_000, USDC=1)
        assert [row[0] for row in take_figures(ctx)] == equities
