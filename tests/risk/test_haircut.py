import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.risk.haircut import (
    DynamicHaircutTerms,
    HaircutFactors,
    HaircutRamp,
    compute_haircut_ppm,
    compute_latency_premium_ppm,
    compute_liability_weight_ppm,
    compute_lien_value,
    compute_market_haircut_ppm,
    compute_ramp_after,
    compute_ramped_haircut_ppm,
    compute_size_weight_ppm,
)
from chain.units import PPM, WAD

DAY = 86_400


@pytest.mark.parametrize(
    ("delta_t", "premium"), [(60, 3_311), (900, 12_822), (7_200, 36_264), (7 * DAY, 332_364)]
)
def test_latency_premium_sample_of_row_3(delta_t, premium):
    assert compute_latency_premium_ppm(80 * WAD // 100, delta_t) == premium


def test_collateral_value_sample_of_row_2():
    lines = [
        # amount, decimals, price, market, volatility %, delta t, security, expected H
        (10 * WAD, 18, 2_000, 150_000, 80, 900, 20_000, 177_682),
        (5_000 * 10**6, 6, 1, 20_000, 2, 60, 5_000, 24_982),
        (400 * 10**6, 6, 8, 350_000, 100, 30, 5_000, 355_144),
    ]
    total = 0
    for amount, decimals, price, market, volatility, delta_t, security, haircut in lines:
        latency = compute_latency_premium_ppm(volatility * WAD // 100, delta_t)
        factors = HaircutFactors("X", decimals, amount, market, PPM, latency, security, 0)
        value = compute_lien_value(factors, price * WAD)
        assert value.haircut_ppm == haircut
        total += value.counted_uusd
    assert total == 23_384_989_200


HAIRCUT = st.integers(-10, PPM + 10)


@given(
    st.tuples(HAIRCUT, HAIRCUT, HAIRCUT, HAIRCUT, HAIRCUT), st.integers(0, 4), st.integers(0, PPM)
)
def test_haircut_is_bounded_and_monotone_in_every_factor(factors, index, rise):
    before = compute_haircut_ppm(*factors)
    assert 0 <= before <= PPM
    # The second argument is a weight: less of it is more haircut.
    changed = list(factors)
    changed[index] += -rise if index == 1 else rise
    assert compute_haircut_ppm(*changed) >= before


def test_full_haircut_counts_nothing():
    assert compute_haircut_ppm(0, PPM, PPM, 0, 0) == PPM
    assert compute_haircut_ppm(0, PPM, 332_364 * 10, 0, 0) == PPM


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_size_weight_falls_with_size(first, second):
    small, large = sorted((first, second))
    imf = WAD // 500
    assert compute_size_weight_ppm(imf, large, 18, 0, 0) <= compute_size_weight_ppm(
        imf, small, 18, 0, 0
    )


def test_size_weight_by_hand():
    # sqrt(10,000) = 100; 1.1 / (1 + 0.002·100) = 0.91666
    assert compute_size_weight_ppm(WAD // 500, 10_000 * WAD, 18, 0, 0) == 916_666
    assert compute_size_weight_ppm(WAD // 500, 1 * WAD, 18, 0, 0) == PPM
    # Twice the start: half the weight.
    assert compute_size_weight_ppm(WAD // 500, 1 * WAD, 18, 500, 1_000) == PPM // 2


def test_liability_weight_by_hand():
    # max(1.1, 0.8·1.1 + 0.002·100) = max(1.1, 1.08); at 40,000 units 0.88 + 0.4 = 1.28
    assert compute_liability_weight_ppm(1_100_000, WAD // 500, 10_000 * WAD, 18) == 1_100_000
    assert compute_liability_weight_ppm(1_100_000, WAD // 500, 40_000 * WAD, 18) == 1_280_000


def test_zero_time_and_zero_volatility_need_no_premium():
    assert compute_latency_premium_ppm(WAD, 0) == 0
    assert compute_latency_premium_ppm(0, DAY) == 0


TERMS = DynamicHaircutTerms(150_000, 250_000, 800_000, 100_000, 500_000)


@pytest.mark.parametrize(
    ("volatility_ppm", "expected"),
    [
        (0, 150_000),
        (800_000, 150_000),
        (1_200_000, 250_000),
        (10_000_000, 500_000),
        (800_001, 150_001),
    ],
)
def test_market_haircut_follows_volatility_within_bounds(volatility_ppm, expected):
    assert compute_market_haircut_ppm(TERMS, volatility_ppm) == expected


def test_ramp_sample_and_ends():
    ramp = HaircutRamp(200_000, 1_000_000, 50)
    readings = [compute_ramped_haircut_ppm(ramp, 50 + t) for t in (-9, 0, 900, 3_600, 10_000)]
    assert readings == [200_000, 200_000, 400_000, 1_000_000, 1_000_000]


def test_a_second_rise_starts_from_where_the_first_stands():
    first = HaircutRamp(200_000, 600_000, 0)
    second = compute_ramp_after(first, 800_000, 1_800)
    assert second == HaircutRamp(400_000, 800_000, 1_800)
    assert compute_ramp_after(second, 800_000, 2_000) is second
    fallen = compute_ramp_after(second, 300_000, 2_000)
    assert compute_ramped_haircut_ppm(fallen, 2_000) == 300_000


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 4_000), st.integers(0, 4_000))
def test_a_ramp_never_falls_while_it_rises(low, high, earlier, later):
    ramp = HaircutRamp(min(low, high), max(low, high), 0)
    earlier, later = sorted((earlier, later))
    now = compute_ramped_haircut_ppm(ramp, earlier)
    assert ramp.from_ppm <= now <= compute_ramped_haircut_ppm(ramp, later) <= ramp.to_ppm
