from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.risk.margin import (
    LinearTerms,
    MarginState,
    OrderRisk,
    compute_gmr_ppm,
    compute_initial_profit_uusd,
    compute_margin_state,
    compute_open_order_risk,
    compute_position_value_uusd,
    compute_requirement_uusd,
    compute_scaled_initial_ppm,
    compute_shortfall_uusd,
)
from chain.units import PPM, WAD


@pytest.mark.parametrize(
    ("equity", "requirement", "state"),
    [
        (125, 100, MarginState.HEALTHY),
        (1_249_999, 1_000_000, MarginState.MARGIN_CALL),
        (110, 100, MarginState.MARGIN_CALL),
        (1_099_999, 1_000_000, MarginState.REDUCE_ONLY),
        (100, 100, MarginState.REDUCE_ONLY),
        (999_999, 1_000_000, MarginState.LIQUIDATE),
        (2, 3, MarginState.LIQUIDATE),
        (666_666, 1_000_000, MarginState.BACKSTOP),
        (0, 1, MarginState.BACKSTOP),
        (-1, 1, MarginState.BANKRUPT),
        (0, 0, MarginState.HEALTHY),
        (-1, 0, MarginState.BANKRUPT),
    ],
)
def test_states_at_their_exact_thresholds(equity, requirement, state):
    assert compute_margin_state(equity, requirement) is state


@given(st.integers(-(10**30), 10**30), st.integers(0, 10**30), st.integers(0, 10**30))
def test_more_requirement_never_improves_the_state(equity, requirement, more):
    assert compute_margin_state(equity, requirement + more) >= compute_margin_state(
        equity, requirement
    )


def test_a_longer_delta_t_lowers_the_ratio():
    short = LinearTerms(50_000, 100_000, 80 * WAD // 100, 60)
    long = LinearTerms(50_000, 100_000, 80 * WAD // 100, 7_200)
    value = 20_000 * 10**6
    assert compute_requirement_uusd(value, 50_000, short.latency_ppm) == 1_000_000_000 + 66_220_000
    assert compute_requirement_uusd(value, 50_000, long.latency_ppm) == 1_000_000_000 + 725_280_000
    assert short.latency_initial_ppm > short.latency_ppm


@given(st.integers(-(10**30), 10**30), st.integers(0, PPM), st.integers(0, PPM))
def test_requirement_covers_the_exact_amount_on_both_sides(value, rate, latency):
    exact = Fraction(abs(value) * (rate + latency), PPM)
    requirement = compute_requirement_uusd(value, rate, latency)
    assert exact <= requirement < exact + 2
    assert requirement == compute_requirement_uusd(-value, rate, latency)


def test_open_interest_scaling():
    assert compute_scaled_initial_ppm(50_000, 0, 100, 300) == 50_000
    assert compute_scaled_initial_ppm(50_000, 100, 100, 300) == 50_000
    assert compute_scaled_initial_ppm(50_000, 200, 100, 300) == 525_000
    assert compute_scaled_initial_ppm(50_000, 300, 100, 300) == PPM
    assert compute_scaled_initial_ppm(50_000, 10**40, 100, 300) == PPM
    assert compute_scaled_initial_ppm(50_000, 10**40, 0, 0) == 50_000
    # The ratio 1/3 is floored, the margin ceiled.
    assert compute_scaled_initial_ppm(50_000, 1, 0, 3) == 50_000 + -(-950_000 * 333_333 // PPM)


ORDERS = st.lists(
    st.tuples(st.integers(-1_000, 1_000).filter(bool), st.integers(1, 200), st.integers(0, 5)),
    max_size=6,
)


@given(st.integers(-2_000, 2_000), ORDERS, st.integers(1, 200), st.integers(0, 63))
def test_open_orders_bound_every_subset_of_fills(size, orders, mark, mask):
    risks = [
        OrderRisk(quantity, abs(quantity) * price, abs(quantity) * mark, fee)
        for quantity, price, fee in orders
    ]
    bound = compute_open_order_risk(size, risks)
    filled = [order for index, order in enumerate(orders) if mask >> index & 1]
    assert abs(size + sum(quantity for quantity, _, _ in filled)) <= bound.worst_size_quantums
    loss = sum(quantity * (price - mark) + fee for quantity, price, fee in filled)
    assert loss <= bound.loss_uusd


def test_profit_counts_in_part_and_loss_in_full():
    assert compute_initial_profit_uusd(101, 800_000) == 80
    assert compute_initial_profit_uusd(-101, 800_000) == -101


def test_shortfall_is_the_least_addition():
    shortfall = compute_shortfall_uusd(100, 101, (5, 4))
    assert compute_margin_state(100 + shortfall, 101) is MarginState.HEALTHY
    assert compute_margin_state(100 + shortfall - 1, 101) is MarginState.MARGIN_CALL
    assert compute_shortfall_uusd(1_000, 101, (5, 4)) == 0


def test_gmr_for_display():
    assert compute_gmr_ppm(1, 3) == 333_333
    assert compute_gmr_ppm(-1, 3) == -333_334
    assert compute_gmr_ppm(1, 0) is None


def test_position_values_round_against_the_holder():
    assert compute_position_value_uusd(1, WAD // 3, 0) == 333_333
    assert compute_position_value_uusd(-1, WAD // 3, 0) == -333_334
    assert compute_position_value_uusd(1_500_000_000, 2_000 * WAD, 9) == 3_000 * 10**6
