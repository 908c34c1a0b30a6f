"""Scenario sets and the parameters of portfolio margin: what may happen, and what it costs.

A set is data: rows of (spot factor, direction of volatility, weight). Three sets are shipped;
governance may post others. All figures are WAD unless the name says otherwise. Rule: systems
row 14.
"""

from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import lru_cache
from typing import Final

from chain.errors import ChainError
from chain.risk.fixed_point import (
    EXP_ARGUMENT_LIMIT,
    SCALE,
    WAD_TO_SCALE,
    compute_exp,
    compute_ln,
)
from chain.units import PPM, WAD, YEAR_S, floor_div

SCENARIOS_MAX: Final = 64
"""Rows of a set."""
SPOT_FACTOR_WAD_MAX: Final = 100 * WAD
_DAY_S: Final = 86_400
_MONTH_S: Final = 30 * _DAY_S


class InvalidScenarioSet(ChainError):
    """A scenario set without rows, with too many, or with a row out of bounds."""

    codespace = "risk"
    code = 4
    summary = "invalid scenario set"


class InvalidParameter(ChainError):
    """A margin parameter that does not exist or lies outside its bounds."""

    codespace = "risk"
    code = 5
    summary = "invalid margin parameter"


class VolatilityShock(Enum):
    """The direction in which a scenario moves every volatility."""

    UP = "up"
    NONE = "none"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row: the spot is multiplied by `spot_wad`, the result counts at `weight_ppm`."""

    spot_wad: int
    volatility: VolatilityShock
    weight_ppm: int = PPM


@dataclass(frozen=True, slots=True)
class PortfolioParameters:
    """Everything of row 14 that is not a scenario. Defaults are those of `pmrm21`.

    `dte_floor_s` is seconds. `net_delta_pct` and `hedged_delta_pct` set the least requirement of
    `scan24`; `mm_factor_wad` is the share of min_span that maintenance asks for.
    """

    im_factor_wad: int = 1_300_000_000_000_000_000
    mm_factor_wad: int = WAD
    base_discount_wad: int = 950_000_000_000_000_000
    rate_mult_wad: int = 4 * WAD
    rate_add_wad: int = 50_000_000_000_000_000
    vol_up_wad: int = 450_000_000_000_000_000
    vol_down_wad: int = 300_000_000_000_000_000
    short_pow_wad: int = 300_000_000_000_000_000
    long_pow_wad: int = 130_000_000_000_000_000
    dte_floor_s: int = _DAY_S
    perp_pct_wad: int = 20_000_000_000_000_000
    base_pct_wad: int = 20_000_000_000_000_000
    opt_pct_wad: int = 10_000_000_000_000_000
    basis_add_wad: int = 250_000_000_000_000_000
    basis_mult_wad: int = 10_000_000_000_000_000
    basis_up_wad: int = 1_050_000_000_000_000_000
    basis_down_wad: int = 950_000_000_000_000_000
    peg_threshold_wad: int = 980_000_000_000_000_000
    peg_factor_wad: int = 2 * WAD
    conf_threshold_wad: int = 600_000_000_000_000_000
    conf_margin_wad: int = 500_000_000_000_000_000
    net_delta_pct_wad: int = 0
    hedged_delta_pct_wad: int = 0


_BOUNDS: Final = {
    # name: (least, most). base_discount may not exceed one: it is a discount.
    "im_factor_wad": (WAD, 10 * WAD),
    "mm_factor_wad": (1, WAD),
    "base_discount_wad": (0, WAD),
    "rate_mult_wad": (0, 100 * WAD),
    "rate_add_wad": (0, 10 * WAD),
    "vol_up_wad": (0, 10 * WAD),
    "vol_down_wad": (0, WAD),
    "short_pow_wad": (0, 2 * WAD),
    "long_pow_wad": (0, 2 * WAD),
    "dte_floor_s": (3_600, 10 * _DAY_S),
    "perp_pct_wad": (0, WAD),
    "base_pct_wad": (0, WAD),
    "opt_pct_wad": (0, WAD),
    "basis_add_wad": (0, 10 * WAD),
    "basis_mult_wad": (0, 10 * WAD),
    "basis_up_wad": (WAD, 2 * WAD),
    "basis_down_wad": (0, WAD),
    "peg_threshold_wad": (0, WAD),
    "peg_factor_wad": (0, 100 * WAD),
    "conf_threshold_wad": (0, WAD),
    "conf_margin_wad": (0, 10 * WAD),
    "net_delta_pct_wad": (0, WAD),
    "hedged_delta_pct_wad": (0, WAD),
}
PARAMETER_NAMES: Final = tuple(field.name for field in fields(PortfolioParameters))


@dataclass(frozen=True, slots=True)
class ScenarioSet:
    """A named set of scenarios with the parameters it is used with."""

    name: str
    scenarios: tuple[Scenario, ...]
    parameters: PortfolioParameters

    def __hash__(self) -> int:
        """Of name and parameters alone: sets are keys at every check, and rows are many."""
        return (self.name, self.parameters).__hash__()


def build_span16_scenarios(price_range_wad: int) -> tuple[Scenario, ...]:
    """SPAN's sixteen: 0, ±1/3, ±2/3, ±1 of the range by volatility up and down; ±2 at 35 %."""
    rows = []
    for thirds in (0, 1, -1, 2, -2, 3, -3):
        spot = WAD + floor_div(price_range_wad * thirds, 3)
        rows += [Scenario(spot, shock) for shock in (VolatilityShock.UP, VolatilityShock.DOWN)]
    for ranges in (2, -2):
        spot = max(0, WAD + ranges * price_range_wad)
        rows.append(Scenario(spot, VolatilityShock.NONE, 350_000))
    return tuple(rows)


def build_pmrm21_scenarios() -> tuple[Scenario, ...]:
    """Spot ±15, ±10, ±5 and 0 % by volatility up, unchanged and down."""
    return tuple(
        Scenario(WAD + percent * WAD // 100, shock)
        for percent in (15, 10, 5, 0, -5, -10, -15)
        for shock in VolatilityShock
    )


def build_scan24_scenarios() -> tuple[Scenario, ...]:
    """Spot up to ±16 % at full weight (the outermost with volatility up only), then eight tails."""
    rows = []
    for percent in (16, 12, 8, 4, 0, -4, -8, -12, -16):
        spot = WAD + percent * WAD // 100
        rows.append(Scenario(spot, VolatilityShock.UP))
        if abs(percent) < 16:
            rows.append(Scenario(spot, VolatilityShock.DOWN))
    for percent, weight_ppm in (
        (-66, 240_000),
        (-33, 480_000),
        (50, 320_000),
        (100, 160_000),
        (200, 80_000),
        (300, 53_300),
        (400, 40_000),
        (500, 32_000),
    ):
        rows.append(Scenario(WAD + percent * WAD // 100, VolatilityShock.UP, weight_ppm))
    return tuple(rows)


SPAN16_PRICE_RANGE_WAD: Final = 150_000_000_000_000_000
PRESETS: Final = {
    "span16": ScenarioSet(
        "span16", build_span16_scenarios(SPAN16_PRICE_RANGE_WAD), PortfolioParameters()
    ),
    "pmrm21": ScenarioSet("pmrm21", build_pmrm21_scenarios(), PortfolioParameters()),
    # Its rule has neither discount nor contingency: the tails and the delta floor stand for them.
    "scan24": ScenarioSet(
        "scan24",
        build_scan24_scenarios(),
        PortfolioParameters(
            im_factor_wad=WAD,
            mm_factor_wad=WAD // 2,
            base_discount_wad=WAD,
            rate_mult_wad=0,
            rate_add_wad=0,
            vol_up_wad=400_000_000_000_000_000,
            vol_down_wad=220_000_000_000_000_000,
            perp_pct_wad=0,
            base_pct_wad=0,
            opt_pct_wad=0,
            basis_add_wad=0,
            basis_mult_wad=0,
            net_delta_pct_wad=20_000_000_000_000_000,
            hedged_delta_pct_wad=10_000_000_000_000_000,
        ),
    ),
}
"""The sets that ship: of CME's SPAN, of Derive's portfolio manager, of Paradex's SCAN."""


def validate_scenario_set(scenario_set: ScenarioSet) -> None:
    """Raise InvalidScenarioSet or InvalidParameter, naming the row or field, for a bad set."""
    _validate_bounds(scenario_set)
    net_wad = scenario_set.parameters.net_delta_pct_wad
    hedged_wad = scenario_set.parameters.hedged_delta_pct_wad
    if hedged_wad > net_wad:
        # A hedge turns net delta into hedged delta, and must not raise the requirement.
        raise InvalidParameter(
            f"hedged_delta_pct: {hedged_wad} must be at most net_delta_pct, {net_wad} (1e-18)"
        )


def _validate_bounds(scenario_set: ScenarioSet) -> None:
    rows = scenario_set.scenarios
    if not 1 <= len(rows) <= SCENARIOS_MAX:
        raise InvalidScenarioSet(f"scenarios: {len(rows)} rows, needs 1 to {SCENARIOS_MAX}")
    for index, row in enumerate(rows):
        if not 0 <= row.spot_wad <= SPOT_FACTOR_WAD_MAX:
            raise InvalidScenarioSet(
                f"scenarios[{index}].spot: factor {row.spot_wad} must lie within "
                f"[0, {SPOT_FACTOR_WAD_MAX}] WAD"
            )
        if not 1 <= row.weight_ppm <= PPM:
            raise InvalidScenarioSet(
                f"scenarios[{index}].weight: {row.weight_ppm} ppm must lie within [1, {PPM}]"
            )
    for name, (low, high) in _BOUNDS.items():
        value = getattr(scenario_set.parameters, name)
        if not low <= value <= high:
            unit = "seconds" if name.endswith("_s") else "1e-18"
            raise InvalidParameter(
                f"{name.removesuffix('_wad')}: {value} must lie within [{low}, {high}] ({unit})"
            )


def replace_parameter(scenario_set: ScenarioSet, name: str, value: int) -> ScenarioSet:
    """The set with one parameter changed; raises InvalidParameter for a name that it has not.

    Only its bounds are checked: `validate_scenario_set` judges the set after the last change.
    `price_range_wad` belongs to `span16` alone and moves its rows.
    """
    if name == "price_range_wad" and scenario_set.name == "span16":
        if not 1 <= value <= WAD:
            raise InvalidParameter(f"price_range: {value} must lie within [1, {WAD}] (1e-18)")
        changed = replace(scenario_set, scenarios=build_span16_scenarios(value))
    elif name in PARAMETER_NAMES:
        parameters = replace(scenario_set.parameters, **{name: value})
        changed = replace(scenario_set, parameters=parameters)
    else:
        raise InvalidParameter(
            f"{name.removesuffix('_wad')} is no parameter of {scenario_set.name}"
        )
    _validate_bounds(changed)
    return changed


@lru_cache(maxsize=1_024)
def compute_volatility_factors_wad(
    parameters: PortfolioParameters, expiry_s: int
) -> tuple[int, int]:
    """What volatility up and down multiply a volatility of this expiry by.

    m = (30 d / max(T, dte_floor))^pow, pow by whether T is at most 30 days;
    up = 1 + vol_up·m, down = max(0, 1 - vol_down·m), each floored to the WAD.
    """
    ratio = _MONTH_S * SCALE // max(expiry_s, parameters.dte_floor_s)
    power_wad = parameters.short_pow_wad if expiry_s <= _MONTH_S else parameters.long_pow_wad
    scaled = compute_exp(floor_div(power_wad * compute_ln(ratio), WAD))
    up_wad = (WAD * SCALE + parameters.vol_up_wad * scaled) // SCALE
    down_wad = max(0, (WAD * SCALE - parameters.vol_down_wad * scaled) // SCALE)
    return up_wad, down_wad


def compute_risk_adjusted_rate_wad(
    parameters: PortfolioParameters, rate_wad: int, latency_wad: int = 0
) -> int:
    """The rate that positive option value is discounted at: max(0, rate)·mult + add + L.

    Over a route with latency premium L it is the latency-adjusted risk rate (row 4); L is 0 for
    what the hub holds itself. Rounded up: a higher rate is worth less to the user.
    """
    product = max(0, rate_wad) * parameters.rate_mult_wad
    return -(-product // WAD) + parameters.rate_add_wad + latency_wad


@lru_cache(maxsize=4_096)
def compute_option_discount(
    parameters: PortfolioParameters,
    rate_wad: int,
    latency_wad: int,
    expiry_s: int,
    ratio_scale: int,
) -> int:
    """The discount base_discount·exp(-T·risk-adjusted rate) at ratio_scale, floored."""
    adjusted = compute_risk_adjusted_rate_wad(parameters, rate_wad, latency_wad)
    # Beyond the domain of exp the factor is below 1e-111: nothing is left either way.
    argument = min(adjusted * WAD_TO_SCALE * expiry_s // YEAR_S, EXP_ARGUMENT_LIMIT)
    decay = compute_exp(-argument)
    return (parameters.base_discount_wad * decay * ratio_scale) // (WAD * SCALE)
