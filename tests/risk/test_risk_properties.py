"""What must hold of every portfolio: monotony, hedges, netting, one answer however computed."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.batch import AccountMatrix, compute_min_spans
from chain.risk.haircut import HaircutFactors, compute_lien_value
from chain.risk.netting import (
    NettingTerms,
    VenuePosition,
    compute_netting,
    compute_siloed_uusd,
)
from chain.risk.portfolio import Portfolio, build_risk_table, compute_portfolio_margin
from chain.risk.risk_table import LINEAR, InstrumentRow, RiskTable, compute_span
from chain.risk.scenarios import (
    PRESETS,
    InvalidParameter,
    replace_parameter,
    validate_scenario_set,
)
from chain.risk.standard import compute_standard_margin
from chain.units import PPM, WAD
from tests.risk.portfolios import portfolios

PMRM = PRESETS["pmrm21"]
HAIRCUTS = ("market_ppm", "latency_ppm", "security_ppm", "staleness_ppm")
shares = st.integers(-PPM // 10, PPM + PPM // 10)

liens = st.builds(
    HaircutFactors,
    st.just("X"),
    st.sampled_from((0, 6, 8, 18)),
    st.integers(0, 10**24),
    shares,
    shares,
    shares,
    shares,
    shares,
)
prices = st.integers(1, 10**6 * WAD)


def compute_m(held) -> int:
    """M = Σ floor(V·(1 - H)), what all liens of an account count."""
    return sum(compute_lien_value(factors, price).counted_uusd for factors, price in held)


@given(
    st.lists(st.tuples(liens, prices), min_size=1, max_size=5),
    st.data(),
    st.integers(0, 2 * PPM),
)
def test_m_never_rises_with_any_haircut(held, data, rise):
    before = compute_m(held)
    index = data.draw(st.integers(0, len(held) - 1))
    factors, price = held[index]
    for name in (*HAIRCUTS, "size_weight_ppm"):
        # The fifth is a weight: less of it takes more.
        change = -rise if name == "size_weight_ppm" else rise
        worse = replace(factors, **{name: getattr(factors, name) + change})
        assert compute_m([*held[:index], (worse, price), *held[index + 1 :]]) <= before


@given(liens, prices)
def test_each_haircut_is_clamped_to_its_whole_range(factors, price):
    names = (*HAIRCUTS, "size_weight_ppm")
    clamped = {name: min(PPM, max(0, getattr(factors, name))) for name in names}
    value = compute_lien_value(factors, price)
    assert value == compute_lien_value(replace(factors, **clamped), price)
    assert 0 <= value.counted_uusd <= value.value_uusd
    exact = Fraction(factors.recognized_amount * price, 10 ** (factors.decimals + 12))
    kept = Fraction(min(PPM - clamped["market_ppm"], clamped["size_weight_ppm"]), PPM)
    for name in HAIRCUTS[1:]:
        kept *= Fraction(PPM - clamped[name], PPM)
    # Never above the exact figure, and below it by the floors alone: three of the haircut, each at
    # most a ppm of the value, one of the value and one of what counts.
    assert value.counted_uusd <= exact * kept
    assert value.counted_uusd > exact * (kept - Fraction(3, PPM)) - 2


def get_amounts(held: Portfolio) -> list[int]:
    options = (option for expiry in held.expiries for option in expiry.options)
    return [held.base_wad, held.perp_wad, *(option.amount_wad for option in options)]


def with_amounts(held: Portfolio, values: list[int]) -> Portfolio:
    base, perp, *rest = values
    following = iter(rest)
    return replace(
        held,
        base_wad=base,
        perp_wad=perp,
        expiries=tuple(
            replace(
                expiry,
                options=tuple(replace(o, amount_wad=next(following)) for o in expiry.options),
            )
            for expiry in held.expiries
        ),
    )


def make_sure(held: Portfolio) -> Portfolio:
    """The portfolio with full confidence in every feed."""
    expiries = tuple(
        replace(
            expiry,
            forward_confidence_wad=WAD,
            rate_confidence_wad=WAD,
            volatility_confidence_wad=WAD,
        )
        for expiry in held.expiries
    )
    return replace(held, spot_confidence_wad=WAD, perp_confidence_wad=WAD, expiries=expiries)


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=10, deadline=None)
@given(held=portfolios(), data=st.data())
def test_a_union_never_needs_more_than_its_parts(name, held, data):
    """Netting never asks more than gross: every way to split a portfolio in two.

    Discounting what is positive, the basis and the charge on naked shorts and deltas all favour
    the union; the three requirements round up by less than a unit each. Confidences are full: a
    doubtful perpetual makes the options beside it dearer, which is no matter of netting.
    """
    held = make_sure(held)
    whole = get_amounts(held)
    first = [
        data.draw(st.one_of(st.just(0), st.just(amount), st.integers(-100 * WAD, 100 * WAD)))
        for amount in whole
    ]
    first[0] = data.draw(st.integers(0, whole[0]))
    rest = [amount - part for amount, part in zip(whole, first, strict=True)]
    together, one, other = (
        compute_portfolio_margin(with_amounts(held, values), PRESETS[name])
        for values in (whole, first, rest)
    )
    for requirement in ("maintenance_requirement_wad", "initial_requirement_wad"):
        parts = getattr(one, requirement) + getattr(other, requirement)
        assert getattr(together, requirement) <= parts + 3


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=10, deadline=None)
@given(held=portfolios(), index=st.integers(0, 40), share=st.integers(0, 2 * PPM))
def test_the_opposite_of_an_instrument_never_raises(name, held, index, share):
    """A hedge of any size up to twice the position, which is then turned over at most."""
    held = make_sure(held)
    values = get_amounts(held)
    place = index % len(values)
    alone = [0] * len(values)
    alone[place] = values[place]
    hedged = list(alone)
    # Base cannot be sold short: it is hedged by the perpetual instead, at the price of the base.
    if place == 0:
        held = replace(held, perp_price_wad=held.spot_wad * WAD // held.stable_wad)
        # Both legs pay the static charge, which is less than what a scenario takes.
        hedged[1] = -(values[0] * min(share, PPM) // PPM)
    else:
        hedged[place] = values[place] - values[place] * min(share, PPM) // PPM
    naked = compute_portfolio_margin(with_amounts(held, alone), PRESETS[name])
    covered = compute_portfolio_margin(with_amounts(held, hedged), PRESETS[name])
    assert covered.maintenance_requirement_wad <= naked.maintenance_requirement_wad + 2
    assert covered.initial_requirement_wad <= naked.initial_requirement_wad + 2


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=6, deadline=None)
@given(held=portfolios())
def test_a_portfolio_and_its_opposite_need_nothing(name, held):
    values = [0, 0, *(amount - amount for amount in get_amounts(held)[2:])]
    margin = compute_portfolio_margin(with_amounts(held, values), PRESETS[name])
    assert margin.initial_requirement_wad == margin.maintenance_requirement_wad == 0


@settings(max_examples=25, deadline=None)
@given(held=portfolios(), index=st.integers(0, 40), bought=st.integers(0, 50 * WAD))
def test_buying_an_option_never_raises_standard_requirements(held, index, bought):
    """Row 15 is monotone in every option's amount: a long adds nothing and covers what it can."""
    values = get_amounts(held)
    if len(values) == 2:
        return
    place = 2 + index % (len(values) - 2)
    more = list(values)
    more[place] += bought
    before = compute_standard_margin([held])
    after = compute_standard_margin([with_amounts(held, more)])
    assert after.maintenance_requirement_wad <= before.maintenance_requirement_wad
    assert after.initial_wad >= before.initial_wad
    assert after.maintenance_wad >= before.maintenance_wad


@settings(max_examples=20, deadline=None)
@given(held=portfolios(), fall=st.integers(0, WAD))
def test_less_confidence_a_lower_peg_and_more_latency_only_cost(held, fall):
    before = compute_portfolio_margin(held, PMRM)
    for name in ("spot_confidence_wad", "perp_confidence_wad"):
        worse = replace(held, **{name: max(0, getattr(held, name) - fall)})
        margin = compute_portfolio_margin(worse, PMRM)
        assert margin.initial_wad <= before.initial_wad
        assert margin.maintenance_wad == before.maintenance_wad
    slower = replace(
        held,
        expiries=tuple(
            replace(expiry, latency_wad=expiry.latency_wad + fall) for expiry in held.expiries
        ),
    )
    assert compute_portfolio_margin(slower, PMRM).maintenance_wad <= before.maintenance_wad
    # Without base, whose value in the stable moves, a lower peg can only raise the factor.
    plain = replace(held, base_wad=0)
    lower = replace(plain, stable_wad=plain.stable_wad - fall // 20)
    assert (
        compute_portfolio_margin(lower, PMRM).initial_wad
        <= compute_portfolio_margin(plain, PMRM).initial_wad
    )


def test_a_set_that_charges_hedged_deltas_above_net_ones_is_refused():
    """With it a hedge would raise the requirement; parameters may change in any order."""
    changed = replace_parameter(PRESETS["scan24"], "net_delta_pct_wad", 0)
    with pytest.raises(InvalidParameter, match="hedged_delta_pct"):
        validate_scenario_set(changed)
    validate_scenario_set(replace_parameter(changed, "hedged_delta_pct_wad", 0))


TERMS = NettingTerms(maintenance_ppm=50_000, basis_ppm=10_000, fresh_s=60, stale_s=120)
venues = st.builds(
    VenuePosition,
    st.integers(-(10**12), 10**12),
    st.integers(0, 100_000),
    st.integers(0, 200),
    st.integers(0, PPM),
)


@given(
    st.lists(venues, max_size=5),
    st.integers(-(10**12), 10**12),
    st.integers(1, 10**6),
    st.integers(0, 8),
)
def test_a_venue_more_never_asks_more_than_it_would_alone(positions, size, price, decimals):
    added = VenuePosition(size, 0, 0, 0)
    before = compute_netting(positions, TERMS, price * WAD, decimals).requirement_uusd
    after = compute_netting([*positions, added], TERMS, price * WAD, decimals).requirement_uusd
    alone = compute_siloed_uusd([added], TERMS, price * WAD, decimals)
    # One rounding up of the sum of both may fall on the larger part.
    assert after <= before + alone + 1


# Batched or alone


def scale_table(table: RiskTable) -> RiskTable:
    """A table in millionths of a dollar instead of WAD, as one for all accounts is kept."""
    unit = 10**12

    def scale(row: InstrumentRow) -> InstrumentRow:
        return replace(
            row,
            mark_price=row.mark_price // unit,
            shocked_prices=tuple(price // unit for price in row.shocked_prices),
            basis_prices=(row.basis_prices[0] // unit, row.basis_prices[1] // unit),
            static_price=-(-row.static_price // unit),
            dollar_delta=row.dollar_delta // unit,
        )

    return replace(table, instruments=tuple(scale(row) for row in table.instruments))


@pytest.mark.parametrize("name", sorted(PRESETS))
@settings(max_examples=6, deadline=None)
@given(held=portfolios())
def test_priced_portfolios_are_margined_alike_batched_or_alone(name, held):
    table, amounts = build_risk_table(held, PRESETS[name], 1 << 30)
    table = scale_table(table)
    accounts = [[amount * factor // 10**15 for amount in amounts] for factor in (1, -1, 3, 10**9)]
    matrix = AccountMatrix(len(amounts))
    for account in accounts:
        matrix.append(account)
    assert compute_min_spans(table, matrix) == [
        compute_span(table, account).min_span for account in accounts
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 128])
@pytest.mark.parametrize("step", [-1, 0, 1])
def test_every_account_at_the_range_check_is_exact(count, step):
    """All amounts at the limit 2^58 / instruments / largest price, one below and one above it.

    Every price is the largest, so that each sum comes as near to wrapping as the check lets it.
    """
    scale, largest = 1 << 30, 1 << 40
    rows = tuple(
        InstrumentRow(
            # Every fifth is linear: perpetuals, and futures of an expiry's basis.
            expiry=LINEAR if index % 5 == 0 else index % 2,
            strike=index // 4,
            is_call=index % 4 < 2,
            mark_price=largest,
            shocked_prices=(0, largest, largest // 2),
            basis_prices=(0, largest),
            static_price=largest,
            dollar_delta=largest if index % 3 else -largest,
            basis_expiry=index % 2 if index % 10 == 5 else LINEAR,
        )
        for index in range(count)
    )
    table = RiskTable(
        rows,
        (scale, scale, scale // 3),
        (scale - 1, scale // 2),
        (scale, scale),
        scale,
        scale,
        scale,
    )
    limit = (1 << 58) // count // largest + step
    patterns = (
        [limit] * count,
        [-limit] * count,
        [limit if index % 2 else -limit for index in range(count)],
        [limit if index % 3 else -limit for index in range(count)],
    )
    matrix = AccountMatrix(count)
    for pattern in patterns:
        matrix.append(pattern)
    assert compute_min_spans(table, matrix) == [
        compute_span(table, pattern).min_span for pattern in patterns
    ]
