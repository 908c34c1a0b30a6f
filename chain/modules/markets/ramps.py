"""Changes of a market's terms: for the worse they bind new risk at once and reach what exists in a
straight line, so that no vote liquidates anybody in its own block (systems rows 13 and 20).
"""

from typing import Final

from chain._pb.margin.markets.v1 import markets_pb2 as pb
from chain.modules.markets import state
from chain.modules.markets.errors import RampRunning
from chain.modules.markets.params import RAMP_S
from chain.modules.markets.types import InstrumentKind, Market
from chain.modules.oracle import state as oracle
from chain.runtime.context import Context
from chain.units import ceil_div

RAMPED_TERMS: Final = ("maintenance_ppm", "volatility_floor_wad", "horizon_s")
"""What the maintenance requirement of a position is computed from; more is worse."""


def compute_ramp_s(ctx: Context) -> int:
    """The ramp in block seconds: the governed market time over the market's time scale."""
    market_s = state.get_params(ctx).ramp_s or RAMP_S
    return ceil_div(market_s, max(1, oracle.get_rules(ctx).market_time_scale))


def start_ramp(ctx: Context, before: Market, after: Market) -> int:
    """Remember the terms before a change that is worse for somebody; the block second at which it
    has full effect, 0 when it has so at once.

    Raises RampRunning when a change before it still ramps in; what only relieves is always taken,
    and then the ramp under way goes on to less.
    """
    is_worse = any(getattr(after, term) > getattr(before, term) for term in RAMPED_TERMS)
    # Options are marked at the floor, so that one side of them loses by a lower one too.
    if before.kind is InstrumentKind.OPTION:
        is_worse |= after.volatility_floor_wad != before.volatility_floor_wad
    running = state.get_running_ramp(ctx, before.id)
    if not is_worse:
        return 0 if running is None else running.end_s
    if running is not None:
        raise RampRunning(
            f"the last change of {before.id} takes effect until {running.end_s}, it is "
            f"{ctx.time_s}; change it {running.end_s - ctx.time_s} s later, or lower terms only"
        )
    end_s = ctx.time_s + compute_ramp_s(ctx)
    state.set_ramp(
        ctx,
        pb.MarketRamp(
            market=before.id,
            maintenance_ppm=before.maintenance_ppm,
            volatility_floor_wad=str(before.volatility_floor_wad),
            horizon_s=before.horizon_s,
            start_s=ctx.time_s,
            end_s=end_s,
        ),
    )
    return end_s
