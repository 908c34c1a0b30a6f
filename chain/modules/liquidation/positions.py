"""How a liquidated position leaves its account: onto the book within a limit, or to insurance."""

from dataclasses import dataclass
from typing import Final

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.errors import ChainError
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.accounts.types import (
    Account,
    AccountMargin,
    AccountStatus,
)
from chain.modules.insurance import state as insurance
from chain.modules.liquidation.reductions import Reduction
from chain.modules.markets import state as markets
from chain.modules.markets.matching import cancel_order, find_surrender
from chain.modules.markets.settlement import apply_fill
from chain.modules.markets.types import InstrumentKind, Market, RestingOrder, Side
from chain.risk.liquidation import (
    compute_bankruptcy_adjustment,
    compute_bankruptcy_quote_uusd,
    compute_fillable_quote,
    compute_insurance_delta_uusd,
    compute_liquidation_fee_uusd,
)
from chain.runtime.context import Context
from chain.units import ceil_div, floor_div, mul_ppm_ceil

_ATTEMPTS_MAX: Final = 50
"""Resting orders looked at for one position in one block."""


@dataclass(frozen=True, slots=True)
class PartQuotes:
    """The least cash a liquidation may take for a part of a position: positive for a long.

    `floor_uusd` is the worst quote on the book, never worse than bankruptcy; `bankruptcy_uusd`
    leaves the account without equity, `handover_uusd` is what insurance pays.
    """

    floor_uusd: int
    bankruptcy_uusd: int
    handover_uusd: int


@dataclass(frozen=True, slots=True)
class Closed:
    """What was closed: quantums, and the cash that moved (signed, from the account's side)."""

    size_quantums: int
    quote_uusd: int


def compute_quotes(
    params: pb.Params, margin: AccountMargin, reduction: Reduction, freed_total_uusd: int
) -> PartQuotes:
    """The fillable and bankruptcy quotes of a part of a position at its mark (row 42).

    Net collateral is equity with every position at its mark, and the requirement what is asked
    beyond that, so one formula serves every kind: an account that owes more on its short options
    than it has is bankrupt, whatever part of that its rules call equity. `freed_total_uusd` sums
    what all parts free that may be closed at these quotes: together they take no more than equity.
    """
    net_collateral = margin.mark_equity_uusd
    requirement = max(1, net_collateral - margin.excess_uusd, freed_total_uusd)
    weight = max(0, reduction.freed_uusd)
    adjustment = compute_bankruptcy_adjustment(
        adjustment_ppm=params.bankruptcy_adjustment_ppm,
        net_collateral_uusd=net_collateral,
        requirement_uusd=requirement,
    )
    fillable = compute_fillable_quote(
        position_notional_uusd=reduction.value_uusd,
        position_requirement_uusd=weight,
        adjustment=adjustment,
        spread_ppm=params.spread_ppm,
    ).ceil()
    bankruptcy = compute_bankruptcy_quote_uusd(
        notional_delta_uusd=-reduction.value_uusd,
        requirement_delta_uusd=-weight,
        net_collateral_uusd=net_collateral,
        requirement_uusd=requirement,
    )
    floor = max(fillable, bankruptcy)
    # Beyond bankruptcy no quote leaves the account whole: insurance takes the position at the mark
    # and covers the deficit after the collateral.
    is_solvent = net_collateral >= 0
    return PartQuotes(floor, bankruptcy, floor if is_solvent else reduction.value_uusd)


def compute_limit_ticks(market: Market, side: Side, size: int, quote_uusd: int) -> int:
    """The worst price in ticks at which a size brings at least the quote; at least 1 for a sale."""
    scale = 10 ** (market.quantum_decimals + 12)
    if side is Side.SELL:
        return max(1, ceil_div(quote_uusd * scale, abs(size) * market.tick_wad))
    return floor_div(-quote_uusd * scale, abs(size) * market.tick_wad)


def close_on_book(
    ctx: Context, account: Account, market: Market, size_max: int, floor_uusd: int
) -> Closed:
    """Close up to a size against resting orders no worse than the floor quote of that size.

    Best price first, oldest first, at the resting order's price, without a taker fee. Makers that
    cannot carry the fill, are locked, or are the owner's own are cancelled. Changes and stores the
    account.
    """
    size = account.positions[market.id].size_quantums
    side = Side.SELL if size > 0 else Side.BUY
    limit = compute_limit_ticks(market, side, size_max, floor_uusd)
    steps_left = min(max(1, size_max // market.step_quantums), abs(size) // market.step_quantums)
    filled = quote = 0
    for _ in range(_ATTEMPTS_MAX):
        best = markets.get_best_ticks(ctx, market.id, side.opposite)
        is_reached = best is None or (best < limit if side is Side.SELL else best > limit)
        if steps_left == 0 or is_reached:
            break
        entry = next(markets.iterate_book(ctx, market.id, side.opposite))
        steps, notional = _fill_entry(ctx, account, market, side, entry, steps_left)
        steps_left -= steps
        filled += steps * market.step_quantums
        quote -= side.sign * notional
    return Closed(filled, quote)


def _fill_entry(
    ctx: Context,
    account: Account,
    market: Market,
    side: Side,
    entry: markets.BookEntry,
    steps_max: int,
) -> tuple[int, int]:
    """Fill against one resting order, or cancel it; (steps, notional), zeros when cancelled."""
    maker = accounts.require_account(ctx, entry.account_id)
    orders = markets.get_account_orders(ctx, entry.account_id)
    order = next(other for other in orders if other.id == entry.order_id)
    if maker.owner == account.owner or maker.status is AccountStatus.LOCKED:
        cancel_order(ctx, maker.id, order, "liquidation")
        return 0, 0
    steps = min(steps_max, entry.remaining_steps)
    if order.reduce_only:
        position = maker.positions.get(market.id)
        held = position.size_quantums if position else 0
        reducible = abs(held) // market.step_quantums if held * order.side.sign < 0 else 0
        steps = min(steps, reducible)
    if steps == 0:
        cancel_order(ctx, maker.id, order, "reduce-only")
        return 0, 0
    notional = market.compute_notional_uusd(entry.ticks, steps)
    taker_after, maker_after = account.copy(), maker.copy()
    try:
        with ctx.branch() as branch:
            _book(branch, market, side, (taker_after, maker_after), order, steps, notional)
            _require_carried(branch, market, maker, maker_after)
            accounts.set_account(branch, maker_after)
            accounts.set_account(branch, taker_after)
    except ChainError:
        cancel_order(ctx, maker.id, order, "margin")
        return 0, 0
    account.cash_uusd = taker_after.cash_uusd
    account.positions = taker_after.positions
    ctx.emit(
        "liquidation_filled",
        {
            "owner": account.owner,
            "number": account.number,
            "market": market.id,
            "maker_owner": maker.owner,
            "maker_order_id": order.id,
            "price_wad": entry.ticks * market.tick_wad,
            "size_quantums": steps * market.step_quantums,
            "notional_uusd": notional,
        },
    )
    return steps, notional


def _book(
    ctx: Context,
    market: Market,
    side: Side,
    pair: tuple[Account, Account],
    order: RestingOrder,
    steps: int,
    notional: int,
) -> None:
    taker, maker = pair
    fee = mul_ppm_ceil(notional, market.maker_fee_ppm)
    is_buy = side is Side.BUY
    apply_fill(
        ctx,
        market,
        taker if is_buy else maker,
        maker if is_buy else taker,
        steps * market.step_quantums,
        notional,
        buyer_fee_uusd=0 if is_buy else fee,
        seller_fee_uusd=fee if is_buy else 0,
    )
    markets.reduce_order(ctx, maker.id, order.id, steps)


def _require_carried(ctx: Context, market: Market, before: Account, after: Account) -> None:
    """Raises InsufficientMargin when the maker lacks initial margin and is worse off.

    Spot is paid for at once, so there the maker needs the cash too.
    """
    if market.kind is InstrumentKind.SPOT and after.cash_uusd < min(0, before.cash_uusd):
        raise InsufficientMargin(f"the buy of {market.id} costs {-after.cash_uusd} uusd too much")
    margin_after = accounts_margin.compute_account_margin(ctx, after)
    shortfall = accounts_margin.find_initial_shortfall(ctx, margin_after)
    if not shortfall:
        return
    margin_before = accounts_margin.compute_account_margin(ctx, before)
    if margin_after.excess_uusd < margin_before.excess_uusd:
        raise InsufficientMargin(shortfall)
    surrender = find_surrender(market, margin_before, margin_after)
    if surrender:
        raise InsufficientMargin(surrender)


def hand_over(ctx: Context, account: Account, market: Market, size: int, quote_uusd: int) -> Closed:
    """Give a size of the position to insurance for a quote; changes and stores the account.

    Spot is paid for at once: of it the fund takes what it may pay for now, perhaps nothing.
    """
    sign = 1 if account.positions[market.id].size_quantums > 0 else -1
    # A long whose quote is below zero would pay to be taken: the book's notional cannot say that.
    notional = max(0, sign * quote_uusd)
    fund = insurance.open_position_account(ctx, market.id)
    if market.kind is InstrumentKind.SPOT:
        payable = _get_payable(ctx, fund)
        if notional > payable:
            size, notional = size * payable // notional, payable
        if size == 0:
            return Closed(0, 0)
    apply_fill(
        ctx,
        market,
        fund if sign > 0 else account,
        account if sign > 0 else fund,
        size,
        notional,
    )
    accounts.set_account(ctx, fund)
    accounts.set_account(ctx, account)
    if market.kind is InstrumentKind.SPOT:
        insurance.settle_positions(ctx)
    return Closed(size, sign * notional)


def _get_payable(ctx: Context, fund: Account) -> int:
    """What one of the fund's accounts may pay for coins now: its cash, and what the fund may pay
    that none of them owes already.
    """
    owed = sum(max(0, -other.cash_uusd) for other in insurance.iterate_position_accounts(ctx))
    return max(0, insurance.get_payable(ctx) - owed) + max(0, fund.cash_uusd)


def charge_fee(
    ctx: Context, params: pb.Params, account: Account, closed: Closed, bankruptcy_uusd: int
) -> int:
    """Take the liquidation fee of a fill from the account's cash; it never bankrupts (row 42)."""
    delta = compute_insurance_delta_uusd(closed.quote_uusd, bankruptcy_uusd)
    fee = compute_liquidation_fee_uusd(closed.quote_uusd, params.fee_ppm, delta)
    if fee:
        account.cash_uusd -= fee
        accounts.set_account(ctx, account)
        accounts.add_accrued_fees(ctx, fee)
    return fee
