"""How a trade between two accounts is booked: positions, cash, fees, open interest.

The one door for fills of the book and for positions that change hands in a liquidation.
"""

from chain.modules.accounts import state as accounts
from chain.modules.accounts.settlement import apply_funding, apply_trade
from chain.modules.accounts.types import Account, Position
from chain.modules.markets import state
from chain.modules.markets.types import InstrumentKind, Market, MarketState
from chain.runtime.context import Context


def settle_funding(ctx: Context, account: Account, market_state: MarketState, market: str) -> None:
    """Settle an account's funding of one market against the market's pool; changes the account."""
    owed = apply_funding(account, market, market_state.funding_index_wad)
    accounts.add_funding_pool(ctx, market, owed)


def compute_open_interest_change(account: Account, market: str, size_delta: int) -> int:
    """How a trade of the account changes the sum of long positions."""
    position = account.positions.get(market)
    size = position.size_quantums if position else 0
    return max(0, size + size_delta) - max(0, size)


def apply_spot_trade(account: Account, market: str, size_delta: int, cash_delta: int) -> int:
    """Change what an account holds of a base and its cash at once; the realised PnL, always 0.

    A spot position has no cost and is never below zero: the caller has checked what is held.
    """
    position = account.positions.setdefault(market, Position())
    position.size_quantums += size_delta
    assert position.size_quantums >= 0, f"{account.id} holds less of {market} than it gives"
    if position.size_quantums == 0:
        del account.positions[market]
    account.cash_uusd += cash_delta
    return 0


def apply_fill(
    ctx: Context,
    market: Market,
    buyer: Account,
    seller: Account,
    size_quantums: int,
    notional_uusd: int,
    *,
    buyer_fee_uusd: int = 0,
    seller_fee_uusd: int = 0,
) -> tuple[int, int]:
    """Move a size from seller to buyer for a notional; the realised PnL of (buyer, seller).

    Spot settles in cash at once; of the rest the notional is the positions' cost. Settles the
    funding of both, charges the fees into the accrued fees, keeps open interest and the holders of
    what expires. It changes both given accounts and stores neither: the caller does, with
    `accounts.set_account`. The accounts must differ. Nothing is checked: margin, what a seller of
    spot holds and permission are the caller's.
    """
    assert buyer.id != seller.id
    assert size_quantums > 0
    market_state = state.get_market_state(ctx, market.id)
    for account in (buyer, seller):
        settle_funding(ctx, account, market_state, market.id)
    market_state.open_interest_quantums += compute_open_interest_change(
        buyer, market.id, size_quantums
    ) + compute_open_interest_change(seller, market.id, -size_quantums)
    state.set_market_state(ctx, market.id, market_state)
    if market.kind is InstrumentKind.SPOT:
        bought = apply_spot_trade(buyer, market.id, size_quantums, -notional_uusd)
        sold = apply_spot_trade(seller, market.id, -size_quantums, notional_uusd)
    else:
        index = market_state.funding_index_wad
        bought = apply_trade(buyer, market.id, size_quantums, notional_uusd, index)
        sold = apply_trade(seller, market.id, -size_quantums, notional_uusd, index)
    if market.is_dated:
        for account in (buyer, seller):
            is_holding = market.id in account.positions
            state.set_holder(ctx, market.id, account.id, is_holding=is_holding)
    buyer.cash_uusd -= buyer_fee_uusd
    seller.cash_uusd -= seller_fee_uusd
    accounts.add_accrued_fees(ctx, buyer_fee_uusd + seller_fee_uusd)
    return bought, sold
