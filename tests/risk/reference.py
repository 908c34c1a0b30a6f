"""The formulas once more, in `decimal` at 70 digits: written from the rules, not from the code."""

from decimal import Decimal, getcontext
from functools import cache

getcontext().prec = 70
ZERO, ONE = Decimal(0), Decimal(1)
TINY = Decimal(10) ** -68
YEAR = Decimal(31_536_000)
WAD = Decimal(10) ** 18


def compute_arctangent_of_inverse(n: int) -> Decimal:
    term = total = ONE / n
    k = 1
    while abs(term) > TINY:
        term, k = -term / (n * n), k + 2
        total += term / k
    return total


# Machin's formula.
PI = 4 * (4 * compute_arctangent_of_inverse(5) - compute_arctangent_of_inverse(239))
ROOT_TWO_PI = (2 * PI).sqrt()


def density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / ROOT_TWO_PI


def distribution(x: Decimal) -> Decimal:
    """1/2 + n(x)·(x + x³/3 + x⁵/15 + …), Marsaglia's series."""
    if x < 0:
        return 1 - distribution(-x)
    if x > 40:
        return ONE
    term = total = x
    k = 1
    while term > TINY:
        k += 2
        term = term * x * x / k
        total += term
    return ONE / 2 + density(x) * total


@cache
def black76(forward: Decimal, strike: Decimal, vol: Decimal, years: Decimal, kind: str) -> Decimal:
    sign = 1 if kind == "call" else -1
    if forward == 0 or vol == 0 or years == 0:
        return max(ZERO, sign * (forward - strike))
    deviation = vol * years.sqrt()
    d1 = (forward / strike).ln() / deviation + deviation / 2
    return sign * (
        forward * distribution(sign * d1) - strike * distribution(sign * (d1 - deviation))
    )


def black_scholes(spot, strike, vol, years, kind, rate, carry):
    """(price, delta, gamma, vega, theta, rho) with vol and time above zero."""
    sign = 1 if kind == "call" else -1
    deviation = vol * years.sqrt()
    d1 = ((spot / strike).ln() + (rate - carry) * years) / deviation + deviation / 2
    d2 = d1 - deviation
    grown, discount = (-carry * years).exp(), (-rate * years).exp()
    cdf1, cdf2, pdf = distribution(sign * d1), distribution(sign * d2), density(d1)
    theta = (
        -spot * grown * pdf * vol / (2 * years.sqrt())
        - sign * rate * strike * discount * cdf2
        + sign * carry * spot * grown * cdf1
    )
    return (
        sign * (spot * grown * cdf1 - strike * discount * cdf2),
        sign * grown * cdf1,
        grown * pdf / (spot * deviation),
        spot * grown * pdf * years.sqrt(),
        theta,
        sign * strike * years * discount * cdf2,
    )
