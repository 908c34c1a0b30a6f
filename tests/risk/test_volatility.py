from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from chain.risk.volatility import (
    compute_ewma_variance_wad,
    compute_garch_variance_wad,
    compute_log_return,
    compute_volatility_wad,
)
from chain.units import PPM, WAD

VARIANCE = 64 * WAD // 100


def test_sample_of_row_18():
    log_return = compute_log_return(100 * WAD, 95 * WAD, PPM)
    variance = compute_ewma_variance_wad(VARIANCE, log_return, 3_600, 940_000)
    assert variance // 10**10 == 198_445_467
    with localcontext() as context:
        context.prec = 60
        exact = Decimal("0.6016") + Decimal("0.06") * Decimal("0.95").ln() ** 2 * 8_760
        assert variance == int(exact * WAD)


def test_return_is_clipped_both_ways():
    bound = compute_log_return(WAD, 2 * WAD, 100_000)
    assert bound == 10**37
    assert compute_log_return(2 * WAD, WAD, 100_000) == -bound
    assert compute_log_return(1, 2**128, 100_000) == bound
    assert compute_log_return(2**128, 1, 100_000) == -bound


@given(st.integers(0, 10 * WAD), st.integers(1, 100_000))
def test_still_prices_only_decay(variance, delta_t):
    after = compute_ewma_variance_wad(variance, 0, delta_t, 940_000)
    assert after == variance * 940_000 // PPM


def test_garch_is_linear_in_its_terms():
    log_return = compute_log_return(100 * WAD, 95 * WAD, PPM)
    square = compute_ewma_variance_wad(0, log_return, 3_600, 0)
    forecast = compute_garch_variance_wad(
        VARIANCE, log_return, 3_600, omega_wad=10**16, alpha_ppm=100_000, beta_ppm=850_000
    )
    assert abs(forecast - (10**16 + square // 10 + VARIANCE * 85 // 100)) <= 1


@given(st.integers(0, 10**40))
def test_volatility_rounds_up(variance):
    root = compute_volatility_wad(variance)
    assert root * root >= variance * WAD
    assert root == 0 or (root - 1) ** 2 < variance * WAD
