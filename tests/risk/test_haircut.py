import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.risk.haircut import (
    HaircutFactors,
    compute_capped_rate_wad,
    compute_haircut_ppm,
    compute_latency_premium_ppm,
    compute_liability_weight_ppm,
    compute_lien_value,
    compute_market_haircut_ppm,
    compute_size_weight_ppm,
    compute_unrecognized_ppm,
)
from chain.units import NANOSECONDS, PPM, WAD

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
    excess_wad = (volatility_ppm - 800_000) * WAD // PPM
    haircut = compute_market_haircut_ppm(
        base_ppm=150_000,
        beta_ppm=250_000,
        excess_wad=excess_wad,
        min_ppm=100_000,
        max_ppm=500_000,
    )
    assert haircut == expected


def test_initial_factors_count_apart():
    """Row 20: new risk sees the target while what exists sees the ramp."""
    initial = HaircutFactors("X", 18, WAD, 500_000, PPM, 0, 0, 0)
    factors = HaircutFactors("X", 18, WAD, 200_000, PPM, 0, 0, 0, initial)
    value = compute_lien_value(factors, 1_000 * WAD)
    assert (value.counted_uusd, value.counted_initial_uusd) == (800_000_000, 500_000_000)
    alone = compute_lien_value(initial, 1_000 * WAD)
    assert alone.counted_uusd == alone.counted_initial_uusd == 500_000_000


@pytest.mark.parametrize(
    ("capacity", "value", "lost"),
    [(100, 100, 0), (0, 0, 0), (100, 50, 0), (50, 100, 500_000), (1, 3, 666_667), (0, 5, PPM)],
)
def test_what_a_stake_does_not_carry_rounds_up(capacity, value, lost):
    assert compute_unrecognized_ppm(capacity, value) == lost


DAY_NS = DAY * NANOSECONDS


@pytest.mark.parametrize(
    ("feed", "elapsed_ns", "rate"),
    [
        (2 * WAD, DAY_NS, WAD + WAD // 1_000),
        (2 * WAD, DAY_NS // 2, WAD + WAD // 2_000),
        (2 * WAD, 30 * DAY_NS, WAD + WAD // 1_000),
        (2 * WAD, 0, WAD),
        (WAD + 7, DAY_NS, WAD + 7),
        (WAD // 2, 0, WAD // 2),
    ],
)
def test_an_exchange_rate_falls_at_once_and_rises_by_its_cap(feed, elapsed_ns, rate):
    assert compute_capped_rate_wad(WAD, feed, 1_000, elapsed_ns) == rate
