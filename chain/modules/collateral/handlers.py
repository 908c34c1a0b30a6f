"""Messages of collateral: routes and listings, pauses, withdrawals."""

from typing import Final

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain._pb.margin.collateral.v1 import tx_pb2
from chain.ibc.channel import state as channels
from chain.ibc.client import state as clients
from chain.ibc.connection import state as connections
from chain.modules.accounts import margin
from chain.modules.accounts.errors import AccountLocked
from chain.modules.accounts.state import require_account
from chain.modules.accounts.types import AccountId, AccountStatus
from chain.modules.collateral import state
from chain.modules.collateral.errors import (
    InvalidListing,
    InvalidRoute,
    InvalidWithdrawal,
    RouteClosed,
    RouteExists,
    Unauthorized,
)
from chain.modules.collateral.measurement import get_route_status
from chain.modules.collateral.packets import send_release
from chain.modules.collateral.prices import validate_feed
from chain.modules.collateral.types import (
    get_route_protocol,
    validate_asset,
    validate_listing,
    validate_listing_kind,
    validate_receiver,
    validate_route,
)
from chain.modules.council import state as council
from chain.runtime.context import Context
from chain.runtime.module import MessageRoute
from chain.units import NANOSECONDS, Address, parse_amount

_DAY_NS: Final = 86_400 * NANOSECONDS
_RECEIVER_BYTES_MAX: Final = 128


def _validate_path(ctx: Context, route: pb.Route) -> None:
    """Raises InvalidRoute unless channel, connection and client are open and as stated."""
    port, version = get_route_protocol(route)
    channel = channels.get_channel(ctx, port, route.channel_id)
    if channel.state != channel_pb2.STATE_OPEN or channel.version != version:
        raise InvalidRoute(f"{route.channel_id} is not an open {version} channel")
    if channel.ordering != channel_pb2.ORDER_UNORDERED or channel.counterparty.port_id != port:
        raise InvalidRoute(f"{route.channel_id} must be unordered, between ports {port!r}")
    if list(channel.connection_hops) != [route.connection_id]:
        raise InvalidRoute(f"{route.channel_id} runs over {list(channel.connection_hops)}")
    connection = connections.get_connection(ctx, route.connection_id)
    if connection.state != connection_pb2.STATE_OPEN or connection.client_id != route.client_id:
        raise InvalidRoute(f"{route.connection_id} is open over {connection.client_id} alone")
    client = clients.get_client_state(ctx, route.client_id)
    if client.chain_id != route.chain_id:
        raise InvalidRoute(f"{route.client_id} follows {client.chain_id}, not {route.chain_id}")
    trust = pb.TrustParameters(
        trust_level_numerator=client.trust_level.numerator,
        trust_level_denominator=client.trust_level.denominator,
        trusting_period_s=clients.duration_ns(client.trusting_period) // NANOSECONDS,
        unbonding_period_s=clients.duration_ns(client.unbonding_period) // NANOSECONDS,
        max_clock_drift_s=clients.duration_ns(client.max_clock_drift) // NANOSECONDS,
    )
    if trust != route.trust:
        raise InvalidRoute(f"{route.client_id} trusts by {trust!s}, not by {route.trust!s}")
    clients.require_active(ctx, route.client_id)


def handle_register_route(
    ctx: Context, msg: tx_pb2.MsgRegisterRoute
) -> tx_pb2.MsgRegisterRouteResponse:
    """Make a channel count: from here on its packets move liens."""
    # Check
    council.require_authority(ctx, msg.authority)
    route = msg.route
    validate_route(route)
    if route.status != pb.ROUTE_STATUS_UNSPECIFIED or route.paused_at_ns:
        raise InvalidRoute("a route starts NORMAL; leave status and paused_at_ns out")
    if state.get_route(ctx, route.route_id) is not None:
        raise RouteExists(f"{route.route_id} is registered; update it or choose another name")
    if state.has_route_of_channel(ctx, route.channel_id):
        raise RouteExists(f"{route.channel_id} is another route's")
    count = sum(1 for _ in state.iterate_routes(ctx))
    limit = state.get_params(ctx).route_count_max
    if count >= limit:
        raise RouteExists(f"{count} routes are registered, the most allowed is {limit}")
    _validate_path(ctx, route)
    # Apply
    stored = pb.Route()
    stored.CopyFrom(route)
    stored.status = pb.ROUTE_STATUS_NORMAL
    state.set_route(ctx, stored)
    ctx.emit("route_registered", {"route_id": route.route_id, "channel_id": route.channel_id})
    return tx_pb2.MsgRegisterRouteResponse()


def handle_update_route(ctx: Context, msg: tx_pb2.MsgUpdateRoute) -> tx_pb2.MsgUpdateRouteResponse:
    """Change the governed figures of a route."""
    # Check
    council.require_authority(ctx, msg.authority)
    route = state.require_route(ctx, msg.route_id)
    # Compute
    route.finality_s = msg.finality_s
    route.auction_duration_s = msg.auction_duration_s
    route.heartbeat_interval_s = msg.heartbeat_interval_s
    route.value_cap_uusd = msg.value_cap_uusd
    route.stake_uusd = msg.stake_uusd
    route.validators_for_third = msg.validators_for_third
    validate_route(route)
    # Apply
    state.set_route(ctx, route)
    ctx.emit("route_updated", {"route_id": route.route_id})
    return tx_pb2.MsgUpdateRouteResponse()


def compute_paused(route: pb.Route, status: pb.RouteStatus, now_ns: int) -> pb.Route:
    """The route with a closed status; a second pause within 24 h does not restart its ramp."""
    paused = pb.Route()
    paused.CopyFrom(route)
    paused.status = status
    if route.paused_at_ns == 0 or now_ns - route.paused_at_ns >= _DAY_NS:
        paused.paused_at_ns = now_ns
    return paused


def handle_pause_route(ctx: Context, msg: tx_pb2.MsgPauseRoute) -> tx_pb2.MsgPauseRouteResponse:
    """Stop new credit over a route at once; its haircut starts to rise."""
    # Check
    is_council = msg.sender == council.get_authority(ctx)
    if not is_council and not council.is_guardian(ctx, msg.sender):
        raise Unauthorized(f"{msg.sender} is neither the council nor the guardian")
    route = state.require_route(ctx, msg.route_id)
    if route.status != pb.ROUTE_STATUS_NORMAL:
        raise RouteClosed(f"{route.route_id} is closed already")
    # Apply
    state.set_route(ctx, compute_paused(route, pb.ROUTE_STATUS_PAUSED, ctx.time_ns))
    ctx.emit("route_paused", {"route_id": route.route_id, "sender": msg.sender})
    return tx_pb2.MsgPauseRouteResponse()


def handle_unpause_route(
    ctx: Context, msg: tx_pb2.MsgUnpauseRoute
) -> tx_pb2.MsgUnpauseRouteResponse:
    """Open a paused or frozen route again; only the council may, and only over a sound path."""
    # Check
    council.require_authority(ctx, msg.authority)
    route = state.require_route(ctx, msg.route_id)
    _validate_path(ctx, route)
    # Apply
    route.status = pb.ROUTE_STATUS_NORMAL
    state.set_route(ctx, route)
    ctx.emit("route_unpaused", {"route_id": route.route_id})
    return tx_pb2.MsgUnpauseRouteResponse()


def handle_set_asset(ctx: Context, msg: tx_pb2.MsgSetAsset) -> tx_pb2.MsgSetAssetResponse:
    """List an asset, or change how it is valued."""
    # Check
    council.require_authority(ctx, msg.authority)
    validate_asset(msg.asset)
    known = state.get_asset(ctx, msg.asset.asset)
    if known is None:
        _require_asset_room(ctx)
    elif known.base_asset != msg.asset.base_asset:
        raise InvalidListing(
            f"{known.asset} is priced by {known.base_asset or known.asset}; that never changes"
        )
    base = state.get_asset(ctx, msg.asset.base_asset) if msg.asset.base_asset else None
    if base is not None and base.base_asset:
        raise InvalidListing(f"{base.asset} bears yield itself; name the asset at its base")
    # Apply
    state.set_asset(ctx, msg.asset)
    ctx.emit("asset_listed", {"asset": msg.asset.asset})
    return tx_pb2.MsgSetAssetResponse()


def _require_asset_room(ctx: Context) -> None:
    count = sum(1 for _ in state.iterate_assets(ctx))
    limit = state.get_params(ctx).asset_count_max
    if count >= limit:
        raise InvalidListing(f"{count} assets are listed, the most allowed is {limit}")


def handle_set_listing(ctx: Context, msg: tx_pb2.MsgSetListing) -> tx_pb2.MsgSetListingResponse:
    """List an asset as a denom of a route; asset and decimals of a listing never change."""
    # Check
    council.require_authority(ctx, msg.authority)
    validate_listing(msg.listing)
    route = state.require_route(ctx, msg.listing.route_id)
    validate_listing_kind(route, msg.listing.denom)
    asset = state.require_asset(ctx, msg.listing.asset)
    if state.get_listing(ctx, msg.listing.route_id, msg.listing.denom) is None:
        validate_feed(ctx, asset)
    for listing in state.iterate_listings(ctx):
        same_chain = state.require_route(ctx, listing.route_id).chain_id == route.chain_id
        if not same_chain or listing.denom != msg.listing.denom:
            continue
        if (listing.asset, listing.decimals) != (msg.listing.asset, msg.listing.decimals):
            raise InvalidListing(
                f"{listing.denom} of {route.chain_id} is {listing.asset} with {listing.decimals} "
                f"decimals already; a denom means one thing"
            )
    # Apply
    state.set_listing(ctx, msg.listing)
    ctx.emit("denom_listed", {"route_id": msg.listing.route_id, "denom": msg.listing.denom})
    return tx_pb2.MsgSetListingResponse()


def handle_withdraw_collateral(
    ctx: Context, msg: tx_pb2.MsgWithdrawCollateral
) -> tx_pb2.MsgWithdrawCollateralResponse:
    """Order the release of collateral; refused unless the account stays safe without it."""
    # Check
    account_id = AccountId(Address(msg.owner), msg.account)
    amount = parse_amount(msg.amount)
    if not 0 < len(msg.receiver.encode()) <= _RECEIVER_BYTES_MAX:
        raise InvalidWithdrawal(f"receiver must have 1 to {_RECEIVER_BYTES_MAX} bytes")
    route = state.require_route(ctx, msg.route_id)
    if route.kind == pb.ROUTE_KIND_VOUCHER:
        validate_receiver(route, msg.receiver)
    account = require_account(ctx, account_id)
    if account.status is AccountStatus.LOCKED:
        raise AccountLocked(f"account {msg.account} is under liquidation; it can only deposit")
    if get_route_status(ctx, route) == pb.ROUTE_STATUS_FROZEN:
        raise RouteClosed(f"{route.route_id} is frozen: no order can be proven there")
    # Apply; the margin after it is the last check, and a refusal drops all of it.
    flight = send_release(ctx, account_id, route, msg.denom, amount, msg.receiver)
    margin.require_withdrawable(ctx, require_account(ctx, account_id))
    ctx.emit(
        "collateral_withdrawal",
        {
            "owner": msg.owner,
            "account": msg.account,
            "route_id": msg.route_id,
            "denom": msg.denom,
            "amount": msg.amount,
            "release_id": flight.flight_id,
        },
    )
    return tx_pb2.MsgWithdrawCollateralResponse(
        release_id=flight.flight_id, sequence=flight.sequence
    )


MESSAGES: Final = (
    MessageRoute(tx_pb2.MsgRegisterRoute, handle_register_route, "authority"),
    MessageRoute(tx_pb2.MsgUpdateRoute, handle_update_route, "authority"),
    MessageRoute(tx_pb2.MsgPauseRoute, handle_pause_route, "sender"),
    MessageRoute(tx_pb2.MsgUnpauseRoute, handle_unpause_route, "authority"),
    MessageRoute(tx_pb2.MsgSetAsset, handle_set_asset, "authority"),
    MessageRoute(tx_pb2.MsgSetListing, handle_set_listing, "authority"),
    MessageRoute(tx_pb2.MsgWithdrawCollateral, handle_withdraw_collateral, "owner"),
)
