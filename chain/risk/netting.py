"""Cross-chain netting: one underlying held at several venues (systems row 17)."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.units import PPM, WAD, ceil_div, clamp


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A signed position at one venue, as last acknowledged.

    `size` is in any quantum, the same for all; `latency_ppm` the premium of the venue's route;
    `report_age_s` the age of its report; `is_normal` whether its route is in mode NORMAL.
    """

    size: int
    latency_ppm: int
    report_age_s: int
    is_normal: bool


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
    """How much of a venue's position may net: all when fresh, none when stale or not NORMAL."""
    if not position.is_normal:
        return 0
    if terms.stale_s <= terms.fresh_s:
        return PPM if position.report_age_s <= terms.fresh_s else 0
    left = (terms.stale_s - position.report_age_s) * PPM // (terms.stale_s - terms.fresh_s)
    return clamp(left, 0, PPM)


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
    return NettingResult(requirement, net, hedged, basis_ppm)


def compute_siloed_uusd(
    positions: Sequence[VenuePosition], terms: NettingTerms, price_wad: int, quantum_decimals: int
) -> int:
    """What the venues would ask for one by one: the sum of ceil(|size|·P·mmf)."""
    unit = WAD * 10**quantum_decimals
    return sum(
        ceil_div(abs(position.size) * price_wad * terms.maintenance_ppm, unit)
        for position in positions
    )
