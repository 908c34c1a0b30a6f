"""Genesis of collateral. Routes name channels, so a chain that starts fresh lists assets alone."""

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.modules.collateral import state
from chain.modules.collateral.types import (
    build_default_params,
    validate_asset,
    validate_listing,
    validate_route,
)
from chain.runtime.context import Context


def build_default_genesis() -> pb.GenesisState:
    """Default parameters; routes and listings come by the council once channels exist."""
    return pb.GenesisState(params=build_default_params())


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Write the genesis state; raises on a figure out of its bounds."""
    state.PARAMS.set(ctx, genesis.params)
    for route in genesis.routes:
        validate_route(route)
        state.set_route(ctx, route)
    for asset in genesis.assets:
        validate_asset(asset)
        state.set_asset(ctx, asset)
    for listing in genesis.listings:
        validate_listing(listing)
        state.require_route(ctx, listing.route_id)
        state.require_asset(ctx, listing.asset)
        state.set_listing(ctx, listing)
    for measurements in genesis.measurements:
        state.set_measurements(ctx, measurements)
    for heartbeat in genesis.heartbeats:
        state.set_heartbeat(ctx, heartbeat)
    for seen in genesis.relayers:
        state.set_relayer_seen(ctx, seen.route_id, seen.relayer, seen.seen_at_ns)
    for flight in genesis.flights:
        state.set_flight(ctx, flight)
    for lock in genesis.credited_locks:
        state.set_credited_lock(ctx, lock)
    state.set_next_release_number(ctx, genesis.next_release_number)


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The whole state of the module; importing it gives the same state."""
    routes = list(state.iterate_routes(ctx))
    measurements = [state.get_measurements(ctx, route.route_id) for route in routes]
    return pb.GenesisState(
        params=state.get_params(ctx),
        routes=routes,
        assets=state.iterate_assets(ctx),
        listings=state.iterate_listings(ctx),
        measurements=[
            found
            for found in measurements
            if found != pb.RouteMeasurements(route_id=found.route_id)
        ],
        heartbeats=state.iterate_heartbeats(ctx),
        relayers=state.iterate_relayers(ctx),
        flights=state.iterate_flights(ctx),
        credited_locks=state.iterate_credited_locks(ctx),
        next_release_number=state.get_next_release_number(ctx),
    )
