import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.risk.latency import (
    BUCKET_BOUNDS_MS,
    SAMPLES_KEPT,
    compute_bucket,
    compute_counts_after,
    compute_delta_t_ms,
    compute_market_seconds,
    compute_percentile_ms,
    compute_proof_age_ms,
    compute_relay_ms,
)


def test_bounds_rise_by_a_quarter_to_seven_days():
    assert BUCKET_BOUNDS_MS[:4] == (250, 312, 390, 487)
    assert BUCKET_BOUNDS_MS[-1] == 7 * 86_400_000
    assert len(BUCKET_BOUNDS_MS) < 100


@pytest.mark.parametrize(
    ("delay_ms", "bucket"),
    [(-5, 0), (0, 0), (250, 0), (251, 1), (312, 1), (313, 2), (10**12, len(BUCKET_BOUNDS_MS) - 1)],
)
def test_buckets(delay_ms, bucket):
    assert compute_bucket(delay_ms) == bucket


@given(st.integers(0, 7 * 86_400_000))
def test_a_bucket_holds_its_delay(delay_ms):
    bucket = compute_bucket(delay_ms)
    assert delay_ms <= BUCKET_BOUNDS_MS[bucket]
    assert bucket == 0 or delay_ms > BUCKET_BOUNDS_MS[bucket - 1]


def test_below_the_least_number_of_samples_the_prior_holds():
    counts = ()
    for sample in range(19):
        counts = compute_counts_after(counts, 300)
        assert sum(counts) == sample + 1
        assert compute_percentile_ms(counts, 95, prior_ms=9_999, samples_min=20) == 9_999
    counts = compute_counts_after(counts, 300)
    assert compute_percentile_ms(counts, 95, prior_ms=9_999, samples_min=20) == 312


def test_percentiles_by_nearest_rank():
    counts = ()
    for delay in [300] * 95 + [5_000] * 5:
        counts = compute_counts_after(counts, delay)
    assert compute_percentile_ms(counts, 95, prior_ms=0, samples_min=20) == 312
    assert compute_percentile_ms(counts, 96, prior_ms=0, samples_min=20) >= 5_000
    assert compute_percentile_ms(counts, 50, prior_ms=0, samples_min=20) == 312


def test_the_past_fades():
    counts = ()
    for _ in range(SAMPLES_KEPT):
        counts = compute_counts_after(counts, 100)
    for _ in range(SAMPLES_KEPT):
        counts = compute_counts_after(counts, 60_000)
    assert sum(counts) <= SAMPLES_KEPT
    assert compute_percentile_ms(counts, 50, prior_ms=0, samples_min=20) >= 60_000


def test_proof_age_is_never_negative_and_rounds_up():
    assert compute_proof_age_ms(10, 20, 0) == 0
    assert compute_proof_age_ms(1_000_001, 0, 3) == 2 + 3_000


def test_delta_t_is_the_sum_of_its_parts_in_market_time():
    delta_t_ms = compute_delta_t_ms(
        proof_age_ms=1_500, finality_ms=2_000, relay_ms=4_000, auction_duration_ms=60_000
    )
    assert delta_t_ms == 67_500
    assert compute_market_seconds(delta_t_ms, 720) == 48_600
    assert compute_market_seconds(1, 1) == 1


def test_a_silent_heartbeat_counts_at_its_age():
    assert compute_relay_ms(3_000, 0) == 3_000
    assert compute_relay_ms(3_000, 90_000) == 90_000
