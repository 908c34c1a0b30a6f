"""Rows 14 and 15 against `reference`, which knows the text of the rules and nothing of the code.

The reference brings its own parameters and scenario rows. What the code may differ by is bounded
below by the roundings that the rule allows, computed for each portfolio.
"""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.portfolio import (
    ExpiryPosition,
    OptionPosition,
    Portfolio,
    compute_portfolio_margin,
)
from chain.risk.scenarios import PRESETS
from chain.risk.standard import StandardParameters, compute_standard_margin
from chain.units import WAD, YEAR_S
from tests.risk import reference
from tests.risk.portfolios import (
    amounts,
    confidences,
    dec,
    parameters_to_reference,
    rows_to_reference,
    to_reference,
)

UNIT = Decimal("1e-18")
DAY_S = 86_400
LARGEST_FACTOR = {"span16": Decimal("1.3"), "pmrm21": Decimal("1.15"), "scan24": Decimal(6)}


@st.composite
def expiries_of(draw, spot: int, seconds: int) -> ExpiryPosition:
    keys = draw(
        st.lists(
            st.tuples(st.integers(20, 400), st.booleans()), min_size=1, max_size=7, unique=True
        )
    )
    options = tuple(
        OptionPosition(
            max(1, spot * percent // 100),
            is_call,
            draw(st.one_of(amounts, st.sampled_from((0, 1, -1, WAD, -WAD)))),
            draw(st.one_of(st.integers(WAD // 20, 3 * WAD), st.sampled_from((1, 20 * WAD - 1)))),
        )
        for percent, is_call in keys
    )
    # Every share of the settlement average may be fixed already, all of it included.
    forward = spot * draw(st.integers(80, 130)) // 100 + 1
    fixed = forward * draw(st.sampled_from((0, 0, 1, 40, 99, 100))) // 100
    return ExpiryPosition(
        seconds,
        forward - fixed,
        draw(st.integers(-WAD // 2, WAD)),
        options,
        fixed,
        draw(confidences),
        draw(confidences),
        draw(confidences),
        draw(st.sampled_from((0, 12_822 * WAD // 10**6, WAD // 3))),
        draw(st.one_of(st.just(0), amounts)),
    )


@st.composite
def holdings(draw) -> Portfolio:
    spot = draw(st.integers(WAD // 100, 100_000 * WAD))
    moments = st.one_of(
        st.sampled_from((0, 1, DAY_S, 30 * DAY_S, 30 * DAY_S + 1)), st.integers(60, 3 * YEAR_S)
    )
    return Portfolio(
        spot_wad=spot,
        cash_wad=draw(st.integers(-(10**6) * WAD, 10**6 * WAD)),
        base_wad=draw(st.one_of(st.just(0), st.integers(0, 100 * WAD))),
        perp_wad=draw(st.one_of(st.just(0), amounts)),
        perp_price_wad=spot * draw(st.integers(90, 110)) // 100,
        perp_profit_wad=draw(st.integers(-(10**5) * WAD, 10**5 * WAD)),
        stable_wad=draw(st.one_of(st.just(WAD), st.integers(9 * WAD // 10, 11 * WAD // 10))),
        spot_confidence_wad=draw(confidences),
        perp_confidence_wad=draw(confidences),
        expiries=tuple(
            draw(expiries_of(spot, second))
            for second in draw(st.lists(moments, max_size=4, unique=True))
        ),
    )


def compute_option_bound(portfolio: Portfolio, factor: Decimal) -> Decimal:
    """What the options may be off by: the sum over them of |a|·(12 units + 2 delta + 4 vega·vol).

    A price is within 1e-17 and floored (11 units, and one for the mark's own floor); the forward
    is floored to a unit, which the price follows by at most 1, once shocked and once not; the
    volatility factor is floored to a unit after an error of less than one, times the volatility,
    and the product is floored again: at most 4·max(1, vol) units times the vega, which is at most
    0.4·F·√T (0.4 bounds the normal density).
    """
    total = Decimal(0)
    for expiry in portfolio.expiries:
        forward = dec(expiry.forward_variable_wad) * factor + dec(expiry.forward_fixed_wad)
        vega = Decimal("0.4") * forward * (Decimal(expiry.expiry_s) / YEAR_S).sqrt()
        for option in expiry.options:
            volatility = max(Decimal(1), dec(option.volatility_wad))
            total += abs(dec(option.amount_wad)) * (14 + 4 * vega * volatility)
    return total * UNIT


def compute_span_bound(portfolio: Portfolio, factor: Decimal) -> Decimal:
    """What min_span may be off by.

    The options, twice where a shocked value stands against a mark; base and perpetual by two
    price units each and one of the static charge, each option by one of the static charge; a
    delta is within 1e-17 and floored, times the spot, once for the option and once for its share
    of the forward; what is summed is floored once, and each of the products with a ratio.
    """
    held = sum(abs(dec(o.amount_wad)) for e in portfolio.expiries for o in e.options)
    linear = dec(portfolio.base_wad) + abs(dec(portfolio.perp_wad))
    # The delta of a future is floored, as that of an option.
    held += sum(abs(dec(e.future_wad)) for e in portfolio.expiries)
    linear += sum(abs(dec(e.future_wad)) for e in portfolio.expiries)
    own = 3 * linear + held + held * (12 * dec(portfolio.spot_wad) + 1) + 8
    return compute_option_bound(portfolio, factor) + own * UNIT


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_rows_and_parameters_are_those_of_the_text(name):
    rows, parameters = reference.PRESETS[name]
    chosen = PRESETS[name]
    assert sorted(rows_to_reference(chosen.scenarios)) == sorted(rows)
    assert parameters_to_reference(chosen.parameters) == parameters


def test_standard_parameters_are_those_of_the_text():
    assert parameters_to_reference(StandardParameters()) == reference.STANDARD


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=12, deadline=None)
@given(portfolio=holdings())
def test_portfolio_margin_is_that_of_the_text(name, portfolio):
    rows, parameters = reference.PRESETS[name]
    margin = compute_portfolio_margin(portfolio, PRESETS[name])
    initial, maintenance, total, min_span, profits = reference.portfolio_margin(
        to_reference(portfolio), rows, parameters
    )
    span = compute_span_bound(portfolio, LARGEST_FACTOR[name])
    mark = compute_option_bound(portfolio, Decimal(1)) + 2 * UNIT
    assert abs(dec(margin.min_span_wad) - min_span) <= span
    assert abs(dec(margin.mark_to_market_wad) - total) <= mark
    # The im factor is rounded up by a unit, and the loss may be as large as it is.
    im_factor = dec(margin.im_factor_wad)
    slack = span * im_factor + (abs(min_span) + 2) * UNIT
    assert abs(dec(margin.initial_wad) - initial) <= slack + mark
    assert abs(dec(margin.maintenance_wad) - maintenance) <= span + mark + UNIT
    by_row = dict(zip(((s, v) for s, v, _ in rows), profits, strict=True))
    for outcome in margin.scenarios:
        exact = by_row[dec(outcome.spot_wad), outcome.volatility.value]
        assert abs(dec(outcome.profit_wad) - exact) <= span


@settings(max_examples=40, deadline=None)
@given(portfolio=holdings())
def test_standard_margin_is_that_of_the_text(portfolio):
    margin = compute_standard_margin([portfolio])
    initial, maintenance = reference.standard_margin(to_reference(portfolio), reference.STANDARD)
    # A short put's initial leg may count its price 1.075·1.05 times; then a floor a leg.
    legs = sum(len(expiry.options) for expiry in portfolio.expiries)
    bound = 2 * compute_option_bound(portfolio, Decimal(1)) + (4 * legs + 16) * UNIT
    assert abs(dec(margin.initial_wad) - initial) <= bound
    assert abs(dec(margin.maintenance_wad) - maintenance) <= bound


@settings(max_examples=15, deadline=None)
@given(parts=st.lists(holdings(), min_size=2, max_size=3))
def test_underlyings_of_standard_margin_add_up(parts):
    together = compute_standard_margin(parts)
    alone = [compute_standard_margin([part]) for part in parts]
    for name in ("initial_wad", "maintenance_wad", "maintenance_requirement_wad"):
        assert getattr(together, name) == sum(getattr(one, name) for one in alone)


@settings(max_examples=15, deadline=None)
@given(portfolio=holdings())
def test_margin_does_not_depend_on_the_order_of_instruments(portfolio):
    turned = replace(
        portfolio,
        expiries=tuple(
            replace(expiry, options=expiry.options[::-1]) for expiry in portfolio.expiries[::-1]
        ),
    )
    for name in sorted(PRESETS):
        first = compute_portfolio_margin(portfolio, PRESETS[name])
        second = compute_portfolio_margin(turned, PRESETS[name])
        assert first.initial_wad == second.initial_wad
        assert first.maintenance_wad == second.maintenance_wad
    assert compute_standard_margin([portfolio]).initial_wad == (
        compute_standard_margin([turned]).initial_wad
    )
