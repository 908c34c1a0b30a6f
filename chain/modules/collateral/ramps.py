"""What of a haircut ramps in: changes for the worse reach existing collateral over R (row 20).

The market factor, and what governance sets: size terms, haircuts of route classes and hops, and the
share of a route that its stake carries (row 5). What is measured of a route - latency, health,
staleness - binds in the block that measures it. Readings are computed from the last stored ramp and
the target of now, so that a change binds before the block hook has seen it.
"""

from dataclasses import dataclass
from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.modules.collateral import state
from chain.modules.oracle import state as oracle
from chain.risk.haircut import compute_market_haircut_ppm, compute_unrecognized_ppm
from chain.risk.ramp import (
    FALL,
    RISE,
    Ramp,
    build_still,
    compute_ramp_after,
    compute_reading,
)
from chain.runtime.context import Context
from chain.units import NANOSECONDS, floor_div, mul_ppm_floor

RAMPED_PARAMS: Final = (
    "age_half_step_ppm",
    "age_three_quarter_step_ppm",
    "attestation_haircut_ppm",
    "bonded_relayer_haircut_ppm",
    "concentration_step_ppm",
    "light_client_haircut_ppm",
    "optimistic_haircut_ppm",
    "relayer_step_ppm",
    "voucher_hop_haircut_ppm",
)
"""Governed haircuts: a rise binds new risk at once and ramps in for what exists."""


@dataclass(frozen=True, slots=True)
class AssetTerms:
    """The ramped terms of an asset, as new risk (`target`) or what exists (`reading`) sees them."""

    market_ppm: int
    size_factor_wad: int
    scale_start_wad: int


@dataclass(frozen=True, slots=True)
class AssetRampState:
    """The three ramps of an asset at this block."""

    market: Ramp
    size_factor: Ramp
    scale_start: Ramp

    def get_target(self) -> AssetTerms:
        """The terms that bind new risk."""
        return AssetTerms(self.market.target, self.size_factor.target, self.scale_start.target)

    def compute_reading(self, now_ns: int, duration_ns: int) -> AssetTerms:
        """The terms that bind what exists."""
        return AssetTerms(
            compute_reading(self.market, now_ns, duration_ns),
            compute_reading(self.size_factor, now_ns, duration_ns),
            compute_reading(self.scale_start, now_ns, duration_ns),
        )


def get_ramp_duration_ns(ctx: Context) -> int:
    """R in block time: the governed market time over the market's time scale."""
    scale = max(1, oracle.get_rules(ctx).market_time_scale)
    return floor_div(state.get_params(ctx).haircut_ramp_s * NANOSECONDS, scale)


def encode_ramp(ramp: Ramp) -> pb.Ramp:
    """The ramp as its protobuf."""
    return pb.Ramp(
        origin=str(ramp.origin),
        target=str(ramp.target),
        step=str(ramp.step),
        started_at_ns=ramp.started,
    )


def decode_ramp(message: pb.Ramp) -> Ramp:
    """The ramp that a protobuf holds."""
    return Ramp(int(message.origin), int(message.target), int(message.step), message.started_at_ns)


def compute_asset_target(asset: pb.Asset, volatility_wad: int) -> AssetTerms:
    """The terms of an asset at a volatility, unramped."""
    market = compute_market_haircut_ppm(
        base_ppm=asset.market_haircut_ppm,
        beta_ppm=asset.volatility_beta_ppm,
        excess_wad=volatility_wad - int(asset.volatility_reference_wad or "0"),
        min_ppm=asset.market_haircut_min_ppm,
        max_ppm=asset.market_haircut_max_ppm,
    )
    return AssetTerms(market, int(asset.size_factor_wad or "0"), int(asset.scale_start_wad or "0"))


def get_asset_ramps(
    ctx: Context, asset: pb.Asset, volatility_wad: int, quantity_wad: int
) -> AssetRampState:
    """The ramps of an asset at this block; `quantity_wad` is what all accounts hold of it."""
    target = compute_asset_target(asset, volatility_wad)
    now, duration = ctx.time_ns, get_ramp_duration_ns(ctx)
    known = state.get_asset_ramps(ctx, asset.asset)
    if known is None:
        return AssetRampState(
            build_still(target.market_ppm, now),
            build_still(target.size_factor_wad, now),
            build_still(target.scale_start_wad, now),
        )
    return AssetRampState(
        compute_ramp_after(
            decode_ramp(known.market_haircut_ppm), target.market_ppm, now, duration, RISE
        ),
        compute_ramp_after(
            decode_ramp(known.size_factor_wad), target.size_factor_wad, now, duration, RISE
        ),
        _compute_start_after(
            decode_ramp(known.scale_start_wad), target.scale_start_wad, now, duration, quantity_wad
        ),
    )


def _compute_start_after(
    ramp: Ramp, target_wad: int, now_ns: int, duration_ns: int, quantity_wad: int
) -> Ramp:
    """The ramp of a start of scaling, where 0 means none: then it falls from what is held now."""
    if target_wad == 0:
        return ramp if ramp.target == 0 else build_still(0, now_ns)
    if ramp.target == 0:
        ramp = build_still(max(target_wad, quantity_wad), now_ns)
    return compute_ramp_after(ramp, target_wad, now_ns, duration_ns, FALL)


def refresh_asset_ramps(
    ctx: Context, asset: pb.Asset, volatility_wad: int, quantity_wad: int
) -> None:
    """Store the ramps of an asset as they stand in this block."""
    ramps = get_asset_ramps(ctx, asset, volatility_wad, quantity_wad)
    message = pb.AssetRamps(
        asset=asset.asset,
        market_haircut_ppm=encode_ramp(ramps.market),
        size_factor_wad=encode_ramp(ramps.size_factor),
        scale_start_wad=encode_ramp(ramps.scale_start),
    )
    known = state.get_asset_ramps(ctx, asset.asset)
    if known == message:
        return
    if known is not None and ramps.market.target > int(known.market_haircut_ppm.target):
        ctx.emit(
            "haircut_ramp_started",
            {
                "asset": asset.asset,
                "from_ppm": compute_reading(ramps.market, ctx.time_ns, get_ramp_duration_ns(ctx)),
                "to_ppm": ramps.market.target,
            },
        )
    state.set_asset_ramps(ctx, message)


# Governed haircuts


def get_maintenance_params(ctx: Context) -> pb.Params:
    """The parameters as existing collateral sees them: haircuts that rose are on their way."""
    params = state.get_params(ctx)
    now, duration = ctx.time_ns, get_ramp_duration_ns(ctx)
    changed: pb.Params | None = None
    for known in state.iterate_param_ramps(ctx):
        target = getattr(params, known.name)
        ramp = compute_ramp_after(decode_ramp(known.ramp), target, now, duration, RISE)
        reading = compute_reading(ramp, now, duration)
        if reading == target:
            continue
        if changed is None:
            changed = pb.Params()
            changed.CopyFrom(params)
        setattr(changed, known.name, reading)
    return params if changed is None else changed


def refresh_param_ramps(ctx: Context) -> None:
    """Store the ramps of governed haircuts as they stand in this block."""
    params = state.get_params(ctx)
    now, duration = ctx.time_ns, get_ramp_duration_ns(ctx)
    known = {ramp.name: ramp for ramp in state.iterate_param_ramps(ctx)}
    for name in RAMPED_PARAMS:
        target = getattr(params, name)
        before = known.get(name)
        if before is None:
            ramp = build_still(target, now)
        else:
            ramp = compute_ramp_after(decode_ramp(before.ramp), target, now, duration, RISE)
        message = pb.ParamRamp(name=name, ramp=encode_ramp(ramp))
        if message != before:
            state.set_param_ramp(ctx, message)


# Recognition


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a route's stake carries, and the ramp of the share of its value beyond that."""

    capacity_uusd: int
    unrecognized: Ramp


def compute_capacity_uusd(ctx: Context, route: pb.Route) -> int:
    """κ of the stake: the value over a route that its stake carries, rounded down."""
    return mul_ppm_floor(int(route.stake_uusd), state.get_params(ctx).stake_share_ppm)


def get_recognition(ctx: Context, route: pb.Route, value_uusd: int | None) -> Recognition:
    """What counts of a route at this block; `value_uusd` None while a price is missing.

    Only a fall of the capacity takes anything from what exists: value that grew beyond it keeps
    counting. A lost share comes back as value leaves or the stake returns.
    """
    capacity = compute_capacity_uusd(ctx, route)
    now, duration = ctx.time_ns, get_ramp_duration_ns(ctx)
    known = state.get_recognition(ctx, route.route_id)
    if known is None:
        return Recognition(capacity, build_still(0, now))
    ramp = decode_ramp(known.unrecognized_ppm)
    if value_uusd is None:
        return Recognition(int(known.capacity_uusd), ramp)
    lost = compute_unrecognized_ppm(capacity, value_uusd)
    if capacity >= int(known.capacity_uusd):
        lost = min(lost, ramp.target)
    return Recognition(capacity, compute_ramp_after(ramp, lost, now, duration, RISE))


def needs_route_value(ctx: Context, route: pb.Route) -> bool:
    """Whether recognition depends on the value over the route: its stake fell, or had fallen."""
    known = state.get_recognition(ctx, route.route_id)
    if known is None:
        return False
    is_lower = compute_capacity_uusd(ctx, route) < int(known.capacity_uusd)
    return is_lower or known.unrecognized_ppm.target != "0"


def refresh_recognition(ctx: Context, route: pb.Route, value_uusd: int | None) -> None:
    """Store what counts of a route as it stands in this block."""
    found = get_recognition(ctx, route, value_uusd)
    message = pb.RouteRecognition(
        route_id=route.route_id,
        capacity_uusd=str(found.capacity_uusd),
        unrecognized_ppm=encode_ramp(found.unrecognized),
    )
    known = state.get_recognition(ctx, route.route_id)
    if known == message:
        return
    if known is not None and found.unrecognized.target > int(known.unrecognized_ppm.target):
        ctx.emit(
            "recognition_reduced",
            {
                "route_id": route.route_id,
                "capacity_uusd": found.capacity_uusd,
                "unrecognized_ppm": found.unrecognized.target,
            },
        )
    state.set_recognition(ctx, message)
