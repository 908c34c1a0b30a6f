"""Matching where the kind of the market decides: bands, what spot needs, caps of options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import query_pb2, tx_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts import handlers as accounts_handlers
from chain.modules.accounts import margin
from chain.modules.accounts.errors import InsufficientCash, InsufficientMargin
from chain.modules.accounts.types import AccountId, MarginMode
from chain.modules.markets import marks, queries, state
from chain.modules.markets.errors import (
    InsufficientBase,
    OpenInterestLimit,
    PriceOutOfBand,
    ReduceOnly,
)
from chain.modules.markets.matching import compute_band
from chain.modules.markets.settlement import apply_spot_trade
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.units import NANOSECONDS, PPM, WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    ETHER,
    MARKET,
    NOW,
    POST,
    SELL,
    USD,
    advance,
    deliver,
    deposit,
    get_account,
)
from tests.modules.instruments import (
    CALL,
    EXPIRY_S,
    FUTURE,
    PUT,
    SPOT,
    build_future,
    build_instruments,
    build_option,
    build_spot,
    deposit_base,
    trade,
    withdraw_base,
)

MILLI = 10**15
TICK = WAD // 100


@pytest.fixture
def ctx():
    return build_instruments()


def get_mark(ctx, market_id):
    market = state.require_market(ctx, market_id)
    return market, marks.compute_mark(ctx, market, oracle.get_price(ctx, market.asset).price_wad)


def list_cancelled(ctx):
    return [
        dict(event.attributes)["reason"] for event in ctx.events if event.type == "order_cancelled"
    ]


# Bands


@pytest.mark.parametrize("market_id", [CALL, PUT, FUTURE, SPOT, MARKET])
def test_the_band_is_open_to_its_edges_and_no_further(ctx, market_id):
    market, mark = get_mark(ctx, market_id)
    low, high = compute_band(market, mark)
    size = MILLI if market_id == SPOT else 1_000
    if market_id == SPOT:
        deposit_base(ctx, ALICE, WAD)
    for ticks in {low, high}:
        trade(ctx, ALICE, market_id, SELL, size, ticks)
    outside = [high + 1] if low == 1 else [low - 1, high + 1]
    for ticks in outside:
        with pytest.raises(PriceOutOfBand):
            trade(ctx, ALICE, market_id, SELL, size, ticks)


def test_an_options_band_is_a_share_of_the_spot_around_its_mark():
    ctx = build_instruments(build_option(strike=1_000))
    market, mark = get_mark(ctx, CALL)
    width = 2_000 * WAD * market.price_band_ppm // PPM
    low, high = compute_band(market, mark)
    assert mark.price_wad - width <= low * TICK < mark.price_wad - width + TICK
    assert mark.price_wad + width - TICK < high * TICK <= mark.price_wad + width


def test_a_futures_band_lies_around_the_forward(ctx):
    market = state.require_market(ctx, FUTURE)
    mark = marks.Mark(2_100 * WAD, 2_000 * WAD)
    assert compute_band(market, mark) == (189_000, 231_000)


@given(
    st.integers(0, 10**26),
    st.integers(1, 10**24),
    st.integers(1, PPM // 2),
    st.integers(1, 10**22),
)
def test_an_options_band_has_a_price_at_least_a_tick_wide(mark_wad, spot_wad, band, tick):
    market = state.decode_market(build_option(price_band_ppm=band, tick_wad=str(tick)))
    low, high = compute_band(market, marks.Mark(mark_wad, spot_wad))
    assert 1 <= low <= high
    # A tick on either side of the mark is inside.
    assert low * tick <= max(tick, mark_wad)
    assert (high + 1) * tick > mark_wad + tick or high * tick >= mark_wad


def test_a_worthless_option_can_be_bought_back_for_a_tick():
    ctx = build_instruments(build_option(strike=20_000))
    _, mark = get_mark(ctx, CALL)
    assert mark.price_wad < TICK
    trade(ctx, ALICE, CALL, SELL, 1_000, 1)
    assert trade(ctx, BOB, CALL, BUY, 1_000, tif=NOW).filled_quantums == "1000"


# Spot


def test_spot_settles_cash_and_base_at_once(ctx):
    deposit_base(ctx, ALICE, 2 * WAD)
    trade(ctx, ALICE, SPOT, SELL, 2 * WAD, 200_000)
    result = trade(ctx, BOB, SPOT, BUY, WAD + 500 * MILLI, tif=NOW)
    assert result.filled_quantums == str(WAD + 500 * MILLI)
    alice, bob = get_account(ctx, ALICE), get_account(ctx, BOB)
    assert alice.cash_uusd == 100_000 * USD + 3_000 * USD - 600_000
    assert bob.cash_uusd == 100_000 * USD - 3_000 * USD - 1_500_000
    assert alice.positions[SPOT].size_quantums == 500 * MILLI
    assert bob.positions[SPOT].size_quantums == WAD + 500 * MILLI
    assert bob.positions[SPOT].cost_uusd == 0
    withdraw_base(ctx, BOB, WAD)


def test_a_sell_needs_what_no_other_sell_has_promised(ctx):
    for tif in (NOW, POST):
        with pytest.raises(InsufficientBase):
            trade(ctx, ALICE, SPOT, SELL, MILLI, 200_000, tif=tif)
    deposit_base(ctx, ALICE, 3 * MILLI)
    trade(ctx, ALICE, SPOT, SELL, 2 * MILLI, 200_000)
    with pytest.raises(InsufficientBase, match="promised"):
        trade(ctx, ALICE, SPOT, SELL, 2 * MILLI, 201_000)
    trade(ctx, ALICE, SPOT, SELL, MILLI, 201_000)
    with pytest.raises(InsufficientBase):
        trade(ctx, ALICE, SPOT, SELL, MILLI, 201_000)


def test_a_reducing_sell_needs_a_position_and_takes_no_more(ctx):
    with pytest.raises(ReduceOnly):
        trade(ctx, ALICE, SPOT, SELL, MILLI, 200_000, reduce_only=True)
    deposit_base(ctx, ALICE, 2 * MILLI)
    trade(ctx, BOB, SPOT, BUY, 5 * MILLI, 200_000)
    result = trade(ctx, ALICE, SPOT, SELL, 5 * MILLI, tif=NOW, reduce_only=True)
    assert (result.filled_quantums, result.ended_because) == (str(2 * MILLI), "position closed")
    assert SPOT not in get_account(ctx, ALICE).positions


def test_a_reducing_sell_promises_nothing(ctx):
    deposit_base(ctx, ALICE, 2 * MILLI)
    trade(ctx, ALICE, SPOT, SELL, 2 * MILLI, 200_000, reduce_only=True)
    trade(ctx, ALICE, SPOT, SELL, 2 * MILLI, 201_000)
    trade(ctx, BOB, SPOT, BUY, 2 * MILLI, 201_000)
    ctx.events.clear()
    trade(ctx, CAROL, SPOT, BUY, 2 * MILLI, 201_000)
    assert list_cancelled(ctx) == ["balance"]


def test_a_buy_needs_the_cash_of_its_fills():
    ctx = build_instruments(build_spot(), usd=2_000)
    deposit_base(ctx, ALICE, 5 * WAD)
    trade(ctx, ALICE, SPOT, SELL, 5 * WAD, 200_000)
    with pytest.raises(InsufficientCash, match="deposit 1000000 uusd"):
        trade(ctx, BOB, SPOT, BUY, WAD, tif=NOW)
    trade(ctx, BOB, SPOT, BUY, 999 * MILLI, tif=NOW)
    assert 0 <= get_account(ctx, BOB).cash_uusd < 2 * USD


def test_a_buy_stops_where_its_cash_does():
    ctx = build_instruments(build_spot(), usd=3_000)
    deposit_base(ctx, ALICE, 2 * WAD)
    for price in (200_000, 200_100):
        trade(ctx, ALICE, SPOT, SELL, WAD, price)
    result = trade(ctx, BOB, SPOT, BUY, 2 * WAD, 200_100)
    assert (result.filled_quantums, result.resting_quantums) == (str(WAD), "0")
    assert result.ended_because == "balance"


def test_resting_buys_are_paid_together():
    ctx = build_instruments(build_spot(), usd=3_000)
    trade(ctx, BOB, SPOT, BUY, WAD, 190_000)
    with pytest.raises(InsufficientCash, match="resting spot buys"):
        trade(ctx, BOB, SPOT, BUY, 600 * MILLI, 190_000)
    trade(ctx, BOB, SPOT, BUY, 500 * MILLI, 190_000)


def test_resting_buys_count_their_fees():
    ctx = build_instruments(build_spot(), usd=1_900)
    with pytest.raises(InsufficientCash, match="would cost 1900380000"):
        trade(ctx, BOB, SPOT, BUY, WAD, 190_000)
    trade(ctx, BOB, SPOT, BUY, 999 * MILLI, 190_000)


def test_a_resting_sell_without_its_base_is_cancelled(ctx):
    deposit_base(ctx, ALICE, 2 * MILLI)
    deposit_base(ctx, CAROL, MILLI)
    trade(ctx, ALICE, SPOT, SELL, 2 * MILLI, 200_000)
    trade(ctx, CAROL, SPOT, SELL, MILLI, 200_100)
    # Sold below the resting order by a reducing sell, which promises nothing.
    trade(ctx, BOB, SPOT, BUY, MILLI, 199_900)
    trade(ctx, ALICE, SPOT, SELL, MILLI, 199_900, reduce_only=True)
    ctx.events.clear()
    result = trade(ctx, BOB, SPOT, BUY, MILLI * 2, 200_100)
    assert result.filled_quantums == str(MILLI)
    assert list_cancelled(ctx) == ["balance"]
    assert not state.get_account_orders(ctx, AccountId(ALICE, 0))


def test_a_resting_buy_without_its_cash_is_cancelled():
    ctx = build_instruments(build_spot(), usd=4_000)
    deposit_base(ctx, ALICE, 4 * WAD)
    trade(ctx, BOB, SPOT, BUY, WAD, 190_000)
    trade(ctx, ALICE, SPOT, SELL, 1_500 * MILLI, 200_000)
    trade(ctx, BOB, SPOT, BUY, 1_200 * MILLI, tif=NOW)
    ctx.events.clear()
    trade(ctx, CAROL, SPOT, BUY, MILLI, 190_000)
    result = trade(ctx, ALICE, SPOT, SELL, WAD, 190_000)
    assert result.filled_quantums == str(MILLI)
    assert list_cancelled(ctx) == ["balance"]


def test_base_can_never_be_short(ctx):
    account = get_account(ctx, ALICE)
    with pytest.raises(AssertionError):
        apply_spot_trade(account, SPOT, -1, 0)


# Closing below maintenance


@pytest.mark.parametrize("mode", [MarginMode.STANDARD, MarginMode.PORTFOLIO])
def test_below_maintenance_no_option_is_given_away(mode):
    """What equity does not count would pay the debt: it may not leave for a tick before that."""
    ctx = build_instruments()
    underlying = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21")
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=underlying))
    msg = accounts_tx.MsgSetMarginMode(owner=ALICE, margin_mode=mode.value)
    deliver(ctx, accounts_handlers.handle_set_margin_mode, msg)
    deposit(ctx, BOB, 800_000)
    for market_id, side, size, price in (
        (CALL, SELL, 100 * ETHER, 18_400),
        (MARKET, SELL, 150 * ETHER, 200_000),
    ):
        trade(ctx, BOB, market_id, side, size, price)
        trade(ctx, ALICE, market_id, BUY, size, price, tif=NOW)
    advance(ctx, 20 * 86_400, ETH=1_480, USDC=1)
    account = get_account(ctx, ALICE)
    before = margin.compute_account_margin(ctx, account)
    assert before.excess_uusd < 0
    held = account.positions[CALL].size_quantums
    _, mark = get_mark(ctx, CALL)
    fair = mark.price_wad // TICK
    assert fair > 10
    trade(ctx, CAROL, CALL, BUY, held, 1)
    with pytest.raises(InsufficientMargin, match="give away"):
        trade(ctx, ALICE, CALL, SELL, held, 1, tif=NOW, reduce_only=True)
    # A little below the mark it may go.
    trade(ctx, DAVE, CALL, BUY, held, fair * 9 // 10)
    trade(ctx, ALICE, CALL, SELL, held, fair * 9 // 10, tif=NOW, reduce_only=True)
    assert CALL not in get_account(ctx, ALICE).positions


# Caps and simulation


@pytest.mark.parametrize(
    ("build", "price"), [(build_option, 9_000), (build_future, 200_000)], ids=["option", "future"]
)
def test_open_interest_of_an_option_counts_at_the_spot_price(build, price):
    market = build(open_interest_max_uusd=str(4_000 * USD))
    ctx = build_instruments(market)
    trade(ctx, ALICE, market.id, SELL, 5 * ETHER, price)
    trade(ctx, BOB, market.id, BUY, 2 * ETHER, price)
    with pytest.raises(OpenInterestLimit):
        trade(ctx, BOB, market.id, BUY, 1_000, price)


@pytest.mark.parametrize("market_id", [CALL, PUT, FUTURE, SPOT, MARKET])
def test_an_order_of_any_kind_can_be_tried_first(ctx, market_id):
    _, mark = get_mark(ctx, market_id)
    size = 10**18 if market_id == SPOT else ETHER
    if market_id == SPOT:
        deposit_base(ctx, ALICE, WAD)
    ticks = mark.price_wad // TICK
    trade(ctx, ALICE, market_id, SELL, size, ticks)
    order = tx_pb2.MsgPlaceOrder(
        owner=BOB,
        market=market_id,
        side=BUY,
        size_quantums=str(size),
        price_wad=str(ticks * TICK),
        time_in_force=NOW,
    )
    answer = queries.query_simulate_order(ctx, query_pb2.QuerySimulateOrderRequest(order=order))
    assert not answer.refusal
    assert answer.result.filled_quantums == str(size)
    assert market_id not in get_account(ctx, BOB).positions
    assert {line.position.market for line in answer.after.positions} == {market_id}
    order.size_quantums = str(10_000 * size)
    order.side = SELL
    refused = queries.query_simulate_order(ctx, query_pb2.QuerySimulateOrderRequest(order=order))
    assert refused.refusal


def test_an_expired_market_is_refused_in_a_trial(ctx):
    advance(ctx, EXPIRY_S - ctx.time_ns // NANOSECONDS, ETH=2_000)
    order = tx_pb2.MsgPlaceOrder(
        owner=BOB, market=CALL, side=BUY, size_quantums="1000", price_wad=str(WAD), time_in_force=1
    )
    answer = queries.query_simulate_order(ctx, query_pb2.QuerySimulateOrderRequest(order=order))
    assert "expired" in answer.refusal
