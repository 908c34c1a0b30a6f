"""Funding of perpetuals: longs pay shorts while the book trades above the oracle, and back.

Every block samples each market's premium; every interval of market time the mean premium, an eighth
of it an interval and capped, moves the market's index. Accounts settle when next touched.
"""

from typing import Final

from chain.modules.markets import state
from chain.modules.markets.types import InstrumentKind, Market, Side
from chain.modules.oracle import state as oracle
from chain.modules.oracle.permissions import find_refusal
from chain.modules.oracle.types import Action
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.units import NANOSECONDS, PPM, clamp, floor_div

PREMIUM_INTERVALS: Final = 8
"""A premium is paid over this many intervals."""


def compute_premium_ppm(market: Market, bid: int | None, ask: int | None, price_wad: int) -> int:
    """How far the middle of the book is above the oracle price; 0 unless both sides have orders.

    `bid` and `ask` in ticks. Clipped to what the cap can use, so one block cannot outweigh the
    rest.
    """
    if bid is None or ask is None:
        return 0
    middle_twice_wad = (bid + ask) * market.tick_wad
    premium = floor_div((middle_twice_wad - 2 * price_wad) * PPM, 2 * price_wad)
    bound = PREMIUM_INTERVALS * market.funding_ppm_max
    return clamp(premium, -bound, bound)


def compute_funding_rate_ppm(market: Market, premium_sum_ppm: int, samples: int) -> int:
    """The rate of one interval from its premium samples, capped; no samples, no funding."""
    if samples == 0:
        return 0
    rate = floor_div(premium_sum_ppm, samples * PREMIUM_INTERVALS)
    return clamp(rate, -market.funding_ppm_max, market.funding_ppm_max)


def _update_market(ctx: Context, market: Market, interval_s: int) -> None:
    """Sample one market, and apply its funding when the interval is over."""
    price = oracle.get_price(ctx, market.asset)
    rules = oracle.get_rules(ctx)
    if price is None or find_refusal(rules, market.asset, price, Action.LIQUIDATE, ctx.time_ns):
        return  # A stale price neither samples nor pays; the interval is made up for later.
    market_state = state.get_market_state(ctx, market.id)
    if market_state.funding_time_ns == 0:
        market_state.funding_time_ns = ctx.time_ns
    market_state.premium_sum_ppm += compute_premium_ppm(
        market,
        state.get_best_ticks(ctx, market.id, Side.BUY),
        state.get_best_ticks(ctx, market.id, Side.SELL),
        price.price_wad,
    )
    market_state.premium_samples += 1
    elapsed_ns = (ctx.time_ns - market_state.funding_time_ns) * rules.market_time_scale
    if elapsed_ns >= interval_s * NANOSECONDS:
        rate = compute_funding_rate_ppm(
            market, market_state.premium_sum_ppm, market_state.premium_samples
        )
        # uusd a quantum in WAD: rate / 1e6 · price / 1e18 · 1e6 / 10^decimals · 1e18.
        market_state.funding_index_wad += floor_div(
            rate * price.price_wad, 10**market.quantum_decimals
        )
        market_state.funding_time_ns = ctx.time_ns
        market_state.premium_sum_ppm = market_state.premium_samples = 0
        if rate:
            ctx.emit(
                "funding",
                {
                    "market": market.id,
                    "rate_ppm": rate,
                    "index_wad": market_state.funding_index_wad,
                },
            )
    state.set_market_state(ctx, market.id, market_state)


def end_block(ctx: Context) -> None:
    """Funding of all perpetuals (listing bounds their number), each isolated."""
    interval_s = state.get_params(ctx).funding_interval_s
    for market in list(state.iterate_markets_of_kind(ctx, InstrumentKind.PERPETUAL)):
        with isolate_item(ctx, "funding_failed", {"market": market.id}) as child:
            _update_market(child, market, interval_s)
