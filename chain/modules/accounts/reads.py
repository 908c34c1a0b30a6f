"""What margin reads that is the same for every account: marks, terms and funding of markets.

Kept in `SharedReads`, so that a pass over many accounts reads and computes it once: who writes to a
market, a price or a governed rule starts with new ones.
"""

from dataclasses import dataclass

from chain.modules.accounts import portfolio_margin, state
from chain.modules.accounts.types import UnderlyingTerms
from chain.modules.collateral.measurement import SharedReads
from chain.modules.markets import marks
from chain.modules.markets import state as markets
from chain.modules.markets.marks import Mark
from chain.modules.markets.types import InstrumentKind, Market
from chain.modules.oracle import state as oracle
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.risk.haircut import compute_latency_premium_ppm
from chain.risk.margin import (
    LinearTerms,
    TermsRamp,
    compute_position_value_uusd,
    compute_scaled_initial_ppm,
)
from chain.runtime.context import Context
from chain.units import NANOSECONDS


@dataclass(frozen=True, slots=True)
class MarketReads:
    """A market at this block: its spot price and mark, funding index, and linear terms (row 13).

    The latency rates are those of the terms, computed once.
    """

    market: Market
    spot_wad: int
    mark: Mark
    funding_index_wad: int
    terms: LinearTerms
    latency_ppm: int
    latency_initial_ppm: int


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What initial margin counts of a profit, and the multiplier of the volatility tier, ppm."""

    initial_profit_ppm: int
    multiplier_ppm: int


def _compute_terms(
    ctx: Context, market: Market, price_wad: int, open_interest_quantums: int
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
                oracle.compute_market_seconds(ctx, before.horizon_s * NANOSECONDS),
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
        delta_t_s=oracle.compute_market_seconds(ctx, market.horizon_s * NANOSECONDS),
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
        found = shared.markets[market_id] = _read(ctx, market_id)
    return found


def _get_spot_wad(ctx: Context, market: Market) -> int:
    """The oracle's price; spot alone is margined before its first one, and worth nothing."""
    if market.kind is InstrumentKind.SPOT:
        price = oracle.get_price(ctx, market.asset)
        return price.price_wad if price else 0
    return require_price(ctx, market.asset, Action.REDUCE).price_wad


def _read(ctx: Context, market_id: str) -> MarketReads:
    market = markets.require_market(ctx, market_id)
    spot_wad = _get_spot_wad(ctx, market)
    market_state = markets.get_market_state(ctx, market_id)
    mark = marks.compute_mark(ctx, market, spot_wad) if spot_wad else Mark(0, 0)
    terms = _compute_terms(ctx, market, mark.price_wad, market_state.open_interest_quantums)
    return MarketReads(
        market=market,
        spot_wad=spot_wad,
        mark=mark,
        funding_index_wad=market_state.funding_index_wad,
        terms=terms,
        latency_ppm=terms.latency_ppm,
        latency_initial_ppm=terms.latency_initial_ppm,
    )


def read_underlying(
    ctx: Context, asset: str, spot_wad: int, shared: SharedReads, *, is_portfolio: bool
) -> UnderlyingTerms:
    """What margin knows of an underlying in a margin mode, without an account's latency."""
    found = shared.underlyings.get((asset, is_portfolio))
    if found is None:
        found = portfolio_margin.get_terms(ctx, asset, spot_wad, is_portfolio=is_portfolio)
        shared.underlyings[asset, is_portfolio] = found
    return found


def read_rules(ctx: Context, shared: SharedReads) -> AccountRules:
    """The rules in force for all accounts."""
    found = shared.account_rules
    if found is None:
        found = shared.account_rules = AccountRules(
            initial_profit_ppm=state.get_params(ctx).initial_profit_ppm,
            multiplier_ppm=oracle.get_volatility_tier_multiplier_ppm(ctx),
        )
    return found
