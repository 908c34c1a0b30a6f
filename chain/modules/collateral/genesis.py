"""Genesis of collateral. Routes name channels, so a chain that starts fresh lists assets alone."""

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.ibc.channel import state as channels
from chain.ibc.client import state as clients
from chain.modules.collateral import state
from chain.modules.collateral.errors import InvalidParams
from chain.modules.collateral.ramps import RAMPED_PARAMS
from chain.modules.collateral.types import (
    build_default_params,
    get_route_protocol,
    validate_asset,
    validate_listing,
    validate_route,
)
from chain.runtime.context import Context
from chain.runtime.genesis import fill_amounts, require_content
from chain.units import parse_amount


def build_default_genesis() -> pb.GenesisState:
    """Default parameters; routes and listings come by the council once channels exist."""
    return pb.GenesisState(params=build_default_params())


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Write the genesis state; raises on a figure out of its bounds."""
    state.PARAMS.set(ctx, genesis.params)
    for route in genesis.routes:
        validate_route(route)
        _require_path(ctx, route)
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
    _init_traffic(ctx, genesis)
    _init_ramps(ctx, genesis)
    for rate in genesis.exchange_rates:
        parse_amount(rate.rate_wad, "rate_wad")
        state.set_exchange_rate(ctx, rate)
    if genesis.HasField("solvency_pass"):
        require_content(genesis.solvency_pass, "app_state.collateral.solvency_pass")
        state.set_solvency_pass(ctx, genesis.solvency_pass)
    if genesis.HasField("solvency_report"):
        require_content(genesis.solvency_report, "app_state.collateral.solvency_report")
        state.set_solvency_report(ctx, genesis.solvency_report)


def _require_path(ctx: Context, route: pb.Route) -> None:
    """Raise unless what the route is measured by exists; it may be closed or frozen meanwhile."""
    port, _ = get_route_protocol(route)
    channels.get_channel(ctx, port, route.channel_id)
    clients.get_client_state(ctx, route.client_id)


def _init_traffic(ctx: Context, genesis: pb.GenesisState) -> None:
    for heartbeat in genesis.heartbeats:
        state.set_heartbeat(ctx, heartbeat)
    for seen in genesis.relayers:
        state.set_relayer_seen(ctx, seen.route_id, seen.relayer, seen.seen_at_ns)
    for flight in genesis.flights:
        state.set_flight(ctx, flight)
    for lock in genesis.credited_locks:
        state.set_credited_lock(ctx, lock)
    state.set_next_release_number(ctx, genesis.next_release_number)


def _init_ramps(ctx: Context, genesis: pb.GenesisState) -> None:
    for ramps in genesis.asset_ramps:
        for ramp in (ramps.market_haircut_ppm, ramps.size_factor_wad, ramps.scale_start_wad):
            _fill_ramp(ramp)
        state.set_asset_ramps(ctx, ramps)
    for param in genesis.param_ramps:
        if param.name not in RAMPED_PARAMS:
            raise InvalidParams(f"{param.name[:64]!r} is no parameter that ramps in")
        _fill_ramp(param.ramp)
        state.set_param_ramp(ctx, param)
    for recognition in genesis.recognitions:
        fill_amounts(recognition, "capacity_uusd")
        _fill_ramp(recognition.unrecognized_ppm)
        state.set_recognition(ctx, recognition)


def _fill_ramp(ramp: pb.Ramp) -> None:
    fill_amounts(ramp, "origin", "target", "step")


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
        asset_ramps=state.iterate_asset_ramps(ctx),
        param_ramps=state.iterate_param_ramps(ctx),
        recognitions=state.iterate_recognitions(ctx),
        exchange_rates=state.iterate_exchange_rates(ctx),
        solvency_pass=state.get_solvency_pass(ctx),
        solvency_report=state.get_solvency_report(ctx),
    )
