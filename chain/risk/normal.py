"""The standard normal distribution in integers, and the fast binary kernels that options need.

Numbers of the kernels are ints at ONE = 2^112 (5e33); the public functions take and give ints at
SCALE = 1e38. A kernel's error is below 1e-31 absolute; tails beyond 12.5 are 0 or 1, off by less
than 4e-36.
"""

from functools import lru_cache
from math import isqrt
from typing import Final

from chain.risk.fixed_point import SCALE
from chain.risk.tables import (
    BITS,
    LN_2,
    LN_OF_RECIPROCALS,
    NORMAL_CDF,
    NORMAL_PDF,
    NORMAL_STEPS,
    RECIPROCALS,
)
from chain.units import YEAR_S

ONE: Final = 1 << BITS
"""One, in the numbers of the kernels."""
_TERMS: Final = 16
_NODE_SHIFT: Final = BITS - NORMAL_STEPS.bit_length() + 1
_HALF_NODE: Final = 1 << (_NODE_SHIFT - 1)
_LAST_NODE: Final = len(NORMAL_CDF) - 1
_TAIL: Final = _LAST_NODE << _NODE_SHIFT
_LN_INDEX_SHIFT: Final = BITS - 7
_LN_TERMS: Final = tuple(ONE // divisor for divisor in (13, 11, 9, 7, 5, 3))


def _compute_coefficients(node: int) -> tuple[int, ...]:
    """Taylor coefficients of N about node/16, highest order first.

    c1 = n(x), c2 = -x·n(x)/2, and the Hermite recurrence
    c[k+1] = -(x·c[k] + (k-1)/k·c[k-1])/(k+1), with guard bits so that no rounding survives.
    """
    guard = 24
    rising = [NORMAL_CDF[node] << guard, NORMAL_PDF[node] << guard]
    for k in range(1, _TERMS):
        numerator = node * k * rising[k] + (NORMAL_STEPS * (k - 1) * rising[k - 1] if k > 1 else 0)
        rising.append(-numerator // (NORMAL_STEPS * k * (k + 1)))
    return tuple(value >> guard for value in reversed(rising))


_COEFFICIENTS: Final = tuple(_compute_coefficients(node) for node in range(_LAST_NODE + 1))


def compute_normal_kernel(x: int) -> tuple[int, int]:
    """(N(x), n(x)): distribution and density of a kernel number, as kernel numbers."""
    magnitude = -x if x < 0 else x
    if magnitude >= _TAIL:
        return (0 if x < 0 else ONE), 0
    node = (magnitude + _HALF_NODE) >> _NODE_SHIFT
    delta = magnitude - (node << _NODE_SHIFT)
    value = slope = 0
    # Horner for the polynomial and its derivative at once: n = N'.
    for coefficient in _COEFFICIENTS[node]:
        slope = (slope * delta >> BITS) + value
        value = (value * delta >> BITS) + coefficient
    return (ONE - value if x < 0 else value), slope


def compute_normal_cdf_kernel(x: int) -> int:
    """N(x) of a kernel number: what `compute_normal_kernel` gives first, at half its cost."""
    magnitude = -x if x < 0 else x
    if magnitude >= _TAIL:
        return 0 if x < 0 else ONE
    node = (magnitude + _HALF_NODE) >> _NODE_SHIFT
    delta = magnitude - (node << _NODE_SHIFT)
    value = 0
    for coefficient in _COEFFICIENTS[node]:
        value = (value * delta >> BITS) + coefficient
    return ONE - value if x < 0 else value


def compute_ln_ratio_kernel(numerator: int, denominator: int) -> int:
    """ln(numerator / denominator) of two positive ints, as a kernel number; error below 1e-32."""
    assert numerator > 0
    assert denominator > 0
    exponent = numerator.bit_length() - denominator.bit_length()
    shift = BITS + 1 - exponent
    if shift >= 0:
        mantissa = (numerator << shift) // denominator
    else:
        mantissa = numerator // (denominator << -shift)
    # The quotient lies in (1/2, 2)·2^(BITS+1): bring it into [1, 2)·2^BITS.
    if mantissa >= ONE << 1:
        mantissa >>= 1
    else:
        exponent -= 1
    index = (mantissa >> _LN_INDEX_SHIFT) - 128
    # m·r = 1 + e with |e| < 1/128, and ln(1 + e) = 2·atanh(e / (2 + e)).
    excess = (mantissa * RECIPROCALS[index] >> 9) - ONE
    argument = (excess << BITS) // ((ONE << 1) + excess)
    square = argument * argument >> BITS
    series = 0
    for term in _LN_TERMS:
        series = (series + term) * square >> BITS
    logarithm = (argument * (series + ONE) >> (BITS - 1)) + LN_OF_RECIPROCALS[index]
    return logarithm + exponent * LN_2


@lru_cache(maxsize=4_096)
def compute_root_of_time_kernel(duration_s: int) -> int:
    """√(duration / YEAR) as a kernel number, rounded down."""
    return isqrt((duration_s << (2 * BITS)) // YEAR_S)


def compute_normal_cdf(x: int) -> int:
    """N(x / SCALE)·SCALE, rounded down to the unit; absolute error below 1e-30."""
    return compute_normal_cdf_kernel((x << BITS) // SCALE) * SCALE >> BITS


def compute_normal_pdf(x: int) -> int:
    """The density n(x / SCALE)·SCALE, rounded down to the unit; absolute error below 1e-30."""
    return compute_normal_kernel((x << BITS) // SCALE)[1] * SCALE >> BITS
