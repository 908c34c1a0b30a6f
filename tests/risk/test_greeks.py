"""The Greeks of marks: against finite differences of the marks themselves, and QuantLib."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.black76 import compute_black76_price_wad, compute_discount
from chain.risk.fixed_point import SCALE
from chain.risk.greeks import (
    MarkedForward,
    MarkedLeg,
    MarkedOption,
    SpotGreeks,
    compute_spot_greeks,
)
from chain.units import WAD, YEAR_S

DAY_S = 86_400


def build_leg(
    *, spot=2_000, strike=2_000, percent=80, days=30, rate=10, settled=0, is_call=True, amount=1
):
    """A leg whose forward is the carried spot; `settled` percent of the average is set at 2,000."""
    seconds = days * DAY_S
    rate_wad = rate * WAD // 100
    carried = spot * WAD * compute_discount(-rate_wad, seconds) // SCALE
    forward = MarkedForward(
        spot * WAD,
        carried * (100 - settled) // 100,
        2_000 * WAD * settled // 100,
        rate_wad,
        seconds,
    )
    option = MarkedOption(strike * WAD, is_call, percent * WAD // 100) if strike else None
    return MarkedLeg(amount * WAD, forward, option)


def compute_mark(leg, *, spot_wad=None, rate_wad=None, volatility_wad=None, time_s=None):
    """The mark of a leg when one of its inputs moves, from the definition of the forward."""
    forward = leg.forward
    carry = compute_discount(-forward.rate_wad, forward.time_s)
    share = forward.variable_wad * SCALE / (forward.spot_wad * carry)
    seconds = forward.time_s if time_s is None else time_s
    rate = forward.rate_wad if rate_wad is None else rate_wad
    spot = forward.spot_wad if spot_wad is None else spot_wad
    carried = spot * compute_discount(-rate, seconds) // SCALE
    price = int(carried * share) + forward.fixed_wad
    if leg.option is None:
        return price / WAD
    volatility = leg.option.volatility_wad if volatility_wad is None else volatility_wad
    return (
        compute_black76_price_wad(
            price, leg.option.strike_wad, volatility, seconds, is_call=leg.option.is_call
        )
        / WAD
    )


LEGS = st.builds(
    build_leg,
    spot=st.integers(1_200, 3_200),
    strike=st.one_of(st.just(0), st.integers(1_200, 3_200)),
    percent=st.integers(20, 200),
    days=st.integers(7, 300),
    rate=st.integers(-30, 60),
    settled=st.integers(0, 80),
    is_call=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(LEGS)
def test_every_greek_is_the_slope_of_the_mark(leg):
    greeks = compute_spot_greeks([leg])
    forward = leg.forward
    step = 10**15
    up = compute_mark(leg, spot_wad=forward.spot_wad + step)
    down = compute_mark(leg, spot_wad=forward.spot_wad - step)
    assert greeks.delta_wad / WAD == pytest.approx((up - down) / (2 * step / WAD), abs=1e-5)
    rate_step = WAD // 100_000
    up = compute_mark(leg, rate_wad=forward.rate_wad + rate_step)
    down = compute_mark(leg, rate_wad=forward.rate_wad - rate_step)
    assert greeks.rho_wad / WAD == pytest.approx((up - down) / (2 * rate_step / WAD), abs=0.05)
    up = compute_mark(leg, time_s=forward.time_s - 30)
    down = compute_mark(leg, time_s=forward.time_s + 30)
    slope = (up - down) / (60 / YEAR_S)
    assert greeks.theta_wad / WAD == pytest.approx(slope, rel=1e-3, abs=1)
    if leg.option is None:
        assert greeks.gamma_wad == greeks.vega_wad == 0
        return
    volatility = leg.option.volatility_wad
    up = compute_mark(leg, volatility_wad=volatility + rate_step)
    down = compute_mark(leg, volatility_wad=volatility - rate_step)
    assert greeks.vega_wad / WAD == pytest.approx((up - down) / (2 * rate_step / WAD), abs=0.05)


@settings(max_examples=60, deadline=None)
@given(LEGS)
def test_gamma_is_the_slope_of_delta(leg):
    forward = leg.forward
    step = 10**16

    def delta_at(spot_wad):
        moved = MarkedForward(
            spot_wad,
            forward.variable_wad * spot_wad // forward.spot_wad,
            forward.fixed_wad,
            forward.rate_wad,
            forward.time_s,
        )
        return compute_spot_greeks([MarkedLeg(WAD, moved, leg.option)]).delta_wad / WAD

    slope = delta_at(forward.spot_wad + step) - delta_at(forward.spot_wad - step)
    gamma = compute_spot_greeks([leg]).gamma_wad / WAD
    assert gamma == pytest.approx(slope / (2 * step / WAD), abs=1e-8)


def test_amounts_scale_and_add():
    legs = [
        build_leg(amount=3),
        build_leg(amount=-2, strike=2_500, is_call=False),
        build_leg(amount=5, strike=0),
        MarkedLeg(7 * WAD),
    ]
    total = compute_spot_greeks(legs)
    alone = [compute_spot_greeks([leg]) for leg in legs]
    for name in SpotGreeks.__slots__:
        parts = sum(getattr(greeks, name) for greeks in alone)
        assert 0 <= getattr(total, name) - parts <= len(legs)
    assert compute_spot_greeks([]) == SpotGreeks()


def test_at_the_final_price_nothing_moves_any_more():
    forward = MarkedForward(2_000 * WAD, 0, 2_100 * WAD, WAD // 10, 0)
    option = MarkedOption(2_000 * WAD, is_call=True, volatility_wad=WAD)
    for leg in (MarkedLeg(WAD, forward), MarkedLeg(-WAD, forward, option)):
        assert compute_spot_greeks([leg]) == SpotGreeks()


def test_quantlib_agrees():
    ql = pytest.importorskip("QuantLib")
    for leg in (
        build_leg(),
        build_leg(strike=2_600, percent=120, days=7, rate=50),
        build_leg(strike=1_500, percent=60, days=180, rate=-20, is_call=False),
    ):
        forward, option = leg.forward, leg.option
        years = forward.time_s / YEAR_S
        spot, price = forward.spot_wad / WAD, forward.variable_wad / WAD
        black = ql.BlackCalculator(
            ql.PlainVanillaPayoff(
                ql.Option.Call if option.is_call else ql.Option.Put, option.strike_wad / WAD
            ),
            price,
            option.volatility_wad / WAD * years**0.5,
            1.0,
        )
        greeks = compute_spot_greeks([leg])
        expected = (
            black.delta(spot),
            black.gamma(spot),
            black.vega(years),
            black.theta(spot, years),
            # QuantLib's rho discounts the option too.
            black.rho(years) + years * black.value(),
        )
        for name, value in zip(SpotGreeks.__slots__, expected, strict=True):
            assert getattr(greeks, name) / WAD == pytest.approx(value, rel=1e-9, abs=1e-9)
