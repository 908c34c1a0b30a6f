"""Genesis of venues. Venues name routes, so collateral's genesis comes first."""

from chain._pb.margin.venues.v1 import venues_pb2 as pb
from chain.modules.accounts.types import AccountId
from chain.modules.collateral import state as collateral
from chain.modules.venues import state
from chain.modules.venues.types import build_default_params, validate_venue
from chain.runtime.context import Context
from chain.units import Address, parse_signed


def build_default_genesis() -> pb.GenesisState:
    """Default parameters and no venue."""
    return pb.GenesisState(params=build_default_params())


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Write the genesis state; raises on a figure out of its bounds."""
    state.PARAMS.set(ctx, genesis.params)
    for venue in genesis.venues:
        validate_venue(venue)
        collateral.require_route(ctx, venue.route_id)
        state.set_venue(ctx, venue)
    for report in genesis.reports:
        state.set_report(ctx, report)
    for member in genesis.members:
        state.set_member(ctx, member)
    for leg in genesis.legs:
        state.require_venue(ctx, leg.venue_id)
        parse_signed(leg.size_quantums, "size_quantums")
        parse_signed(leg.pnl_uusd, "pnl_uusd")
        state.add_leg(ctx, leg)
    if genesis.HasField("cursor"):
        state.set_cursor(ctx, AccountId(Address(genesis.cursor.owner), genesis.cursor.number))


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The whole state of the module; importing it gives the same state."""
    cursor = state.get_cursor(ctx)
    return pb.GenesisState(
        params=state.PARAMS.get(ctx),
        venues=state.iterate_venues(ctx),
        reports=state.iterate_reports(ctx),
        legs=state.iterate_venue_legs(ctx),
        members=state.iterate_members(ctx),
        cursor=None if cursor is None else pb.Member(owner=cursor.owner, number=cursor.number),
    )
