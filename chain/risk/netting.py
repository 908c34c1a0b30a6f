"""Cross-chain netting: one underlying held at several venues (systems row 17)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chain.units import PPM, WAD, ceil_div, clamp, mul_ppm_floor


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A signed position at one venue, as last acknowledged.

    `size` is in any quantum, the same for all; `latency_ppm` the premium of the venue's route;
    `report_age_s` the age of its report; `staleness_ppm` how far its route's haircut for not being
    NORMAL has risen.
    """

    size: int
    latency_ppm: int
    report_age_s: int
    staleness_ppm: int


@dataclass(frozen=True, slots=True)
class NettingTerms:
    """Governed terms: maintenance rate, least basis charge, and how reports age.

    Up to `fresh_s` a report nets in full, from there linearly less until `stale_s`.
    """

    maintenance_ppm: int
    basis_ppm: int
    fresh_s: int
    stale_s: int


@dataclass(frozen=True, slots=True)
class NettingResult:
    """The requirement in uusd, and the sizes behind it."""

    requirement_uusd: int
    net: int
    hedged: int
    basis_ppm: int


def compute_netting_share_ppm(position: VenuePosition, terms: NettingTerms) -> int:
    """How much of a venue's position may net: all when fresh, none when stale.

    On a route that is not NORMAL it ramps out as the route's staleness rises.
    """
    if terms.stale_s <= terms.fresh_s:
        left = PPM if position.report_age_s <= terms.fresh_s else 0
    else:
        left = (terms.stale_s - position.report_age_s) * PPM // (terms.stale_s - terms.fresh_s)
    return mul_ppm_floor(clamp(left, 0, PPM), PPM - clamp(position.staleness_ppm, 0, PPM))


def compute_netting(
    positions: Sequence[VenuePosition], terms: NettingTerms, price_wad: int, quantum_decimals: int
) -> NettingResult:
    """The requirement ceil(|net|·P·mmf) + ceil(hedged·P·c) over venues, hedged = gross - |net|.

    c is at least the slowest leg's latency premium. What of a position may not net stands alone:
    its magnitude adds to |net| as if it had no other side. Never above gross·mmf: a basis charge
    so high that hedging costs more than standing alone is cut there.
    """
    netting = alone = 0
    gross = 0
    for position in positions:
        share_ppm = compute_netting_share_ppm(position, terms)
        # Toward zero: what may net rounds down, what stands alone up.
        part = abs(position.size) * share_ppm // PPM
        netting += part if position.size > 0 else -part
        alone += abs(position.size) - part
        gross += abs(position.size)
    net = abs(netting) + alone
    hedged = gross - net
    basis_ppm = max([terms.basis_ppm, *(p.latency_ppm for p in positions if p.size)])
    # Size in quantums, USD in WAD and the rate in ppm leave uusd over these.
    unit = WAD * 10**quantum_decimals
    requirement = ceil_div(net * price_wad * terms.maintenance_ppm, unit) + ceil_div(
        hedged * price_wad * min(basis_ppm, terms.maintenance_ppm), unit
    )
    # Two ceilings may pass that of the whole by one.
    whole = ceil_div(gross * price_wad * terms.maintenance_ppm, unit)
    return NettingResult(min(requirement, whole), net, hedged, basis_ppm)


def compute_siloed_uusd(
    positions: Sequence[VenuePosition], terms: NettingTerms, price_wad: int, quantum_decimals: int
) -> int:
    """What the venues would ask for one by one: the sum of ceil(|size|·P·mmf)."""
    unit = WAD * 10**quantum_decimals
    return sum(
        ceil_div(abs(position.size) * price_wad * terms.maintenance_ppm, unit)
        for position in positions
    )


HUB: Final = ""
"""The name of the hub among the venues of an underlying."""


@dataclass(frozen=True, slots=True)
class NettedLeg:
    """A position of an underlying at one venue, in WAD, and how much of it may net."""

    venue_id: str
    position: VenuePosition
    share_ppm: int


@dataclass(frozen=True, slots=True)
class UnderlyingNetting:
    """One underlying over all its venues; `change_*` is against the hub's position alone."""

    asset: str
    price_wad: int
    terms: NettingTerms
    legs: tuple[NettedLeg, ...]
    result: NettingResult
    siloed_uusd: int
    change_uusd: int
    change_initial_uusd: int


@dataclass(frozen=True, slots=True)
class VenueMargin:
    """What positions at venues add to an account's margin, uusd."""

    underlyings: tuple[UnderlyingNetting, ...] = ()
    pnl_uusd: int = 0
    pnl_initial_uusd: int = 0

    @property
    def maintenance_uusd(self) -> int:
        """What they add to the maintenance requirement (negative: what they take off)."""
        return sum(row.change_uusd for row in self.underlyings)

    @property
    def initial_uusd(self) -> int:
        """What they add to the initial requirement."""
        return sum(row.change_initial_uusd for row in self.underlyings)
