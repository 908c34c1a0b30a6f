"""What closing a part of each position would do to an account, by the chain's own margin function.

An option's weight depends on what stands beside it, so nothing is taken from a formula of one
position: the part is closed at its mark on a copy, and the margin computed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts.settlement import apply_funding, apply_trade
from chain.modules.accounts.types import Account, AccountMargin, PositionMargin
from chain.modules.collateral.measurement import SharedReads
from chain.modules.collateral.prices import require_asset_price
from chain.modules.markets import state as markets
from chain.modules.markets.settlement import apply_spot_trade
from chain.modules.markets.types import InstrumentKind, Market
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.risk.liquidation import compute_block_limit
from chain.risk.margin import compute_position_magnitude_uusd
from chain.runtime.context import Context
from chain.units import floor_div

CONTRACTS: Final = (InstrumentKind.PERPETUAL, InstrumentKind.FUTURE, InstrumentKind.OPTION)
"""Kinds whose positions can owe something."""
REDUCTIONS_MAX: Final = 16
"""Positions of one account that a block considers: the largest by what underlies them."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """A part of a position closed at its mark, and the account's margin after it.

    `size_quantums` is unsigned, `value_uusd` signed as the position. `freed_uusd` is by how much
    what is asked falls, with every position in full at its mark: below zero for a hedge.
    """

    position: PositionMargin
    size_quantums: int
    value_uusd: int
    equity_uusd: int
    maintenance_uusd: int
    freed_uusd: int


def compute_part_value_uusd(position: PositionMargin, size: int) -> int:
    """The value at the mark of an unsigned part of a position, signed as it, floored."""
    return floor_div(position.value_uusd * size, abs(position.position.size_quantums))


def is_closable(ctx: Context, market: Market) -> bool:
    """Whether a position can still change hands: after its expiry it only settles."""
    return not market.is_expired(ctx.time_ns)


def _close_at_mark(ctx: Context, copy: Account, market: Market, size: int, value_uusd: int) -> None:
    """Close an unsigned part of a position of a copy; nothing is stored."""
    sign = 1 if copy.positions[market.id].size_quantums > 0 else -1
    if market.kind is InstrumentKind.SPOT:
        apply_spot_trade(copy, market.id, -size, value_uusd)
        return
    index = markets.get_market_state(ctx, market.id).funding_index_wad
    apply_funding(copy, market.id, index)
    apply_trade(copy, market.id, -sign * size, abs(value_uusd), index)


def compute_reductions(
    ctx: Context,
    account: Account,
    margin: AccountMargin,
    limits: Mapping[str, int],
    kinds: Sequence[InstrumentKind],
) -> list[Reduction]:
    """For each position of these kinds that can be closed now, the part within its limit.

    `margin` is the account's, whose orders are cancelled. The largest first.
    """
    shared = SharedReads()
    found = []
    for line, market in _rank_positions(ctx, margin, kinds)[:REDUCTIONS_MAX]:
        size = min(limits[line.market], abs(line.position.size_quantums))
        value = compute_part_value_uusd(line, size)
        copy = account.copy()
        _close_at_mark(ctx, copy, market, size, value)
        after = accounts_margin.compute_account_margin(ctx, copy, (), shared)
        found.append(
            Reduction(
                position=line,
                size_quantums=size,
                value_uusd=value,
                equity_uusd=after.equity_uusd,
                maintenance_uusd=after.maintenance_uusd,
                freed_uusd=after.excess_uusd - margin.excess_uusd,
            )
        )
    return found


def compute_joint_reductions(
    ctx: Context, account: Account, margin: AccountMargin, reductions: Sequence[Reduction]
) -> list[Reduction]:
    """The same parts all closed at once: what that frees is shared out by their values.

    For positions that hedge each other none frees anything alone, and all of them together do.
    """
    copy = account.copy()
    for reduction in reductions:
        market = markets.require_market(ctx, reduction.position.market)
        _close_at_mark(ctx, copy, market, reduction.size_quantums, reduction.value_uusd)
    after = accounts_margin.compute_account_margin(ctx, copy, ())
    freed = max(0, after.excess_uusd - margin.excess_uusd)
    total = max(1, sum(abs(reduction.value_uusd) for reduction in reductions))
    return [
        replace(
            reduction,
            equity_uusd=after.equity_uusd,
            maintenance_uusd=after.maintenance_uusd,
            freed_uusd=floor_div(freed * abs(reduction.value_uusd), total),
        )
        for reduction in reductions
    ]


def _rank_positions(
    ctx: Context, margin: AccountMargin, kinds: Sequence[InstrumentKind]
) -> list[tuple[PositionMargin, Market]]:
    ranked = []
    for line in margin.positions:
        market = markets.require_market(ctx, line.market)
        if line.position.size_quantums and line.kind in kinds and is_closable(ctx, market):
            notional = compute_position_magnitude_uusd(
                line.position.size_quantums, line.mark.spot_wad, market.quantum_decimals
            )
            ranked.append((-notional, line.market, line, market))
    ranked.sort(key=lambda row: row[:2])
    return [(line, market) for _, _, line, market in ranked]


def require_prices(ctx: Context, margin: AccountMargin) -> None:
    """Raises PriceNotUsable when a price behind the ratio is too old to liquidate on."""
    for position in margin.positions:
        if not position.is_settled:
            require_price(ctx, position.asset, Action.LIQUIDATE)
    for lien in margin.liens:
        if lien.factors.asset:
            require_asset_price(ctx, lien.factors.asset, Action.LIQUIDATE)


def compute_limits(sizes: Mapping[str, int], share_ppm: int) -> dict[str, int]:
    """The most of each market's position that one block may close, of its opening size."""
    return {market: compute_block_limit(size, share_ppm) for market, size in sizes.items()}
