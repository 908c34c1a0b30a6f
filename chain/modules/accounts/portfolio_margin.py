"""The requirement of an account under portfolio margin (systems rows 14 and 16).

The perpetuals of one underlying net at one price, whatever their market: all are settled in cash on
the hub. Each underlying is priced by its governed scenario set, and their losses are correlated. A
position whose underlying has no set is asked what row 13 asks, in full.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chain.modules.accounts.types import PortfolioRequirement, PositionMargin, UnderlyingMargin
from chain.modules.markets import state as markets
from chain.modules.markets.types import RestingOrder
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.modules.scenarios.types import Underlying, UnderlyingRules
from chain.risk.correlation import compute_correlated_requirement, compute_reachable_requirement
from chain.risk.portfolio import Portfolio, PortfolioMargin, compute_portfolio_margin
from chain.runtime.context import Context
from chain.runtime.gas import RISK_CELL
from chain.units import PPM, WAD, ceil_div, clamp

_WAD_IN_UUSD: Final = 10**12
_PPM_IN_WAD: Final = WAD // PPM
_PROBE_WAD: Final = 10**6 * WAD
_STABLE_WAD_MIN: Final = WAD // 100
_STABLE_WAD_MAX: Final = 100 * WAD


@dataclass(frozen=True, slots=True)
class _Exposure:
    """Perpetuals of an underlying, whole units (WAD): now, with all sells and all buys filled.

    The linear figures are what row 13 asks of the same positions.
    """

    now: int = 0
    low: int = 0
    high: int = 0
    linear_maintenance_uusd: int = 0
    linear_initial_uusd: int = 0


@dataclass(frozen=True, slots=True)
class _Correlation:
    """The matrix (ppm) of those assets of an account that it knows, ascending."""

    assets: tuple[str, ...]
    matrix_ppm: tuple[tuple[int, ...], ...]


def _collect_exposures(
    ctx: Context, positions: Sequence[PositionMargin], orders: Sequence[RestingOrder]
) -> dict[str, _Exposure]:
    exposures: dict[str, _Exposure] = {}
    for position in positions:
        market = markets.require_market(ctx, position.market)
        scale = 10 ** (18 - market.quantum_decimals)
        bought = sold = 0
        for order in orders:
            if order.market != position.market or order.reduce_only:
                continue
            amount = order.remaining_steps * market.step_quantums * scale
            bought += amount if order.side.sign > 0 else 0
            sold += amount if order.side.sign < 0 else 0
        held = position.position.size_quantums * scale
        before = exposures.get(position.asset, _Exposure())
        exposures[position.asset] = _Exposure(
            before.now + held,
            before.low + held - sold,
            before.high + held + bought,
            before.linear_maintenance_uusd + position.maintenance_uusd,
            before.linear_initial_uusd + position.initial_uusd,
        )
    return exposures


def _compute_stable_wad(ctx: Context, underlying: Underlying) -> int:
    """The last price of what the underlying is quoted in, clamped; a dollar when none is governed.

    Par before the first price too: `freshness` refuses new risk until there is one.
    """
    price = oracle.get_price(ctx, underlying.stable_asset) if underlying.stable_asset else None
    return clamp(price.price_wad, _STABLE_WAD_MIN, _STABLE_WAD_MAX) if price else WAD


def _build_portfolio(
    ctx: Context, underlying: Underlying, amount_wad: int, spot_wad: int
) -> Portfolio:
    price = oracle.get_price(ctx, underlying.asset)
    confidence = min(PPM, price.confidence_ppm) * _PPM_IN_WAD if price else 0
    return Portfolio(
        spot_wad=spot_wad,
        perp_wad=amount_wad,
        perp_price_wad=spot_wad,
        stable_wad=_compute_stable_wad(ctx, underlying),
        spot_confidence_wad=confidence,
        perp_confidence_wad=confidence,
    )


def _price_exposure(
    ctx: Context, underlying: Underlying, amount_wad: int, spot_wad: int
) -> tuple[Portfolio, PortfolioMargin]:
    ctx.gas.consume(RISK_CELL * len(underlying.scenario_set.scenarios))
    portfolio = _build_portfolio(ctx, underlying, amount_wad, spot_wad)
    return portfolio, compute_portfolio_margin(portfolio, underlying.scenario_set)


def compute_unit_bound_wad(ctx: Context, asset: str, spot_wad: int) -> int:
    """The most that maintenance may ask of one unit of an underlying's perpetuals, WAD.

    Long or short, by the set in force and the one before it, while the ramp goes from one to the
    other; 0 without a set. The requirement of perpetuals alone is proportional to their amount, so
    netting them, and correlating underlyings, asks no more than this of each unit.
    """
    rules = scenarios.get_rules(ctx, asset)
    if rules is None:
        return 0
    sets = [rules.current] if rules.previous is None else [rules.current, rules.previous]
    return max(
        ceil_div(
            _price_exposure(ctx, rules_set, sign * _PROBE_WAD, spot_wad)[
                1
            ].maintenance_requirement_wad,
            _PROBE_WAD // WAD,
        )
        for rules_set in sets
        for sign in (1, -1)
    )


def _to_loss_uusd(amount_wad: int, requirement_wad: int) -> int:
    """A requirement in uusd, rounded up, with the sign of the position that it is asked of."""
    requirement = ceil_div(requirement_wad, _WAD_IN_UUSD)
    return requirement if amount_wad >= 0 else -requirement


def _compute_underlying(
    ctx: Context, rules: UnderlyingRules, exposure: _Exposure, spot_wad: int
) -> UnderlyingMargin:
    current = rules.current
    portfolio, margin = _price_exposure(ctx, current, exposure.now, spot_wad)
    target = ceil_div(margin.maintenance_requirement_wad, _WAD_IN_UUSD)
    maintenance = target
    if rules.is_ramping(ctx.time_s):
        before = exposure.linear_maintenance_uusd
        if rules.previous is not None:
            _, earlier = _price_exposure(ctx, rules.previous, exposure.now, spot_wad)
            before = ceil_div(earlier.maintenance_requirement_wad, _WAD_IN_UUSD)
        maintenance = rules.compute_ramped(before, target, ctx.time_s)
    initial = _to_loss_uusd(exposure.now, margin.initial_requirement_wad)
    reached = []
    for amount in (exposure.low, exposure.high):
        if amount == exposure.now:
            reached.append(initial)
            continue
        _, filled = _price_exposure(ctx, current, amount, spot_wad)
        reached.append(_to_loss_uusd(amount, filled.initial_requirement_wad))
    return UnderlyingMargin(
        asset=current.asset,
        preset=current.scenario_set.name,
        portfolio=portfolio,
        amount_low_wad=exposure.low,
        amount_high_wad=exposure.high,
        margin=margin,
        loss_uusd=maintenance if exposure.now >= 0 else -maintenance,
        loss_initial_uusd=initial,
        loss_initial_low_uusd=reached[0],
        loss_initial_high_uusd=reached[1],
        maintenance_target_uusd=target,
    )


def _compose(
    correlation: _Correlation,
    exposures: Mapping[str, _Exposure],
    priced: Mapping[str, UnderlyingMargin],
) -> PortfolioRequirement:
    """Underlyings together: correlated where the matrix knows them, added in full elsewhere."""
    places = [place for place, asset in enumerate(correlation.assets) if asset in priced]
    correlated = tuple(correlation.assets[place] for place in places)
    matrix = tuple(tuple(correlation.matrix_ppm[i][j] for j in places) for i in places)
    inside = [priced[asset] for asset in correlated]
    maintenance = compute_correlated_requirement(matrix, [line.loss_uusd for line in inside])
    initial = compute_reachable_requirement(
        matrix,
        [line.loss_initial_uusd for line in inside],
        [(line.loss_initial_low_uusd, line.loss_initial_high_uusd) for line in inside],
    )
    for asset, exposure in sorted(exposures.items()):
        if asset not in priced:
            maintenance += exposure.linear_maintenance_uusd
            initial += exposure.linear_initial_uusd
        elif asset not in correlated:
            line = priced[asset]
            maintenance += abs(line.loss_uusd)
            initial += max(
                abs(line.loss_initial_uusd),
                abs(line.loss_initial_low_uusd),
                abs(line.loss_initial_high_uusd),
            )
    underlyings = tuple(priced[asset] for asset in sorted(priced))
    return PortfolioRequirement(maintenance, initial, underlyings, correlated, matrix)


def compute_requirement(
    ctx: Context, positions: Sequence[PositionMargin], orders: Sequence[RestingOrder]
) -> tuple[PortfolioRequirement, tuple[PositionMargin, ...]]:
    """The requirement, and the positions with what each adds to it: liquidation sells those first.

    A position that the rest hedges with adds nothing: its part is never below zero.
    """
    spots = {position.asset: position.price_wad for position in positions}

    def price(asset: str, exposure: _Exposure) -> UnderlyingMargin | None:
        rules = scenarios.get_rules(ctx, asset)
        return _compute_underlying(ctx, rules, exposure, spots[asset]) if rules else None

    def price_all(exposures: Mapping[str, _Exposure]) -> dict[str, UnderlyingMargin]:
        lines = {asset: price(asset, exposure) for asset, exposure in sorted(exposures.items())}
        return {asset: line for asset, line in lines.items() if line is not None}

    exposures = _collect_exposures(ctx, positions, orders)
    priced = price_all(exposures)
    known = oracle.get_correlated_assets(ctx)
    inside = tuple(asset for asset in sorted(priced) if asset in known)
    correlation = _Correlation(inside, oracle.get_correlation_ppm(ctx, inside))
    whole = _compose(correlation, exposures, priced)
    parts = []
    for position in positions:
        asset = position.asset
        beside = [p for p in positions if p.asset == asset and p.market != position.market]
        changed = _collect_exposures(ctx, beside, orders)
        without = {key: value for key, value in exposures.items() if key != asset} | changed
        lines = {key: line for key, line in priced.items() if key != asset} | price_all(changed)
        rest = _compose(correlation, without, lines)
        parts.append(
            replace(
                position,
                maintenance_uusd=max(0, whole.maintenance_uusd - rest.maintenance_uusd),
                initial_uusd=max(0, whole.initial_uusd - rest.initial_uusd),
            )
        )
    return whole, tuple(parts)
