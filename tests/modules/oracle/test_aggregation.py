import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.modules.oracle.aggregation import (
    WeightedPrice,
    compute_first_volatility,
    compute_lower_median,
    compute_next_volatility,
    compute_step,
    compute_vote,
    compute_weighted_lower_median,
)
from chain.modules.oracle.params import build_default_params
from chain.modules.oracle.state import parse_rules
from chain.modules.oracle.types import SourcePrice
from chain.units import NANOSECONDS, PPM, WAD
from tests.modules.economy import START_NS, build_asset_params

PARAMS = build_default_params()
PARAMS.assets.append(build_asset_params("ETH"))
RULES = parse_rules(PARAMS)
ETH = RULES.assets[0]


def source(name, price, age_s=0):
    return SourcePrice("ETH", name, price, START_NS - age_s * NANOSECONDS)


def vote(*sources):
    return compute_vote(ETH, RULES.source_age_s_max, sources, START_NS)


def test_vote_is_the_median_of_agreeing_fresh_sources():
    result = vote(source("a", 100, 3), source("b", 102, 1), source("c", 101))
    assert (result.price_wad, result.source_count) == (101, 3)
    assert result.confidence_ppm == PPM - 2 * PPM // 101
    assert result.time_ns == START_NS - 3 * NANOSECONDS


@pytest.mark.parametrize(
    "odd",
    [
        source("c", 150),
        source("c", 100, 31),
        source("c", 100, -61),
        source("c", 0),
        source("c", -5),
        source("c", 1 << 128),
        SourcePrice("BTC", "c", 100, START_NS),
        source("b", 100, 5),
    ],
)
def test_outlier_stale_absurd_foreign_and_repeated_sources_do_not_count(odd):
    result = vote(source("a", 100), source("b", 100), odd)
    assert (result.price_wad, result.source_count) == (100, 2)


def test_too_few_sources_are_no_vote():
    assert vote(source("a", 100)) is None
    assert vote(source("a", 100), source("a", 101)) is None
    assert vote(source("a", 100), source("b", 200)) is None
    assert vote() is None


PRICES = st.lists(
    st.builds(
        WeightedPrice,
        st.integers(1, 50),
        st.binary(min_size=1, max_size=1),
        st.integers(1, 100),
    ),
    min_size=1,
    max_size=12,
)


@given(PRICES, st.randoms())
def test_weighted_median_splits_the_power_and_ignores_order(prices, random):
    median = compute_weighted_lower_median(prices)
    total = sum(price.power for price in prices)
    below = sum(price.power for price in prices if price.price_wad < median)
    upto = sum(price.power for price in prices if price.price_wad <= median)
    assert 2 * below < total <= 2 * upto
    shuffled = list(prices)
    random.shuffle(shuffled)
    assert compute_weighted_lower_median(shuffled) == median


@given(st.lists(st.integers(), min_size=1))
def test_lower_median(values):
    median = compute_lower_median(values)
    assert 2 * sum(1 for value in values if value <= median) >= len(values)
    assert 2 * sum(1 for value in values if value < median) < len(values)


@given(st.integers(1, 10**40), st.integers(1, 10**40), st.integers(1, PPM))
def test_step_is_bounded_and_arrives(previous, target, bound):
    price, binds = compute_step(previous, target, bound)
    assert price > 0
    assert abs(price - previous) <= max(1, previous * bound // PPM)
    assert binds == (price != target)
    assert min(previous, target) <= price <= max(previous, target)


def after(record, price, seconds):
    return compute_next_volatility(
        record, RULES, ETH, price * WAD, START_NS + seconds * NANOSECONDS
    )


def test_volatility_samples_once_an_interval():
    first = compute_first_volatility(ETH, 2_000 * WAD, START_NS)
    assert first.volatility_wad == 80 * WAD // 100
    hour = after(first, 1_900, 3_600)
    assert hour.ewma_variance_wad // 10**10 == 198_445_467
    assert hour.sample_price_wad == 1_900 * WAD
    calm = after(hour, 1_900, 3_601)
    assert calm.sample_time_ns == hour.sample_time_ns
    assert calm.volatility_wad == hour.volatility_wad


def test_crash_binds_before_its_sample():
    first = compute_first_volatility(ETH, 2_000 * WAD, START_NS)
    crash = after(first, 1_900, 1)
    assert crash.volatility_wad > first.volatility_wad
    assert crash.sample_price_wad == first.sample_price_wad


def test_market_time_scale_shortens_the_interval():
    rules = parse_rules(build_default_params())
    scaled = type(rules)(
        **{f: getattr(rules, f) for f in rules.__slots__} | {"market_time_scale": 720}
    )
    first = compute_first_volatility(ETH, 2_000 * WAD, START_NS)
    record = compute_next_volatility(first, scaled, ETH, 1_900 * WAD, START_NS + 5 * NANOSECONDS)
    assert record.ewma_variance_wad // 10**10 == 198_445_467


def test_volatility_is_capped():
    record = compute_first_volatility(ETH, 2_000 * WAD, START_NS)
    for hour in range(1, 30):
        record = after(record, 1_000 if hour % 2 else 4_000, 3_600 * hour)
    assert record.volatility_wad == ETH.volatility_max_wad
