"""Prices and Greeks against QuantLib, an independent pricer in floating point.

Both price the same double-rounded inputs. QuantLib's normal distribution is good to about 1e-15,
which its differences of two near products turn into 1e-12 of the figures they are made of: that is
the error allowed here, by the scale of each figure.
"""

from math import exp

import pytest
import QuantLib as ql  # noqa: N813 - its own short name
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.black76 import compute_black76, compute_black_scholes
from chain.units import WAD, YEAR_S

DAY_S = 86_400
ERROR = 1e-11
spots = st.integers(WAD // 100, 100_000 * WAD)
moneyness = st.integers(300_000, 3_000_000)
volatilities = st.integers(WAD // 20, 3 * WAD)
durations = st.integers(3_600, 3 * YEAR_S)
rates = st.integers(-WAD // 20, WAD // 5)


def build_payoff(strike, *, is_call):
    return ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, strike / WAD)


def compare(value, theirs, scales):
    names = ("price_wad", "delta_wad", "gamma_wad", "vega_wad", "theta_wad", "rho_wad")
    for name, other, scale in zip(names, theirs, scales, strict=True):
        # A WAD of our own rounding beside QuantLib's error.
        assert abs(getattr(value, name) / WAD - other) <= ERROR * scale + 2e-18, name


@settings(max_examples=150, deadline=None)
@given(spots, moneyness, volatilities, durations, rates, rates, st.booleans())
def test_black_scholes_agrees(spot, ratio, volatility, duration, rate, carry, is_call):
    strike = spot * ratio // 10**6
    years = duration / YEAR_S
    deviation = volatility / WAD * years**0.5
    growth, discount = (exp(-x / WAD * years) for x in (carry, rate))
    forward = spot / WAD * growth / discount
    black = ql.BlackCalculator(build_payoff(strike, is_call=is_call), forward, deviation, discount)
    value = compute_black_scholes(
        spot, strike, volatility, duration, is_call=is_call, rate_wad=rate, yield_wad=carry
    )
    size = max(spot, strike) / WAD
    compare(
        value,
        (
            black.value(),
            black.delta(spot / WAD),
            black.gamma(spot / WAD),
            black.vega(years),
            black.theta(spot / WAD, years),
            black.rho(years),
        ),
        (
            size,
            1 / deviation,
            1 / (spot / WAD * deviation**2),
            size * years**0.5 / deviation,
            size * (volatility / WAD / years**0.5 / deviation + 1),
            size * years / deviation,
        ),
    )


@settings(max_examples=150, deadline=None)
@given(spots, moneyness, volatilities, durations, rates, st.booleans())
def test_black76_agrees(forward, ratio, volatility, duration, rate, is_call):
    strike = forward * ratio // 10**6
    years = duration / YEAR_S
    deviation = volatility / WAD * years**0.5
    discount = exp(-rate / WAD * years)
    black = ql.BlackCalculator(
        build_payoff(strike, is_call=is_call), forward / WAD, deviation, discount
    )
    value = compute_black76(forward, strike, volatility, duration, is_call=is_call, rate_wad=rate)
    size = max(forward, strike) / WAD
    # Of the forward held still: the price decays by its rate, which moves nothing else.
    theta = rate / WAD * black.value() - black.vega(years) * volatility / WAD / (2 * years)
    compare(
        value,
        (
            black.value(),
            black.deltaForward(),
            black.gammaForward(),
            black.vega(years),
            theta,
            -years * black.value(),
        ),
        (
            size,
            1 / deviation,
            1 / (forward / WAD * deviation**2),
            size * years**0.5 / deviation,
            size * (volatility / WAD / years**0.5 / deviation + 1),
            size * years,
        ),
    )


@pytest.mark.parametrize("kind", [True, False], ids=["call", "put"])
@pytest.mark.parametrize(
    ("forward", "strike", "percent", "days"),
    [
        (9_000, 6_000, 134, 1),
        (9_000, 9_000, 70, 30),
        (9_000, 20_000, 90, 180),
        (2_000, 100, 40, 365),
        (2_000, 2_010, 5, 7),
        (1, 1, 500, 730),
    ],
)
def test_listed_options_agree(forward, strike, percent, days, kind):
    years = days / 365
    black = ql.BlackCalculator(
        build_payoff(strike * WAD, is_call=kind), forward, percent / 100 * years**0.5, 1.0
    )
    value = compute_black76(
        forward * WAD, strike * WAD, percent * WAD // 100, days * DAY_S, is_call=kind
    )
    for mine, theirs in [
        (value.price_wad, black.value()),
        (value.delta_wad, black.deltaForward()),
        (value.gamma_wad, black.gammaForward()),
        (value.vega_wad, black.vega(years)),
    ]:
        assert mine / WAD == pytest.approx(theirs, rel=1e-12, abs=1e-11)
