"""Expiry of futures and options: the price they settle at, and the settlement, bounded a block.

While the settlement window of an asset's expiry is open, every block samples the oracle's price for
the time since the block before. At the expiry the mean of the samples becomes the settlement price;
without any, the first price good for liquidation does. Then each block settles some of what is
left: resting orders, holders, fills kept, and last the market itself.
"""

from itertools import islice

from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.markets import marks, state
from chain.modules.markets.genesis import WINDOW_S_MAX
from chain.modules.markets.matching import cancel_order
from chain.modules.markets.state import Expiry
from chain.modules.markets.types import Market, SettlementAverage, Side
from chain.modules.oracle import state as oracle
from chain.modules.oracle.permissions import find_refusal
from chain.modules.oracle.types import Action
from chain.risk.margin import compute_position_value_uusd
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.units import NANOSECONDS, floor_div

_FAILED = "settlement_failed"


def apply_sample(
    average: SettlementAverage, price_wad: int, *, start_ns: int, end_ns: int, now_ns: int
) -> None:
    """Take a block's price for the time since the last block, as far as it lies in the window.

    A price of 0 is none: that time stays uncovered, and is part of no mean. Changes the average.
    """
    last_ns = max(start_ns, average.sample_time_ns)
    covered_ns = max(0, min(now_ns, end_ns) - last_ns)
    if price_wad:
        average.weighted_sum += price_wad * covered_ns
        average.sampled_ns += covered_ns
    average.sample_time_ns = max(average.sample_time_ns, now_ns)


def compute_settlement_price_wad(average: SettlementAverage, price_wad: int) -> int:
    """The price that an expiry settles at: the mean of its samples, floored; else the price given.

    0 while there is neither.
    """
    if average.sampled_ns:
        return floor_div(average.weighted_sum, average.sampled_ns)
    return price_wad


def _get_sample_price_wad(ctx: Context, asset: str) -> int:
    """The oracle's price when it is good for liquidation, else 0."""
    price = oracle.get_price(ctx, asset)
    rules = oracle.get_rules(ctx)
    if price is None or find_refusal(rules, asset, price, Action.LIQUIDATE, ctx.time_ns):
        return 0
    return price.price_wad


def _update_average(ctx: Context, expiry: Expiry) -> None:
    """Sample an expiry whose window is open, and fix its price once it is over."""
    market = next(state.iterate_expiry_markets(ctx, expiry))
    start_ns, end_ns = marks.compute_window_start_ns(ctx, market), expiry.time_s * NANOSECONDS
    average = state.get_settlement(ctx, expiry.asset, expiry.time_s)
    if ctx.time_ns <= start_ns or average.price_wad:
        return
    price_wad = _get_sample_price_wad(ctx, expiry.asset)
    apply_sample(average, price_wad, start_ns=start_ns, end_ns=end_ns, now_ns=ctx.time_ns)
    if ctx.time_ns >= end_ns:
        average.price_wad = compute_settlement_price_wad(average, price_wad)
    state.set_settlement(ctx, expiry.asset, expiry.time_s, average)
    if average.price_wad:
        ctx.emit(
            "settlement_price",
            {
                "asset": expiry.asset,
                "expiry_time_s": expiry.time_s,
                "price_wad": average.price_wad,
                "sampled_ns": average.sampled_ns,
            },
        )


def _cancel_orders(ctx: Context, market: Market, limit: int) -> int:
    """Cancel at most `limit` resting orders of a market; how many were tried."""
    tried = 0
    for side in (Side.BUY, Side.SELL):
        for entry in list(islice(state.iterate_book(ctx, market.id, side), limit - tried)):
            tried += 1
            attributes: dict[str, str | int] = {"market": market.id, "order_id": entry.order_id}
            with isolate_item(ctx, _FAILED, attributes) as child:
                orders = state.get_account_orders(child, entry.account_id)
                order = next(other for other in orders if other.id == entry.order_id)
                cancel_order(child, entry.account_id, order, "expired")
    return tried


def _settle_holder(ctx: Context, market: Market, payoff_wad: int, account_id: AccountId) -> None:
    """Close a position at its payoff: cash takes the value, floored, less the cost.

    What it gets, the market's funding pool pays, so that the cash identity holds in every block;
    the floors of all holders are left in the pool at the end.
    """
    account = accounts.require_account(ctx, account_id)
    position = account.positions.pop(market.id)
    size = position.size_quantums
    value = compute_position_value_uusd(size, payoff_wad, market.quantum_decimals)
    account.cash_uusd += value - position.cost_uusd
    accounts.set_account(ctx, account)
    accounts.add_funding_pool(ctx, market.id, -value)
    market_state = state.get_market_state(ctx, market.id)
    market_state.open_interest_quantums -= max(0, size)
    state.set_market_state(ctx, market.id, market_state)
    state.set_holder(ctx, market.id, account_id, is_holding=False)
    ctx.emit(
        "position_settled",
        {
            "market": market.id,
            "owner": account_id.owner,
            "number": account_id.number,
            "size_quantums": size,
            "payoff_wad": payoff_wad,
            "value_uusd": value,
            "pnl_uusd": value - position.cost_uusd,
        },
    )


def _settle_holders(ctx: Context, market: Market, price_wad: int, limit: int) -> int:
    """Settle at most `limit` holders, each isolated; how many were tried."""
    payoff_wad = marks.compute_payoff_wad(market, price_wad)
    holders = list(islice(state.iterate_holders(ctx, market.id), limit))
    for account_id in holders:
        attributes: dict[str, str | int] = {
            "market": market.id,
            "owner": account_id.owner,
            "number": account_id.number,
        }
        with isolate_item(ctx, _FAILED, attributes) as child:
            _settle_holder(child, market, payoff_wad, account_id)
    return len(holders)


def _is_empty(ctx: Context, market: Market) -> bool:
    """Whether neither an order nor a holder of a market is left."""
    sides = (state.get_best_ticks(ctx, market.id, side) for side in Side)
    holder = next(state.iterate_holders(ctx, market.id), None)
    return holder is None and all(best is None for best in sides)


def _close_market(ctx: Context, market: Market, price_wad: int) -> None:
    """Forget a settled market; what its pool kept of the floors becomes accrued fees."""
    residue = accounts.take_funding_pool(ctx, market.id)
    assert residue >= 0, f"the holders of {market.id} were paid {-residue} uusd too much"
    accounts.add_accrued_fees(ctx, residue)
    state.delete_market(ctx, market)
    expiry = Expiry(market.expiry_time_s, market.asset)
    if next(state.iterate_expiry_markets(ctx, expiry), None) is None:
        state.delete_settlement(ctx, expiry.asset, expiry.time_s)
    ctx.emit(
        "market_settled",
        {
            "market": market.id,
            "price_wad": price_wad,
            "payoff_wad": marks.compute_payoff_wad(market, price_wad),
            "residue_uusd": residue,
        },
    )


def _settle_market(ctx: Context, market: Market, price_wad: int, limit: int) -> int:
    """Do at most `limit` items of a market's settlement: orders, holders, fills, the market."""
    done = _cancel_orders(ctx, market, limit)
    done += _settle_holders(ctx, market, price_wad, limit - done)
    done += state.delete_fills(ctx, market.id, limit - done)
    if done < limit and _is_empty(ctx, market):
        done += 1
        with isolate_item(ctx, _FAILED, {"market": market.id}) as child:
            _close_market(child, market, price_wad)
    return done


def end_block(ctx: Context) -> None:
    """Sample and price the expiries at hand; settle at most `settled_per_block_max` items of them.

    In order of expiry, asset, terms and account, so the oldest expiry is done first.
    """
    left = state.get_params(ctx).settled_per_block_max
    for expiry in list(state.iterate_expiries(ctx, ctx.time_s + WINDOW_S_MAX)):
        attributes: dict[str, str | int] = {"asset": expiry.asset, "expiry_time_s": expiry.time_s}
        with isolate_item(ctx, _FAILED, attributes) as child:
            _update_average(child, expiry)
        price_wad = state.get_settlement(ctx, expiry.asset, expiry.time_s).price_wad
        if not price_wad:
            continue
        for market in list(islice(state.iterate_expiry_markets(ctx, expiry), left)):
            if left:
                left -= _settle_market(ctx, market, price_wad, left)
