"""Integer ln, exp and roots on one wide scale, for formulas that need more than a ratio.

Arguments are ints at SCALE = 1e38, results too unless the caller asks for a finer `scale`. The work
inside is binary floating point with 256 bits: its relative error is below 1e-35 over the whole
domain, however small the result. What is returned is that, floored to one unit of the scale, and
the same integer on every machine; so a result keeps a relative error of 1e-24 whenever it is at
least 1e24 units (from 1e-14 on at SCALE; ln, exp and sqrt of everything at a scale of 1e140).
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

_BITS: Final = 256
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


def compute_ln(value: int, scale: int = SCALE) -> int:
    """ln(value / SCALE)·scale, floored; raises FixedPointDomain unless 0 < value < 1e76."""
    if not 0 < value < LN_ARGUMENT_LIMIT:
        raise FixedPointDomain(f"ln needs 0 < x < 1e38, got {value} / 1e38")
    # value / SCALE = mantissa·2^exponent with the mantissa within [1/sqrt 2, sqrt 2).
    exponent = value.bit_length() - SCALE.bit_length()
    mantissa = (value << (_BITS - exponent)) // SCALE
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
    return ((2 * total + exponent * _LN2) * scale) >> _BITS


def compute_exp(value: int, scale: int = SCALE) -> int:
    """exp(value / SCALE)·scale, floored; raises FixedPointDomain beyond a magnitude of 256."""
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
    scaled = total * scale
    shift = _BITS - exponent
    return scaled >> shift if shift >= 0 else scaled << -shift


def compute_sqrt_floor(value: int, scale: int = SCALE) -> int:
    """sqrt(value / SCALE)·scale rounded down; raises FixedPointDomain below zero."""
    if value < 0:
        raise FixedPointDomain(f"sqrt needs x >= 0, got {value} / 1e38")
    return isqrt(value * scale * scale // SCALE)


def compute_sqrt_ceil(value: int, scale: int = SCALE) -> int:
    """sqrt(value / SCALE)·scale rounded up; raises FixedPointDomain below zero."""
    root = compute_sqrt_floor(value, scale)
    return root if root * root * SCALE == value * scale * scale else root + 1
