"""The requirement of an account's underlyings under portfolio margin (systems rows 14 and 16).

Everything held in one underlying is priced by its governed scenario set: perpetuals net at one
price whatever their market, spot, futures and options beside them. The losses of underlyings are
correlated. An underlying that has no set is margined by the standard rules instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chain.modules.accounts import standard_margin
from chain.modules.accounts.exposures import (
    Exposure,
    Reach,
    build_expiries,
    build_expiry,
    build_portfolio,
    choose_now,
)
from chain.modules.accounts.types import (
    OrderCharge,
    PortfolioRequirement,
    UnderlyingMargin,
    UnderlyingTerms,
)
from chain.modules.markets.marks import Mark
from chain.modules.markets.types import InstrumentKind, Market, OptionKind
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.modules.scenarios.types import Underlying, UnderlyingRules
from chain.risk.correlation import compute_two_way_requirement
from chain.risk.portfolio import (
    LATENCY_WAD_MAX,
    ExpiryPosition,
    OptionPosition,
    Portfolio,
    PortfolioMargin,
    compute_portfolio_margin,
)
from chain.risk.scenarios import ScenarioSet
from chain.runtime.context import Context
from chain.runtime.gas import RISK_CELL, Spend
from chain.units import WAD, ceil_div, clamp

_WAD_IN_UUSD: Final = 10**12
_PROBE_WAD: Final = 10**6 * WAD
_STABLE_WAD_MIN: Final = WAD // 100
_STABLE_WAD_MAX: Final = 100 * WAD


@dataclass(frozen=True, slots=True)
class Correlation:
    """The matrix (ppm) of those assets of an account that it knows, ascending."""

    assets: tuple[str, ...] = ()
    matrix_ppm: tuple[tuple[int, ...], ...] = ()


def compute_stable_wad(ctx: Context, underlying: Underlying) -> int:
    """The price of what the underlying is quoted in; a dollar when nothing is governed or known."""
    price = oracle.get_price(ctx, underlying.stable_asset) if underlying.stable_asset else None
    return clamp(price.price_wad, _STABLE_WAD_MIN, _STABLE_WAD_MAX) if price else WAD


def get_terms(
    ctx: Context, asset: str, spot_wad: int, confidence_wad: int, *, is_portfolio: bool
) -> UnderlyingTerms:
    """What margin knows of an underlying; without a governed set it is never portfolio margin."""
    rules = scenarios.get_rules(ctx, asset)
    if rules is None:
        return UnderlyingTerms(
            asset=asset,
            spot_wad=spot_wad,
            rules=None,
            is_portfolio=False,
            stable_wad=WAD,
            confidence_wad=confidence_wad,
            previous_stable_wad=WAD,
        )
    previous = rules.previous
    return UnderlyingTerms(
        asset=asset,
        spot_wad=spot_wad,
        rules=rules,
        is_portfolio=is_portfolio,
        stable_wad=compute_stable_wad(ctx, rules.current),
        confidence_wad=confidence_wad,
        previous_stable_wad=WAD if previous is None else compute_stable_wad(ctx, previous),
        rate_wad=rules.compute_quote_terms(ctx.time_s).rate_wad,
    )


def _price(portfolio: Portfolio, scenario_set: ScenarioSet, spend: Spend) -> PortfolioMargin:
    """A portfolio by a scenario set, paid for in gas by scenarios and instruments."""
    legs = 1 + sum(1 + len(expiry.options) for expiry in portfolio.expiries)
    spend(RISK_CELL * len(scenario_set.scenarios) * legs)
    return compute_portfolio_margin(portfolio, scenario_set)


def _to_uusd(requirement_wad: int) -> int:
    return ceil_div(requirement_wad, _WAD_IN_UUSD)


def _to_loss_uusd(amount_wad: int, requirement_wad: int) -> int:
    """A requirement in uusd, rounded up, with the sign of the position that it is asked of."""
    requirement = _to_uusd(requirement_wad)
    return requirement if amount_wad >= 0 else -requirement


def _compute_before_uusd(
    exposure: Exposure, held: Portfolio, equity_shift_uusd: int, spend: Spend
) -> tuple[int, int]:
    """What the rule before a ramp asks (up, down): the previous set, or the standard rules.

    The standard rules count equity otherwise: what the position gained in equity by its move to
    portfolio margin is not asked for less.
    """
    terms = exposure.terms
    assert terms.rules is not None
    previous = terms.rules.previous
    if previous is not None:
        then = replace(held, stable_wad=terms.previous_stable_wad)
        earlier = _price(then, previous.scenario_set, spend)
        return _to_uusd(earlier.up.maintenance_wad), _to_uusd(earlier.down.maintenance_wad)
    before = exposure.linear_maintenance_uusd + equity_shift_uusd
    if exposure.has_options:
        before += standard_margin.compute_previous_maintenance_uusd(terms, held, spend)
    return max(0, before), max(0, before)


def _compute_perpetuals(
    rules: UnderlyingRules, exposure: Exposure, time_s: int, spend: Spend
) -> UnderlyingMargin:
    """An underlying of perpetuals alone: it loses in the direction of the net amount."""
    scenario_set, perp = rules.current.scenario_set, exposure.perp
    portfolio = build_portfolio(exposure.terms, perp.now, 0, ())
    margin = _price(portfolio, scenario_set, spend)
    target = maintenance = _to_uusd(margin.maintenance_requirement_wad)
    if rules.is_ramping(time_s):
        before = max(_compute_before_uusd(exposure, portfolio, 0, spend))
        maintenance = rules.compute_ramped(before, target, time_s)
    initial = _to_loss_uusd(perp.now, margin.initial_requirement_wad)
    reached = []
    for amount in (perp.low, perp.high):
        if amount == perp.now:
            reached.append(initial)
            continue
        filled = build_portfolio(exposure.terms, amount, 0, ())
        asked = _price(filled, scenario_set, spend).initial_requirement_wad
        reached.append(_to_loss_uusd(amount, asked))
    loss = maintenance if perp.now >= 0 else -maintenance
    return UnderlyingMargin(
        asset=exposure.terms.asset,
        preset=scenario_set.name,
        portfolio=portfolio,
        amount_low_wad=perp.low,
        amount_high_wad=perp.high,
        margin=margin,
        loss_uusd=loss,
        loss_initial_uusd=initial,
        loss_initial_low_uusd=reached[0],
        loss_initial_high_uusd=reached[1],
        maintenance_target_uusd=target,
        loss_low_uusd=loss,
        loss_high_uusd=loss,
    )


def _compute_order_charge(
    terms: UnderlyingTerms, scenario_set: ScenarioSet, charge: OrderCharge, spend: Spend
) -> OrderCharge:
    """The charge with its requirement: all buys alone or all sells alone, whichever asks more."""
    asked = [
        _price(
            build_portfolio(terms, 0, 0, (_scale(charge.position, amount),)), scenario_set, spend
        ).initial_requirement_wad
        for amount in (charge.bought_wad, -charge.sold_wad)
        if amount
    ]
    return replace(charge, requirement_uusd=_to_uusd(max(asked, default=0)))


def _scale(position: ExpiryPosition, amount_wad: int) -> ExpiryPosition:
    """The one instrument of a position in another amount."""
    if position.options:
        (option,) = position.options
        return replace(position, options=(replace(option, amount_wad=amount_wad),))
    return replace(position, future_wad=amount_wad)


def _collect_order_charges(
    exposure: Exposure, scenario_set: ScenarioSet, spend: Spend
) -> tuple[OrderCharge, ...]:
    """Open orders for futures and options, each instrument by itself."""
    charges = []
    terms = exposure.terms

    def add(position: ExpiryPosition, reach: Reach) -> None:
        bought, sold = reach.high - reach.now, reach.now - reach.low
        if bought or sold:
            charge = OrderCharge(position, bought, sold, 0)
            charges.append(_compute_order_charge(terms, scenario_set, charge, spend))

    for expiry in exposure.expiries:
        add(build_expiry(terms, expiry, WAD, ()), expiry.future)
        for option in expiry.options:
            leg = OptionPosition(option.strike_wad, option.is_call, WAD, option.volatility_wad)
            add(build_expiry(terms, expiry, 0, (leg,)), option.reach)
    return tuple(charges)


def _compute_ends(margins: Sequence[PortfolioMargin], charges_uusd: int) -> tuple[int, int]:
    """(what a rising price takes, at most zero; what a falling one takes) over what can be reached.

    Uusd of initial margin; the charges of orders count in both directions.
    """
    up = max(_to_uusd(margin.up.initial_wad) for margin in margins)
    down = max(_to_uusd(margin.down.initial_wad) for margin in margins)
    return -(up + charges_uusd), down + charges_uusd


def _compute_mixed(
    rules: UnderlyingRules, exposure: Exposure, equity_shift_uusd: int, time_s: int, spend: Spend
) -> UnderlyingMargin:
    """An underlying of several kinds of instrument: it may lose in both directions."""
    scenario_set, terms = rules.current.scenario_set, exposure.terms
    expiries = build_expiries(exposure, choose_now, choose_now)
    margins = []
    for perp in exposure.perp.ends:
        # Base is never sold below zero, whatever orders say.
        for base in dict.fromkeys(max(0, end) for end in exposure.base.ends):
            held = build_portfolio(terms, perp, base, expiries)
            margins.append((held, _price(held, scenario_set, spend)))
    portfolio, margin = margins[0]
    up = target_up = _to_uusd(margin.up.maintenance_wad)
    down = target_down = _to_uusd(margin.down.maintenance_wad)
    if rules.is_ramping(time_s):
        before_up, before_down = _compute_before_uusd(exposure, portfolio, equity_shift_uusd, spend)
        up = rules.compute_ramped(before_up, target_up, time_s)
        down = rules.compute_ramped(before_down, target_down, time_s)
    charges = _collect_order_charges(exposure, scenario_set, spend)
    low, high = _compute_ends(
        [priced for _, priced in margins], sum(charge.requirement_uusd for charge in charges)
    )
    now = (-_to_uusd(margin.up.initial_wad), _to_uusd(margin.down.initial_wad))
    return UnderlyingMargin(
        asset=terms.asset,
        preset=scenario_set.name,
        portfolio=portfolio,
        amount_low_wad=exposure.perp.low,
        amount_high_wad=exposure.perp.high,
        margin=margin,
        loss_uusd=down if down >= up else -up,
        loss_initial_uusd=max(reversed(now), key=abs),
        loss_initial_low_uusd=low,
        loss_initial_high_uusd=high,
        maintenance_target_uusd=max(target_up, target_down),
        is_two_way=True,
        loss_low_uusd=-up,
        loss_high_uusd=down,
        base_low_wad=max(0, exposure.base.low),
        base_high_wad=exposure.base.high,
        order_charges=charges,
        equity_shift_uusd=equity_shift_uusd,
    )


def compute_underlying(
    exposure: Exposure, equity_shift_uusd: int, time_s: int, spend: Spend
) -> UnderlyingMargin:
    """One underlying that has a scenario set.

    `equity_shift_uusd`: how much more its positions add to equity here than under the standard
    rules.
    """
    rules = exposure.terms.rules
    assert rules is not None, "portfolio margin needs a scenario set"
    if exposure.is_perpetual_only:
        return _compute_perpetuals(rules, exposure, time_s, spend)
    return _compute_mixed(rules, exposure, equity_shift_uusd, time_s, spend)


def _compose_figures(
    assets: Sequence[str],
    matrix: Sequence[Sequence[int]],
    priced: Mapping[str, UnderlyingMargin],
) -> tuple[int, int]:
    """(MMR, IMR) of underlyings together: correlated where the matrix knows them, else in full."""
    inside = [priced[asset] for asset in assets]
    maintenance = compute_two_way_requirement(
        matrix,
        [line.loss_uusd for line in inside],
        [() for _ in inside],
        [(line.loss_low_uusd, line.loss_high_uusd) if line.is_two_way else None for line in inside],
    )
    initial = compute_two_way_requirement(
        matrix,
        [line.loss_initial_uusd for line in inside],
        [(line.loss_initial_low_uusd, line.loss_initial_high_uusd) for line in inside],
        [
            (line.loss_initial_low_uusd, line.loss_initial_high_uusd) if line.is_two_way else None
            for line in inside
        ],
    )
    for asset, line in sorted(priced.items()):
        if asset not in assets:
            maintenance += abs(line.loss_uusd)
            initial += max(
                abs(line.loss_initial_uusd),
                abs(line.loss_initial_low_uusd),
                abs(line.loss_initial_high_uusd),
            )
    return maintenance, initial


def compose(
    correlation: Correlation, priced: Mapping[str, UnderlyingMargin]
) -> PortfolioRequirement:
    """The requirement of underlyings together; the correlation may know more assets."""
    places = [place for place, asset in enumerate(correlation.assets) if asset in priced]
    assets = tuple(correlation.assets[place] for place in places)
    matrix = tuple(tuple(correlation.matrix_ppm[i][j] for j in places) for i in places)
    maintenance, initial = _compose_figures(assets, matrix, priced)
    lines = tuple(priced[asset] for asset in sorted(priced))
    return PortfolioRequirement(maintenance, initial, lines, assets, matrix)


def get_correlation(ctx: Context, assets: Sequence[str]) -> Correlation:
    """The oracle's correlations of those of these assets that it knows."""
    if not assets:
        return Correlation((), ())
    known = oracle.get_correlated_assets(ctx)
    inside = tuple(asset for asset in sorted(assets) if asset in known)
    return Correlation(inside, oracle.get_correlation_ppm(ctx, inside))


# Bounds of one unit


def _get_probe_set(underlying: Underlying) -> ScenarioSet:
    """The set with a delta charge that adds up: no netting of deltas may cost more than gross."""
    parameters = underlying.scenario_set.parameters
    if parameters.hedged_delta_pct_wad <= parameters.net_delta_pct_wad:
        return underlying.scenario_set
    raised = replace(parameters, net_delta_pct_wad=parameters.hedged_delta_pct_wad)
    return replace(underlying.scenario_set, parameters=raised)


def _compute_unit_wad(ctx: Context, underlying: Underlying, portfolio: Portfolio) -> int:
    """What maintenance asks of one unit, from a portfolio of _PROBE_WAD; rounded up."""
    priced = _price(portfolio, _get_probe_set(underlying), ctx.gas.consume)
    return ceil_div(priced.maintenance_requirement_wad, _PROBE_WAD // WAD)


def compute_unit_bound_wad(ctx: Context, asset: str, spot_wad: int) -> int:
    """The most that maintenance may ask of one unit of an underlying's perpetuals, WAD.

    Long or short, by the set in force and the one before it, while the ramp goes from one to the
    other; 0 without a set. The requirement is subadditive, so netting instruments, and correlating
    underlyings, asks no more than this of each unit.
    """
    rules = scenarios.get_rules(ctx, asset)
    if rules is None:
        return 0
    terms = get_terms(ctx, asset, spot_wad, WAD, is_portfolio=True)
    sets = [rules.current] if rules.previous is None else [rules.current, rules.previous]
    return max(
        _compute_unit_wad(ctx, chosen, build_portfolio(terms, sign * _PROBE_WAD, 0, ()))
        for chosen in sets
        for sign in (1, -1)
    )


def compute_unit_bounds_wad(
    ctx: Context, market: Market, mark: Mark, terms: UnderlyingTerms
) -> tuple[int, int]:
    """The most that maintenance may ask of a unit of a market (long, short), WAD, by its set.

    A ramp never asks more than the set in force. Options are discounted at the longest latency
    that there is.
    """
    assert terms.rules is not None
    current = terms.rules.current
    if market.kind is InstrumentKind.SPOT:
        return _compute_unit_wad(ctx, current, build_portfolio(terms, 0, _PROBE_WAD, ())), 0
    if market.kind is InstrumentKind.PERPETUAL:
        bound = compute_unit_bound_wad(ctx, market.asset, terms.spot_wad)
        return bound, bound
    forward = mark.forward
    assert forward is not None
    bounds = []
    for sign in (1, -1):
        leg = OptionPosition(
            market.strike_wad or WAD,
            market.option_kind is OptionKind.CALL,
            sign * _PROBE_WAD,
            mark.volatility_wad,
        )
        is_option = market.kind is InstrumentKind.OPTION
        expiry = ExpiryPosition(
            expiry_s=forward.time_s,
            forward_variable_wad=max(forward.variable_wad, 1 - min(1, forward.fixed_wad)),
            rate_wad=terms.rate_wad,
            options=(leg,) if is_option else (),
            forward_fixed_wad=forward.fixed_wad,
            latency_wad=LATENCY_WAD_MAX,
            future_wad=0 if is_option else sign * _PROBE_WAD,
        )
        portfolio = build_portfolio(terms, 0, 0, (expiry,))
        bounds.append(_compute_unit_wad(ctx, current, portfolio))
    return bounds[0], bounds[1]
