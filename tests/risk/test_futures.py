from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.batch import AccountMatrix, compute_min_spans
from chain.risk.portfolio import (
    ExpiryPosition,
    InvalidPortfolio,
    OptionPosition,
    Portfolio,
    build_risk_table,
    compute_confidence_charge_wad,
    compute_portfolio_greeks,
    compute_portfolio_margin,
)
from chain.risk.risk_table import compute_span
from chain.risk.scenarios import PRESETS
from chain.risk.standard import StandardParameters, compute_underlying_margin
from chain.units import WAD, YEAR_S

PMRM = PRESETS["pmrm21"]
MONTH_S = 30 * 86_400
SPOT = 2_000 * WAD


def build_expiry(future=0, options=(), **fields):
    return ExpiryPosition(MONTH_S, SPOT, 0, tuple(options), future_wad=future * WAD, **fields)


def build(perp=0, *expiries, **fields):
    held = Portfolio(SPOT, perp_wad=perp * WAD, perp_price_wad=SPOT, expiries=expiries)
    return replace(held, **fields)


def ask(held, preset=PMRM):
    return compute_portfolio_margin(held, preset)


def test_a_future_alone_is_asked_what_a_perpetual_is():
    future, perp = ask(build(0, build_expiry(10))), ask(build(10))
    assert future.maintenance_requirement_wad == perp.maintenance_requirement_wad == 3_400 * WAD
    assert future.initial_requirement_wad == perp.initial_requirement_wad


def test_a_calendar_hedge_is_charged_its_basis():
    # 10 against -10: no scenario hurts. Static 2 % of 20 units at 2,000; the future alone loses
    # 5 % of 20,000, of which the basis counts 0.25 + 0.01·T.
    margin = ask(build(10, build_expiry(-10)))
    assert min(row.profit_wad for row in margin.scenarios) == 0
    basis = 1_000 * (WAD // 4 + WAD * MONTH_S // YEAR_S // 100)
    assert -margin.basis_wad == pytest.approx(basis, abs=1_000)
    assert margin.maintenance_requirement_wad == -margin.basis_wad + 800 * WAD


def test_only_the_part_of_a_forward_that_still_moves_is_at_risk():
    half = build_expiry(10, forward_fixed_wad=SPOT // 2)
    half = replace(half, forward_variable_wad=SPOT // 2)
    whole = ask(build(0, build_expiry(10)))
    settled = ask(build(0, half))
    worst, least = (min(row.profit_wad for row in m.scenarios) for m in (whole, settled))
    assert least == worst // 2


def test_parity_leaves_nothing_but_the_discount_of_what_is_gained():
    # Long call, short put at the forward, short future: the options gain what the future loses, and
    # what they gain is discounted.
    legs = (
        OptionPosition(SPOT, True, 10 * WAD, 8 * WAD // 10),  # noqa: FBT003
        OptionPosition(SPOT, False, -10 * WAD, 8 * WAD // 10),  # noqa: FBT003
    )
    margin = ask(build(0, build_expiry(-10, legs)))
    naked = ask(build(0, build_expiry(0, legs)))
    worst, unhedged = (-min(row.profit_wad for row in m.scenarios) for m in (margin, naked))
    assert worst < unhedged // 10
    scan = ask(build(0, build_expiry(-10, legs)), PRESETS["scan24"])
    assert all(abs(row.profit_wad) <= 10 for row in scan.scenarios)


def test_a_future_counts_in_greeks_confidence_and_standard_charges():
    held = build(1, build_expiry(-3, forward_confidence_wad=WAD // 4))
    assert compute_portfolio_greeks(held).delta_wad == -2 * WAD
    # (1 - 0.25)·0.5·3·2,000
    assert compute_confidence_charge_wad(held, PMRM.parameters) == 2_250 * WAD
    part = compute_underlying_margin(
        replace(held, stable_wad=88 * WAD // 100), StandardParameters()
    )
    # (0.98 - 0.88)·1.2·2,000·(1 + 3), and (1 - 0.25)·0.4·2,000·3
    assert part.depeg_wad == -960 * WAD
    assert part.confidence_wad == -1_800 * WAD


def test_two_expiries_may_be_equally_far_when_they_settle_apart():
    first = build_expiry(1, settlement_s=60)
    with pytest.raises(InvalidPortfolio, match="give one expiry once"):
        ask(build(0, first, first))
    apart = ask(build(0, first, replace(first, settlement_s=120)))
    both = ask(build(0, build_expiry(2)))
    assert apart.maintenance_requirement_wad == both.maintenance_requirement_wad


def test_a_future_out_of_bounds_is_refused():
    with pytest.raises(InvalidPortfolio, match=r"expiries\[0\].future"):
        ask(build(0, build_expiry(10**18)))


def test_the_requirement_is_the_larger_of_both_directions():
    put = OptionPosition(SPOT, False, -4 * WAD, WAD)  # noqa: FBT003
    for held in (
        build(3),
        build(-3),
        build(2, build_expiry(-2)),
        build(0, build_expiry(0, (put,))),
    ):
        margin = ask(held)
        for name in ("initial", "maintenance"):
            ends = (getattr(margin.up, f"{name}_wad"), getattr(margin.down, f"{name}_wad"))
            assert getattr(margin, f"{name}_requirement_wad") == max(ends)
    assert ask(build(3)).up.maintenance_wad == 120 * WAD  # the static charge alone


units = st.integers(-1_000, 1_000)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(units, units, units, units), min_size=1, max_size=5))
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_futures_batched_are_futures_alone(name, accounts):
    option = OptionPosition(21 * SPOT // 20, True, WAD, 8 * WAD // 10)  # noqa: FBT003
    held = build(1, build_expiry(1, (option,)), replace(build_expiry(1), expiry_s=2 * MONTH_S))
    table, kept = build_risk_table(held, PRESETS[name], 1 << 30)
    # Prices in cents, so that they fit int64.
    cents = 10**16
    rows = tuple(
        replace(
            row,
            mark_price=row.mark_price // cents,
            shocked_prices=tuple(price // cents for price in row.shocked_prices),
            basis_prices=tuple(price // cents for price in row.basis_prices),
            static_price=row.static_price // cents,
            dollar_delta=row.dollar_delta // cents,
        )
        for row in table.instruments
    )
    table = replace(table, instruments=rows)
    assert len(kept) == 5  # base, perpetual, option, two futures
    matrix = AccountMatrix(5)
    for amounts in accounts:
        matrix.append((abs(amounts[0]), *amounts))
    expected = [compute_span(table, (abs(a[0]), *a)).min_span for a in accounts]
    assert compute_min_spans(table, matrix) == expected
