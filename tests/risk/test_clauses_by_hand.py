"""Each clause of rows 4, 14 and 15 on an example small enough for pencil and paper.

Options expire now, or have next to no volatility, so that they are worth their payoff; the
underlying costs 2,000 unless a test says otherwise.
"""

from dataclasses import replace

import pytest

from chain.risk.portfolio import (
    ExpiryPosition,
    OptionPosition,
    Portfolio,
    compute_portfolio_margin,
)
from chain.risk.scenarios import (
    PRESETS,
    PortfolioParameters,
    compute_volatility_factors_wad,
    replace_parameter,
)
from chain.risk.standard import StandardParameters, compute_standard_margin
from chain.units import WAD, YEAR_S
from tests.risk.portfolios import wad

PMRM, SCAN, SPAN = PRESETS["pmrm21"], PRESETS["scan24"], PRESETS["span16"]
DAY_S = 86_400
# An option is worth its payoff at this volatility, and at its strike a thousand units of 1e-18.
STILL = 1


def call(strike, amount) -> OptionPosition:
    return OptionPosition(wad(strike), True, wad(amount), STILL)  # noqa: FBT003


def put(strike, amount) -> OptionPosition:
    return OptionPosition(wad(strike), False, wad(amount), STILL)  # noqa: FBT003


def expiry(*options, seconds=0, variable=2_000, **fields) -> ExpiryPosition:
    return ExpiryPosition(seconds, wad(variable), fields.pop("rate_wad", 0), options, **fields)


def hold(*expiries, spot=2_000, **fields) -> Portfolio:
    return Portfolio(wad(spot), perp_price_wad=wad(spot), expiries=expiries, **fields)


def get_profit(margin, spot, direction) -> int:
    (row,) = [
        outcome
        for outcome in margin.scenarios
        if (outcome.spot_wad, outcome.volatility.value) == (wad(spot), direction)
    ]
    return row.profit_wad


# Row 14


def test_the_fixed_part_of_an_average_does_not_move():
    # F = 1,000·1.15 + 1,000 = 2,150: the short call at 2,000 loses 150, not 300.
    held = hold(expiry(call(2_000, -1), variable=1_000, forward_fixed_wad=wad(1_000)))
    margin = compute_portfolio_margin(held, PMRM)
    assert get_profit(margin, "1.15", "none") == -wad(150)
    # Settled whole, nothing moves; the naked short is charged 1 % of 2,000.
    settled = hold(expiry(call(1_900, -1), variable=0, forward_fixed_wad=wad(2_000)))
    margin = compute_portfolio_margin(settled, PMRM)
    assert margin.min_span_wad == -wad(20)
    assert margin.mark_to_market_wad == -wad(100)


@pytest.mark.parametrize(
    ("preset", "days", "up", "down"),
    [
        # τ = 1: the factors themselves.
        (PMRM, 30, "1.45", "0.7"),
        (SCAN, 30, "1.4", "0.78"),
        # τ = 30/7.5 = 4; 4^0.3 = 1.515716566510398
        (PMRM, 7.5, "1.682072454929679", "0.545285030046880"),
        (SCAN, 7.5, "1.606286626604159", "0.666542355367712"),
        # τ = 30/120 = 1/4; 4^-0.13 = 0.835087919428369
        (PMRM, 120, "1.375789563742766", "0.749473624171489"),
        (SCAN, 120, "1.334035167771348", "0.816280657725759"),
        # Below a day the floor of a day: 30^0.3 = 2.774191114672181
        (PMRM, 0, "2.248386001602481", "0.167742665598346"),
        (SCAN, 0.5, "2.109676445868872", "0.389677954772120"),
    ],
)
def test_volatility_shocks_scale_with_time(preset, days, up, down):
    computed = compute_volatility_factors_wad(preset.parameters, int(days * DAY_S))
    for value, expected in zip(computed, (up, down), strict=True):
        assert abs(value - wad(expected)) <= 1_000


def test_volatility_down_stops_at_zero():
    parameters = replace(PortfolioParameters(), vol_down_wad=WAD)
    assert compute_volatility_factors_wad(parameters, DAY_S)[1] == 0


def test_positive_expiry_value_is_discounted_with_time_and_rate():
    # A long call 500 in the money, a year, rate 2 %: 0.95·exp(-(4·0.02 + 0.05)) = 0.834190659...
    held = hold(expiry(call(1_500, 1), seconds=YEAR_S, rate_wad=wad("0.02")))
    margin = compute_portfolio_margin(held, PMRM)
    assert abs(get_profit(margin, 1, "none") - wad("-82.904670312733")) < 10**7
    # A negative rate counts as none: 0.95·exp(-0.05) = 0.903667953...
    negative = hold(expiry(call(1_500, 1), seconds=YEAR_S, rate_wad=-WAD))
    margin = compute_portfolio_margin(negative, PMRM)
    assert abs(get_profit(margin, 1, "none") - wad("-48.166023362161")) < 10**7
    # Over a route with L = 12,822 ppm (row 4): 0.95·exp(-0.142822) = 0.823562946...
    remote = hold(
        expiry(call(1_500, 1), seconds=YEAR_S, rate_wad=wad("0.02"), latency_wad=wad("0.012822"))
    )
    margin = compute_portfolio_margin(remote, PMRM)
    assert abs(get_profit(margin, 1, "none") - wad("-88.218526695450")) < 10**7


def test_the_discount_is_of_the_expirys_sum():
    # 500 long and 300 short in one expiry: 0.95·200 - 200; in two the short is not reduced.
    one = compute_portfolio_margin(hold(expiry(call(1_500, 1), call(1_700, -1))), PMRM)
    assert get_profit(one, 1, "none") == -wad(10)
    two = hold(expiry(call(1_500, 1)), expiry(call(1_700, -1), seconds=1))
    assert abs(get_profit(compute_portfolio_margin(two, PMRM), 1, "none") + wad(25)) < 10**12


def test_basis_takes_each_expiry_at_its_worse_side():
    # Long a call now, short it in a year: the scenarios lose 0.05·300, the basis of the short
    # 100·(0.25 + 0.01·1), that of the long nothing. One naked short is charged 20.
    held = hold(expiry(call(2_000, 1)), expiry(call(2_000, -1), seconds=YEAR_S))
    margin = compute_portfolio_margin(held, PMRM)
    assert abs(margin.scenarios[margin.worst].profit_wad + wad(15)) < 10**4
    assert abs(margin.basis_wad + wad(26)) < 10**4
    assert abs(margin.min_span_wad + wad(26 + 20)) < 10**4
    # A put the other way round loses on the other side.
    held = hold(expiry(put(2_000, -2)))
    assert compute_portfolio_margin(held, PMRM).basis_wad == -wad(50)


def test_static_charge_of_every_kind():
    # (3 perps + 2 base)·2 % + 4 naked of 5 short calls against 1 long put of the strike, 1 %.
    held = hold(expiry(call(2_500, -5), put(2_500, 1)), perp_wad=-wad(3), base_wad=wad(2))
    assert compute_portfolio_margin(held, PMRM).static_wad == wad(3 * 40 + 2 * 40 + 4 * 20)


def test_strikes_and_expiries_do_not_net_their_naked_shorts():
    held = hold(expiry(call(2_500, -1), call(2_600, 1)), expiry(put(2_500, 1), seconds=1))
    assert compute_portfolio_margin(held, PMRM).static_wad == wad(20)


def test_mark_to_market_maintenance_and_cash():
    # Base 2·2,000/0.98, the perp's profit -100, a call worth 300; cash -50 counts in full.
    held = hold(
        expiry(call(1_700, 1)),
        base_wad=wad(2),
        perp_wad=wad(1),
        perp_profit_wad=-wad(100),
        stable_wad=wad("0.98"),
        cash_wad=-wad(50),
    )
    margin = compute_portfolio_margin(held, PMRM)
    assert margin.mark_to_market_wad == wad("4281.632653061224489795")
    assert margin.maintenance_wad == (
        wad("4281.632653061224489795") - wad(50) + margin.min_span_wad
    )
    # At the threshold, not below it: no depeg.
    assert margin.im_factor_wad == wad("1.3")


def test_the_depeg_raises_the_factor_of_initial_margin():
    # 0.98 - 0.93 = 0.05, times 2: 1.3 + 0.1. The perp's min_span is 300 + 40.
    margin = compute_portfolio_margin(hold(perp_wad=wad(1), stable_wad=wad("0.93")), PMRM)
    assert margin.im_factor_wad == wad("1.4")
    assert margin.initial_wad == -wad(476)
    assert margin.maintenance_wad == -wad(340)


@pytest.mark.parametrize(
    ("fields", "legs", "charge"),
    [
        # (1 - c)·0.5·n·2,000; spot leg n = 1 perp + 2 base, expiry n = 3.
        ({"spot_confidence_wad": wad("0.5")}, {}, 500 * 3 + 500 * 3),
        ({"perp_confidence_wad": wad("0.2")}, {}, 800 * 3 + 800 * 3),
        ({}, {"forward_confidence_wad": wad("0.4")}, 600 * 3),
        ({}, {"rate_confidence_wad": wad("0.1")}, 900 * 3),
        ({}, {"volatility_confidence_wad": 0}, 1_000 * 3),
        # At the threshold of 0.6 nothing.
        ({"spot_confidence_wad": wad("0.6")}, {"rate_confidence_wad": wad("0.6")}, 0),
    ],
)
def test_confidence_takes_the_least_of_its_feeds(fields, legs, charge):
    held = hold(
        expiry(call(2_000, 2), put(2_000, -1), **legs),
        perp_wad=-wad(1),
        base_wad=wad(2),
        **fields,
    )
    margin = compute_portfolio_margin(held, PMRM)
    assert margin.confidence_charge_wad == wad(charge)
    sure = replace(
        held,
        spot_confidence_wad=WAD,
        perp_confidence_wad=WAD,
        expiries=(expiry(call(2_000, 2), put(2_000, -1)),),
    )
    assert compute_portfolio_margin(sure, PMRM).initial_wad - margin.initial_wad == wad(charge)
    assert compute_portfolio_margin(sure, PMRM).maintenance_wad == margin.maintenance_wad


def test_scan24_weighs_its_tails():
    margin = compute_portfolio_margin(hold(perp_wad=-wad(1)), SCAN)
    tails = [outcome.profit_wad for outcome in margin.scenarios[16:]]
    assert tails == [
        wad(text) for text in ("316.8", "316.8", -320, -320, -320, "-319.8", -320, -320)
    ]


def test_scan24_asks_at_least_for_its_deltas():
    # Five calls at the strike of 1,000 have a delta of one each: net -4, gross 6, so
    # (2 %·4 + 1 %·2)·2,000 = 200, less than the 16 % that five short calls lose more than one perp.
    held = hold(expiry(call(1_000, -5)), perp_wad=wad(1))
    margin = compute_portfolio_margin(held, SCAN)
    assert margin.delta_charge_wad == wad(200)
    assert margin.min_span_wad == -wad(4 * 320)
    # Half of the delta when half of the average is fixed: net 1 - 2.5, gross 3.5.
    fixed = hold(
        expiry(call(1_000, -5), variable=1_000, forward_fixed_wad=wad(1_000)), perp_wad=wad(1)
    )
    assert compute_portfolio_margin(fixed, SCAN).delta_charge_wad == wad(30 * 2 + 20 * 2)
    # Five long calls against five short perps lose nothing in any row: the deltas alone.
    hedged = hold(expiry(call(1_000, 5)), perp_wad=-wad(5))
    margin = compute_portfolio_margin(hedged, SCAN)
    assert margin.initial_requirement_wad == margin.delta_charge_wad == wad(200)
    assert margin.maintenance_requirement_wad == wad(100)


def test_span16_counts_its_extremes_at_35_percent():
    margin = compute_portfolio_margin(hold(perp_wad=wad(1)), SPAN)
    losses = [outcome.profit_wad for outcome in margin.scenarios]
    assert losses[-2:] == [wad(210), -wad(210)]
    assert sorted(set(losses[:-2])) == [-wad(x) for x in (300, 200, 100)] + [
        wad(x) for x in (0, 100, 200, 300)
    ]
    # With a range beyond one half the lower extreme is a price of zero, not below.
    wide = replace_parameter(SPAN, "price_range_wad", wad("0.6"))
    margin = compute_portfolio_margin(hold(perp_wad=wad(1)), wide)
    assert margin.scenarios[-1].profit_wad == -wad(700)


# Row 15


def standard(*expiries, **fields):
    return compute_standard_margin([hold(*expiries, **fields)])


@pytest.mark.parametrize(
    ("strike", "initial"),
    [
        # otm 0: 15 % of 2,000. In the money the mark comes on top.
        (2_000, -300),
        (1_600, -300 - 400),
        # otm 3 %: 12 %.
        (2_060, -240),
        # otm 5 % reaches the floor of 10 %; 10 % and more stay there.
        (2_100, -200),
        (2_200, -200),
        (4_000, -200),
    ],
)
def test_short_call_leg(strike, initial):
    margin = standard(expiry(call(strike, -1)))
    mark = -max(0, 2_000 - strike)
    (part,) = margin.underlyings[0].expiries
    assert part.legs_initial_wad == wad(initial)
    assert part.legs_maintenance_wad == -wad(150) + wad(mark)


@pytest.mark.parametrize(
    ("strike", "initial", "maintenance"),
    [
        # Out of the money: maintenance min(-150, 0), initial 15 % less otm, floor 10 %.
        (2_000, -300, -150),
        (1_960, -260, -150),
        (1_000, -200, -150),
        # 1,000 in the money: min(-150, -75) - 1,000; 300 + 1,000 above 1,150·1.05 = 1,207.5.
        (3_000, -1_300, -1_150),
        # 3,000 in the money: min(-150, -225) - 3,000; 3,225·1.05 = 3,386.25 above 3,300.
        (5_000, "-3386.25", -3_225),
    ],
)
def test_short_put_leg(strike, initial, maintenance):
    margin = standard(expiry(put(strike, -1)))
    (part,) = margin.underlyings[0].expiries
    assert part.legs_initial_wad == wad(initial)
    assert part.legs_maintenance_wad == wad(maintenance)


def test_long_options_add_nothing():
    margin = standard(expiry(call(1_000, 3), put(9_000, 2)), cash_wad=wad(7))
    assert margin.initial_wad == margin.maintenance_wad == wad(7)
    assert margin.maintenance_requirement_wad == 0


def test_a_call_spread_asks_its_width():
    # Short two at 2,000, long two at 2,080: at 2,080 and above 160 are lost, the legs ask 600.
    margin = standard(expiry(call(2_000, -2), call(2_080, 2)))
    (part,) = margin.underlyings[0].expiries
    assert part.legs_initial_wad == -wad(600)
    assert part.max_loss_initial_wad == part.max_loss_maintenance_wad == -wad(160)
    assert margin.initial_wad == margin.maintenance_wad == -wad(160)


def test_a_put_spread_loses_most_at_a_price_of_zero():
    # Short three at 1,900, long three at 1,850: 150 at every spot below, down to zero.
    margin = standard(expiry(put(1_900, -3), put(1_850, 3)))
    assert margin.initial_wad == -wad(150)
    # One long too few: at zero 1,900 more are lost, and the legs ask less.
    margin = standard(expiry(put(1_900, -3), put(1_850, 2)))
    (part,) = margin.underlyings[0].expiries
    assert part.max_loss_initial_wad == -wad(3 * 1_900 - 2 * 1_850)
    assert margin.initial_wad == part.legs_initial_wad == -wad(3 * 200)


def test_unpaired_calls_are_charged_on_the_forward():
    # Ten short against nine long that are never worth less: only the unpaired one counts, at 1.2
    # and 1.1 of a forward of 2,100. The legs ask 10·(300 + 100).
    margin = standard(expiry(call(2_000, -10), call(1_990, 9), variable=2_100))
    (part,) = margin.underlyings[0].expiries
    assert part.legs_initial_wad == -wad(4_000)
    assert part.max_loss_initial_wad == -wad(2_520)
    assert part.max_loss_maintenance_wad == -wad(2_310)
    assert margin.initial_wad == -wad(2_520)
    # Maintenance legs: 10·(150 + 100).
    assert margin.maintenance_wad == -wad(2_310)


def test_expiries_do_not_pay_for_each_other():
    near = expiry(call(2_000, -2), call(2_080, 2))
    far = expiry(call(2_000, 2), call(2_080, -2), seconds=1)
    # The short calls of the far one are covered: it asks for nothing.
    assert standard(near, far).initial_wad == standard(near).initial_wad == -wad(160)


def test_perpetuals_base_and_cash():
    held = {
        "perp_wad": wad(3),
        "perp_profit_wad": -wad(40),
        "base_wad": wad(1),
        "cash_wad": -wad(500),
    }
    margin = standard(**held)
    # 6,000·6.5 % and 5 %; base 80 % of 2,000.
    assert margin.initial_wad == wad(-390 - 40 + 1_600 - 500)
    assert margin.maintenance_wad == wad(-300 - 40 + 1_600 - 500)


def test_depeg_counts_perpetuals_and_short_options():
    # (0.98 - 0.97)·1.2·2,000·(2 + 3 + 1); longs and base do not count.
    options = expiry(call(3_000, -3), put(1_000, -1), call(3_100, 8))
    fields = {"perp_wad": -wad(2), "base_wad": wad(5)}
    margin = standard(options, stable_wad=wad("0.97"), **fields)
    assert margin.underlyings[0].depeg_wad == -wad(24 * 6)
    sure = standard(options, **fields)
    assert sure.initial_wad - margin.initial_wad == wad(24 * 6)
    assert sure.maintenance_wad == margin.maintenance_wad
    at_threshold = standard(options, stable_wad=wad("0.98"), **fields)
    assert at_threshold.underlyings[0].depeg_wad == 0


@pytest.mark.parametrize(
    ("fields", "legs", "charge"),
    [
        # (1 - c)·0.4·2,000·n with c below 0.4: 2 perps, 1 base, 3 short options.
        ({"spot_confidence_wad": wad("0.25")}, {}, 600 * (2 + 1 + 3)),
        ({"perp_confidence_wad": wad("0.25")}, {}, 600 * 2),
        ({}, {"forward_confidence_wad": wad("0.1")}, 720 * 3),
        ({}, {"volatility_confidence_wad": wad("0.3")}, 560 * 3),
        # The rate's does not count here, and at the threshold nothing does.
        ({}, {"rate_confidence_wad": 0}, 0),
        ({"spot_confidence_wad": wad("0.4")}, {}, 0),
    ],
)
def test_standard_confidence(fields, legs, charge):
    margin = standard(
        expiry(call(3_000, -3), call(3_100, 9), **legs),
        perp_wad=wad(2),
        base_wad=wad(1),
        **fields,
    )
    assert margin.underlyings[0].confidence_wad == -wad(charge)


def test_the_parameters_are_the_clauses():
    """Every parameter of row 15 moves the margin of a portfolio that has all of its legs."""
    held = hold(
        # A lone put 3,000 in the money feels put_scale and mm_put_mtm; one out of it mm_put.
        expiry(put(5_000, -1), variable=2_000),
        expiry(put(1_900, -1), seconds=1),
        # A lone call out of the money feels base or floor, and mm_call.
        expiry(call(2_040, -1), seconds=2),
        expiry(call(2_500, -1), seconds=3),
        # A spread with one call too many feels unpaired.
        expiry(call(2_000, -20), call(1_990, 19), seconds=4),
        perp_wad=wad(1),
        base_wad=wad(1),
        stable_wad=wad("0.97"),
        spot_confidence_wad=wad("0.3"),
    )
    plain = StandardParameters()
    before = compute_standard_margin([held], plain)
    for name in StandardParameters.__slots__:
        moved = replace(plain, **{name: getattr(plain, name) + WAD // 100})
        after = compute_standard_margin([held], moved)
        assert (before.initial_wad, before.maintenance_wad) != (
            after.initial_wad,
            after.maintenance_wad,
        ) or name == "conf_threshold_wad", name
    # The threshold is a switch: 0.3 is no longer below it.
    off = compute_standard_margin([held], replace(plain, conf_threshold_wad=wad("0.3")))
    assert off.underlyings[0].confidence_wad == 0
