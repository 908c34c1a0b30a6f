"""Changes of the volatility model: new risk sees the new estimate at once, what exists in the
course of a ramp, so that no vote liquidates anybody in its own block (systems rows 18 and 20).

While a ramp runs each asset is measured twice, by the parameters in force and by those before the
change: what the market does is seen at once by both. Rises of the estimate are ramped, falls are
not; marks of options and correlations, which hurt one side either way, move in a straight line up
and down.
"""

from typing import Final

from chain._pb.margin.oracle.v1 import oracle_pb2 as pb
from chain.modules.oracle import state
from chain.modules.oracle.aggregation import compute_next_volatility
from chain.modules.oracle.errors import InvalidOracleParams, RampRunning
from chain.modules.oracle.params import RAMP_S
from chain.modules.params.state import watch_changes
from chain.runtime.context import Context
from chain.units import ceil_div

MODEL_FIELDS: Final = (
    *("volatility_interval_s", "lambda_ppm", "return_ppm_max"),
    *("garch_alpha_ppm", "garch_beta_ppm"),
)
ASSET_FIELDS: Final = ("volatility_max_wad", "volatility_long_run_wad", "volatility_initial_wad")


def _has_model_changed(before: pb.Params, after: pb.Params) -> bool:
    if before.correlation != after.correlation:
        return True
    if any(getattr(before, field) != getattr(after, field) for field in MODEL_FIELDS):
        return True
    assets = {asset.asset: asset for asset in after.assets}
    return any(
        getattr(asset, field) != getattr(assets[asset.asset], field)
        for asset in before.assets
        if asset.asset in assets
        for field in ASSET_FIELDS
    )


def start_ramp(ctx: Context, before: pb.Params, after: pb.Params) -> None:
    """Remember the model before a change of governance.

    Raises RampRunning while the last change ramps in, and InvalidOracleParams when the clock of
    the market is to change: times to expiry, horizons and samples under way are counted in it.
    """
    if before.market_time_scale != after.market_time_scale:
        raise InvalidOracleParams(
            f"market_time_scale is {before.market_time_scale} for good, horizons and samples are "
            f"counted in it; leave it"
        )
    missing = [name for name in before.correlation.assets if name not in after.correlation.assets]
    if missing:
        raise InvalidOracleParams(
            f"correlation.assets must keep {missing[0]}: outside the matrix its losses are added "
            f"in full at once; raise its correlations to 1000000 instead, which ramps in"
        )
    if not _has_model_changed(before, after):
        return
    running = state.get_running_ramp(ctx)
    if running is not None:
        raise RampRunning(
            f"the last change of volatilities or correlations takes effect until {running.end_s}, "
            f"it is {ctx.time_s}; change it {running.end_s - ctx.time_s} s later"
        )
    duration_s = ceil_div(before.ramp_s or RAMP_S, max(1, before.market_time_scale))
    assets = state.get_correlated_assets(ctx)
    matrix = state.get_correlation_ppm(ctx, assets)
    ramp = pb.ModelRamp(
        before=before,
        start_s=ctx.time_s,
        end_s=ctx.time_s + duration_s,
        volatilities=[
            state.encode_volatility(asset, record)
            for asset, record in state.iterate_volatilities(ctx)
        ],
        correlated_assets=assets,
        correlation_ppm=[entry for row in matrix for entry in row],
    )
    state.set_ramp(ctx, ramp)
    ctx.emit("volatility_ramp_started", {"start_s": ramp.start_s, "end_s": ramp.end_s})


def advance_ramp(ctx: Context, asset: str, median_wad: int) -> None:
    """Measure an asset by the parameters before the change too, while it ramps in."""
    ramp = state.get_running_ramp(ctx)
    record = None if ramp is None else ramp.get_record(asset)
    rules = None if ramp is None else ramp.rules.get_asset(asset)
    if ramp is None or record is None or rules is None:
        return
    following = compute_next_volatility(record, ramp.rules, rules, median_wad, ctx.time_ns)
    state.set_ramp_record(ctx, asset, following)


def end_ramp(ctx: Context) -> None:
    """Forget a ramp that is over."""
    if state.has_ramp(ctx) and state.get_running_ramp(ctx) is None:
        state.delete_ramp(ctx)


watch_changes(state.PARAMS, start_ramp)
