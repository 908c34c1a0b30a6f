"""Scenario sets of underlyings as other modules see them, and their parsing and bounds."""

import re
from dataclasses import dataclass, replace
from typing import Final

from chain._pb.margin.scenarios.v1 import scenarios_pb2 as pb
from chain.modules.scenarios.errors import InvalidUnderlying
from chain.risk.scenarios import (
    PARAMETER_NAMES,
    PRESETS,
    SCENARIOS_MAX,
    PortfolioParameters,
    Scenario,
    ScenarioSet,
    VolatilityShock,
    replace_parameter,
    validate_scenario_set,
)
from chain.risk.standard import (
    STANDARD_PARAMETER_NAMES,
    StandardParameters,
    replace_standard_parameter,
)
from chain.units import PPM, WAD, ceil_div, clamp, floor_div, parse_nonnegative, parse_signed

CUSTOM: Final = "custom"
_ASSET: Final = re.compile(r"[A-Z][A-Z0-9]{0,15}\Z")
_SHOCKS: Final = {
    pb.VOLATILITY_SHOCK_UP: VolatilityShock.UP,
    pb.VOLATILITY_SHOCK_NONE: VolatilityShock.NONE,
    pb.VOLATILITY_SHOCK_DOWN: VolatilityShock.DOWN,
}
_RAMP_S_MIN: Final = 60
_RAMP_S_MAX: Final = 7 * 86_400


_QUOTE_WAD_MAX: Final = 2 * WAD
_QUOTE_STEP_WAD: Final = WAD // PPM
_FACTOR_WAD_MIN: Final = WAD // 2
_FACTOR_WAD_MAX: Final = 3 * WAD
_LOG_WAD_MAX: Final = 2 * WAD


@dataclass(frozen=True, slots=True)
class QuoteTerms:
    """How forwards and options of an underlying are marked, WAD: carry, and the smile."""

    rate_wad: int = 0
    skew_wad: int = 0
    curvature_wad: int = 0

    def compute_smile_factor_wad(self, log_moneyness_wad: int) -> int:
        """1 + skew·k + curvature·k² for k = ln(K/F) within ±2, clamped to [0.5, 3]."""
        k = clamp(log_moneyness_wad, -_LOG_WAD_MAX, _LOG_WAD_MAX)
        factor = WAD + floor_div(self.skew_wad * k * WAD + self.curvature_wad * k * k, WAD * WAD)
        return clamp(factor, _FACTOR_WAD_MIN, _FACTOR_WAD_MAX)


@dataclass(frozen=True, slots=True)
class Underlying:
    """An asset's scenario set and marks; `stable_asset` is empty when nothing can depeg."""

    asset: str
    scenario_set: ScenarioSet
    stable_asset: str
    quote: QuoteTerms
    standard: StandardParameters


@dataclass(frozen=True, slots=True)
class UnderlyingRules:
    """What is in force: the current set, and the one before while the change ramps in.

    `previous` None during a ramp stands for the linear requirement of row 13.
    """

    current: Underlying
    previous: Underlying | None
    ramp_start_s: int
    ramp_end_s: int

    def is_ramping(self, time_s: int) -> bool:
        """Whether the previous rule still counts."""
        return time_s < self.ramp_end_s

    def compute_ramped(self, before: int, after: int, time_s: int) -> int:
        """A requirement between the previous rule's and the current's: only rises are ramped."""
        if after <= before or not self.is_ramping(time_s):
            return after
        elapsed = max(0, time_s - self.ramp_start_s)
        return before + ceil_div((after - before) * elapsed, self.ramp_end_s - self.ramp_start_s)

    def compute_quote_terms(self, time_s: int) -> QuoteTerms:
        """Rate and smile on their straight way from the previous to the current ones, in ppm
        steps: no vote moves a mark at once.
        """
        after = self.current.quote
        if not self.is_ramping(time_s):
            return after
        before = self.previous.quote if self.previous is not None else QuoteTerms()
        elapsed = max(0, time_s - self.ramp_start_s)
        duration = self.ramp_end_s - self.ramp_start_s

        def move(start: int, end: int) -> int:
            moved = floor_div((end - start) * elapsed, duration * _QUOTE_STEP_WAD)
            return start + moved * _QUOTE_STEP_WAD

        return QuoteTerms(
            move(before.rate_wad, after.rate_wad),
            move(before.skew_wad, after.skew_wad),
            move(before.curvature_wad, after.curvature_wad),
        )


def _parse_quote_terms(message: pb.Underlying) -> QuoteTerms:
    values = []
    for field in ("rate_wad", "skew_wad", "curvature_wad"):
        value = parse_signed(getattr(message, field) or "0", field)
        if abs(value) > _QUOTE_WAD_MAX:
            raise InvalidUnderlying(
                f"{field} {value} must lie within [{-_QUOTE_WAD_MAX}, {_QUOTE_WAD_MAX}]"
            )
        values.append(value)
    return QuoteTerms(*values)


def _parse_standard(message: pb.Underlying) -> StandardParameters:
    names = [parameter.name for parameter in message.standard_parameters]
    if len(names) > len(STANDARD_PARAMETER_NAMES) or names != sorted({*names}):
        raise InvalidUnderlying(
            "standard_parameters must be given once each, in ascending order of name"
        )
    chosen = StandardParameters()
    for parameter in message.standard_parameters:
        value = parse_signed(parameter.value or "0", parameter.name[:40])
        chosen = replace_standard_parameter(chosen, parameter.name, value)
    return chosen


def _parse_scenario(index: int, row: pb.Scenario) -> Scenario:
    shock = _SHOCKS.get(row.volatility)
    if shock is None:
        raise InvalidUnderlying(
            f"scenarios[{index}].volatility: {row.volatility} must be up (1), none (2) or down (3)"
        )
    return Scenario(parse_nonnegative(row.spot_wad, "spot_wad"), shock, row.weight_ppm)


def parse_underlying(message: pb.Underlying) -> Underlying:
    """The underlying that a message describes.

    Raises InvalidUnderlying, InvalidAmount, or InvalidScenarioSet and InvalidParameter of the
    risk engine, naming the row or field.
    """
    if not _ASSET.match(message.asset):
        raise InvalidUnderlying(f"asset {message.asset[:40]!r} must be 1 to 16 of A-Z, 0-9")
    if message.stable_asset and not _ASSET.match(message.stable_asset):
        raise InvalidUnderlying(
            f"stable_asset {message.stable_asset[:40]!r} must be 1 to 16 of A-Z, 0-9, or empty"
        )
    if len(message.scenarios) > SCENARIOS_MAX:
        raise InvalidUnderlying(f"{len(message.scenarios)} scenarios, at most {SCENARIOS_MAX}")
    if message.preset == CUSTOM:
        rows = tuple(_parse_scenario(index, row) for index, row in enumerate(message.scenarios))
        chosen = ScenarioSet(CUSTOM, rows, PortfolioParameters())
    elif message.preset in PRESETS:
        if message.scenarios:
            raise InvalidUnderlying(f"{message.preset} has its own rows; name the preset custom")
        chosen = PRESETS[message.preset]
    else:
        known = ", ".join((*PRESETS, CUSTOM))
        raise InvalidUnderlying(f"preset {message.preset[:40]!r} is none of {known}")
    names = [parameter.name for parameter in message.parameters]
    if len(names) > len(PARAMETER_NAMES) or names != sorted({*names}):
        raise InvalidUnderlying("parameters must be given once each, in ascending order of name")
    for parameter in message.parameters:
        value = parse_signed(parameter.value or "0", parameter.name[:40])
        chosen = replace_parameter(chosen, parameter.name, value)
    validate_scenario_set(chosen)
    return Underlying(
        asset=message.asset,
        scenario_set=replace(chosen, name=message.preset),
        stable_asset=message.stable_asset,
        quote=_parse_quote_terms(message),
        standard=_parse_standard(message),
    )


def parse_underlying_state(message: pb.UnderlyingState) -> UnderlyingRules:
    """The rules that a stored message holds; raises what parse_underlying raises."""
    previous = parse_underlying(message.previous) if message.HasField("previous") else None
    current = parse_underlying(message.current)
    if previous is not None and previous.asset != current.asset:
        raise InvalidUnderlying(f"previous asset {previous.asset} must be {current.asset}")
    start, end = message.ramp_start_s, message.ramp_end_s
    if not (start == end == 0 or 0 < start < end):
        raise InvalidUnderlying(f"ramp from {start} to {end} s must end after it starts")
    return UnderlyingRules(current, previous, start, end)


def validate_params(params: pb.Params) -> None:
    """Raise InvalidUnderlying unless the ramp lies in its bounds."""
    if not _RAMP_S_MIN <= params.ramp_s <= _RAMP_S_MAX:
        raise InvalidUnderlying(
            f"ramp_s {params.ramp_s} must lie within [{_RAMP_S_MIN}, {_RAMP_S_MAX}]"
        )


def build_default_params() -> pb.Params:
    """The ramp of row 20: an hour."""
    return pb.Params(ramp_s=3_600)
