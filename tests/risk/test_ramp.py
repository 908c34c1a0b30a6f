from hypothesis import given
from hypothesis import strategies as st

from chain.risk.ramp import (
    FALL,
    RISE,
    Ramp,
    build_still,
    compute_ramp_after,
    compute_reading,
)

R = 3_600


def test_sample_of_row_20():
    """20 % to 100 % over an hour reads 400,000 ppm at 900 s."""
    ramp = compute_ramp_after(build_still(200_000, 0), 1_000_000, 50, R, RISE)
    readings = [compute_reading(ramp, 50 + t, R) for t in (-9, 0, 900, 3_600, 10_000)]
    assert readings == [200_000, 200_000, 400_000, 1_000_000, 1_000_000]


def test_a_better_target_binds_at_once():
    rising = compute_ramp_after(build_still(200, 0), 600, 0, R, RISE)
    fallen = compute_ramp_after(rising, 300, R // 2, R, RISE)
    assert fallen == build_still(300, R // 2)
    grown = compute_ramp_after(build_still(200, 0), 600, 0, R, FALL)
    assert compute_reading(grown, 0, R) == 600


def test_a_limit_ramps_down():
    ramp = compute_ramp_after(build_still(1_000, 0), 0, 0, R, FALL)
    assert [compute_reading(ramp, t, R) for t in (0, 900, 1_800, 3_600)] == [1_000, 750, 500, 0]


def test_a_second_rise_starts_from_where_the_first_stands():
    first = Ramp(200_000, 600_000, 400_000, 0)
    second = compute_ramp_after(first, 900_000, 1_800, R, RISE)
    assert second == Ramp(400_000, 900_000, 500_000, 1_800)
    assert compute_ramp_after(second, 900_000, 2_000, R, RISE) is second


def test_small_rises_in_every_block_do_not_hold_a_ramp_up():
    ramp = compute_ramp_after(build_still(200_000, 0), 600_000, 0, R, RISE)
    for second in range(1, R + 1):
        ramp = compute_ramp_after(ramp, 600_000 + second, second, R, RISE)
    assert compute_reading(ramp, R, R) >= 600_000


def test_a_ramp_that_arrived_ramps_the_next_rise_too():
    ramp = Ramp(200_000, 600_000, 400_000, 0)
    later = compute_ramp_after(ramp, 700_000, 9_000, R, RISE)
    assert compute_reading(later, 9_000, R) == 600_000
    assert compute_reading(later, 9_000 + 1_800, R) == 650_000


STEPS = st.lists(
    st.tuples(st.integers(0, 1_000_000), st.integers(0, 5_000)), min_size=1, max_size=20
)


@given(st.integers(0, 1_000_000), STEPS)
def test_a_reading_lies_between_and_arrives_within_the_duration(start, steps):
    now = 0
    ramp = build_still(start, now)
    for target, wait in steps:
        now += wait
        before = compute_reading(ramp, now, R)
        ramp = compute_ramp_after(ramp, target, now, R, RISE)
        reading = compute_reading(ramp, now, R)
        assert reading == (min(target, before))
        later = compute_reading(ramp, now + R // 3, R)
        assert reading <= later <= target
        assert compute_reading(ramp, now + R, R) == target
