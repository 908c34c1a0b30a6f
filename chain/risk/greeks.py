"""Greeks of instruments as they are marked, to the spot price of their underlying (systems row 14).

A forward is F = variable + fixed, its variable part the spot carried at a rate for the time left:
it moves by variable/S with the spot, by variable·T with the rate, and by -rate·variable a year of
passing time. An option's mark is the undiscounted Black-76 price on F at a volatility that stays
with the strike. So these are the derivatives of the marks themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chain.risk.black76 import compute_black76
from chain.units import WAD, YEAR_S, floor_div


@dataclass(frozen=True, slots=True)
class MarkedForward:
    """What a future or option is marked from: the forward at a spot, WAD; `time_s` to expiry."""

    spot_wad: int
    variable_wad: int
    fixed_wad: int
    rate_wad: int
    time_s: int


@dataclass(frozen=True, slots=True)
class MarkedOption:
    """An option's right, and the volatility that it is marked at, WAD."""

    strike_wad: int
    is_call: bool
    volatility_wad: int


@dataclass(frozen=True, slots=True)
class MarkedLeg:
    """A signed amount of one instrument in whole units, WAD.

    Without a forward it is the underlying itself or a perpetual, without an option a future.
    """

    amount_wad: int
    forward: MarkedForward | None = None
    option: MarkedOption | None = None


@dataclass(frozen=True, slots=True)
class SpotGreeks:
    """WAD: delta and gamma to the spot, vega and rho per 1.00, theta a year of passing time."""

    delta_wad: int = 0
    gamma_wad: int = 0
    vega_wad: int = 0
    theta_wad: int = 0
    rho_wad: int = 0


def compute_spot_greeks(legs: Iterable[MarkedLeg]) -> SpotGreeks:
    """The Greeks of all legs of one underlying; each leg's are floored at 1e-36, the sums once."""
    sums = [0] * 5
    for leg in legs:
        for place, unit in enumerate(_compute_unit(leg)):
            sums[place] += leg.amount_wad * unit
    return SpotGreeks(*(floor_div(total, WAD * WAD) for total in sums))


def _compute_unit(leg: MarkedLeg) -> tuple[int, int, int, int, int]:
    """The Greeks of one unit of a leg's instrument at 1e36."""
    forward = leg.forward
    if forward is None:
        return WAD * WAD, 0, 0, 0, 0
    variable = forward.variable_wad
    delta, gamma, vega, decay = WAD, 0, 0, 0
    if leg.option is not None:
        value = compute_black76(
            variable + forward.fixed_wad,
            leg.option.strike_wad,
            leg.option.volatility_wad,
            forward.time_s,
            is_call=leg.option.is_call,
        )
        delta, gamma = value.delta_wad, value.gamma_wad
        vega, decay = value.vega_wad, value.theta_wad
    return (
        floor_div(delta * variable * WAD, forward.spot_wad),
        floor_div(gamma * variable * variable * WAD, forward.spot_wad * forward.spot_wad),
        vega * WAD,
        decay * WAD - floor_div(forward.rate_wad * variable * delta, WAD),
        floor_div(delta * variable * forward.time_s, YEAR_S),
    )
