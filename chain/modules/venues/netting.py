"""An account's positions over the hub and its venues, netted by underlying (systems row 17).

Of the hub's positions perpetuals and futures net: a venue's leg is a delta of one. Only
acknowledged positions net. What of a venue's position no longer nets - its report is stale, its
route not NORMAL - stands alone. A venue's losses count at once and in full; its profits count for
maintenance as far as the position nets, for initial margin not before they are settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chain._pb.margin.venues.v1 import venues_pb2 as pb
from chain.modules.accounts.types import AccountId, PositionMargin
from chain.modules.collateral.measurement import SharedReads
from chain.modules.markets import state as markets
from chain.modules.markets.types import InstrumentKind
from chain.modules.oracle import state as oracle
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.modules.venues import state
from chain.modules.venues.types import find_market
from chain.risk.haircut import compute_latency_premium_ppm
from chain.risk.margin import compute_position_magnitude_uusd
from chain.risk.netting import (
    HUB,
    NettedLeg,
    NettingTerms,
    UnderlyingNetting,
    VenueMargin,
    VenuePosition,
    compute_netting,
    compute_netting_share_ppm,
    compute_siloed_uusd,
)
from chain.runtime.context import Context
from chain.runtime.gas import RISK_CELL
from chain.units import NANOSECONDS, PPM, ceil_div, floor_div, mul_ppm_ceil, mul_ppm_floor

_WAD_DECIMALS: Final = 18
_LINEAR: Final = (InstrumentKind.PERPETUAL, InstrumentKind.FUTURE)
"""What venues trade nets with these. An option's requirement is a rule of its own, and spot has
none.
"""


@dataclass(frozen=True, slots=True)
class _Leg:
    venue: pb.Venue
    market: pb.VenueMarket
    netted: NettedLeg
    pnl_uusd: int


def _read_leg(ctx: Context, leg: pb.Leg, shared: SharedReads) -> _Leg | None:
    venue = state.require_venue(ctx, leg.venue_id)
    market = find_market(venue, leg.market)
    if market is None:
        return None
    measured = shared.get_route(ctx, venue.route_id)
    assert measured is not None, "a venue's route exists"
    _, measure = measured
    report = state.get_report(ctx, venue.venue_id)
    volatility_wad = oracle.get_volatility_wad(ctx, market.asset)
    position = VenuePosition(
        size=int(leg.size_quantums) * 10 ** (_WAD_DECIMALS - market.quantum_decimals),
        latency_ppm=compute_latency_premium_ppm(volatility_wad, measure.delta_t_market_s),
        report_age_s=ceil_div(max(0, ctx.time_ns - report.sent_at_ns), NANOSECONDS),
        staleness_ppm=measure.staleness_ppm,
    )
    share = compute_netting_share_ppm(position, _build_terms(venue, 0))
    ctx.gas.consume(RISK_CELL)
    return _Leg(venue, market, NettedLeg(venue.venue_id, position, share), int(leg.pnl_uusd))


def _build_terms(venue: pb.Venue, rate_ppm: int) -> NettingTerms:
    return NettingTerms(rate_ppm, venue.basis_ppm, venue.fresh_s, venue.stale_s)


def _compute_moving_size(line: PositionMargin) -> int:
    """The quantums that still move with the price, towards zero: of a future not what is averaged.

    What a settlement average has fixed hedges nothing, and a settled future is asked nothing.
    """
    size, forward = line.position.size_quantums, line.mark.forward
    if forward is None:
        return size
    moving = floor_div(abs(size) * forward.variable_wad, max(1, forward.price_wad))
    return moving if size > 0 else -moving


def _net(
    ctx: Context, asset: str, legs: Sequence[_Leg], own: Sequence[PositionMargin]
) -> UnderlyingNetting:
    """One underlying: each linear position on the hub is a leg, always fresh.

    Legs on the hub hedge each other at the basis charge too: a forward may part from the spot.
    """
    price_wad = require_price(ctx, asset, Action.REDUCE).price_wad
    base = base_initial = 0
    home = []
    for line in own:
        decimals = markets.require_market(ctx, line.market).quantum_decimals
        size = _compute_moving_size(line)
        size_wad = size * 10 ** (_WAD_DECIMALS - decimals)
        if size:
            home.append(NettedLeg(HUB, VenuePosition(size_wad, 0, 0, 0), PPM))
        # Never more than the position was asked: a future may be marked below the spot.
        asked_at_wad = min(price_wad, line.price_wad)
        magnitude = compute_position_magnitude_uusd(size, asked_at_wad, decimals)
        base += mul_ppm_ceil(magnitude, line.terms.maintenance_ppm)
        base_initial += mul_ppm_ceil(magnitude, line.terms.initial_ppm)
    netted = (*home, *(leg.netted for leg in legs))
    positions = [leg.position for leg in netted]
    # The strictest venue sets the terms of all: who joins another never nets on better ones.
    maintenance_ppm = max(
        [leg.market.maintenance_ppm for leg in legs]
        + [line.terms.maintenance_ppm for line in own if line.position.size_quantums]
    )
    initial_ppm = max(
        [leg.market.initial_ppm for leg in legs]
        + [line.terms.initial_ppm for line in own if line.position.size_quantums]
    )
    basis_ppm = max(leg.venue.basis_ppm for leg in legs)
    fresh_s, stale_s = (
        min(leg.venue.fresh_s for leg in legs),
        min(leg.venue.stale_s for leg in legs),
    )
    terms = NettingTerms(maintenance_ppm, basis_ppm, fresh_s, stale_s)
    initial = NettingTerms(initial_ppm, basis_ppm, fresh_s, stale_s)
    result = compute_netting(positions, terms, price_wad, _WAD_DECIMALS)
    result_initial = compute_netting(positions, initial, price_wad, _WAD_DECIMALS)
    return UnderlyingNetting(
        asset=asset,
        price_wad=price_wad,
        terms=terms,
        legs=netted,
        result=result,
        siloed_uusd=compute_siloed_uusd(positions, terms, price_wad, _WAD_DECIMALS),
        change_uusd=result.requirement_uusd - base,
        change_initial_uusd=result_initial.requirement_uusd - base_initial,
    )


def compute_venue_margin(
    ctx: Context,
    account_id: AccountId,
    positions: Sequence[PositionMargin],
    shared: SharedReads,
) -> VenueMargin | None:
    """What an account's positions at venues add to its margin; None without any."""
    found = [_read_leg(ctx, leg, shared) for leg in state.iterate_legs(ctx, account_id)]
    legs = [leg for leg in found if leg is not None]
    if not legs:
        return None
    return VenueMargin(
        underlyings=tuple(
            _net(
                ctx,
                asset,
                [leg for leg in legs if leg.market.asset == asset],
                [line for line in positions if line.asset == asset and line.kind in _LINEAR],
            )
            for asset in sorted({leg.market.asset for leg in legs})
        ),
        pnl_uusd=sum(
            mul_ppm_floor(leg.pnl_uusd, leg.netted.share_ppm) if leg.pnl_uusd > 0 else leg.pnl_uusd
            for leg in legs
        ),
        pnl_initial_uusd=sum(min(0, leg.pnl_uusd) for leg in legs),
    )
