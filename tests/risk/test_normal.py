from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.fixed_point import SCALE
from chain.risk.normal import (
    ONE,
    compute_ln_ratio_kernel,
    compute_normal_cdf,
    compute_normal_cdf_kernel,
    compute_normal_kernel,
    compute_normal_pdf,
)
from tests.risk import reference

CDF_BOUND = Decimal("1e-30")


@settings(max_examples=300)
@given(st.integers(-14 * SCALE, 14 * SCALE))
def test_normal_agrees_with_decimal(x):
    exact = Decimal(x) / SCALE
    assert abs(Decimal(compute_normal_cdf(x)) / SCALE - reference.distribution(exact)) < CDF_BOUND
    assert abs(Decimal(compute_normal_pdf(x)) / SCALE - reference.density(exact)) < CDF_BOUND


@given(st.integers(-(20 * ONE), 20 * ONE))
def test_normal_is_symmetric_and_the_two_kernels_agree(x):
    assert compute_normal_cdf_kernel(x) + compute_normal_cdf_kernel(-x) == ONE
    assert compute_normal_kernel(x)[0] == compute_normal_cdf_kernel(x)
    assert compute_normal_kernel(x)[1] == compute_normal_kernel(-x)[1]
    assert 0 <= compute_normal_cdf_kernel(x) <= ONE


def test_normal_joins_at_the_edges_of_its_nodes():
    slack = 1 << 16  # 1.3e-29: rounding of sixteen terms
    for edge in range(400):
        x = (2 * edge + 1) * ONE // 32
        step = compute_normal_cdf_kernel(x + 1) - compute_normal_cdf_kernel(x - 1)
        assert abs(step) < slack


def test_tails_are_flat():
    for x in (ONE * 25 // 2, 13 * ONE, 1 << 200):
        assert compute_normal_kernel(x) == (ONE, 0)
        assert compute_normal_kernel(-x) == (0, 0)


@given(st.integers(1, 1 << 200), st.integers(1, 1 << 200))
def test_ln_of_a_ratio_agrees_with_decimal(numerator, denominator):
    exact = (Decimal(numerator) / Decimal(denominator)).ln()
    computed = Decimal(compute_ln_ratio_kernel(numerator, denominator)) / ONE
    assert abs(computed - exact) < Decimal("1e-30")


@given(st.integers(10**30, 10**40), st.integers(-(10**9), 10**9))
def test_ln_next_to_one(denominator, offset):
    exact = (Decimal(denominator + offset) / Decimal(denominator)).ln()
    computed = Decimal(compute_ln_ratio_kernel(denominator + offset, denominator)) / ONE
    assert abs(computed - exact) < Decimal("1e-32")
