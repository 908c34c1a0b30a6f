import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.black76 import (
    EXPIRY_S_LIMIT,
    PRICE_WAD_LIMIT,
    VOLATILITY_WAD_LIMIT,
    InvalidOption,
    compute_black76,
    compute_black76_price_wad,
    compute_black_scholes,
    validate_option,
)
from chain.units import WAD, YEAR_S
from tests.risk import reference

BOUND = Decimal("1e-17")
# Prices up to 10 million, 5 % to 1,000 % a year, one minute to ten years.
prices = st.integers(10**15, 10**7 * WAD)
moneyness_ppm = st.integers(100_000, 10_000_000)
volatilities = st.integers(WAD // 20, 10 * WAD)
durations = st.integers(60, 10 * YEAR_S)
rates = st.integers(-WAD // 10, WAD // 2)
CHAIN = (
    Path(__file__).resolve().parents[3] / "shared/data/market/options_deribit_btc_2020-05-21.csv"
)


def dec(value: int) -> Decimal:
    return Decimal(value) / 10**18


@settings(max_examples=200, deadline=None)
@given(prices, moneyness_ppm, volatilities, durations, st.booleans(), rates, rates)
def test_price_and_greeks_agree_with_decimal(
    spot, ratio, volatility, duration, is_call, rate, carry
):
    strike = max(1, spot * ratio // 10**6)
    value = compute_black_scholes(
        spot, strike, volatility, duration, is_call=is_call, rate_wad=rate, yield_wad=carry
    )
    exact = reference.black_scholes(
        dec(spot),
        dec(strike),
        dec(volatility),
        duration / reference.YEAR,
        "call" if is_call else "put",
        dec(rate),
        dec(carry),
    )
    computed = (
        value.price_wad,
        value.delta_wad,
        value.gamma_wad,
        value.vega_wad,
        value.theta_wad,
        value.rho_wad,
    )
    for mine, theirs in zip(computed, exact, strict=True):
        assert abs(dec(mine) - theirs) <= BOUND


@settings(max_examples=200, deadline=None)
@given(prices, moneyness_ppm, volatilities, durations)
def test_black76_price_agrees_with_decimal_and_keeps_parity(forward, ratio, volatility, duration):
    strike = max(1, forward * ratio // 10**6)
    call = compute_black76_price_wad(forward, strike, volatility, duration, is_call=True)
    put = compute_black76_price_wad(forward, strike, volatility, duration, is_call=False)
    years = duration / reference.YEAR
    for mine, kind in ((call, "call"), (put, "put")):
        exact = reference.black76(dec(forward), dec(strike), dec(volatility), years, kind)
        assert abs(dec(mine) - exact) <= BOUND
    assert call - put == forward - strike
    assert max(0, forward - strike) <= call <= forward


@settings(max_examples=100, deadline=None)
@given(prices, moneyness_ppm, volatilities, durations, st.booleans())
def test_black76_is_black_scholes_on_a_forward(forward, ratio, volatility, duration, is_call):
    strike = max(1, forward * ratio // 10**6)
    plain = compute_black76(forward, strike, volatility, duration, is_call=is_call)
    assert plain.price_wad == compute_black76_price_wad(
        forward, strike, volatility, duration, is_call=is_call
    )
    rate = WAD // 20
    priced = compute_black76(forward, strike, volatility, duration, is_call=is_call, rate_wad=rate)
    spot = compute_black_scholes(
        forward, strike, volatility, duration, is_call=is_call, rate_wad=rate, yield_wad=rate
    )
    assert (priced.price_wad, priced.delta_wad, priced.vega_wad) == (
        spot.price_wad,
        spot.delta_wad,
        spot.vega_wad,
    )
    # Holding the forward, the rate moves the discount alone.
    assert abs(priced.rho_wad * YEAR_S + priced.price_wad * duration) <= YEAR_S + duration


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, PRICE_WAD_LIMIT - 1),
    st.integers(1, PRICE_WAD_LIMIT - 1),
    st.integers(0, VOLATILITY_WAD_LIMIT - 1),
    st.integers(0, EXPIRY_S_LIMIT - 1),
)
def test_every_option_in_the_bounds_has_a_price_in_its_bounds(
    forward, strike, volatility, duration
):
    validate_option(forward, strike, volatility, duration)
    call = compute_black76(forward, strike, volatility, duration, is_call=True)
    put = compute_black76(forward, strike, volatility, duration, is_call=False)
    assert max(0, forward - strike) <= call.price_wad <= forward
    assert max(0, strike - forward) <= put.price_wad <= strike
    assert 0 <= call.delta_wad <= WAD
    assert -WAD <= put.delta_wad <= 0
    assert call.gamma_wad >= 0
    assert call.vega_wad >= 0


@pytest.mark.parametrize(
    ("forward", "expected"),
    [(90, (0, 0)), (100, (0, 0)), (110, (10, 1))],
    ids=["otm", "atm", "itm"],
)
@pytest.mark.parametrize(("volatility", "duration"), [(0, YEAR_S), (WAD, 0), (0, 0), (1, 1)])
def test_no_time_or_no_volatility_leaves_the_intrinsic_value(
    forward, expected, volatility, duration
):
    value = compute_black76(forward * WAD, 100 * WAD, volatility, duration, is_call=True)
    price, delta = expected
    if forward == 100 and volatility and duration:
        assert value.price_wad < 100
    else:
        assert (value.price_wad, value.delta_wad) == (price * WAD, delta * WAD)
        assert (value.gamma_wad, value.vega_wad, value.theta_wad) == (0, 0, 0)


def test_extreme_volatility_makes_a_call_worth_its_forward():
    value = compute_black76(100 * WAD, 100 * WAD, 999 * WAD, 10 * YEAR_S, is_call=True)
    assert value.price_wad == 100 * WAD
    assert value.delta_wad == WAD


def test_worthless_underlying():
    assert compute_black76_price_wad(0, 5 * WAD, WAD, YEAR_S, is_call=True) == 0
    assert compute_black76_price_wad(0, 5 * WAD, WAD, YEAR_S, is_call=False) == 5 * WAD


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((-1, 1, 1, 1), "price"),
        ((PRICE_WAD_LIMIT, 1, 1, 1), "price"),
        ((1, 0, 1, 1), "strike"),
        ((1, PRICE_WAD_LIMIT, 1, 1), "strike"),
        ((1, 1, -1, 1), "volatility"),
        ((1, 1, VOLATILITY_WAD_LIMIT, 1), "volatility"),
        ((1, 1, 1, -1), "time to expiry"),
        ((1, 1, 1, EXPIRY_S_LIMIT), "time to expiry"),
    ],
)
def test_arguments_outside_the_bounds_are_refused_by_name(arguments, named):
    with pytest.raises(InvalidOption, match=f"leg 3: {named}"):
        validate_option(*arguments, field="leg 3")


@pytest.mark.skipif(not CHAIN.exists(), reason="the market data folder is not here")
def test_deribit_marks_and_greeks():
    """326 options of 2020-05-21, with rates of 0: the exchange prints four decimals of a bitcoin,
    vega per point, theta per day, and Greeks from the same forward and volatility."""
    rows = list(csv.DictReader(CHAIN.open()))
    assert len(rows) == 326
    misses = 0
    for row in rows:
        taken = datetime.fromisoformat(row["snapshot_utc"]).astimezone(UTC)
        seconds = datetime.fromisoformat(row["expiry_utc"]).astimezone(UTC) - taken
        forward = Decimal(row["underlying_price_usd"])
        value = compute_black76(
            int(forward * 10**18),
            int(Decimal(row["strike"]) * 10**18),
            int(Decimal(row["mark_iv_pct"]) * 10**16),
            int(seconds.total_seconds()),
            is_call=row["type"] == "call",
        )
        mark = abs(dec(value.price_wad) / forward - Decimal(row["mark_price_btc"]))
        assert mark < Decimal("0.00025")
        misses += mark > Decimal("0.00011")
        assert abs(dec(value.delta_wad) - Decimal(row["delta"])) < Decimal("0.00025")
        assert abs(dec(value.vega_wad) / 100 - Decimal(row["vega"])) < Decimal("0.05")
        assert abs(dec(value.gamma_wad) - Decimal(row["gamma"])) < Decimal("0.00002")
        # The exchange's theta is a day's, or that of the time left, and never more than the price.
        days = min(Decimal(1), Decimal(seconds.total_seconds()) / 86_400)
        decay = max(dec(value.theta_wad) / 365 * days, -dec(value.price_wad))
        assert abs(decay - Decimal(row["theta"])) < Decimal("0.05")
    assert misses <= 4
