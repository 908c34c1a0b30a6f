"""What margin reads that is the same for every account: marks, terms and funding of markets.

Kept in `SharedReads`, so that a pass over many accounts reads and computes it once: who writes to a
market, a price or a governed rule starts with new ones.
"""

from dataclasses import dataclass
from typing import Final

from chain.modules.accounts import portfolio_margin, state
from chain.modules.accounts.types import UnderlyingTerms
from chain.modules.collateral.measurement import SharedReads
from chain.modules.markets import marks
from chain.modules.markets import state as markets
from chain.modules.markets.marks import Mark
from chain.modules.markets.types import InstrumentKind, Market
from chain.modules.oracle import state as oracle
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action, Price
from chain.risk.haircut import compute_latency_premium_ppm
from chain.risk.margin import (
    NO_LINEAR_TERMS,
    LinearTerms,
    TermsRamp,
    compute_position_value_uusd,
    compute_scaled_initial_ppm,
)
from chain.runtime.context import Context
from chain.runtime.recall import Recall
from chain.units import PPM, WAD, floor_div

_PPM_IN_WAD: Final = floor_div(WAD, PPM)


@dataclass(frozen=True, slots=True)
class MarketReads:
    """A market at this block: its spot price and mark, funding index, and linear terms (row 13).

    The latency rates are those of the terms, computed once. `confidence_wad` is that of the price.
    """

    market: Market
    spot_wad: int
    confidence_wad: int
    mark: Mark
    funding_index_wad: int
    terms: LinearTerms
    latency_ppm: int
    latency_initial_ppm: int


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What initial margin counts of a profit, the multiplier of the volatility tier (ppm), and how
    many seconds of market time a second of block time is.
    """

    initial_profit_ppm: int
    multiplier_ppm: int
    market_time_scale: int


_MARKETS: Final = Recall[MarketReads](2_048)
_RULES: Final = Recall[AccountRules](16)


def _compute_terms(
    ctx: Context, market: Market, price_wad: int, open_interest_quantums: int, time_scale: int
) -> LinearTerms:
    """A market's requirement terms now: open interest, volatility and horizon in market time."""
    open_interest_uusd = compute_position_value_uusd(
        open_interest_quantums, price_wad, market.quantum_decimals
    )
    measured_wad = oracle.get_volatility_wad(ctx, market.asset)
    before = markets.get_running_ramp(ctx, market.id)
    ramp, maintenance_ppm = None, market.maintenance_ppm
    if before is not None:
        ramp = TermsRamp(
            maintenance_before_ppm=before.maintenance_ppm,
            maintenance_after_ppm=market.maintenance_ppm,
            latency_before_ppm=compute_latency_premium_ppm(
                max(measured_wad, before.volatility_floor_wad),
                before.horizon_s * time_scale,
            ),
            now_s=ctx.time_s,
            start_s=before.start_s,
            end_s=before.end_s,
        )
        maintenance_ppm = ramp.compute_reading(before.maintenance_ppm, market.maintenance_ppm)
    return LinearTerms(
        maintenance_ppm=maintenance_ppm,
        initial_ppm=compute_scaled_initial_ppm(
            market.initial_ppm,
            open_interest_uusd,
            market.open_interest_lower_uusd,
            market.open_interest_upper_uusd,
        ),
        volatility_wad=max(measured_wad, market.volatility_floor_wad),
        delta_t_s=market.horizon_s * time_scale,
        ramp=ramp,
        volatility_initial_wad=max(
            oracle.get_new_risk_volatility_wad(ctx, market.asset), market.volatility_floor_wad
        ),
    )


def read_market(ctx: Context, market_id: str, shared: SharedReads) -> MarketReads:
    """A market as it stands; raises UnknownMarket, and PriceNotUsable before any price but for
    spot.
    """
    found = shared.markets.get(market_id)
    if found is None:
        time_scale = read_rules(ctx, shared).market_time_scale
        # The next transaction mostly finds the same state: a block prices a market a few times.
        found = shared.markets[market_id] = _MARKETS.get(
            ctx, (market_id, time_scale), lambda child: _read(child, market_id, time_scale)
        )
    return found


def _get_price(ctx: Context, market: Market) -> Price | None:
    """The oracle's price; None for spot alone, which is margined before its first one."""
    price = oracle.get_price(ctx, market.asset)
    if price is None and market.kind is not InstrumentKind.SPOT:
        return require_price(ctx, market.asset, Action.REDUCE)
    return price


def _read(ctx: Context, market_id: str, time_scale: int) -> MarketReads:
    market = markets.require_market(ctx, market_id)
    price = _get_price(ctx, market)
    spot_wad = price.price_wad if price else 0
    market_state = markets.get_market_state(ctx, market_id)
    mark = marks.compute_mark(ctx, market, spot_wad) if spot_wad else Mark(0, 0)
    terms = NO_LINEAR_TERMS
    if market.kind in (InstrumentKind.PERPETUAL, InstrumentKind.FUTURE):
        terms = _compute_terms(
            ctx,
            market,
            mark.price_wad,
            market_state.open_interest_quantums,
            time_scale,
        )
    return MarketReads(
        market=market,
        spot_wad=spot_wad,
        confidence_wad=min(PPM, price.confidence_ppm) * _PPM_IN_WAD if price else 0,
        mark=mark,
        funding_index_wad=market_state.funding_index_wad,
        terms=terms,
        latency_ppm=terms.latency_ppm,
        latency_initial_ppm=terms.latency_initial_ppm,
    )


def read_underlying(
    ctx: Context, reads: MarketReads, shared: SharedReads, *, is_portfolio: bool
) -> UnderlyingTerms:
    """What margin knows of a market's underlying in a margin mode, without an account's latency."""
    asset = reads.market.asset
    found = shared.underlyings.get((asset, is_portfolio))
    if found is None:
        found = portfolio_margin.get_terms(
            ctx, asset, reads.spot_wad, reads.confidence_wad, is_portfolio=is_portfolio
        )
        shared.underlyings[asset, is_portfolio] = found
    return found


def read_rules(ctx: Context, shared: SharedReads) -> AccountRules:
    """The rules in force for all accounts."""
    found = shared.account_rules
    if found is None:
        found = shared.account_rules = _RULES.get(ctx, None, _read_rules)
    return found


def _read_rules(ctx: Context) -> AccountRules:
    return AccountRules(
        initial_profit_ppm=state.get_params(ctx).initial_profit_ppm,
        multiplier_ppm=oracle.get_volatility_tier_multiplier_ppm(ctx),
        market_time_scale=max(1, oracle.get_rules(ctx).market_time_scale),
    )
