"""How sources become a vote and votes become a price: medians, outliers, bounded steps (row 45).

Pure: integers in, integers out.
"""

from collections.abc import Sequence
from typing import NamedTuple

from chain.modules.oracle.types import (
    PRICE_LIMIT,
    AssetRules,
    OracleRules,
    SourcePrice,
    VolatilityRecord,
    Vote,
)
from chain.risk.volatility import (
    compute_ewma_variance_wad,
    compute_garch_variance_wad,
    compute_log_return,
    compute_volatility_wad,
)
from chain.units import NANOSECONDS, PPM, WAD, clamp, floor_div, mul_div_floor, mul_ppm_floor


class WeightedPrice(NamedTuple):
    """A validator's price with its power; orders by price, then validator."""

    price_wad: int
    validator: bytes
    power: int


def is_price(price_wad: int) -> bool:
    """Whether the number can be a price at all."""
    return 0 < price_wad < PRICE_LIMIT


def is_near(price_wad: int, reference_wad: int, tolerance_ppm: int) -> bool:
    """Whether a price lies within a tolerance of a reference, inclusive."""
    return abs(price_wad - reference_wad) * PPM <= reference_wad * tolerance_ppm


def compute_lower_median(values: Sequence[int]) -> int:
    """The lower of the two middle values, or the middle one."""
    return sorted(values)[floor_div(len(values) - 1, 2)]


def compute_weighted_lower_median(prices: Sequence[WeightedPrice]) -> int:
    """The first price, sorted by (price, validator), at which half of the power is reached."""
    ordered = sorted(prices)
    total = sum(price.power for price in ordered)
    reached = 0
    for price in ordered:
        reached += price.power
        if 2 * reached >= total:
            return price.price_wad
    raise AssertionError("a median of nothing")


def compute_vote(
    rules: AssetRules, source_age_s_max: int, sources: Sequence[SourcePrice], now_ns: int
) -> Vote | None:
    """A validator's vote for one asset, or None when too few of its sources are fresh and agree.

    A source counts once (its latest word). Stale ones, ones from more than a minute ahead and ones
    further than `outlier_ppm` from the median are left out. Confidence is one minus the spread.
    """
    latest: dict[str, SourcePrice] = {}
    for source in sources:
        age_ns = now_ns - source.time_ns
        is_fresh = -60 * NANOSECONDS <= age_ns <= source_age_s_max * NANOSECONDS
        if source.asset != rules.asset or not is_fresh or not is_price(source.price_wad):
            continue
        known = latest.get(source.source)
        if known is None or known.time_ns < source.time_ns:
            latest[source.source] = source
    if not latest:
        return None
    median = compute_lower_median([source.price_wad for source in latest.values()])
    kept = [s for s in latest.values() if is_near(s.price_wad, median, rules.outlier_ppm)]
    if len(kept) < rules.sources_min:
        return None
    prices = [source.price_wad for source in kept]
    median = compute_lower_median(prices)
    spread_ppm = mul_div_floor(max(prices) - min(prices), PPM, median)
    return Vote(
        asset=rules.asset,
        price_wad=median,
        source_count=len(kept),
        confidence_ppm=clamp(PPM - spread_ppm, 0, PPM),
        time_ns=min(source.time_ns for source in kept),
        depth_usd=_compute_said_median([source.depth_usd for source in kept]),
        volume_usd=_compute_said_median([source.volume_usd for source in kept]),
    )


def _compute_said_median(figures: Sequence[int | None]) -> int:
    """The lower median of the figures that were said; 0 (nothing said) when none was."""
    said = [figure for figure in figures if figure is not None]
    return compute_lower_median(said) if said else 0


def compute_step(previous_wad: int, target_wad: int, step_ppm_max: int) -> tuple[int, bool]:
    """The published price one bounded step towards the target, and whether the bound binds.

    A step is at least one unit, so that no price is ever stuck.
    """
    step = max(1, mul_ppm_floor(previous_wad, step_ppm_max))
    stepped = clamp(target_wad, previous_wad - step, previous_wad + step)
    return max(1, stepped), stepped != target_wad


def compute_first_volatility(rules: AssetRules, price_wad: int, time_ns: int) -> VolatilityRecord:
    """The record at an asset's first price: the governed initial volatility."""
    variance = floor_div(rules.volatility_initial_wad * rules.volatility_initial_wad, WAD)
    return VolatilityRecord(
        base_ewma_variance_wad=variance,
        base_garch_variance_wad=variance,
        ewma_variance_wad=variance,
        garch_variance_wad=variance,
        volatility_wad=rules.volatility_initial_wad,
        sample_price_wad=price_wad,
        sample_time_ns=time_ns,
    )


def compute_garch_omega_wad(rules: OracleRules, asset: AssetRules) -> int:
    """The forecast's constant: it makes the governed long-run volatility the mean."""
    long_run = asset.volatility_long_run_wad
    rest_ppm = PPM - rules.garch_alpha_ppm - rules.garch_beta_ppm
    return mul_div_floor(rest_ppm * long_run, long_run, PPM * WAD)


def compute_next_volatility(
    record: VolatilityRecord, rules: OracleRules, asset: AssetRules, price_wad: int, time_ns: int
) -> VolatilityRecord:
    """The record after a price: sampled once an interval of market time, raised at once by a move.

    Between samples the estimate is the larger of the last sample's and the one that the move so
    far would give over a whole interval, so that a crash binds in its own block.
    """
    elapsed_s = floor_div((time_ns - record.sample_time_ns) * rules.market_time_scale, NANOSECONDS)
    delta_t_s = max(elapsed_s, rules.volatility_interval_s)
    log_return = compute_log_return(record.sample_price_wad, price_wad, rules.return_ppm_max)
    variance_max = floor_div(asset.volatility_max_wad * asset.volatility_max_wad, WAD)
    ewma = min(
        variance_max,
        compute_ewma_variance_wad(
            record.base_ewma_variance_wad, log_return, delta_t_s, rules.lambda_ppm
        ),
    )
    garch = min(
        variance_max,
        compute_garch_variance_wad(
            record.base_garch_variance_wad,
            log_return,
            delta_t_s,
            omega_wad=compute_garch_omega_wad(rules, asset),
            alpha_ppm=rules.garch_alpha_ppm,
            beta_ppm=rules.garch_beta_ppm,
        ),
    )
    is_sample = elapsed_s >= rules.volatility_interval_s
    if not is_sample:
        ewma = max(ewma, record.base_ewma_variance_wad)
        garch = max(garch, record.base_garch_variance_wad)
    return VolatilityRecord(
        base_ewma_variance_wad=ewma if is_sample else record.base_ewma_variance_wad,
        base_garch_variance_wad=garch if is_sample else record.base_garch_variance_wad,
        ewma_variance_wad=ewma,
        garch_variance_wad=garch,
        volatility_wad=min(asset.volatility_max_wad, compute_volatility_wad(max(ewma, garch))),
        sample_price_wad=price_wad if is_sample else record.sample_price_wad,
        sample_time_ns=time_ns if is_sample else record.sample_time_ns,
    )
