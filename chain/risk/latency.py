"""Latency of a route, measured: an integer histogram of delivery delays and the horizon δt.

δt_j = proof age + finality_j + relay p95_j + auction duration_j. Every term is a block time, so the
market's clock, which may run faster than the chain's, multiplies the sum.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from chain.units import ceil_div

_FIRST_BOUND_MS: Final = 250
_LAST_BOUND_MS: Final = 7 * 24 * 3_600 * 1_000
SAMPLES_KEPT: Final = 1_024
"""At this many samples all counts are halved: the past fades, the present is seen."""


def _compute_bounds() -> tuple[int, ...]:
    """Upper bounds in ms, each a quarter above the one before; the last one is seven days."""
    bounds = [_FIRST_BOUND_MS]
    while bounds[-1] < _LAST_BOUND_MS:
        bounds.append(min(bounds[-1] + bounds[-1] // 4, _LAST_BOUND_MS))
    return tuple(bounds)


BUCKET_BOUNDS_MS: Final = _compute_bounds()
"""Bucket i counts delays in (bound[i-1], bound[i]]; a delay above the last bound joins the last."""

assert all(low < high for low, high in pairwise(BUCKET_BOUNDS_MS))


def compute_bucket(delay_ms: int) -> int:
    """The index of the bucket of a delay; a negative delay (clock drift) is in the first."""
    low, high = 0, len(BUCKET_BOUNDS_MS) - 1
    while low < high:
        middle = (low + high) // 2
        if delay_ms <= BUCKET_BOUNDS_MS[middle]:
            high = middle
        else:
            low = middle + 1
    return low


def compute_counts_after(counts: Sequence[int], delay_ms: int) -> tuple[int, ...]:
    """The histogram with one more sample; an empty sequence is a histogram without samples."""
    padded = list(counts) + [0] * (len(BUCKET_BOUNDS_MS) - len(counts))
    if sum(padded) >= SAMPLES_KEPT:
        padded = [count // 2 for count in padded]
    padded[compute_bucket(delay_ms)] += 1
    return tuple(padded)


def compute_percentile_ms(
    counts: Sequence[int], percent: int, *, prior_ms: int, samples_min: int
) -> int:
    """The nearest-rank percentile, reported as its bucket's upper bound (never below the truth).

    Below samples_min samples it is the governed prior: few samples would let one delivery decide.
    """
    assert 1 <= percent <= 100, f"percent {percent}"
    total = sum(counts)
    if total < max(samples_min, 1):
        return prior_ms
    rank = ceil_div(total * percent, 100)
    seen = 0
    for bound_ms, count in zip(BUCKET_BOUNDS_MS, counts, strict=False):
        seen += count
        if seen >= rank:
            return bound_ms
    return BUCKET_BOUNDS_MS[-1]


def compute_relay_ms(percentile_ms: int, heartbeat_age_ms: int) -> int:
    """The relay time that counts: an unanswered heartbeat is a sample at its age."""
    return max(percentile_ms, heartbeat_age_ms)


def compute_proof_age_ms(hub_time_ns: int, consensus_time_ns: int, clock_drift_s: int) -> int:
    """max(0, hub time - time of the newest verified header) + allowed clock drift, rounded up."""
    return ceil_div(max(0, hub_time_ns - consensus_time_ns), 1_000_000) + clock_drift_s * 1_000


def compute_delta_t_ms(
    *, proof_age_ms: int, finality_ms: int, relay_ms: int, auction_duration_ms: int
) -> int:
    """δt: how long the market may move between the last certain view and the last sale."""
    return proof_age_ms + finality_ms + relay_ms + auction_duration_ms


def compute_market_seconds(delta_t_ms: int, market_time_scale: int) -> int:
    """Block milliseconds as seconds of the market's clock, rounded up."""
    return ceil_div(delta_t_ms * market_time_scale, 1_000)
