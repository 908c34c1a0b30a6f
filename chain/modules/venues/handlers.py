"""Messages of venues: their terms, and the consent of account owners."""

from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.venues.v1 import tx_pb2
from chain._pb.margin.venues.v1 import venues_pb2 as pb
from chain.modules.accounts.state import require_account
from chain.modules.accounts.types import parse_account_id
from chain.modules.collateral import state as collateral
from chain.modules.council import state as council
from chain.modules.oracle import state as oracle
from chain.modules.venues import state
from chain.modules.venues.errors import InvalidVenue, MembershipRefused
from chain.modules.venues.types import validate_venue
from chain.runtime.context import Context
from chain.runtime.module import MessageRoute


def handle_set_venue(ctx: Context, msg: tx_pb2.MsgSetVenue) -> tx_pb2.MsgSetVenueResponse:
    """Register a venue over a route, or change its terms."""
    # Check
    council.require_authority(ctx, msg.authority)
    venue = msg.venue
    validate_venue(venue)
    route = collateral.require_route(ctx, venue.route_id)
    if route.kind != collateral_pb2.ROUTE_KIND_VAULT:
        raise InvalidVenue(f"{route.route_id} carries vouchers; reports need a margin-1 route")
    for market in venue.markets:
        if oracle.get_rules(ctx).get_asset(market.asset) is None:
            raise InvalidVenue(f"the oracle does not price {market.asset} of {market.market}")
    known = state.get_venue(ctx, venue.venue_id)
    if known is None:
        _require_room(ctx, venue)
    elif known.route_id != venue.route_id:
        raise InvalidVenue(f"{venue.venue_id} reports over {known.route_id}; that never changes")
    listed = [market.market for market in venue.markets]
    for leg in state.iterate_venue_legs(ctx, venue.venue_id):
        if leg.market not in listed:
            raise InvalidVenue(f"{leg.market} has positions; it stays listed until they are closed")
    # Apply
    state.set_venue(ctx, venue)
    ctx.emit("venue_set", {"venue_id": venue.venue_id, "route_id": venue.route_id})
    return tx_pb2.MsgSetVenueResponse()


def _require_room(ctx: Context, venue: pb.Venue) -> None:
    other = state.get_venue_of_route(ctx, venue.route_id)
    if other is not None:
        raise InvalidVenue(f"{other.venue_id} reports over {venue.route_id} already")
    count = sum(1 for _ in state.iterate_venues(ctx))
    limit = state.PARAMS.get(ctx).venue_count_max
    if count >= limit:
        raise InvalidVenue(f"{count} venues are registered, the most allowed is {limit}")


def handle_join_venue(ctx: Context, msg: tx_pb2.MsgJoinVenue) -> tx_pb2.MsgJoinVenueResponse:
    """Let a venue report positions of an account."""
    account_id = parse_account_id(msg.owner, msg.number)
    require_account(ctx, account_id)
    venue = state.require_venue(ctx, msg.venue_id)
    member = pb.Member(venue_id=venue.venue_id, owner=msg.owner, number=msg.number)
    if state.has_member(ctx, member):
        raise MembershipRefused(f"account {msg.number} has joined {venue.venue_id} already")
    state.set_member(ctx, member)
    ctx.emit("venue_joined", {"venue_id": msg.venue_id, "owner": msg.owner, "number": msg.number})
    return tx_pb2.MsgJoinVenueResponse()


def handle_leave_venue(ctx: Context, msg: tx_pb2.MsgLeaveVenue) -> tx_pb2.MsgLeaveVenueResponse:
    """End a membership; refused while the venue holds a position of the account."""
    account_id = parse_account_id(msg.owner, msg.number)
    member = pb.Member(venue_id=msg.venue_id, owner=msg.owner, number=msg.number)
    if not state.has_member(ctx, member):
        raise MembershipRefused(f"account {msg.number} has not joined {msg.venue_id[:64]!r}")
    if any(leg.venue_id == msg.venue_id for leg in state.iterate_legs(ctx, account_id)):
        raise MembershipRefused(f"account {msg.number} has a position at {msg.venue_id}; close it")
    state.delete_member(ctx, member)
    ctx.emit("venue_left", {"venue_id": msg.venue_id, "owner": msg.owner, "number": msg.number})
    return tx_pb2.MsgLeaveVenueResponse()


MESSAGES: Final = (
    MessageRoute(tx_pb2.MsgSetVenue, handle_set_venue, "authority"),
    MessageRoute(tx_pb2.MsgJoinVenue, handle_join_venue, "owner"),
    MessageRoute(tx_pb2.MsgLeaveVenue, handle_leave_venue, "owner"),
)
