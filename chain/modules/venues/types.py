"""Bounds of venues, checked wherever one enters the state."""

import re
from typing import Final

from chain._pb.margin.venues.v1 import venues_pb2 as pb
from chain.modules.venues.errors import InvalidVenue
from chain.units import PPM

MODULE_NAME: Final = "venues"
MARKETS_MAX: Final = 64
AGE_S_MAX: Final = 86_400
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")


def build_default_params() -> pb.Params:
    """What a chain starts with when its genesis does not say otherwise."""
    return pb.Params(venue_count_max=16, rows_max=128)


def _require(value: int, low: int, high: int, field: str) -> None:
    if not low <= value <= high:
        raise InvalidVenue(f"{field} {value} must lie within [{low}, {high}]")


def validate_params(params: pb.Params) -> None:
    """Raises InvalidVenue naming the first parameter out of its bounds."""
    _require(params.venue_count_max, 1, 64, "venue_count_max")
    _require(params.rows_max, 1, 512, "rows_max")


def validate_venue(venue: pb.Venue) -> None:
    """Raises InvalidVenue for a name or figure out of its bounds; looks at no state."""
    for name in ("venue_id", "route_id"):
        if _NAME.fullmatch(getattr(venue, name)) is None:
            raise InvalidVenue(f"{name} must be 1 to 64 letters, digits, dots, dashes")
    _require(venue.basis_ppm, 0, PPM, "basis_ppm")
    _require(venue.fresh_s, 1, AGE_S_MAX, "fresh_s")
    _require(venue.stale_s, venue.fresh_s, AGE_S_MAX, "stale_s")
    _require(len(venue.markets), 1, MARKETS_MAX, "number of markets")
    names = [market.market for market in venue.markets]
    if len({*names}) != len(names):
        raise InvalidVenue("every market of a venue is listed once")
    for market in venue.markets:
        if _NAME.fullmatch(market.market) is None or _NAME.fullmatch(market.asset) is None:
            raise InvalidVenue("market and asset must be 1 to 64 letters, digits, dots, dashes")
        _require(market.quantum_decimals, 0, 18, f"quantum_decimals of {market.market}")
        _require(market.maintenance_ppm, 1, PPM, f"maintenance_ppm of {market.market}")
        _require(market.initial_ppm, market.maintenance_ppm, PPM, f"initial_ppm of {market.market}")


def find_market(venue: pb.Venue, name: str) -> pb.VenueMarket | None:
    """A market of a venue by its name there, or None."""
    return next((market for market in venue.markets if market.market == name), None)
