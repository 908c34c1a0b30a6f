"""How base enters and leaves an account: coins of the hub's bank become a spot position, and back.

The module account holds the coins: its balance of a spot market's denom is always the sum of the
positions in that market.
"""

from chain.modules.accounts import handlers as accounts_handlers
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import AccountLocked
from chain.modules.accounts.types import Account, AccountId, AccountStatus
from chain.modules.bank import state as bank
from chain.modules.markets import state
from chain.modules.markets.errors import (
    InsufficientBase,
    InvalidOrder,
    OpenInterestLimit,
    ReduceOnly,
)
from chain.modules.markets.matching import compute_free_base, require_line
from chain.modules.markets.settlement import apply_spot_trade
from chain.modules.markets.types import InstrumentKind, Market, MarketStatus
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.risk.margin import compute_position_value_uusd
from chain.runtime.context import Context


def require_spot_market(ctx: Context, market_id: str) -> Market:
    """The market when it trades a base that can be held; raises UnknownMarket, InvalidOrder."""
    market = state.require_market(ctx, market_id)
    if market.kind is not InstrumentKind.SPOT:
        raise InvalidOrder(
            f"{market_id} is a market of {market.kind.name.lower()}s: base is held of spot alone"
        )
    return market


def deposit_base(ctx: Context, account_id: AccountId, market: Market, amount: int) -> None:
    """Move coins of the owner into a spot position; opens the account.

    Raises AccountLocked, ReduceOnly, TooManyLines, OpenInterestLimit above the market's cap,
    PriceNotUsable without a price to measure it by, and bank's InsufficientFunds.
    """
    account = accounts.open_account(ctx, account_id)
    if account.status is AccountStatus.LOCKED:
        raise AccountLocked(
            f"account {account.number} of {account.owner} is under liquidation, its positions are "
            f"counted; deposit cash, or base when it ends"
        )
    if market.status is MarketStatus.REDUCE_ONLY:
        raise ReduceOnly(f"{market.id} is reduce-only: what is held may be sold or withdrawn")
    require_line(ctx, account, state.get_account_orders(ctx, account_id), market.id)
    _require_open_interest(ctx, market, amount)
    bank.move(ctx, account_id.owner, state.MODULE_ADDRESS, market.denom, amount)
    _apply_change(ctx, account, market, amount)
    ctx.emit("base_deposited", _describe(account, market, amount))


def take_base(ctx: Context, account_id: AccountId, market: Market, amount: int) -> Account:
    """Take base out of a spot position; the account after it. The caller judges its margin.

    Raises AccountNotFound, AccountLocked, InsufficientBase.
    """
    account = accounts_handlers.require_active(ctx, account_id)
    free = compute_free_base(account, state.get_account_orders(ctx, account_id), market)
    if amount > free:
        raise InsufficientBase(
            f"{amount} quantums of {market.id} are asked and {max(0, free)} are held that no "
            f"resting sell has promised; ask for less or cancel orders"
        )
    _apply_change(ctx, account, market, -amount)
    return account


def withdraw_base(ctx: Context, account_id: AccountId, market: Market, amount: int) -> None:
    """Move coins of a spot position to their owner, when the margin after it allows.

    Raises AccountNotFound, AccountLocked, InsufficientBase, InsufficientMargin, PriceNotUsable.
    """
    account = take_base(ctx, account_id, market, amount)
    accounts_margin.require_withdrawable(ctx, account)
    bank.move(ctx, state.MODULE_ADDRESS, account_id.owner, market.denom, amount)
    ctx.emit("base_withdrawn", _describe(account, market, amount))


def _require_open_interest(ctx: Context, market: Market, amount: int) -> None:
    price_wad = require_price(ctx, market.asset, Action.REDUCE).price_wad
    after = state.get_market_state(ctx, market.id).open_interest_quantums + amount
    value = compute_position_value_uusd(after, price_wad, market.quantum_decimals)
    if value > market.open_interest_max_uusd:
        raise OpenInterestLimit(
            f"what is held of {market.id} would reach {value} uusd, above its cap of "
            f"{market.open_interest_max_uusd}; deposit less"
        )


def _apply_change(ctx: Context, account: Account, market: Market, delta: int) -> None:
    apply_spot_trade(account, market.id, delta, 0)
    accounts.set_account(ctx, account)
    market_state = state.get_market_state(ctx, market.id)
    market_state.open_interest_quantums += delta
    state.set_market_state(ctx, market.id, market_state)


def _describe(account: Account, market: Market, amount: int) -> dict[str, str | int]:
    return {
        "owner": account.owner,
        "number": account.number,
        "market": market.id,
        "denom": market.denom,
        "amount": amount,
    }
