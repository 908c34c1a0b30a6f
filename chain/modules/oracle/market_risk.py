"""What is measured of all assets together each block: correlations, volatility index (rows 16, 19).

It runs after the block's votes. Correlations are sampled once an interval of market time, all
assets at one moment; the index is taken every block.
"""

from collections.abc import Sequence

from chain.modules.oracle import state
from chain.modules.oracle.model_ramp import end_ramp
from chain.modules.oracle.types import CorrelationRecord, CorrelationRules, OracleRules
from chain.risk.correlation import (
    TierState,
    compute_bounded_correlation,
    compute_tier_state,
    compute_volatility_index_ppm,
)
from chain.risk.volatility import (
    compute_ewma_covariance_wad,
    compute_log_return,
)
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.units import NANOSECONDS, PPM, WAD, ceil_div, floor_div, mul_div_floor


def begin_block(ctx: Context) -> None:
    """Sample correlations when their interval has passed, then set the index and its tier."""
    end_ramp(ctx)
    rules = state.get_rules(ctx)
    if rules.correlation.assets:
        with isolate_item(ctx, "oracle_market_risk_failed", {"part": "correlations"}) as child:
            update_correlations(child, rules)
    with isolate_item(ctx, "oracle_market_risk_failed", {"part": "volatility_index"}) as child:
        update_volatility_index(child, rules)


def _get_sample_prices(ctx: Context, assets: Sequence[str]) -> tuple[int, ...]:
    prices = [state.get_price(ctx, asset) for asset in assets]
    return tuple(0 if price is None else price.raw_median_wad for price in prices)


def _compute_first_record(ctx: Context, rules: CorrelationRules) -> CorrelationRecord:
    """The governed correlations at the assets' own volatilities."""
    volatilities = [state.get_volatility_wad(ctx, asset) for asset in rules.assets]
    covariance = tuple(
        tuple(
            floor_div(mul_div_floor(left, right, WAD) * rho, PPM)
            for right, rho in zip(volatilities, row, strict=True)
        )
        for left, row in zip(volatilities, rules.prior_ppm, strict=True)
    )
    return CorrelationRecord(
        rules.assets,
        covariance,
        rules.prior_ppm,
        _get_sample_prices(ctx, rules.assets),
        ctx.time_ns,
    )


def update_correlations(ctx: Context, rules: OracleRules) -> None:
    """One step of the covariances when an interval of market time has passed since the last.

    A change of the governed assets starts anew from their governed matrix; a change of matrix or
    band binds at the next sample. An asset without a price in one of the two moments does not move.
    """
    record = state.get_correlation_record(ctx)
    if record is None or record.assets != rules.correlation.assets:
        state.set_correlation_record(ctx, _compute_first_record(ctx, rules.correlation))
        return
    elapsed_ns = (ctx.time_ns - record.sample_time_ns) * rules.market_time_scale
    elapsed_s = floor_div(elapsed_ns, NANOSECONDS)
    if elapsed_s < rules.volatility_interval_s:
        return
    prices = _get_sample_prices(ctx, record.assets)
    returns = [
        compute_log_return(before, after, rules.return_ppm_max) if before and after else 0
        for before, after in zip(record.sample_prices_wad, prices, strict=True)
    ]
    covariance = tuple(
        tuple(
            compute_ewma_covariance_wad(value, left, right, elapsed_s, rules.correlation.lambda_ppm)
            for value, right in zip(row, returns, strict=True)
        )
        for row, left in zip(record.covariance_wad, returns, strict=True)
    )
    correlation = compute_bounded_correlation(
        covariance, rules.correlation.prior_ppm, rules.correlation.band_ppm
    )
    state.set_correlation_record(
        ctx, CorrelationRecord(record.assets, covariance, correlation, prices, ctx.time_ns)
    )
    ctx.emit("correlations_sampled", {"assets": len(record.assets), "interval_s": elapsed_s})


def update_volatility_index(ctx: Context, rules: OracleRules) -> None:
    """The index of this block, and the tier of initial margin once ten blocks asked for another."""
    weighted = [asset for asset in rules.assets if asset.index_weight_ppm]
    # The index raises initial margin alone: it sees what new risk sees.
    volatilities = [state.get_new_risk_volatility_wad(ctx, asset.asset) for asset in weighted]
    index_ppm = (
        compute_volatility_index_ppm(
            state.get_correlation_ppm(ctx, [asset.asset for asset in weighted]),
            [asset.index_weight_ppm for asset in weighted],
            [ceil_div(volatility * PPM, WAD) for volatility in volatilities],
        )
        if weighted
        else 0
    )
    before = state.get_volatility_index(ctx)
    tier = compute_tier_state(TierState(before.tier, before.blocks_elsewhere), index_ppm)
    state.set_volatility_index(ctx, index_ppm, tier)
    if tier.tier != before.tier:
        ctx.emit(
            "volatility_tier_changed",
            {
                "from_tier": before.tier,
                "to_tier": tier.tier,
                "index_ppm": index_ppm,
                "multiplier_ppm": state.get_volatility_tier_multiplier_ppm(ctx),
            },
        )
