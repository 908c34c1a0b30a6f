"""Block hook of collateral: heartbeats, routes that froze, ramps, exchange rates, solvency."""

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.modules.collateral import state
from chain.modules.collateral.handlers import compute_paused
from chain.modules.collateral.measurement import (
    get_asset_reads,
    get_route_status,
    get_route_value_uusd,
)
from chain.modules.collateral.packets import send_heartbeat
from chain.modules.collateral.prices import refresh_exchange_rate
from chain.modules.collateral.ramps import (
    refresh_asset_ramps,
    refresh_param_ramps,
    refresh_recognition,
)
from chain.modules.collateral.solvency import visit_next_accounts
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.units import NANOSECONDS


def end_block(ctx: Context) -> None:
    """Visit every asset and route (their number is bounded), then the next accounts.

    One that fails does not stop the next.
    """
    for asset in list(state.iterate_assets(ctx)):
        with isolate_item(ctx, "haircut_ramp_failed", {"asset": asset.asset}) as child:
            refresh_exchange_rate(child, asset)
            reads = get_asset_reads(child, asset)
            refresh_asset_ramps(child, asset, reads.volatility_wad, reads.quantity_wad)
    refresh_param_ramps(ctx)
    for route in list(state.iterate_routes(ctx)):
        with isolate_item(ctx, "heartbeat_failed", {"route_id": route.route_id}) as child:
            _visit_route(child, route)
        with isolate_item(ctx, "recognition_failed", {"route_id": route.route_id}) as child:
            refresh_recognition(child, route, get_route_value_uusd(child, route))
    with isolate_item(ctx, "solvency_failed", {}) as child:
        visit_next_accounts(child)


def _visit_route(ctx: Context, route: pb.Route) -> None:
    is_frozen = get_route_status(ctx, route) == pb.ROUTE_STATUS_FROZEN
    if is_frozen:
        if route.status != pb.ROUTE_STATUS_FROZEN:
            state.set_route(ctx, compute_paused(route, pb.ROUTE_STATUS_FROZEN, ctx.time_ns))
            ctx.emit("route_frozen", {"route_id": route.route_id})
        return
    if route.kind == pb.ROUTE_KIND_VOUCHER:
        return  # A chain that only speaks ICS-20 answers no heartbeat.
    measurements = state.get_measurements(ctx, route.route_id)
    due_ns = measurements.last_heartbeat_ns + route.heartbeat_interval_s * NANOSECONDS
    if ctx.time_ns < due_ns:
        return
    unanswered = sum(1 for _ in state.iterate_heartbeats(ctx, route.route_id))
    if unanswered < state.get_params(ctx).heartbeats_unanswered_max:
        send_heartbeat(ctx, route)
