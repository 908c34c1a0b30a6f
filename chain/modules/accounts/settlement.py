"""What a trade and funding do to an account: pure bookkeeping that creates and destroys nothing.

For every account cash minus the cost of its positions changes by exactly what the trade paid, so
between two accounts a trade sums to zero whatever the rounding of the released cost.
"""

from chain.modules.accounts.types import Account, Position
from chain.risk.margin import compute_funding_owed_uusd
from chain.units import floor_div


def apply_funding(account: Account, market: str, index_wad: int) -> int:
    """Settle the funding of a position in cash; what it paid (negative: got), for the pool."""
    position = account.positions.get(market)
    if position is None:
        return 0
    owed = compute_funding_owed_uusd(position.size_quantums, index_wad, position.funding_index_wad)
    account.cash_uusd -= owed
    position.funding_index_wad = index_wad
    return owed


def apply_trade(
    account: Account, market: str, size_delta: int, notional_uusd: int, index_wad: int
) -> int:
    """Buy (size_delta > 0) or sell for a notional; the realised PnL, already added to cash.

    Funding must be settled first. The closed part releases its share of the cost, floored, all of
    it when the position closes; a flipped position opens with the rest of the notional.
    """
    assert size_delta != 0
    assert notional_uusd >= 0
    position = account.positions.setdefault(market, Position(funding_index_wad=index_wad))
    sign = 1 if size_delta > 0 else -1
    size = position.size_quantums
    closed = min(abs(size), abs(size_delta)) if size * sign < 0 else 0
    released = closing_notional = 0
    if closed:
        released = floor_div(position.cost_uusd * closed, abs(size))
        closing_notional = floor_div(notional_uusd * closed, abs(size_delta))
    realised = -sign * closing_notional - released if closed else 0
    position.cost_uusd += sign * (notional_uusd - closing_notional) - released
    position.size_quantums += size_delta
    account.cash_uusd += realised
    if position.size_quantums == 0:
        # All of the cost was released, so nothing is lost with the position.
        assert position.cost_uusd == 0
        del account.positions[market]
    return realised
