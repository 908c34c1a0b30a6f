from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.risk.fixed_point import SCALE
from chain.risk.scenarios import (
    PRESETS,
    InvalidParameter,
    InvalidScenarioSet,
    PortfolioParameters,
    Scenario,
    VolatilityShock,
    compute_option_discount,
    compute_risk_adjusted_rate_wad,
    compute_volatility_factors_wad,
    replace_parameter,
    validate_scenario_set,
)
from chain.units import WAD, YEAR_S
from tests.risk.portfolios import dec, wad

UP, NONE, DOWN = VolatilityShock.UP, VolatilityShock.NONE, VolatilityShock.DOWN


@pytest.mark.parametrize(("name", "rows"), [("span16", 16), ("pmrm21", 21), ("scan24", 24)])
def test_presets_are_valid_and_have_the_rows_of_their_name(name, rows):
    validate_scenario_set(PRESETS[name])
    assert len(set(PRESETS[name].scenarios)) == rows


def test_scan24_tails():
    tails = [
        (row.spot_wad * 100 // WAD - 100, row.weight_ppm, row.volatility)
        for row in PRESETS["scan24"].scenarios[16:]
    ]
    assert tails == [
        (-66, 240_000, UP),
        (-33, 480_000, UP),
        (50, 320_000, UP),
        (100, 160_000, UP),
        (200, 80_000, UP),
        (300, 53_300, UP),
        (400, 40_000, UP),
        (500, 32_000, UP),
    ]
    assert sum(row.volatility is DOWN for row in PRESETS["scan24"].scenarios) == 7


def test_span16_extremes_count_35_percent():
    extremes = [row for row in PRESETS["span16"].scenarios if row.weight_ppm == 350_000]
    assert [(row.spot_wad, row.volatility) for row in extremes] == [
        (wad("1.3"), NONE),
        (wad("0.7"), NONE),
    ]


def test_latency_adjusted_risk_rate_sample():
    # Rate 2 %, L 12,822 ppm: 142,822 ppm.
    rate = compute_risk_adjusted_rate_wad(PortfolioParameters(), wad("0.02"), wad("0.012822"))
    assert rate == wad("0.142822")
    assert compute_risk_adjusted_rate_wad(PortfolioParameters(), -WAD) == wad("0.05")


@pytest.mark.parametrize("days", [0, 1, 7, 30, 31, 365])
def test_volatility_factors_agree_with_decimal(days):
    ratio = Decimal(30) / max(days, 1)
    scaled = ratio ** Decimal("0.3" if days <= 30 else "0.13")
    up, down = compute_volatility_factors_wad(PortfolioParameters(), days * 86_400)
    assert abs(dec(up) - (1 + Decimal("0.45") * scaled)) < Decimal("2e-18")
    assert abs(dec(down) - max(Decimal(0), 1 - Decimal("0.3") * scaled)) < Decimal("2e-18")


@given(st.integers(0, 50 * YEAR_S), st.integers(-WAD, WAD), st.integers(0, WAD))
def test_discount_falls_with_time_rate_and_latency(seconds, rate, latency):
    def compute(*arguments):
        return compute_option_discount(PortfolioParameters(), *arguments, SCALE)

    here = compute(rate, latency, seconds)
    assert 0 <= here <= wad("0.95") * SCALE // WAD
    assert compute(rate, latency, seconds + 1) <= here
    assert compute(rate + 1, latency, seconds) <= here
    assert compute(rate, latency + 1, seconds) <= here


ROW = Scenario(WAD, NONE)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ((), "0 rows"),
        ((ROW,) * 65, "65 rows"),
        ((ROW, replace(ROW, spot_wad=-1)), r"scenarios\[1\].spot"),
        ((ROW, replace(ROW, spot_wad=101 * WAD)), r"scenarios\[1\].spot"),
        ((ROW, replace(ROW, weight_ppm=0)), r"scenarios\[1\].weight"),
        ((ROW, replace(ROW, weight_ppm=10**6 + 1)), r"scenarios\[1\].weight"),
    ],
)
def test_bad_sets_are_refused_by_row(rows, named):
    with pytest.raises(InvalidScenarioSet, match=named):
        validate_scenario_set(replace(PRESETS["pmrm21"], scenarios=rows))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("im_factor_wad", WAD - 1),
        ("base_discount_wad", WAD + 1),
        ("dte_floor_s", 0),
        ("vol_down_wad", -1),
        ("mm_factor_wad", 0),
        ("price_range_wad", WAD // 5),
        ("scenarios", 3),
    ],
)
def test_bad_parameters_are_refused_by_name(name, value):
    with pytest.raises(InvalidParameter, match=name.removesuffix("_wad")):
        replace_parameter(PRESETS["pmrm21"], name, value)


def test_parameters_change_one_at_a_time():
    changed = replace_parameter(PRESETS["pmrm21"], "im_factor_wad", 2 * WAD)
    assert changed.parameters == replace(PortfolioParameters(), im_factor_wad=2 * WAD)
    wider = replace_parameter(PRESETS["span16"], "price_range_wad", WAD // 5)
    assert max(row.spot_wad for row in wider.scenarios) == wad("1.4")
    with pytest.raises(InvalidParameter, match="price_range"):
        replace_parameter(PRESETS["span16"], "price_range_wad", 0)
