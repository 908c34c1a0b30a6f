"""European options in integers: Black-76 on a forward and Black-Scholes on a spot, with Greeks.

Prices, strikes, rates, volatilities and results are WAD; time is seconds to expiry over a year of
365 days. Results are floored to the WAD and within 1e-17 of the exact value (a price up to 1e9).
Sources: F. Black (1976), "The pricing of commodity contracts"; F. Black and M. Scholes (1973).

No argument fails inside the bounds that `validate_option` states. With no time or no volatility
left an option is worth its intrinsic value, its delta is a step and its gamma and vega are 0; out
in the tails prices meet their bounds.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chain.errors import ChainError
from chain.risk.fixed_point import SCALE, WAD_TO_SCALE, compute_exp
from chain.risk.normal import (
    ONE,
    compute_ln_ratio_kernel,
    compute_normal_cdf_kernel,
    compute_normal_kernel,
    compute_root_of_time_kernel,
)
from chain.risk.tables import BITS
from chain.units import WAD, YEAR_S

PRICE_WAD_LIMIT: Final = 1 << 128
"""Prices and strikes are below it."""
VOLATILITY_WAD_LIMIT: Final = 1_000 * WAD
"""Volatilities, shocked ones too, are below it."""
EXPIRY_S_LIMIT: Final = 100 * YEAR_S
"""Times to expiry are below it."""
RATE_WAD_LIMIT: Final = 2 * WAD
"""Rates and yields have at most this magnitude."""


class InvalidOption(ChainError):
    """An option, forward, volatility or rate outside the bounds of the pricer."""

    codespace = "risk"
    code = 3
    summary = "invalid option"


@dataclass(frozen=True, slots=True)
class OptionValue:
    """Price and Greeks of one option, WAD.

    `delta_wad` per unit of the underlying quoted (forward or spot), `gamma_wad` per unit squared,
    `vega_wad` per 1.00 of volatility, `theta_wad` per year of passing time, `rho_wad` per 1.00 of
    rate. Divide vega and rho by 100 for a percentage point, theta by 365 for a day.
    """

    price_wad: int
    delta_wad: int
    gamma_wad: int
    vega_wad: int
    theta_wad: int
    rho_wad: int


def validate_option(
    underlying_wad: int, strike_wad: int, volatility_wad: int, expiry_s: int, field: str = "option"
) -> None:
    """Raise InvalidOption, naming the field, unless every argument lies in the pricer's bounds."""
    for name, value, low, limit in (
        ("price", underlying_wad, 0, PRICE_WAD_LIMIT),
        ("strike", strike_wad, 1, PRICE_WAD_LIMIT),
        ("volatility", volatility_wad, 0, VOLATILITY_WAD_LIMIT),
        ("time to expiry", expiry_s, 0, EXPIRY_S_LIMIT),
    ):
        if not low <= value < limit:
            raise InvalidOption(f"{field}: {name} {value} must lie within [{low}, {limit})")


def compute_black76_price_wad(
    forward_wad: int, strike_wad: int, volatility_wad: int, expiry_s: int, *, is_call: bool
) -> int:
    """The undiscounted Black-76 price F·N(d1) - K·N(d2), or of the put; WAD, floored.

    A put is priced by parity, so call - put = F - K holds to the unit.
    """
    deviation = volatility_wad * compute_root_of_time_kernel(expiry_s) // WAD
    intrinsic = max(0, forward_wad - strike_wad)
    if deviation == 0 or forward_wad == 0:
        call = intrinsic
    else:
        log_ratio = compute_ln_ratio_kernel(forward_wad, strike_wad)
        d1 = (log_ratio << BITS) // deviation + (deviation >> 1)
        call = (
            forward_wad * compute_normal_cdf_kernel(d1)
            - strike_wad * compute_normal_cdf_kernel(d1 - deviation)
        ) >> BITS
        # The tails round to 0 or 1; no rounding takes a price over its bounds.
        call = min(max(call, intrinsic), forward_wad)
    return call if is_call else call - forward_wad + strike_wad


@lru_cache(maxsize=4_096)
def compute_discount(rate_wad: int, duration_s: int) -> int:
    """exp(-rate·T)·SCALE, floored."""
    return compute_exp(-rate_wad * WAD_TO_SCALE * duration_s // YEAR_S)


def compute_black76(
    forward_wad: int,
    strike_wad: int,
    volatility_wad: int,
    expiry_s: int,
    *,
    is_call: bool,
    rate_wad: int = 0,
) -> OptionValue:
    """Black-76 with Greeks; discounted by exp(-rate·T), delta and gamma to the forward.

    rho holds the forward fixed, so it is -T·price; theta is the decay of volatility's worth plus
    rate·price.
    """
    return _compute_option(
        forward_wad,
        strike_wad,
        volatility_wad,
        expiry_s,
        is_call=is_call,
        rate_wad=rate_wad,
        yield_wad=rate_wad,
        is_forward=True,
    )


def compute_black_scholes(
    spot_wad: int,
    strike_wad: int,
    volatility_wad: int,
    expiry_s: int,
    *,
    is_call: bool,
    rate_wad: int,
    yield_wad: int = 0,
) -> OptionValue:
    """Black-Scholes (Merton's, with a continuous yield) with Greeks to the spot."""
    return _compute_option(
        spot_wad,
        strike_wad,
        volatility_wad,
        expiry_s,
        is_call=is_call,
        rate_wad=rate_wad,
        yield_wad=yield_wad,
        is_forward=False,
    )


def _compute_option(
    underlying_wad: int,
    strike_wad: int,
    volatility_wad: int,
    expiry_s: int,
    *,
    is_call: bool,
    rate_wad: int,
    yield_wad: int,
    is_forward: bool,
) -> OptionValue:
    """One formula for both models: a forward is an underlying that yields the rate."""
    root = compute_root_of_time_kernel(expiry_s)
    deviation = volatility_wad * root // WAD
    # Kernel numbers: U = underlying·exp(-yield·T) and X = strike·exp(-rate·T), at WAD·2^112.
    if rate_wad == 0 and yield_wad == 0:
        carried, present = underlying_wad << BITS, strike_wad << BITS
        discount_yield = ONE
    else:
        discount = compute_discount(yield_wad, expiry_s)
        carried = (underlying_wad * discount << BITS) // SCALE
        present = (strike_wad * compute_discount(rate_wad, expiry_s) << BITS) // SCALE
        discount_yield = (discount << BITS) // SCALE
    if deviation == 0 or carried == 0:
        # A step at the money: one side of it or the other, nothing in between.
        in_the_money = carried > present
        cdf1, density, cdf2 = (ONE if in_the_money else 0), 0, (ONE if in_the_money else 0)
    else:
        log_ratio = compute_ln_ratio_kernel(carried, present)
        d1 = (log_ratio << BITS) // deviation + (deviation >> 1)
        cdf1, density = compute_normal_kernel(d1)
        cdf2 = compute_normal_cdf_kernel(d1 - deviation)
    intrinsic = max(0, carried - present)
    call = min(max((carried * cdf1 - present * cdf2) >> BITS, intrinsic), carried)
    price = call if is_call else call - carried + present
    side1, side2 = (cdf1, cdf2) if is_call else (cdf1 - ONE, cdf2 - ONE)
    gamma = vega = decay = 0
    if density:
        weighted = discount_yield * density
        gamma = weighted * WAD * WAD // (underlying_wad * deviation)
        vega = carried * density * root >> (3 * BITS)
        decay = -(carried * density * volatility_wad) // (2 * WAD * root)
    # theta = decay + yield·U·N(±d1) - rate·X·N(±d2), signs by the side; carried·side is 2^(2·112).
    flow = yield_wad * carried * side1 - rate_wad * present * side2
    theta = decay + flow // (WAD * ONE)
    if is_forward:
        rho = -(price * expiry_s) // YEAR_S
    else:
        rho = present * side2 * expiry_s // (YEAR_S * ONE)
    return OptionValue(
        price_wad=price >> BITS,
        delta_wad=discount_yield * side1 * WAD >> (2 * BITS),
        gamma_wad=gamma >> BITS,
        vega_wad=vega,
        theta_wad=theta >> BITS,
        rho_wad=rho >> BITS,
    )
