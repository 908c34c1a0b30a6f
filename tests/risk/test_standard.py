from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings

from chain.risk.portfolio import ExpiryPosition, InvalidPortfolio, OptionPosition, Portfolio
from chain.risk.scenarios import InvalidParameter
from chain.risk.standard import (
    StandardParameters,
    compute_standard_margin,
    replace_standard_parameter,
)
from chain.units import WAD
from tests.risk import reference
from tests.risk.portfolios import (
    dec,
    parameters_to_reference,
    portfolios,
    to_reference,
    wad,
)

BOUND = Decimal("1e-12")
# At expiry an option is worth its payoff: legs by hand.
SPOT = 2_000


def build(*options, **changes) -> Portfolio:
    expiries = (ExpiryPosition(0, wad(SPOT), 0, tuple(options)),) if options else ()
    values = {"spot_wad": wad(SPOT), "perp_price_wad": wad(SPOT), "expiries": expiries} | changes
    return Portfolio(**values)


def option(strike, amount, *, is_call=True) -> OptionPosition:
    return OptionPosition(wad(strike), is_call, wad(amount), WAD)


@settings(max_examples=30, deadline=None)
@given(portfolio=portfolios())
def test_rule_agrees_with_decimal(portfolio):
    margin = compute_standard_margin([portfolio])
    initial, maintenance = reference.standard_margin(
        to_reference(portfolio), parameters_to_reference(StandardParameters())
    )
    assert abs(dec(margin.initial_wad) - initial) < BOUND
    assert abs(dec(margin.maintenance_wad) - maintenance) < BOUND


@pytest.mark.parametrize(
    ("legs", "initial", "maintenance"),
    [
        # Short call 5 % out: (15 - 5) % of S; maintenance 7.5 %.
        ([option(2_100, -1)], -200, -150),
        # 20 % out: the floor of 10 %.
        ([option(2_400, -1)], -200, -150),
        # In the money by 100: 15 % and the mark.
        ([option(1_900, -2)], -800, -500),
        # Short put out of the money, worth 0: maintenance min(-150, 0).
        ([option(1_900, -1, is_call=False)], -200, -150),
        # Short put 2,000 in the money: its whole strike may be lost, the legs ask for less.
        ([option(4_000, -1, is_call=False)], -2_300, -2_150),
        # A call spread is worth at worst its width.
        ([option(2_100, -1), option(2_150, 1)], -50, -50),
        # A put spread likewise.
        ([option(1_900, -1, is_call=False), option(1_880, 1, is_call=False)], -20, -20),
        # Longs need nothing and give nothing.
        ([option(1_000, 5)], 0, 0),
    ],
)
def test_expiry_by_hand(legs, initial, maintenance):
    margin = compute_standard_margin([build(*legs)])
    assert margin.initial_wad == wad(initial)
    assert margin.maintenance_wad == wad(maintenance)
    assert margin.maintenance_requirement_wad == -wad(maintenance)


def test_linear_parts_by_hand():
    held = build(perp_wad=-wad(2), perp_profit_wad=wad(30), base_wad=wad(3), cash_wad=wad(1_000))
    margin = compute_standard_margin([held])
    assert margin.initial_wad == wad(1_000 + 30 + 4_800 - 260)
    assert margin.maintenance_wad == wad(1_000 + 30 + 4_800 - 200)
    assert margin.mark_to_market_wad == wad(30 + 6_000)
    assert margin.maintenance_requirement_wad == wad(200)


def test_depeg_and_confidence_are_initial_margins_alone():
    held = build(option(2_400, -1), perp_wad=wad(1), base_wad=wad(1))
    whole = compute_standard_margin([held])
    depegged = compute_standard_margin([replace(held, stable_wad=wad("0.93"))])
    # (0.98 - 0.93)·1.2·2,000·(1 perp + 1 short)
    assert whole.initial_wad - depegged.initial_wad == wad(240)
    assert whole.maintenance_wad == depegged.maintenance_wad
    unsure = compute_standard_margin([replace(held, spot_confidence_wad=wad("0.3"))])
    # (1 - 0.3)·0.4·2,000·(perp + base + short)
    assert whole.initial_wad - unsure.initial_wad == wad(3 * 560)
    assert whole.maintenance_wad == unsure.maintenance_wad


def test_underlyings_add_up():
    first = build(option(2_100, -1), cash_wad=wad(10))
    second = build(perp_wad=wad(1))
    both = compute_standard_margin([first, second])
    apart = [compute_standard_margin([part]) for part in (first, second)]
    assert both.initial_wad == sum(part.initial_wad for part in apart)
    assert both.maintenance_wad == sum(part.maintenance_wad for part in apart)


def test_bad_input_is_refused():
    with pytest.raises(InvalidPortfolio, match="129 underlyings"):
        compute_standard_margin([build()] * 129)
    with pytest.raises(InvalidPortfolio, match="spot"):
        compute_standard_margin([build(spot_wad=0)])
    with pytest.raises(InvalidParameter, match="nonsense"):
        replace_standard_parameter(StandardParameters(), "nonsense", 1)
    with pytest.raises(InvalidParameter, match="base_factor"):
        replace_standard_parameter(StandardParameters(), "base_factor_wad", 2 * WAD)
