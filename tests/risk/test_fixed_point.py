from decimal import ROUND_FLOOR, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.risk.fixed_point import (
    SCALE,
    FixedPointDomain,
    compute_exp,
    compute_ln,
    compute_sqrt_ceil,
    compute_sqrt_floor,
)

RELATIVE_BOUND = Decimal("1e-24")
FINE = 10**140
"""A scale at which every result but zero has 24 digits and more."""


def exact_ln(value: int) -> Decimal:
    with localcontext() as context:
        context.prec = 160
        return (Decimal(value) / SCALE).ln() * SCALE


def exact_exp(value: int) -> Decimal:
    with localcontext() as context:
        context.prec = 200
        return (Decimal(value) / SCALE).exp() * SCALE


@given(st.integers(1, SCALE * SCALE - 1))
def test_ln_agrees_with_decimal_over_the_whole_domain(value):
    assert abs(compute_ln(value) - exact_ln(value)) <= 2


@given(st.integers(-(10**24), 10**24))
def test_ln_keeps_relative_error_next_to_one(offset):
    value = SCALE + offset * 10**14 + 1
    exact = exact_ln(value)
    assert abs(compute_ln(value) - exact) <= 2
    if abs(exact) >= 10**24:
        assert abs(compute_ln(value) - exact) <= abs(exact) * RELATIVE_BOUND * 2


@given(st.integers(-256 * SCALE, 256 * SCALE))
def test_exp_agrees_with_decimal_over_the_whole_domain(value):
    exact = exact_exp(value)
    assert abs(compute_exp(value) - exact) <= 2 + exact * Decimal("1e-45")


@given(st.integers(-32 * SCALE, 32 * SCALE))
def test_exp_keeps_relative_error(value):
    exact = exact_exp(value)
    assert abs(compute_exp(value) - exact) <= exact * RELATIVE_BOUND * 2


def is_close(computed: int, exact: Decimal) -> bool:
    """Whether a result at FINE agrees with an exact one at SCALE to RELATIVE_BOUND."""
    with localcontext() as context:
        context.prec = 200
        wanted = exact * (FINE // SCALE)
        return abs(computed - wanted) <= abs(wanted) * RELATIVE_BOUND


@st.composite
def log_uniform(draw, largest_bits: int) -> int:
    """A positive integer whose number of bits is uniform: small arguments as often as large."""
    bits = draw(st.integers(0, largest_bits - 1))
    return (1 << bits) + draw(st.integers(0, (1 << bits) - 1))


@given(st.one_of(log_uniform(252), st.integers(1, SCALE * SCALE - 1)))
def test_ln_keeps_relative_error_over_its_whole_range(value):
    assert is_close(compute_ln(value, FINE), exact_ln(value))


@given(log_uniform(126), st.booleans())
def test_ln_keeps_relative_error_down_to_one_unit_from_one(offset, is_below):
    value = SCALE - offset if is_below else SCALE + offset
    assert is_close(compute_ln(value, FINE), exact_ln(value))


@given(st.integers(-256 * SCALE, 256 * SCALE))
def test_exp_keeps_relative_error_over_its_whole_range(value):
    assert is_close(compute_exp(value, FINE), exact_exp(value))


@given(log_uniform(127), st.booleans())
def test_exp_keeps_relative_error_of_small_arguments(value, is_negative):
    value = -value if is_negative else value
    assert is_close(compute_exp(value, FINE), exact_exp(value))


@given(st.one_of(log_uniform(400), st.integers(0, SCALE * SCALE)))
def test_sqrt_keeps_relative_error_over_its_whole_range(value):
    with localcontext() as context:
        context.prec = 200
        exact = (Decimal(value) / SCALE).sqrt() * SCALE
    low, high = compute_sqrt_floor(value, FINE), compute_sqrt_ceil(value, FINE)
    assert is_close(low, exact)
    assert is_close(high, exact)
    assert low * low * SCALE <= value * FINE * FINE <= high * high * SCALE


@given(st.integers(-255 * SCALE, 87 * SCALE))
def test_ln_undoes_exp(value):
    fine = compute_exp(value, SCALE)
    if 0 < fine < SCALE * SCALE:
        # One unit of the exponential is 1/exp of the argument.
        assert abs(compute_ln(fine) - value) <= 3 + 2 * SCALE // fine


def test_exact_points():
    assert compute_ln(SCALE) == 0
    assert compute_exp(0) == SCALE
    with localcontext() as context:
        context.prec = 80
        e = Decimal(1).exp() * SCALE
        assert compute_exp(SCALE) == int(e.to_integral_value(ROUND_FLOOR))


@given(st.integers(0, SCALE * SCALE))
def test_roots_bracket(value):
    low, high = compute_sqrt_floor(value), compute_sqrt_ceil(value)
    assert low * low <= value * SCALE <= high * high
    assert high - low <= 1


@pytest.mark.parametrize("value", [0, -1, SCALE * SCALE])
def test_ln_refuses_what_it_has_no_value_for(value):
    with pytest.raises(FixedPointDomain):
        compute_ln(value)


@pytest.mark.parametrize("value", [256 * SCALE + 1, -256 * SCALE - 1])
def test_exp_refuses_wide_arguments(value):
    with pytest.raises(FixedPointDomain):
        compute_exp(value)


def test_sqrt_refuses_negatives():
    with pytest.raises(FixedPointDomain):
        compute_sqrt_floor(-1)
