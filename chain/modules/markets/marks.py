"""Marks: what one unit of each instrument is worth now, and the forward it is priced from.

A perpetual and spot are marked at the oracle price. Futures and options share the forward of their
asset and expiry, F = variable + fixed: the spot carried at the governed rate, of which the part of
the settlement average that is already set no longer moves. An option is the undiscounted Black-76
price on F, at the oracle's volatility times the governed smile (systems row 14).

Inputs of options are rounded to ticks (spot, volatility, time), so an option is priced again only
when something moved past one. Once the settlement price is final the mark is what is paid.
"""

from dataclasses import dataclass
from typing import Final

from chain.modules.markets import state
from chain.modules.markets.types import InstrumentKind, Market, OptionKind, SettlementAverage
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.modules.scenarios.types import QuoteTerms
from chain.risk.black76 import compute_discount
from chain.risk.fixed_point import SCALE, WAD_TO_SCALE, compute_ln
from chain.risk.portfolio import compute_option_price_wad
from chain.runtime.context import Context
from chain.units import NANOSECONDS, WAD, YEAR_S, ceil_div, clamp, floor_div

SPOT_DIGITS: Final = 5
"""Significant digits of the spot that options are priced at."""
VOLATILITY_TICK_WAD: Final = WAD // 1_000
TIME_TICK_S: Final = 60
"""Market seconds; the last minute counts as none."""
TIME_S_MAX: Final = 2 * YEAR_S
"""Market seconds to expiry count no further."""
VOLATILITY_WAD_MAX: Final = 10 * WAD


@dataclass(frozen=True, slots=True)
class Forward:
    """The forward of an expiry at a spot: F = variable + fixed, WAD; `time_s` is market seconds.

    `variable_wad` moves with the spot, `fixed_wad` is set. `is_final` when the settlement price is.
    """

    variable_wad: int
    fixed_wad: int
    time_s: int
    is_final: bool = False

    @property
    def price_wad(self) -> int:
        """F."""
        return self.variable_wad + self.fixed_wad


@dataclass(frozen=True, slots=True)
class Mark:
    """One unit of an instrument, WAD: its price, the spot it was priced at and its forward.

    `forward` None for a perpetual and spot; `volatility_wad` 0 for all but options.
    """

    price_wad: int
    spot_wad: int
    forward: Forward | None = None
    volatility_wad: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether it is a final settlement price: what is marked at it moves no more."""
        return self.forward is not None and self.forward.is_final


def round_spot_wad(spot_wad: int) -> int:
    """A price rounded to SPOT_DIGITS significant digits, half up."""
    step: int = 10 ** max(0, len(str(spot_wad)) - SPOT_DIGITS)
    return floor_div(spot_wad + floor_div(step, 2), step) * step


def get_quote_terms(ctx: Context, asset: str) -> QuoteTerms:
    """Rate and smile of an asset now; none without governed rules."""
    rules = scenarios.get_rules(ctx, asset)
    return rules.compute_quote_terms(ctx.time_s) if rules is not None else QuoteTerms()


def compute_window_ns(ctx: Context, settlement_window_s: int) -> int:
    """The settlement window in nanoseconds of block time."""
    scale = max(1, oracle.get_rules(ctx).market_time_scale)
    return max(1, floor_div(settlement_window_s * NANOSECONDS, scale))


def compute_window_start_ns(ctx: Context, market: Market) -> int:
    """The block time at which the averaging of a dated market begins."""
    window_ns = compute_window_ns(ctx, market.settlement_window_s)
    return market.expiry_time_s * NANOSECONDS - window_ns


def compute_forward(
    ctx: Context, market: Market, spot_wad: int, quote: QuoteTerms | None = None
) -> Forward:
    """The forward of a dated market at a spot."""
    average = state.get_settlement(ctx, market.asset, market.expiry_time_s)
    if average.price_wad:
        return Forward(0, average.price_wad, 0, is_final=True)
    remaining_ns = max(0, market.expiry_time_s * NANOSECONDS - ctx.time_ns)
    time_s = min(oracle.compute_market_seconds(ctx, remaining_ns), TIME_S_MAX)
    ticks_s = floor_div(time_s, TIME_TICK_S) * TIME_TICK_S
    quote = quote or get_quote_terms(ctx, market.asset)
    # exp(r·T) is the discount at the opposite rate.
    carried = floor_div(spot_wad * compute_discount(-quote.rate_wad, ticks_s), SCALE)
    window_ns = compute_window_ns(ctx, market.settlement_window_s)
    return _split_forward(carried, ticks_s, average, window_ns)


def _split_forward(
    carried_wad: int, time_s: int, average: SettlementAverage, window_ns: int
) -> Forward:
    sampled_ns = min(average.sampled_ns, window_ns)
    if sampled_ns == 0:
        return Forward(carried_wad, 0, time_s)
    fixed = floor_div(average.weighted_sum * sampled_ns, average.sampled_ns * window_ns)
    variable = floor_div(carried_wad * (window_ns - sampled_ns), window_ns)
    return Forward(variable, fixed, time_s)


def compute_volatility_wad(
    ctx: Context, market: Market, forward: Forward, quote: QuoteTerms
) -> int:
    """An option's volatility: the oracle's, at least the market's floor, times the smile; ticks."""
    floor_wad = market.volatility_floor_wad
    ramp = state.get_running_ramp(ctx, market.id)
    if ramp is not None:
        floor_wad = ramp.compute_floor_wad(floor_wad, ctx.time_s)
    measured = max(oracle.get_mark_volatility_wad(ctx, market.asset), floor_wad)
    factor = WAD
    if forward.price_wad and (quote.skew_wad or quote.curvature_wad):
        ratio = floor_div(market.strike_wad * SCALE, forward.price_wad)
        log_wad = floor_div(compute_ln(max(1, ratio)), WAD_TO_SCALE)
        factor = quote.compute_smile_factor_wad(log_wad)
    ticks = ceil_div(measured * factor, WAD * VOLATILITY_TICK_WAD)
    return clamp(ticks * VOLATILITY_TICK_WAD, VOLATILITY_TICK_WAD, VOLATILITY_WAD_MAX)


def compute_payoff_wad(market: Market, price_wad: int) -> int:
    """What one unit of a dated market is worth at a settlement price."""
    if market.kind is InstrumentKind.FUTURE:
        return price_wad
    if market.option_kind is OptionKind.CALL:
        return max(0, price_wad - market.strike_wad)
    return max(0, market.strike_wad - price_wad)


def compute_mark(ctx: Context, market: Market, spot_wad: int) -> Mark:
    """The mark of a market at a spot price above zero: the oracle's, or one that is supposed."""
    if market.kind in (InstrumentKind.PERPETUAL, InstrumentKind.SPOT):
        return Mark(spot_wad, spot_wad)
    quote = get_quote_terms(ctx, market.asset)
    if market.kind is InstrumentKind.FUTURE:
        forward = compute_forward(ctx, market, spot_wad, quote)
        return Mark(forward.price_wad, spot_wad, forward)
    forward = compute_forward(ctx, market, round_spot_wad(spot_wad), quote)
    if forward.is_final:
        return Mark(compute_payoff_wad(market, forward.fixed_wad), spot_wad, forward)
    volatility = compute_volatility_wad(ctx, market, forward, quote)
    price = compute_option_price_wad(
        forward.price_wad,
        market.strike_wad,
        volatility,
        forward.time_s,
        market.option_kind is OptionKind.CALL,
    )
    return Mark(price, spot_wad, forward, volatility)


def compute_notional_price_wad(market: Market, mark: Mark) -> int:
    """The price at which sizes count against limits: the mark, or the spot under an option."""
    return mark.spot_wad if market.kind is InstrumentKind.OPTION else mark.price_wad
