from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.correlation import (
    HYSTERESIS_BLOCKS,
    InvalidCorrelation,
    TierState,
    compute_bounded_correlation,
    compute_correlated_requirement,
    compute_quadratic_form,
    compute_sample_correlation_ppm,
    compute_tier_multiplier_ppm,
    compute_tier_state,
    compute_volatility_index_ppm,
    is_positive_semidefinite,
    validate_correlation,
)
from chain.units import PPM

PAIR = [[PPM, 800_000], [800_000, PPM]]
returns = st.lists(st.integers(-(10**6), 10**6), min_size=4, max_size=4)


def has_negative_eigenvalue(matrix) -> bool:
    """Sylvester's criterion for semi-definiteness, over every principal minor, in fractions."""
    size = len(matrix)
    for mask in range(1, 1 << size):
        chosen = [i for i in range(size) if mask >> i & 1]
        minor = [[Fraction(matrix[i][j]) for j in chosen] for i in chosen]
        determinant, sign = Fraction(1), 1
        for k in range(len(minor)):
            pivot = next((i for i in range(k, len(minor)) if minor[i][k]), None)
            if pivot is None:
                determinant = Fraction(0)
                break
            if pivot != k:
                minor[k], minor[pivot], sign = minor[pivot], minor[k], -sign
            determinant *= minor[k][k]
            for i in range(k + 1, len(minor)):
                factor = minor[i][k] / minor[k][k]
                minor[i] = [a - factor * b for a, b in zip(minor[i], minor[k], strict=True)]
        if sign * determinant < 0:
            return True
    return False


@settings(deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=10, max_size=10))
def test_semidefiniteness_agrees_with_all_principal_minors(entries):
    matrix = [[0] * 4 for _ in range(4)]
    places = [(i, j) for i in range(4) for j in range(i, 4)]
    for (i, j), value in zip(places, entries, strict=True):
        matrix[i][j] = matrix[j][i] = value + (4 if i == j else 0)
    assert is_positive_semidefinite(matrix) is not has_negative_eigenvalue(matrix)


@settings(deadline=None)
@given(st.lists(returns, min_size=1, max_size=6))
def test_gram_matrices_are_semidefinite(vectors):
    gram = [[sum(a * b for a, b in zip(v, w, strict=True)) for w in vectors] for v in vectors]
    assert is_positive_semidefinite(gram)
    # A hair less of one variance breaks a dependent matrix: six vectors in four dimensions.
    if len(vectors) == 6 and gram[0][0]:
        doubled = [[*gram[0], gram[0][0]], *([*row, row[0]] for row in gram[1:])]
        doubled.append([*gram[0], gram[0][0] - 1])
        assert not is_positive_semidefinite(doubled)


@pytest.mark.parametrize(
    ("matrix", "named"),
    [
        ([], "0 assets"),
        ([[PPM] * 65] * 65, "65 assets"),
        ([[PPM, 0]], r"correlation\[0\]: 2 entries"),
        ([[PPM, 1], [2, PPM]], r"correlation\[0\]\[1\]: 1 differs"),
        ([[PPM, PPM + 1], [PPM + 1, PPM]], r"correlation\[0\]\[1\]"),
        ([[999_999]], r"correlation\[0\]\[0\]"),
        (
            [[PPM, 900_000, -900_000], [900_000, PPM, 900_000], [-900_000, 900_000, PPM]],
            "positive semi-definite",
        ),
    ],
)
def test_bad_matrices_are_refused(matrix, named):
    validate_correlation(PAIR)
    with pytest.raises(InvalidCorrelation, match=named):
        validate_correlation(matrix)


@given(st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15))
def test_requirement_is_between_its_floor_and_gross(first, second):
    requirement = compute_correlated_requirement(PAIR, [first, second])
    gross = abs(first) + abs(second)
    assert requirement <= gross
    assert requirement * 10 >= gross * 3
    form = compute_quadratic_form(PAIR, [first, second])
    assert requirement**2 * PPM >= form


def test_requirement_by_hand():
    assert compute_correlated_requirement(PAIR, [300, 400]) == 665  # √442,000 → 664.8
    identity = [[PPM, 0], [0, PPM]]
    assert compute_correlated_requirement(identity, [300, 400]) == 500
    # A perfect hedge still needs 30 %.
    ones = [[PPM, PPM], [PPM, PPM]]
    assert compute_correlated_requirement(ones, [500, -500]) == 300


@given(returns, returns, returns)
def test_sample_correlations_of_one_window(first, second, third):
    series = [first, second, third]
    for a in series:
        for b in series:
            value = compute_sample_correlation_ppm(a, b)
            assert abs(value) <= PPM
            assert value == compute_sample_correlation_ppm(b, a)
            assert value == -compute_sample_correlation_ppm(a, [-x for x in b])
    if any(first):
        assert compute_sample_correlation_ppm(first, first) == PPM


def test_volatility_index_sample():
    assert compute_volatility_index_ppm(PAIR, [500_000] * 2, [600_000, 800_000]) == 664_830


def test_tiers_wait_ten_blocks_both_ways():
    state = TierState(1)
    for _ in range(HYSTERESIS_BLOCKS - 1):
        state = compute_tier_state(state, 900_000)
    assert compute_tier_multiplier_ppm(state) == PPM
    # One block below starts the count anew.
    state = compute_tier_state(state, 899_999)
    assert state == TierState(1, 0)
    for _ in range(HYSTERESIS_BLOCKS):
        state = compute_tier_state(state, 1_900_000)
    assert compute_tier_multiplier_ppm(state) == 1_500_000
    for _ in range(HYSTERESIS_BLOCKS):
        state = compute_tier_state(state, 1_300_000)
    assert compute_tier_multiplier_ppm(state) == 1_300_000


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-(10**18), 10**18), min_size=16, max_size=16),
    st.integers(0, 2 * PPM),
)
def test_bounded_correlation_is_always_semidefinite_and_within_its_band(entries, band):
    covariance = [[entries[4 * min(i, j) + max(i, j)] for j in range(4)] for i in range(4)]
    for i in range(4):
        covariance[i][i] = abs(covariance[i][i])
    prior = [[PPM if i == j else 500_000 for j in range(4)] for i in range(4)]
    matrix = compute_bounded_correlation(covariance, prior, band)
    validate_correlation(matrix)
    assert all(abs(matrix[i][j] - 500_000) <= band for i in range(4) for j in range(4) if i != j)


def test_clamping_that_breaks_the_matrix_is_drawn_to_the_prior():
    # Correlations 0.9, 0.9 and -0.9 cannot hold together; the identity can.
    covariance = [[100, 90, -90], [90, 100, 90], [-90, 90, 100]]
    identity = [[PPM if i == j else 0 for j in range(3)] for i in range(3)]
    assert compute_bounded_correlation(covariance, identity, PPM) == (
        (PPM, 450_000, -450_000),
        (450_000, PPM, 450_000),
        (-450_000, 450_000, PPM),
    )
