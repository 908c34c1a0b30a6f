"""What markets may stand beside each other, when one may still be listed, and series of options."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from chain._pb.margin.markets.v1 import markets_pb2 as pb
from chain.modules.markets import marks, state
from chain.modules.markets.errors import InvalidMarket
from chain.modules.markets.state import Expiry
from chain.modules.markets.types import InstrumentKind, Market
from chain.runtime.context import Context
from chain.units import NANOSECONDS, WAD, YEAR_S, floor_div, parse_amount

TERM_S_MAX: Final = 2 * YEAR_S
"""How far ahead an expiry may lie."""
PERPETUALS_MAX: Final = 256
"""Each block computes the funding of all perpetuals."""
SERIES_MAX: Final = 64
"""Markets that one message lists."""
_DAY_S: Final = 86_400
_WAD_DIGITS: Final = 18
_KIND_LETTERS: Final = {pb.OPTION_KIND_CALL: "C", pb.OPTION_KIND_PUT: "P"}


def validate_beside(ctx: Context, market: Market) -> None:
    """Raise InvalidMarket when a listed market trades the same already, or settles otherwise."""
    if market.kind is InstrumentKind.PERPETUAL:
        listed = sum(1 for _ in state.iterate_markets_of_kind(ctx, InstrumentKind.PERPETUAL))
        if listed >= PERPETUALS_MAX:
            raise InvalidMarket(f"there are {listed} perpetuals, the most that a block can fund")
    if market.kind is InstrumentKind.SPOT:
        for other in state.iterate_markets_of_kind(ctx, InstrumentKind.SPOT):
            if other.denom == market.denom:
                raise InvalidMarket(f"{other.id} trades {market.denom} already; use it")
    if market.is_dated:
        _validate_beside_dated(ctx, market)


def _validate_beside_dated(ctx: Context, market: Market) -> None:
    """What expires together settles at one average, and nothing is listed twice."""
    expiry = Expiry(market.expiry_time_s, market.asset)
    other = next(state.iterate_expiry_markets(ctx, expiry), None)
    if other is not None and market.settlement_window_s != other.settlement_window_s:
        raise InvalidMarket(
            f"settlement_window_s {market.settlement_window_s} must be the "
            f"{other.settlement_window_s} of {other.id}: what expires together settles at one price"
        )
    same = state.find_market_of_terms(ctx, market)
    if same is not None:
        raise InvalidMarket(f"{same} has the same terms already; use it or change the expiry")


def validate_term(ctx: Context, market: Market) -> None:
    """Raise InvalidMarket unless a dated market's averaging is still to come, and not too far."""
    if not market.is_dated:
        return
    now_s = ctx.time_s
    if market.expiry_time_s <= now_s:
        raise InvalidMarket(
            f"expiry_time_s {market.expiry_time_s} must lie after the block time {now_s}"
        )
    if market.expiry_time_s > now_s + TERM_S_MAX:
        raise InvalidMarket(
            f"expiry_time_s {market.expiry_time_s} must be at most {now_s + TERM_S_MAX}, two years "
            f"ahead"
        )
    start_ns = marks.compute_window_start_ns(ctx, market)
    if ctx.time_ns >= start_ns:
        raise InvalidMarket(
            f"the averaging of {market.id} would have begun at "
            f"{floor_div(start_ns, NANOSECONDS)}, before the block time {now_s}; choose a later "
            f"expiry or a shorter settlement_window_s"
        )


class CivilDate(NamedTuple):
    """A day of the Gregorian calendar in UTC."""

    year: int
    month: int
    day: int


def compute_civil_date(days: int) -> CivilDate:
    """The date of a count of days since 1970-01-01, from integers alone.

    The calendar repeats every 400 years of 146,097 days; years are counted from March, so that the
    leap day comes last.
    """
    shifted = days + 719_468  # From 0000-03-01.
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = floor_div(
        day_of_era
        - floor_div(day_of_era, 1_460)
        + floor_div(day_of_era, 36_524)
        - floor_div(day_of_era, 146_096),
        365,
    )
    leap_days = floor_div(year_of_era, 4) - floor_div(year_of_era, 100)
    day_of_year = day_of_era - (365 * year_of_era + leap_days)
    month_from_march = floor_div(5 * day_of_year + 2, 153)
    day = day_of_year - floor_div(153 * month_from_march + 2, 5) + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return CivilDate(era * 400 + year_of_era + (1 if month <= 2 else 0), month, day)


def build_option_id(asset: str, expiry_time_s: int, strike_wad: int, letter: str) -> str:
    """ASSET-YYYYMMDD[HHMM]-STRIKE-C or -P; the time is UTC and left out at midnight.

    A strike with decimals writes D for the point: 0D5 is a half.
    """
    days, seconds = divmod(expiry_time_s, _DAY_S)
    year, month, day = compute_civil_date(days)
    hour, minute = divmod(floor_div(seconds, 60), 60)
    date = f"{year:04}{month:02}{day:02}" + (f"{hour:02}{minute:02}" if seconds else "")
    whole, fraction = divmod(strike_wad, WAD)
    decimals = f"{fraction:0{_WAD_DIGITS}}".rstrip("0")
    strike = f"{whole}D{decimals}" if decimals else str(whole)
    return f"{asset}-{date}-{strike}-{letter}"


def build_option_series(
    template: pb.Market, strikes_wad: Sequence[str], kinds: Sequence[pb.OptionKind]
) -> list[pb.Market]:
    """One option market for each strike and kind; raises InvalidMarket, InvalidAmount."""
    if template.kind != pb.INSTRUMENT_KIND_OPTION:
        raise InvalidMarket("the template's kind must be option (4)")
    if template.id or template.strike_wad or template.option_kind:
        raise InvalidMarket("the template must leave id, strike_wad and option_kind empty")
    if not 1 <= len(strikes_wad) * len(kinds) <= SERIES_MAX:
        raise InvalidMarket(
            f"{len(strikes_wad)} strikes of {len(kinds)} kinds must make 1 to {SERIES_MAX} markets"
        )
    strikes = [parse_amount(text, "strikes_wad") for text in strikes_wad]
    if strikes != sorted(set(strikes)):
        raise InvalidMarket("strikes_wad must ascend, each once")
    if any(kind not in _KIND_LETTERS for kind in kinds) or len(set(kinds)) < len(kinds):
        raise InvalidMarket("kinds must be call (1), put (2) or both, each once")
    series = []
    for strike in strikes:
        for kind in kinds:
            market = pb.Market()
            market.CopyFrom(template)
            letter = _KIND_LETTERS[kind]
            market.id = build_option_id(template.asset, template.expiry_time_s, strike, letter)
            market.strike_wad, market.option_kind = str(strike), kind
            series.append(market)
    return series
