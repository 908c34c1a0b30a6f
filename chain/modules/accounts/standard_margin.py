"""The requirement of options, and the charges, of one underlying under standard margin (row 15).

Perpetuals and futures are asked row 13 by position; here they count in the charges alone. Orders
enter initial margin with every sell filled and no premium credited, and with every strike that a
buy may add: the requirement falls as amounts rise, so that this bounds every subset of fills.
"""

from typing import Final

from chain.modules.accounts.exposures import (
    ExpiryExposure,
    Exposure,
    build_expiries,
    build_expiry,
    build_portfolio,
    choose_largest,
    choose_low,
    choose_now,
)
from chain.modules.accounts.types import StandardUnderlying, UnderlyingTerms
from chain.modules.markets.marks import Mark
from chain.modules.markets.types import Market, OptionKind
from chain.risk.portfolio import OptionPosition, Portfolio
from chain.risk.standard import StandardParameters, UnderlyingMargin, compute_underlying_margin
from chain.runtime.gas import RISK_CELL, Spend
from chain.units import WAD, ceil_div, floor_div

_WAD_IN_UUSD: Final = 10**12
_DEFAULTS: Final = StandardParameters()


def get_parameters(terms: UnderlyingTerms) -> StandardParameters:
    """The parameters in force: they bind new risk at once."""
    return terms.rules.current.standard if terms.rules is not None else _DEFAULTS


def get_previous_parameters(terms: UnderlyingTerms) -> StandardParameters:
    """Those before the change that ramps in; the defaults before the first."""
    rules = terms.rules
    if rules is None or rules.previous is None:
        return _DEFAULTS
    return rules.previous.standard


def compute_maintenance_uusd(margin: UnderlyingMargin) -> int:
    """What the expiries ask, rounded up."""
    return ceil_div(-sum(expiry.maintenance_wad for expiry in margin.expiries), _WAD_IN_UUSD)


def compute_initial_uusd(margin: UnderlyingMargin) -> int:
    """What the expiries ask and both charges, rounded up."""
    options = sum(expiry.initial_wad for expiry in margin.expiries)
    return ceil_div(-(options + margin.depeg_wad + margin.confidence_wad), _WAD_IN_UUSD)


def compute_base_value_uusd(terms: UnderlyingTerms, value_uusd: int, time_s: int) -> int:
    """What spot worth `value_uusd` counts for maintenance: a fall of the factor ramps in."""
    counted = compute_initial_base_value_uusd(terms, value_uusd)
    if terms.rules is None or not terms.rules.is_ramping(time_s):
        return counted
    factor = get_previous_parameters(terms).base_factor_wad
    before = floor_div(value_uusd * factor, WAD)
    # What counts falls as a requirement rises.
    return -terms.rules.compute_ramped(-before, -counted, time_s)


def compute_initial_base_value_uusd(terms: UnderlyingTerms, value_uusd: int) -> int:
    """What spot worth `value_uusd` counts for initial margin."""
    return floor_div(value_uusd * get_parameters(terms).base_factor_wad, WAD)


def is_charged(terms: UnderlyingTerms) -> bool:
    """Whether the stable or the price is so doubtful that initial margin is charged for it."""
    parameters = get_parameters(terms)
    return (
        terms.stable_wad < parameters.peg_threshold_wad
        or terms.confidence_wad < parameters.conf_threshold_wad
    )


def compute_underlying(exposure: Exposure, time_s: int, spend: Spend) -> StandardUnderlying | None:
    """What row 15 asks of an underlying; None when it has neither options nor charges.

    `spend` takes the gas of it.
    """
    terms = exposure.terms
    if not exposure.has_options and not is_charged(terms):
        return None
    parameters = get_parameters(terms)
    held = build_portfolio(
        terms,
        exposure.perp.now,
        exposure.base.now,
        build_expiries(exposure, choose_now, choose_now),
    )
    reached = build_portfolio(
        terms,
        choose_largest(exposure.perp),
        exposure.base.high,
        build_expiries(exposure, choose_largest, choose_low, keep_zero=True),
    )
    spend(RISK_CELL * (2 + sum(len(e.options) for e in reached.expiries)))
    margin = compute_underlying_margin(held, parameters)
    margin_initial = margin if reached == held else compute_underlying_margin(reached, parameters)
    target = compute_maintenance_uusd(margin)
    maintenance = target
    if terms.rules is not None and terms.rules.is_ramping(time_s):
        before = compute_underlying_margin(held, get_previous_parameters(terms))
        maintenance = terms.rules.compute_ramped(compute_maintenance_uusd(before), target, time_s)
    return StandardUnderlying(
        asset=terms.asset,
        portfolio=held,
        portfolio_initial=reached,
        margin=margin,
        margin_initial=margin_initial,
        maintenance_uusd=maintenance,
        maintenance_target_uusd=target,
        initial_uusd=compute_initial_uusd(margin_initial),
    )


def compute_previous_maintenance_uusd(terms: UnderlyingTerms, held: Portfolio, spend: Spend) -> int:
    """What the options of a portfolio were asked before the change that ramps in."""
    spend(RISK_CELL * (1 + sum(len(expiry.options) for expiry in held.expiries)))
    margin = compute_underlying_margin(held, get_previous_parameters(terms))
    return compute_maintenance_uusd(margin)


def compute_short_bound_wad(terms: UnderlyingTerms, market: Market, mark: Mark) -> int:
    """The most that maintenance may ask of a unit of an option sold short, WAD.

    What its leg asks by itself: an expiry's bounded loss only ever lowers the sum of legs.
    """
    forward = mark.forward
    assert forward is not None, "an option is marked from its forward"
    leg = OptionPosition(
        market.strike_wad, market.option_kind is OptionKind.CALL, -WAD, mark.volatility_wad
    )
    expiry = ExpiryExposure(market.expiry_time_s, forward)
    portfolio = build_portfolio(terms, 0, 0, (build_expiry(terms, expiry, 0, (leg,)),))
    return max(
        -expiry.legs_maintenance_wad
        for parameters in (get_parameters(terms), get_previous_parameters(terms))
        for expiry in compute_underlying_margin(portfolio, parameters).expiries
    )
