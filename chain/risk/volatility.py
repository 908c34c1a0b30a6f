"""Volatility from sampled prices: EWMA and GARCH(1,1) one-step forecasts (systems row 18).

Variances and volatilities are annual and WAD; returns are natural logarithms at the scale of
`fixed_point`; time steps are market seconds.
"""

from math import isqrt
from typing import Final

from chain.risk.fixed_point import SCALE, WAD_TO_SCALE, compute_ln
from chain.units import PPM, WAD, YEAR_S, clamp, floor_div

_PPM_TO_SCALE: Final = SCALE // PPM


def compute_log_return(price_before_wad: int, price_after_wad: int, return_ppm_max: int) -> int:
    """ln(after / before) at SCALE, clipped to a magnitude of `return_ppm_max`.

    Both prices are above zero and below 2^128, so their ratio stays in the domain of ln once it is
    clipped: a move beyond e^±1 of the bound is not computed, only its clip is.
    """
    assert price_before_wad > 0
    assert price_after_wad > 0
    bound = return_ppm_max * _PPM_TO_SCALE
    ratio = clamp(floor_div(price_after_wad * SCALE, price_before_wad), WAD_TO_SCALE, SCALE * WAD)
    return clamp(compute_ln(ratio), -bound, bound)


def compute_annual_square(log_return: int, delta_t_s: int) -> tuple[int, int]:
    """r²·YEAR/dt as an exact (numerator, denominator) pair, in WAD."""
    assert delta_t_s > 0
    return log_return * log_return * YEAR_S * WAD, delta_t_s * SCALE * SCALE


def compute_ewma_variance_wad(
    variance_wad: int, log_return: int, delta_t_s: int, lambda_ppm: int
) -> int:
    """The step lambda·variance + (1 - lambda)·r²·YEAR/dt, floored once."""
    numerator, denominator = compute_annual_square(log_return, delta_t_s)
    return floor_div(
        lambda_ppm * variance_wad * denominator + (PPM - lambda_ppm) * numerator, PPM * denominator
    )


def compute_ewma_covariance_wad(
    covariance_wad: int, left_return: int, right_return: int, delta_t_s: int, lambda_ppm: int
) -> int:
    """The step lambda·cov + (1 - lambda)·r_i·r_j·YEAR/dt, floored once; annual, may be negative."""
    assert delta_t_s > 0
    denominator = delta_t_s * SCALE * SCALE
    numerator = left_return * right_return * YEAR_S * WAD
    return floor_div(
        lambda_ppm * covariance_wad * denominator + (PPM - lambda_ppm) * numerator,
        PPM * denominator,
    )


def compute_garch_variance_wad(
    variance_wad: int,
    log_return: int,
    delta_t_s: int,
    *,
    omega_wad: int,
    alpha_ppm: int,
    beta_ppm: int,
) -> int:
    """The one-step forecast omega + alpha·r²·YEAR/dt + beta·variance, floored once."""
    numerator, denominator = compute_annual_square(log_return, delta_t_s)
    return omega_wad + floor_div(
        beta_ppm * variance_wad * denominator + alpha_ppm * numerator, PPM * denominator
    )


def compute_volatility_wad(variance_wad: int) -> int:
    """The square root of an annual variance, rounded up: risk rounds against the user."""
    root = isqrt(variance_wad * WAD)
    return root if root * root == variance_wad * WAD else root + 1
