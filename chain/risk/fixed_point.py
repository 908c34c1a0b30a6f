"""Integer ln, exp and roots on one wide scale, for formulas that need more than a ratio.

Numbers are ints at SCALE = 1e38. The work inside is binary fixed point with guard bits. Results
are floored; the error is below one unit of the scale plus 1e-45 of the result, so the relative
error is at most 1e-24 for every result of magnitude 1e-14 or more (ln beyond 1e-14 of 1, exp
above -32), and the same integer on every machine.
"""

from math import isqrt
from typing import Final

from chain.errors import ChainError
from chain.units import WAD

SCALE: Final = 10**38
"""One, in the numbers of this module."""
WAD_TO_SCALE: Final = SCALE // WAD
LN_ARGUMENT_LIMIT: Final = SCALE * SCALE
"""ln takes arguments below it."""
EXP_ARGUMENT_LIMIT: Final = 256 * SCALE
"""exp takes arguments of at most this magnitude."""

_BITS: Final = 192
_ONE: Final = 1 << _BITS
# ln 2 in _BITS binary places: 2·atanh(1/3), summed exactly enough at import, checked by the tests.
_GUARD: Final = 32


class FixedPointDomain(ChainError):
    """An argument for which the function has no value here."""

    codespace = "risk"
    code = 2
    summary = "argument outside the function's domain"


def _compute_ln2() -> int:
    """floor(ln 2 · 2^_BITS) from 2·atanh(1/3) with guard bits."""
    power = (1 << (_BITS + _GUARD)) // 3
    total = 0
    divisor = 1
    while power:
        total += power // divisor
        power //= 9
        divisor += 2
    return (2 * total) >> _GUARD


_LN2: Final = _compute_ln2()


def compute_ln(value: int) -> int:
    """ln(value / SCALE)·SCALE, floored; raises FixedPointDomain unless 0 < value < 1e76."""
    if not 0 < value < LN_ARGUMENT_LIMIT:
        raise FixedPointDomain(f"ln needs 0 < x < 1e38, got {value} / 1e38")
    # value / SCALE = mantissa·2^exponent with the mantissa within [1/sqrt 2, sqrt 2).
    exponent = value.bit_length() - SCALE.bit_length()
    shift = _BITS - exponent
    mantissa = (value << shift) // SCALE if shift >= 0 else (value >> -shift) // SCALE
    while 2 * mantissa * mantissa < _ONE * _ONE:
        mantissa <<= 1
        exponent -= 1
    while mantissa * mantissa >= 2 * _ONE * _ONE:
        mantissa >>= 1
        exponent += 1
    # ln m = 2·atanh((m - 1) / (m + 1)); the argument is at most 0.172, so 5 bits a term.
    argument = ((mantissa - _ONE) << _BITS) // (mantissa + _ONE)
    square = (argument * argument) >> _BITS
    total = 0
    power = argument
    divisor = 1
    while power not in (0, -1):
        total += power // divisor
        power = (power * square) >> _BITS
        divisor += 2
    return ((2 * total + exponent * _LN2) * SCALE) >> _BITS


def compute_exp(value: int) -> int:
    """exp(value / SCALE)·SCALE, floored; raises FixedPointDomain beyond a magnitude of 256."""
    if abs(value) > EXP_ARGUMENT_LIMIT:
        raise FixedPointDomain(f"exp needs |x| <= 256, got {value} / 1e38")
    # Wide arguments lose bits in the reduction by ln 2 and gain them back in 2^exponent.
    argument = (value << _BITS) // SCALE
    exponent, rest = divmod(argument, _LN2)
    total = term = _ONE
    index = 1
    while term:
        term = (term * rest >> _BITS) // index
        total += term
        index += 1
    scaled = total * SCALE
    shift = _BITS - exponent
    return scaled >> shift if shift >= 0 else scaled << -shift


def compute_sqrt_floor(value: int) -> int:
    """sqrt(value / SCALE)·SCALE rounded down; raises FixedPointDomain below zero."""
    if value < 0:
        raise FixedPointDomain(f"sqrt needs x >= 0, got {value} / 1e38")
    return isqrt(value * SCALE)


def compute_sqrt_ceil(value: int) -> int:
    """sqrt(value / SCALE)·SCALE rounded up; raises FixedPointDomain below zero."""
    root = compute_sqrt_floor(value)
    return root if root * root == value * SCALE else root + 1
