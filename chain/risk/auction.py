"""Collateral auctions: Dutch price curves in RAY and the rules of a partial fill.

A price is uusd an atomic unit of the collateral, in RAY. The lot is counted in atomic units, the
tab (what is still to be collected) in uusd.
"""

from dataclasses import dataclass
from enum import Enum

from chain.errors import ChainError
from chain.units import PPM, RAY, ceil_div, mul_div_floor


class RemainderIsDust(ChainError):
    """A fill that would leave a tab below the dust floor where the tab itself is no larger."""

    codespace = "auction"
    code = 2
    summary = "the remainder would be dust"


class NothingToFill(ChainError):
    """A fill of no atomic unit, or at price zero."""

    codespace = "auction"
    code = 3
    summary = "nothing to fill"


class CurveKind(Enum):
    """How the price falls."""

    STAIRS = "stairs"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class Curve:
    """A Dutch price curve; cut_ray and step_ms matter to STAIRS alone.

    At or after tail_ms, or below floor_ppm of its top, the price is no longer offered.
    """

    kind: CurveKind
    tail_ms: int
    floor_ppm: int
    cut_ray: int = RAY
    step_ms: int = 1

    def __post_init__(self) -> None:
        assert self.tail_ms > 0, "an auction lasts"
        assert self.step_ms > 0, "a step lasts"
        assert 0 <= self.cut_ray <= RAY, "a price never rises"


@dataclass(frozen=True, slots=True)
class Fill:
    """What a bid takes and owes, and what remains."""

    amount: int
    owed_uusd: int
    lot_after: int
    tab_after_uusd: int


def compute_ray_power(base_ray: int, exponent: int) -> int:
    """base^exponent in RAY, rounded down once: floor(base^n / RAY^(n-1))."""
    if exponent == 0:
        return RAY
    scale: int = RAY ** (exponent - 1)
    power: int = base_ray**exponent
    return power // scale


def compute_unit_price_ray(price_wad: int, decimals: int) -> int:
    """The price of an atomic unit in RAY uusd, from that of a whole unit in WAD USD; floored."""
    # uusd a whole unit is price·1e6/1e18; RAY over 1e12 leaves 1e15.
    unit: int = 10**decimals
    return price_wad * 10**15 // unit


def compute_top_price_ray(unit_price_ray: int, buffer_ppm: int) -> int:
    """Where an auction starts: buffer times the price, rounded up (the owner's favour)."""
    return ceil_div(unit_price_ray * buffer_ppm, PPM)


def compute_price_ray(curve: Curve, top_ray: int, elapsed_ms: int) -> int:
    """The price after elapsed_ms: stairs top·cut^⌊t/step⌋, linear top·(tail - t)/tail, floored.

    Past the tail nothing is offered and the price is 0.
    """
    assert elapsed_ms >= 0, "time runs forward"
    if elapsed_ms >= curve.tail_ms:
        return 0
    if curve.kind is CurveKind.LINEAR:
        return mul_div_floor(top_ray, curve.tail_ms - elapsed_ms, curve.tail_ms)
    power_ray = compute_ray_power(curve.cut_ray, elapsed_ms // curve.step_ms)
    return mul_div_floor(top_ray, power_ray, RAY)


def is_reset_due(curve: Curve, top_ray: int, elapsed_ms: int) -> bool:
    """Whether the auction is too old, or its price below the floor share of its top."""
    if elapsed_ms >= curve.tail_ms:
        return True
    return compute_price_ray(curve, top_ray, elapsed_ms) * PPM < top_ray * curve.floor_ppm


def compute_owed_uusd(amount: int, price_ray: int) -> int:
    """What an amount costs, rounded up."""
    return ceil_div(amount * price_ray, RAY)


def compute_fill(*, lot: int, tab_uusd: int, price_ray: int, wanted: int, dust_uusd: int) -> Fill:
    """The part of the lot a bid for `wanted` units gets.

    Never collects more than the tab: then owe = tab and slice = floor(tab/price). A partial leaves
    at least the dust floor or nothing: where the remainder would be dust, owe = tab - dust; raises
    RemainderIsDust when the tab is no larger than dust, NothingToFill when no unit would move.
    """
    amount = min(lot, wanted)
    if amount <= 0 or price_ray <= 0:
        raise NothingToFill(f"{amount} units at {price_ray} RAY; ask for at least one unit")
    owed = compute_owed_uusd(amount, price_ray)
    if amount * price_ray > tab_uusd * RAY:
        owed = tab_uusd
        amount = tab_uusd * RAY // price_ray
    elif owed < tab_uusd and amount < lot and tab_uusd - owed < dust_uusd:
        if tab_uusd <= dust_uusd:
            raise RemainderIsDust(
                f"{owed} of {tab_uusd} uusd leave less than {dust_uusd}; bid for the whole tab"
            )
        owed = tab_uusd - dust_uusd
        amount = owed * RAY // price_ray
    if amount == 0:
        raise NothingToFill(f"{tab_uusd} uusd buy less than one unit at {price_ray} RAY")
    return Fill(amount, owed, lot - amount, tab_uusd - owed)
