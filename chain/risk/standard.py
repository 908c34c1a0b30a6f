"""Standard, rule-based margin: for accounts outside portfolio margin (systems row 15).

Inputs are the portfolios of `portfolio`, one an underlying, under one cash balance. Every figure is
WAD; products are exact, each sum is floored once, so requirements round up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from chain.risk.portfolio import (
    ExpiryPosition,
    InvalidPortfolio,
    OptionPosition,
    Portfolio,
    compute_option_price_wad,
    validate_portfolio,
)
from chain.risk.scenarios import InvalidParameter
from chain.units import WAD, ceil_div, floor_div

UNDERLYINGS_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class StandardParameters:
    """The parameters of row 15, WAD, with their defaults."""

    base_wad: int = 150_000_000_000_000_000
    floor_wad: int = 100_000_000_000_000_000
    mm_call_wad: int = 75_000_000_000_000_000
    mm_put_wad: int = 75_000_000_000_000_000
    mm_put_mtm_wad: int = 75_000_000_000_000_000
    put_scale_wad: int = 1_050_000_000_000_000_000
    unpaired_im_wad: int = 1_200_000_000_000_000_000
    unpaired_mm_wad: int = 1_100_000_000_000_000_000
    perp_im_wad: int = 65_000_000_000_000_000
    perp_mm_wad: int = 50_000_000_000_000_000
    base_factor_wad: int = 800_000_000_000_000_000
    peg_threshold_wad: int = 980_000_000_000_000_000
    peg_factor_wad: int = 1_200_000_000_000_000_000
    conf_threshold_wad: int = 400_000_000_000_000_000
    conf_factor_wad: int = 400_000_000_000_000_000


STANDARD_PARAMETER_NAMES: Final = tuple(field.name for field in fields(StandardParameters))
_SHARES: Final = ("base_factor_wad", "peg_threshold_wad", "conf_threshold_wad")


@dataclass(frozen=True, slots=True)
class ExpiryMargin:
    """What one expiry adds, signed: the better of its legs' sum and its bounded loss."""

    expiry_s: int
    mark_to_market_wad: int
    legs_initial_wad: int
    legs_maintenance_wad: int
    max_loss_initial_wad: int
    max_loss_maintenance_wad: int

    @property
    def initial_wad(self) -> int:
        """What counts for initial margin."""
        return max(self.legs_initial_wad, self.max_loss_initial_wad)

    @property
    def maintenance_wad(self) -> int:
        """What counts for maintenance margin."""
        return max(self.legs_maintenance_wad, self.max_loss_maintenance_wad)


@dataclass(frozen=True, slots=True)
class UnderlyingMargin:
    """The parts of one underlying, WAD and signed: requirements and charges are negative."""

    expiries: tuple[ExpiryMargin, ...]
    perp_initial_wad: int
    perp_maintenance_wad: int
    perp_profit_wad: int
    base_wad: int
    depeg_wad: int
    confidence_wad: int
    mark_to_market_wad: int

    @property
    def initial_wad(self) -> int:
        """Their sum for initial margin."""
        options = sum(expiry.initial_wad for expiry in self.expiries)
        charges = self.depeg_wad + self.confidence_wad
        return options + self.perp_initial_wad + self.perp_profit_wad + self.base_wad + charges

    @property
    def maintenance_wad(self) -> int:
        """Their sum for maintenance margin; the charges are initial margin's alone."""
        options = sum(expiry.maintenance_wad for expiry in self.expiries)
        return options + self.perp_maintenance_wad + self.perp_profit_wad + self.base_wad


@dataclass(frozen=True, slots=True)
class StandardMargin:
    """Worth and requirement of an account, WAD; `initial_wad` below zero lacks that much."""

    initial_wad: int
    maintenance_wad: int
    maintenance_requirement_wad: int
    mark_to_market_wad: int
    underlyings: tuple[UnderlyingMargin, ...]


def validate_standard_parameters(parameters: StandardParameters) -> None:
    """Raise InvalidParameter, naming the field, unless each lies in its bounds."""
    for name in STANDARD_PARAMETER_NAMES:
        high = WAD if name in _SHARES else 10 * WAD
        value = getattr(parameters, name)
        if not 0 <= value <= high:
            raise InvalidParameter(
                f"{name.removesuffix('_wad')}: {value} must lie within [0, {high}] (1e-18)"
            )


def replace_standard_parameter(
    parameters: StandardParameters, name: str, value: int
) -> StandardParameters:
    """The parameters with one changed; raises InvalidParameter for an unknown name or bad value."""
    if name not in STANDARD_PARAMETER_NAMES:
        raise InvalidParameter(f"{name.removesuffix('_wad')} is no parameter of standard margin")
    changed = replace(parameters, **{name: value})
    validate_standard_parameters(changed)
    return changed


def compute_standard_margin(
    portfolios: Sequence[Portfolio], parameters: StandardParameters | None = None
) -> StandardMargin:
    """Row 15 over all underlyings of an account; cash counts in full, and is the portfolios' sum.

    Raises InvalidPortfolio for inputs out of bounds.
    """
    parameters = parameters or StandardParameters()
    if len(portfolios) > UNDERLYINGS_MAX:
        raise InvalidPortfolio(
            f"underlyings: {len(portfolios)} underlyings, at most {UNDERLYINGS_MAX}"
        )
    parts = []
    for index, portfolio in enumerate(portfolios):
        try:
            parts.append(compute_underlying_margin(portfolio, parameters))
        except InvalidPortfolio as error:
            if len(portfolios) == 1:
                raise
            raise InvalidPortfolio(f"underlyings[{index}].{error.detail}") from error
    cash = sum(portfolio.cash_wad for portfolio in portfolios)
    maintenance_requirement = -sum(
        part.perp_maintenance_wad + sum(expiry.maintenance_wad for expiry in part.expiries)
        for part in parts
    )
    return StandardMargin(
        initial_wad=cash + sum(part.initial_wad for part in parts),
        maintenance_wad=cash + sum(part.maintenance_wad for part in parts),
        maintenance_requirement_wad=maintenance_requirement,
        mark_to_market_wad=sum(part.mark_to_market_wad for part in parts),
        underlyings=tuple(parts),
    )


def compute_underlying_margin(
    portfolio: Portfolio, parameters: StandardParameters
) -> UnderlyingMargin:
    """Row 15 of one underlying; its futures are rated and charged as perpetuals of their forward.

    Raises InvalidPortfolio for inputs out of bounds.
    """
    validate_portfolio(portfolio)
    spot = portfolio.spot_wad
    expiries = tuple(_compute_expiry(expiry, spot, parameters) for expiry in portfolio.expiries)
    notional = abs(portfolio.perp_wad) * portfolio.perp_price_wad + sum(
        abs(expiry.future_wad) * (expiry.forward_variable_wad + expiry.forward_fixed_wad)
        for expiry in portfolio.expiries
    )
    shorts = [_sum_shorts(expiry) + abs(expiry.future_wad) for expiry in portfolio.expiries]
    shortfall = max(0, parameters.peg_threshold_wad - portfolio.stable_wad)
    exposed = abs(portfolio.perp_wad) + sum(shorts)
    depeg = -ceil_div(shortfall * parameters.peg_factor_wad * spot * exposed, WAD**3)
    base_value = portfolio.base_wad * spot
    marks = sum(expiry.mark_to_market_wad for expiry in expiries)
    return UnderlyingMargin(
        expiries=expiries,
        perp_initial_wad=-ceil_div(notional * parameters.perp_im_wad, WAD**2),
        perp_maintenance_wad=-ceil_div(notional * parameters.perp_mm_wad, WAD**2),
        perp_profit_wad=portfolio.perp_profit_wad,
        base_wad=floor_div(base_value * parameters.base_factor_wad, WAD**2),
        depeg_wad=depeg,
        confidence_wad=-_compute_confidence_charge_wad(portfolio, shorts, parameters),
        mark_to_market_wad=marks
        + portfolio.perp_profit_wad
        + floor_div(base_value, portfolio.stable_wad),
    )


def _sum_shorts(expiry: ExpiryPosition) -> int:
    return -sum(option.amount_wad for option in expiry.options if option.amount_wad < 0)


def _compute_confidence_charge_wad(
    portfolio: Portfolio, shorts: Sequence[int], parameters: StandardParameters
) -> int:
    """The sum of (1 - c)·factor·S·n over perp, base and expiries with c under the threshold."""
    spot_confidence = portfolio.spot_confidence_wad
    legs = [
        (abs(portfolio.perp_wad), min(spot_confidence, portfolio.perp_confidence_wad)),
        (portfolio.base_wad, spot_confidence),
    ]
    for expiry, short in zip(portfolio.expiries, shorts, strict=True):
        confidence = min(
            spot_confidence, expiry.forward_confidence_wad, expiry.volatility_confidence_wad
        )
        legs.append((short, confidence))
    exact = sum(
        (WAD - confidence) * parameters.conf_factor_wad * portfolio.spot_wad * amount
        for amount, confidence in legs
        if confidence < parameters.conf_threshold_wad
    )
    return ceil_div(exact, WAD**3)


def _compute_expiry(
    expiry: ExpiryPosition, spot_wad: int, parameters: StandardParameters
) -> ExpiryMargin:
    forward = expiry.forward_variable_wad + expiry.forward_fixed_wad
    initial = maintenance = marks = 0
    for option in expiry.options:
        price = compute_option_price_wad(
            forward, option.strike_wad, option.volatility_wad, expiry.expiry_s, option.is_call
        )
        mark = option.amount_wad * price
        leg_initial, leg_maintenance = _compute_leg(option, mark, spot_wad, parameters)
        initial += leg_initial
        maintenance += leg_maintenance
        marks += mark
    loss = _compute_lowest_payoff(expiry)
    net_calls = sum(option.amount_wad for option in expiry.options if option.is_call)
    unpaired = forward * min(0, net_calls)
    return ExpiryMargin(
        expiry.expiry_s,
        floor_div(marks, WAD),
        floor_div(initial, WAD),
        floor_div(maintenance, WAD),
        floor_div(loss * WAD + parameters.unpaired_im_wad * unpaired, WAD**2),
        floor_div(loss * WAD + parameters.unpaired_mm_wad * unpaired, WAD**2),
    )


def _compute_leg(
    option: OptionPosition, mark: int, spot_wad: int, parameters: StandardParameters
) -> tuple[int, int]:
    """(initial, maintenance) of one leg in USD at 1e36, signed; a long option adds nothing."""
    amount = option.amount_wad
    if amount >= 0:
        return 0, 0
    away = option.strike_wad - spot_wad if option.is_call else spot_wad - option.strike_wad
    # mult = max(floor, base - otm)·S with otm = max(0, away / S): times S nothing is divided.
    multiplier = max(
        parameters.floor_wad * spot_wad, parameters.base_wad * spot_wad - max(0, away) * WAD
    )
    initial = floor_div(multiplier * amount, WAD) + mark
    if option.is_call:
        return initial, floor_div(parameters.mm_call_wad * spot_wad * amount, WAD) + mark
    maintenance = mark + min(
        floor_div(parameters.mm_put_wad * spot_wad * amount, WAD),
        floor_div(parameters.mm_put_mtm_wad * mark, WAD),
    )
    return min(initial, floor_div(maintenance * parameters.put_scale_wad, WAD)), maintenance


def _compute_lowest_payoff(expiry: ExpiryPosition) -> int:
    """The lowest payoff, at most zero, over a spot of 0 and of every strike; USD at 1e36."""
    lowest = 0
    for spot in (0, *(option.strike_wad for option in expiry.options)):
        payoff = 0
        for option in expiry.options:
            inside = spot - option.strike_wad if option.is_call else option.strike_wad - spot
            payoff += option.amount_wad * max(0, inside)
        lowest = min(lowest, payoff)
    return lowest
