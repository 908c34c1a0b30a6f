"""Named integers, their bounds, and the only rounding functions of consensus code.

House rule: value credited to a user rounds down; a requirement, discount, fee or debt charged to a
user rounds up. Multiply before dividing, one division a formula; compare ratios by
cross-multiplication.
"""

from typing import NewType

from chain.errors import ChainError

PPM = 1_000_000
"""Parts per million: haircuts, rates and ratios; 1e6 is 100 %."""
WAD = 10**18
"""Scale of prices, volatilities and time fractions."""
RAY = 10**27
"""Scale of auction price fractions."""
UUSD = 1_000_000
"""Money: one USD is 1e6 uusd."""
YEAR_S = 31_536_000
"""A year of 365 days."""
NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second; block time is an int of nanoseconds since 1970."""
AMOUNT_LIMIT = 1 << 256
"""Every token amount is below this."""
POWER_LIMIT = 1 << 63
"""Every voting power is in [1, POWER_LIMIT)."""

Denom = NewType("Denom", str)
Address = NewType("Address", str)
"""A bech32 account address."""


class InvalidAmount(ChainError):
    """An amount that is not a canonical decimal in its bounds."""

    codespace = "units"
    code = 2
    summary = "invalid amount"


class OutOfRange(ChainError):
    """An integer outside the bounds of its field."""

    codespace = "units"
    code = 3
    summary = "value out of range"


def floor_div(numerator: int, denominator: int) -> int:
    """The quotient rounded toward minus infinity."""
    return numerator // denominator


def ceil_div(numerator: int, denominator: int) -> int:
    """The quotient rounded toward plus infinity."""
    return -(-numerator // denominator)


def mul_div_floor(a: int, b: int, denominator: int) -> int:
    """a·b/denominator rounded toward minus infinity."""
    return a * b // denominator


def mul_div_ceil(a: int, b: int, denominator: int) -> int:
    """a·b/denominator rounded toward plus infinity."""
    return -(-(a * b) // denominator)


def mul_ppm_floor(value: int, ppm: int) -> int:
    """value·ppm/1e6 rounded toward minus infinity."""
    return value * ppm // PPM


def mul_ppm_ceil(value: int, ppm: int) -> int:
    """value·ppm/1e6 rounded toward plus infinity."""
    return -(-(value * ppm) // PPM)


def div_exact(numerator: int, denominator: int) -> int:
    """The quotient of a division without remainder; a remainder is a programming error."""
    quotient, remainder = divmod(numerator, denominator)
    assert remainder == 0, f"{numerator} is not a multiple of {denominator}"
    return quotient


def clamp(value: int, low: int, high: int) -> int:
    """The nearest value within [low, high]."""
    return max(low, min(value, high))


def parse_amount(text: str, field: str = "amount") -> int:
    """The positive amount that a canonical decimal `[1-9][0-9]*` below 2^256 names.

    Raises InvalidAmount otherwise: zero, signs, blanks, leading zeros, other bases and separators
    are refused, so that no two texts name one amount and no peer reads another number.
    """
    if not text.isascii() or not text.isdigit() or text[0] == "0" or len(text) > 78:
        raise InvalidAmount(
            f"{field} {text[:90]!r} must be a decimal above zero and below 2^256, without sign or "
            f"leading zeros"
        )
    amount = int(text)
    if amount >= AMOUNT_LIMIT:
        raise InvalidAmount(f"{field} {text} is not below 2^256")
    return amount


def parse_nonnegative(text: str, field: str = "amount") -> int:
    """Like parse_amount, but "0" is allowed and an empty text is zero (proto3 default)."""
    if text in ("", "0"):
        return 0
    return parse_amount(text, field)


def parse_signed(text: str, field: str = "amount") -> int:
    """A canonical signed decimal of magnitude below 2^256; "" and "0" are zero, "-0" is refused."""
    if text.startswith("-"):
        return -parse_amount(text[1:], field)
    return parse_nonnegative(text, field)


def require_range(value: int, low: int, high: int, field: str) -> int:
    """The value itself when low <= value <= high; raises OutOfRange naming field and bounds."""
    if not low <= value <= high:
        raise OutOfRange(f"{field} {value} must lie within [{low}, {high}]")
    return value
