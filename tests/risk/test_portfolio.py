from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.portfolio import (
    AMOUNT_WAD_LIMIT,
    ExpiryPosition,
    InvalidPortfolio,
    OptionPosition,
    Portfolio,
    compute_portfolio_greeks,
    compute_portfolio_margin,
    validate_portfolio,
)
from chain.risk.scenarios import PRESETS
from chain.units import WAD, YEAR_S
from tests.risk import reference
from tests.risk.portfolios import (
    dec,
    parameters_to_reference,
    portfolios,
    rows_to_reference,
    to_reference,
    wad,
)

PMRM = PRESETS["pmrm21"]
BOUND = Decimal("1e-12")
"""USD; a portfolio of the tests holds up to 1e3 units of error 1e-18 each, in up to 64 products."""
MONTH = 30 * 86_400


def build_option(strike, amount, *, is_call=True, vol="0.7") -> OptionPosition:
    return OptionPosition(wad(strike), is_call, wad(amount), wad(vol))


def build_portfolio(*options: OptionPosition, spot=2_000, seconds=MONTH, **fields) -> Portfolio:
    expiries = (ExpiryPosition(seconds, wad(spot), wad("0.05"), options),) if options else ()
    values = {"spot_wad": wad(spot), "perp_price_wad": wad(spot), "expiries": expiries} | fields
    return Portfolio(**values)


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=8, deadline=None)
@given(portfolio=portfolios())
def test_rule_agrees_with_decimal(name, portfolio):
    chosen = PRESETS[name]
    margin = compute_portfolio_margin(portfolio, chosen)
    initial, maintenance, total, min_span, profits = reference.portfolio_margin(
        to_reference(portfolio),
        rows_to_reference(chosen.scenarios),
        parameters_to_reference(chosen.parameters),
    )
    assert abs(dec(margin.mark_to_market_wad) - total) < BOUND
    assert abs(dec(margin.min_span_wad) - min_span) < BOUND
    assert abs(dec(margin.initial_wad) - initial) < BOUND
    assert abs(dec(margin.maintenance_wad) - maintenance) < BOUND
    for outcome, profit in zip(margin.scenarios, profits, strict=True):
        assert abs(dec(outcome.profit_wad) - profit) < BOUND


def test_cash_alone_needs_nothing():
    margin = compute_portfolio_margin(build_portfolio(cash_wad=wad(500)), PMRM)
    assert (margin.initial_wad, margin.maintenance_wad) == (wad(500), wad(500))
    assert margin.min_span_wad == margin.mark_to_market_wad == 0


def test_perpetual_by_hand():
    # 2 at 2,000: 15 % of 4,000 and 2 % of 4,000, times 1.3 for initial margin.
    margin = compute_portfolio_margin(build_portfolio(perp_wad=wad(2)), PMRM)
    assert margin.min_span_wad == -wad(680)
    assert margin.maintenance_wad == -wad(680)
    assert margin.initial_wad == -wad(884)
    assert dec(margin.scenarios[margin.worst].spot_wad) == Decimal("0.85")


def test_base_by_hand():
    # 3 at 2,000 and a stable of 0.96: worth 6,250; loses 15 % and 2 % of 6,000 in static charge.
    # The peg is 0.02 under its threshold: the factor is 1.3 + 0.02·2.
    held = build_portfolio(base_wad=wad(3), stable_wad=wad("0.96"))
    margin = compute_portfolio_margin(held, PMRM)
    assert margin.mark_to_market_wad == wad(6_250)
    assert margin.min_span_wad == -wad("1057.5")
    assert margin.im_factor_wad == wad("1.34")
    assert margin.initial_wad == wad(6_250) - wad("1057.5") * 134 // 100


def test_scan24_by_hand():
    # One perpetual at 2,000: the worst of 16 % at full weight and 33 % at 48 % (15.84 %).
    margin = compute_portfolio_margin(build_portfolio(perp_wad=wad(1)), PRESETS["scan24"])
    assert margin.min_span_wad == -wad(320)
    assert margin.initial_wad == -wad(320)
    assert margin.maintenance_wad == -wad(160)
    # A perpetual against the same of base: no scenario loses, the deltas of 2 by 1 % do.
    held = build_portfolio(perp_wad=-wad(1), base_wad=wad(1))
    hedged = compute_portfolio_margin(held, PRESETS["scan24"])
    assert hedged.delta_charge_wad == wad(40)
    assert hedged.initial_wad == wad(2_000) - wad(40)


def test_span16_by_hand():
    # ±2 ranges of 15 % at 35 % lose 10.5 %, less than one range.
    margin = compute_portfolio_margin(build_portfolio(perp_wad=wad(1)), PRESETS["span16"])
    assert margin.min_span_wad == -wad(300 + 40)
    assert len(margin.scenarios) == 16


@pytest.mark.parametrize(
    ("calls", "puts", "naked"),
    [
        (-3, 2, 1),
        (-1, 2, 0),
        (2, -5, 3),
        (-2, -3, 5),
        (-4, 0, 4),
        (0, -4, 4),
        (1, 1, 0),
        (-2, 2, 0),
    ],
)
def test_naked_shorts_net_on_their_strike(calls, puts, naked):
    legs = [build_option(2_000, calls), build_option(2_000, puts, is_call=False)]
    margin = compute_portfolio_margin(build_portfolio(*legs), PMRM)
    assert margin.static_wad == wad(naked * 20)


def test_positive_option_value_is_discounted_and_negative_is_not():
    long_call = compute_portfolio_margin(build_portfolio(build_option(500, 1)), PMRM)
    short_call = compute_portfolio_margin(build_portfolio(build_option(500, -1)), PMRM)
    flat = next(
        index
        for index, row in enumerate(PMRM.scenarios)
        if row.spot_wad == WAD and row.volatility.value == "none"
    )
    assert long_call.scenarios[flat].profit_wad < 0
    assert short_call.scenarios[flat].profit_wad == 0


def test_latency_raises_the_discount_of_a_remote_option():
    local = build_portfolio(build_option(2_000, 10))
    remote = replace(local, expiries=(replace(local.expiries[0], latency_wad=wad("0.012822")),))
    near = compute_portfolio_margin(local, PMRM)
    far = compute_portfolio_margin(remote, PMRM)
    assert far.maintenance_wad < near.maintenance_wad
    assert far.mark_to_market_wad == near.mark_to_market_wad


def test_confidence_charge_by_hand():
    # c = 0.5 < 0.6: (1 - 0.5)·0.5·n·S, n = 1 + 2 for the spot leg and 4 for the expiry.
    held = build_portfolio(
        build_option(2_000, 4), perp_wad=-wad(1), base_wad=wad(2), perp_confidence_wad=wad("0.5")
    )
    margin = compute_portfolio_margin(held, PMRM)
    assert margin.confidence_charge_wad == wad(7 * 500)
    without_perp = replace(held, perp_wad=0)
    assert compute_portfolio_margin(without_perp, PMRM).confidence_charge_wad == 0


@pytest.mark.parametrize("name", ["pmrm21", "span16"])
@settings(max_examples=8, deadline=None)
@given(st.integers(1, 50), st.sampled_from([1_600, 2_000, 2_400]), st.booleans())
def test_a_hedge_never_raises_the_requirement(name, count, strike, is_call):
    chosen = PRESETS[name]
    naked = compute_portfolio_margin(
        build_portfolio(build_option(strike, -count, is_call=is_call)), chosen
    )
    # The same option of a strike one step further out, bought against it.
    further = strike + 200 if is_call else strike - 200
    covered = compute_portfolio_margin(
        build_portfolio(
            build_option(strike, -count, is_call=is_call),
            build_option(further, count, is_call=is_call),
        ),
        chosen,
    )
    assert covered.maintenance_requirement_wad <= naked.maintenance_requirement_wad


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=8, deadline=None)
@given(portfolio=portfolios())
def test_two_accounts_need_at_least_what_their_union_needs(name, portfolio):
    """Scenario losses, basis and static charge are subadditive where values are not discounted
    apart: options of one account against perp and base of the other."""
    chosen = PRESETS[name]
    options = replace(portfolio, base_wad=0, perp_wad=0)
    linear = replace(portfolio, expiries=())
    together, first, second = (
        compute_portfolio_margin(part, chosen).maintenance_requirement_wad
        for part in (portfolio, options, linear)
    )
    assert together <= first + second + 3


@settings(max_examples=8, deadline=None)
@given(portfolio=portfolios(), factor=st.integers(1, 7))
def test_requirement_scales_with_the_portfolio(portfolio, factor):
    def scale(held: Portfolio) -> Portfolio:
        return replace(
            held,
            base_wad=held.base_wad * factor,
            perp_wad=held.perp_wad * factor,
            expiries=tuple(
                replace(
                    expiry,
                    options=tuple(
                        replace(option, amount_wad=option.amount_wad * factor)
                        for option in expiry.options
                    ),
                )
                for expiry in held.expiries
            ),
        )

    one = compute_portfolio_margin(portfolio, PMRM)
    many = compute_portfolio_margin(scale(portfolio), PMRM)
    # Rounding up once is never more than rounding up each part.
    assert many.maintenance_requirement_wad <= factor * one.maintenance_requirement_wad
    assert many.maintenance_requirement_wad > factor * (one.maintenance_requirement_wad - 2)


def test_greeks_of_a_portfolio_are_the_sums_of_its_legs():
    held = build_portfolio(
        build_option(2_000, 3),
        build_option(1_800, -2, is_call=False),
        perp_wad=-wad(1),
        base_wad=wad(2),
    )
    total = compute_portfolio_greeks(held)
    years = MONTH / reference.YEAR
    exact = [Decimal(1), *[Decimal(0)] * 4]
    for strike, kind, amount in ((2_000, "call", 3), (1_800, "put", -2)):
        _, delta, gamma, vega, theta, _ = reference.black_scholes(
            Decimal(2_000), Decimal(strike), Decimal("0.7"), years, kind, Decimal(0), Decimal(0)
        )
        price = reference.black76(Decimal(2_000), Decimal(strike), Decimal("0.7"), years, kind)
        for index, value in enumerate((delta, gamma, vega, theta, -years * price)):
            exact[index] += amount * value
    computed = (total.delta_wad, total.gamma_wad, total.vega_wad, total.theta_wad, total.rho_wad)
    for mine, theirs in zip(computed, exact, strict=True):
        assert abs(dec(mine) - theirs) < Decimal("1e-16")


def test_dust_gains_nothing():
    """A hundred thousand one-unit trades against the whole: rounding never pays the holder."""
    held = build_portfolio(build_option(2_000, "0.000000000000000001"), perp_wad=1)
    part = compute_portfolio_margin(held, PMRM)
    count = 100_000
    whole = build_portfolio(build_option(2_000, "0.0000000000001"), perp_wad=count)
    total = compute_portfolio_margin(whole, PMRM)
    assert part.maintenance_requirement_wad * count >= total.maintenance_requirement_wad
    assert part.mark_to_market_wad * count <= total.mark_to_market_wad


VALID = build_portfolio(build_option(2_000, 1), build_option(2_100, -1), perp_wad=wad(1))


def break_expiry(**changes) -> Portfolio:
    return replace(VALID, expiries=(replace(VALID.expiries[0], **changes),))


def break_option(**changes) -> Portfolio:
    first, *rest = VALID.expiries[0].options
    return break_expiry(options=(replace(first, **changes), *rest))


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (replace(VALID, spot_wad=0), "spot"),
        (replace(VALID, spot_wad=-1), "spot"),
        (replace(VALID, spot_wad=1 << 128), "spot"),
        (replace(VALID, stable_wad=0), "stable_price"),
        (replace(VALID, base_wad=-1), "base"),
        (replace(VALID, perp_wad=AMOUNT_WAD_LIMIT), "perp"),
        (replace(VALID, perp_price_wad=0), "perp_price"),
        (replace(VALID, cash_wad=10**42), "cash"),
        (replace(VALID, spot_confidence_wad=WAD + 1), "spot_confidence"),
        (replace(VALID, perp_confidence_wad=-1), "perp_confidence"),
        (break_expiry(expiry_s=-1), r"expiries\[0\].seconds"),
        (break_expiry(expiry_s=100 * YEAR_S), r"expiries\[0\].seconds"),
        (break_expiry(forward_variable_wad=0), r"expiries\[0\].forward_variable"),
        (break_expiry(forward_fixed_wad=-1), r"expiries\[0\].forward_fixed"),
        (break_expiry(rate_wad=3 * WAD), r"expiries\[0\].rate"),
        (break_expiry(volatility_confidence_wad=2 * WAD), r"expiries\[0\].vol_confidence"),
        (break_option(strike_wad=0), r"expiries\[0\].options\[0\].strike"),
        (break_option(volatility_wad=0), r"expiries\[0\].options\[0\].vol"),
        (break_option(volatility_wad=20 * WAD), r"expiries\[0\].options\[0\].vol"),
        (break_option(amount_wad=AMOUNT_WAD_LIMIT), r"expiries\[0\].options\[0\].amount"),
        (break_option(strike_wad=wad(2_100)), r"expiries\[0\].options\[1\].strike"),
        (replace(VALID, expiries=VALID.expiries * 2), r"expiries\[1\].seconds"),
        (
            break_expiry(options=tuple(build_option(1_000 + i, 1) for i in range(129))),
            "129 options",
        ),
    ],
)
def test_bad_input_is_refused_by_field(broken, field):
    validate_portfolio(VALID)
    with pytest.raises(InvalidPortfolio, match=field):
        compute_portfolio_margin(broken, PMRM)
