import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.markets import marks, state
from chain.modules.markets.types import OptionKind, SettlementAverage
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import genesis as scenarios_genesis
from chain.modules.scenarios import state as scenarios
from chain.units import NANOSECONDS, WAD, YEAR_S
from tests.modules.economy import MARKET, advance, build_asset_params, build_economy, build_market
from tests.modules.instruments import (
    CALL,
    EXPIRY_S,
    FUTURE,
    PUT,
    SPOT,
    START_S,
    WINDOW_S,
    build_future,
    build_instruments,
    build_option,
    build_put,
    list_market,
)

SPOT_WAD = 2_000 * WAD
NOISE = 10**6  # a trillionth of a dollar: what roundings of the kernel leave


@pytest.fixture
def ctx():
    return build_instruments()


def mark_of(ctx, market_id, spot_wad=SPOT_WAD):
    return marks.compute_mark(ctx, state.require_market(ctx, market_id), spot_wad)


def quote(ctx, **terms):
    """Govern rate and smile of ETH, past their ramp."""
    scenarios_genesis.init_genesis(ctx, scenarios_genesis.build_default_genesis())
    fields = {name: str(value) for name, value in terms.items()}
    underlying = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", **fields)
    end_s = scenarios.change_underlying(ctx, underlying)
    advance(ctx, max(0, end_s - ctx.time_s), ETH=2_000)


def black76(forward, strike, volatility, years, *, is_call):
    """The undiscounted price by libm's erf: an implementation of its own."""
    deviation = volatility * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    d2 = d1 - deviation

    def phi(x):
        return math.erfc(-x / math.sqrt(2)) / 2

    if is_call:
        return forward * phi(d1) - strike * phi(d2)
    return strike * phi(-d2) - forward * phi(-d1)


# Rounding


@pytest.mark.parametrize(
    ("spot", "rounded"),
    [(1, 1), (99_999, 99_999), (123_454, 123_450), (123_455, 123_460), (999_999, 1_000_000)],
)
def test_the_spot_is_rounded_to_five_digits_half_up(spot, rounded):
    assert marks.round_spot_wad(spot) == rounded


@given(st.integers(1, 2**128), st.integers(0, 2**128))
def test_rounding_keeps_order_and_is_within_half_a_digit(spot, more):
    rounded = marks.round_spot_wad(spot)
    assert abs(rounded - spot) * 20_000 <= spot
    assert marks.round_spot_wad(rounded) == rounded
    assert marks.round_spot_wad(spot + more) >= rounded


def test_a_mark_stays_within_the_ticks_of_its_inputs(ctx):
    advance(ctx, 60 - ctx.time_s % 60 + 1, ETH=2_000)
    before = mark_of(ctx, CALL)
    for change in (-49, 49):
        # 2,000 to five digits: ticks of 0.1.
        assert mark_of(ctx, CALL, SPOT_WAD + change * WAD // 1_000).price_wad == before.price_wad
    assert mark_of(ctx, CALL, SPOT_WAD + 51 * WAD // 1_000).price_wad > before.price_wad
    ctx.time_ns += 58 * NANOSECONDS
    assert mark_of(ctx, CALL).price_wad == before.price_wad
    ctx.time_ns += 60 * NANOSECONDS
    assert mark_of(ctx, CALL).price_wad < before.price_wad


def test_a_volatility_moves_the_mark_by_tenths_of_a_percent(ctx, monkeypatch):
    prices = []
    for milli in range(8_000, 8_030, 2):
        volatility = milli * WAD // 10_000
        monkeypatch.setattr(oracle, "get_mark_volatility_wad", lambda _c, _a, v=volatility: v)
        mark = mark_of(ctx, CALL)
        assert mark.volatility_wad == -(-milli // 10) * WAD // 1_000
        prices.append(mark.price_wad)
    assert prices == sorted(prices)
    assert len(set(prices)) == 4


# Forward


def test_a_perpetual_and_spot_are_marked_at_the_oracle_price(ctx):
    for market_id in (MARKET, SPOT):
        assert mark_of(ctx, market_id, 1_999 * WAD) == marks.Mark(1_999 * WAD, 1_999 * WAD)


def test_without_a_rate_the_forward_is_the_spot(ctx):
    mark = mark_of(ctx, FUTURE)
    assert mark.forward == marks.Forward(SPOT_WAD, 0, 30 * 86_400)
    assert (mark.price_wad, mark.volatility_wad) == (SPOT_WAD, 0)


@pytest.mark.parametrize("rate_ppm", [50_000, -30_000, 1_000_000])
def test_the_forward_carries_the_spot_at_the_governed_rate(ctx, rate_ppm):
    quote(ctx, rate_wad=rate_ppm * WAD // 10**6)
    forward = mark_of(ctx, FUTURE).forward
    assert forward.time_s % 60 == 0
    with localcontext() as context:
        context.prec = 60
        exponent = Decimal(rate_ppm) / 10**6 * forward.time_s / YEAR_S
        exact = SPOT_WAD * exponent.exp()
    assert abs(Decimal(forward.price_wad) - exact) <= 2
    assert forward == mark_of(ctx, CALL).forward


def test_the_sampled_part_of_the_window_no_longer_moves(ctx):
    sampled_ns = WINDOW_S * NANOSECONDS // 4
    average = SettlementAverage(1_800 * WAD * sampled_ns, sampled_ns, 1, 0)
    state.set_settlement(ctx, "ETH", EXPIRY_S, average)
    ctx.time_ns = (EXPIRY_S - WINDOW_S * 3 // 4) * NANOSECONDS
    forward = mark_of(ctx, FUTURE).forward
    assert forward.fixed_wad == 450 * WAD
    assert forward.variable_wad == 1_500 * WAD
    moved = mark_of(ctx, FUTURE, 2_200 * WAD).forward
    assert moved.price_wad - forward.price_wad == 150 * WAD


def test_a_window_covered_in_full_moves_no_more(ctx):
    sampled_ns = WINDOW_S * NANOSECONDS
    state.set_settlement(
        ctx, "ETH", EXPIRY_S, SettlementAverage(1_800 * WAD * sampled_ns, sampled_ns)
    )
    ctx.time_ns = EXPIRY_S * NANOSECONDS
    assert mark_of(ctx, FUTURE, 3_000 * WAD).price_wad == 1_800 * WAD


def test_more_samples_than_a_shortened_window_holds_count_as_all_of_it(ctx):
    # Governance may scale market time while a window is open.
    sampled_ns = 2 * WINDOW_S * NANOSECONDS
    average = SettlementAverage(1_800 * WAD * sampled_ns, sampled_ns)
    state.set_settlement(ctx, "ETH", EXPIRY_S, average)
    forward = mark_of(ctx, FUTURE, 3_000 * WAD).forward
    assert (forward.variable_wad, forward.fixed_wad) == (0, 1_800 * WAD)


def test_market_time_runs_faster_where_it_is_scaled():
    ctx = build_economy()
    params = oracle_pb2.Params()
    params.CopyFrom(oracle.get_params(ctx))
    params.market_time_scale = 60
    oracle.set_params(ctx, params)
    list_market(ctx, build_future(expiry_time_s=START_S + 3_600))
    market = state.require_market(ctx, FUTURE)
    assert mark_of(ctx, FUTURE).forward.time_s == 60 * 3_600
    assert marks.compute_window_ns(ctx, WINDOW_S) == WINDOW_S * NANOSECONDS // 60
    start_ns = marks.compute_window_start_ns(ctx, market)
    assert start_ns == (START_S + 3_600 - WINDOW_S // 60) * NANOSECONDS


# Options


@pytest.mark.parametrize("strike", [500, 1_600, 2_000, 2_600, 9_000])
@pytest.mark.parametrize("build", [build_option, build_put], ids=["call", "put"])
def test_an_option_is_the_black76_price_on_its_forward(build, strike):
    ctx = build_economy()
    list_market(ctx, build("ETH-O", strike))
    quote(ctx, rate_wad=WAD // 20, skew_wad=-WAD // 10, curvature_wad=WAD // 5)
    mark = mark_of(ctx, "ETH-O")
    forward = mark.forward.price_wad / WAD
    k = math.log(strike / forward)
    smile = min(3, max(0.5, 1 - 0.1 * k + 0.2 * k * k))
    volatility = mark.volatility_wad / WAD
    measured = oracle.get_volatility_wad(ctx, "ETH") / WAD
    assert 0 <= volatility - measured * smile <= 0.001 + 1e-9
    years = mark.forward.time_s / YEAR_S
    expected = black76(forward, strike, volatility, years, is_call=build is build_option)
    assert mark.price_wad / WAD == pytest.approx(expected, abs=1e-8)


@given(st.integers(100, 10_000), st.integers(100, 10_000))
def test_a_call_less_a_put_is_the_forward_less_the_strike(spot, strike):
    ctx = build_economy(assets=[build_asset_params("ETH"), build_asset_params("USDC")])
    list_market(ctx, build_option(CALL, strike))
    list_market(ctx, build_put(PUT, strike))
    call, put = (mark_of(ctx, market_id, spot * WAD) for market_id in (CALL, PUT))
    parity = call.forward.price_wad - strike * WAD
    assert abs(call.price_wad - put.price_wad - parity) <= NOISE
    assert call.price_wad >= max(0, parity) - NOISE


def test_the_volatility_is_at_least_the_markets_floor():
    ctx = build_instruments(build_option(volatility_floor_wad=str(3 * WAD)))
    assert mark_of(ctx, CALL).volatility_wad == 3 * WAD


def test_the_volatility_is_at_most_a_thousand_percent():
    ctx = build_instruments(build_option(volatility_floor_wad=str(100 * WAD)))
    assert mark_of(ctx, CALL).volatility_wad == 10 * WAD


def test_time_counts_no_further_than_two_years(ctx):
    market = state.decode_market(build_option(expiry_time_s=START_S + 10 * YEAR_S // 60 * 60))
    assert marks.compute_mark(ctx, market, SPOT_WAD).forward.time_s == 2 * YEAR_S // 60 * 60


def test_without_time_an_option_is_its_intrinsic_value(ctx):
    ctx.time_ns = (EXPIRY_S + 5) * NANOSECONDS
    assert mark_of(ctx, CALL, 2_100 * WAD).price_wad == 100 * WAD
    assert mark_of(ctx, PUT, 2_100 * WAD).price_wad == 0


# Payoff


@given(st.integers(1, 10**30), st.integers(1, 10**30))
def test_payoffs(price_wad, strike_wad):
    call = state.decode_market(build_option(strike_wad=str(strike_wad)))
    put = state.decode_market(build_put(strike_wad=str(strike_wad)))
    future = state.decode_market(build_future())
    paid = marks.compute_payoff_wad(call, price_wad), marks.compute_payoff_wad(put, price_wad)
    assert min(paid) == 0
    assert paid[0] - paid[1] == price_wad - strike_wad
    assert marks.compute_payoff_wad(future, price_wad) == price_wad
    assert (call.option_kind, put.option_kind) == (OptionKind.CALL, OptionKind.PUT)


def test_after_the_final_price_marks_are_fixed(ctx):
    state.set_settlement(ctx, "ETH", EXPIRY_S, SettlementAverage(price_wad=1_850 * WAD))
    for market_id, payoff in ((CALL, 0), (PUT, 150), (FUTURE, 1_850)):
        mark = mark_of(ctx, market_id, 5_000 * WAD)
        assert mark.price_wad == payoff * WAD
        assert mark.forward.is_final


def test_sizes_count_at_the_mark_and_those_of_options_at_the_spot():
    mark = marks.Mark(120 * WAD, SPOT_WAD)
    for market, price in ((build_option(), 2_000), (build_future(), 120), (build_market(), 120)):
        decoded = state.decode_market(market)
        assert marks.compute_notional_price_wad(decoded, mark) == price * WAD
