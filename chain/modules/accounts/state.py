"""The accounts store: the only place that knows its keys.

Other modules change accounts through the verbs here, which keep the cash identity
`bank balance of the module account = Σ cash - Σ cost + Σ funding pools + accrued fees`
and the lien indexes. Amounts are non-negative; a caller validates users' input before.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple, cast

from chain._pb.margin.accounts.v1 import accounts_pb2 as pb
from chain.modules.accounts.errors import (
    AccountNotFound,
    InsufficientLien,
    InvalidAccount,
    TooManyLines,
)
from chain.modules.accounts.params import build_default_params, validate_params
from chain.modules.accounts.types import (
    CASH_DENOM,
    MODULE_NAME,
    NUMBER_MAX,
    Account,
    AccountId,
    AccountStatus,
    LienKey,
    MarginMode,
    Position,
    decode_account_id,
    encode_account_id,
)
from chain.modules.auth.types import module_address
from chain.modules.bank import state as bank
from chain.modules.params import state as params_state
from chain.risk.margin import MarginState
from chain.runtime.context import Context
from chain.units import AMOUNT_LIMIT, Address

STORE: Final = "accounts"
PARAMS: Final = params_state.declare_params(STORE, pb.Params, build_default_params, validate_params)
_ACCOUNT: Final = b"\x01"
_AT_RISK: Final = b"\x02"
_MARGIN_STATE: Final = b"\x03"
_BY_STATE: Final = b"\x04"
_OWNER_TOTAL: Final = b"\x06"
_ASSET_TOTAL: Final = b"\x07"
_ROUTE_TOTAL: Final = b"\x08"
_ACCRUED_FEES: Final = b"\x09"
_FUNDING_POOL: Final = b"\x0a"
_PRESENT: Final = b"\x01"
_KEYS_OF_ACCOUNTS: Final = (_ACCOUNT, _AT_RISK, _MARGIN_STATE)
LEDGER_ACCOUNTS_MAX: Final = 10_000
"""Accounts that one query may add up."""

MODULE_ADDRESS: Final = module_address(MODULE_NAME)
"""The module account that holds the coins behind all cash."""


# Parameters


def get_params(ctx: Context) -> pb.Params:
    """The governed parameters, shared: nobody may change the message."""
    return PARAMS.get(ctx)


def set_params(ctx: Context, params: pb.Params) -> None:
    """Store parameters; raises what their bounds raise."""
    PARAMS.set(ctx, params)


# Accounts


def encode_account(account: Account) -> pb.Account:
    """The account as its protobuf, lines sorted."""
    return pb.Account(
        owner=account.owner,
        number=account.number,
        cash_uusd=str(account.cash_uusd),
        liens=[
            pb.Lien(
                chain_id=key.chain_id,
                denom=key.denom,
                vault=key.vault,
                route_id=key.route_id,
                amount=str(account.liens[key]),
            )
            for key in sorted(account.liens)
        ],
        positions=[
            pb.Position(
                market=market,
                size_quantums=str(position.size_quantums),
                cost_uusd=str(position.cost_uusd),
                funding_index_wad=str(position.funding_index_wad),
            )
            for market, position in sorted(account.positions.items())
        ],
        status=cast("pb.AccountStatus", account.status.value),
        margin_mode=cast("pb.MarginMode", account.margin_mode.value),
    )


def decode_account(message: pb.Account) -> Account:
    """The account that a stored protobuf holds."""
    return Account(
        owner=Address(message.owner),
        number=message.number,
        cash_uusd=int(message.cash_uusd or "0"),
        positions={
            p.market: Position(
                int(p.size_quantums or "0"),
                int(p.cost_uusd or "0"),
                int(p.funding_index_wad or "0"),
            )
            for p in message.positions
        },
        liens={
            LienKey(lien.chain_id, lien.denom, lien.vault, lien.route_id): int(lien.amount)
            for lien in message.liens
        },
        status=AccountStatus(message.status),
        margin_mode=MarginMode(message.margin_mode or MarginMode.STANDARD),
    )


def get_account(ctx: Context, account_id: AccountId) -> Account | None:
    """The account, or None when it was never opened."""
    value = ctx.kv(STORE).get(_ACCOUNT + encode_account_id(account_id))
    return decode_account(pb.Account.FromString(value)) if value else None


def require_account(ctx: Context, account_id: AccountId) -> Account:
    """The account; raises AccountNotFound."""
    account = get_account(ctx, account_id)
    if account is None:
        raise AccountNotFound(
            f"account {account_id.number} of {account_id.owner} does not exist; deposit opens it"
        )
    return account


def open_account(ctx: Context, account_id: AccountId) -> Account:
    """The account, opened empty when it was not there; raises InvalidAccount for number > 127."""
    account = get_account(ctx, account_id)
    if account is not None:
        return account
    if not 0 <= account_id.number <= NUMBER_MAX:
        raise InvalidAccount(
            f"account number {account_id.number} must lie within [0, {NUMBER_MAX}]"
        )
    account = Account(account_id.owner, account_id.number)
    set_account(ctx, account)
    ctx.emit("account_opened", {"owner": account_id.owner, "number": account_id.number})
    return account


def set_account(ctx: Context, account: Account) -> None:
    """Write the account, and put one with a position or a debt into the index of those at risk.

    Only the refresh of margin states takes it out again (`forget_at_risk`), so that it sees every
    account once more after its last position closed.
    """
    kv = ctx.kv(STORE)
    key = encode_account_id(account.id)
    kv.set(_ACCOUNT + key, encode_account(account).SerializeToString(deterministic=True))
    if account.is_at_risk and not kv.has(_AT_RISK + key):
        kv.set(_AT_RISK + key, _PRESENT)


def iterate_accounts(ctx: Context, owner: Address | None = None) -> Iterator[Account]:
    """All accounts, or one owner's, in key order; bound the work at the call site."""
    prefix = _ACCOUNT if owner is None else _ACCOUNT + owner.encode() + b"\x00"
    for _, value in ctx.kv(STORE).iterate(prefix):
        yield decode_account(pb.Account.FromString(value))


def iterate_accounts_after(ctx: Context, after: AccountId | None) -> Iterator[Account]:
    """All accounts in key order, after one of them; bound the work at the call site."""
    start = _ACCOUNT if after is None else _ACCOUNT + encode_account_id(after) + b"\x00"
    for _, value in ctx.kv(STORE).iterate_range(start, b"\x02"):
        yield decode_account(pb.Account.FromString(value))


def lock_account(ctx: Context, account_id: AccountId) -> None:
    """Bar the owner from everything but deposits; locking twice is allowed."""
    _set_status(ctx, account_id, AccountStatus.LOCKED)


def unlock_account(ctx: Context, account_id: AccountId) -> None:
    """Give the account back to its owner."""
    _set_status(ctx, account_id, AccountStatus.ACTIVE)


def _set_status(ctx: Context, account_id: AccountId, status: AccountStatus) -> None:
    account = require_account(ctx, account_id)
    if account.status is status:
        return
    account.status = status
    set_account(ctx, account)
    ctx.emit(
        "account_status_changed",
        {"owner": account_id.owner, "number": account_id.number, "status": status.name.lower()},
    )


# Cash


def credit_cash(ctx: Context, account_id: AccountId, amount_uusd: int, payer: Address) -> None:
    """Move coins from the payer's bank balance into the account's cash; opens the account.

    Raises bank's InsufficientFunds, and InvalidAccount when the cash would reach 2^256.
    """
    account = open_account(ctx, account_id)
    if account.cash_uusd + amount_uusd >= AMOUNT_LIMIT:
        raise InvalidAccount(f"cash {account.cash_uusd} + {amount_uusd} must stay below 2^256")
    bank.move(ctx, payer, MODULE_ADDRESS, CASH_DENOM, amount_uusd)
    account.cash_uusd += amount_uusd
    set_account(ctx, account)


def debit_cash(ctx: Context, account_id: AccountId, amount_uusd: int, receiver: Address) -> None:
    """Move cash of the account out to a bank balance; cash may fall below zero (a debt).

    The caller has checked margin. Raises bank's InsufficientFunds when the module account lacks the
    coins because losers' debts are not yet paid in.
    """
    account = require_account(ctx, account_id)
    account.cash_uusd -= amount_uusd
    set_account(ctx, account)
    bank.move(ctx, MODULE_ADDRESS, receiver, CASH_DENOM, amount_uusd)


def move_cash(ctx: Context, sender: AccountId, receiver: AccountId, amount_uusd: int) -> None:
    """Move cash between two accounts without touching bank; opens the receiver."""
    source = require_account(ctx, sender)
    source.cash_uusd -= amount_uusd
    set_account(ctx, source)
    target = open_account(ctx, receiver)
    target.cash_uusd += amount_uusd
    set_account(ctx, target)


def get_accrued_fees(ctx: Context) -> int:
    """Trading fees charged and not yet swept to the insurance module account."""
    return int(ctx.kv(STORE).get(_ACCRUED_FEES) or b"0")


def add_accrued_fees(ctx: Context, amount_uusd: int) -> None:
    """Add fees that were taken from accounts' cash (negative: taken out by the sweep)."""
    if amount_uusd:
        total = get_accrued_fees(ctx) + amount_uusd
        ctx.kv(STORE).set(_ACCRUED_FEES, str(total).encode())


def get_funding_pool(ctx: Context, market: str) -> int:
    """Funding of a market paid in minus taken out, signed."""
    return int(ctx.kv(STORE).get(_FUNDING_POOL + market.encode()) or b"0")


def add_funding_pool(ctx: Context, market: str, amount_uusd: int) -> None:
    """Add funding that was taken from an account's cash (negative: given to it).

    An empty pool is not kept: no export would bring it back.
    """
    if amount_uusd:
        key = _FUNDING_POOL + market.encode()
        total = get_funding_pool(ctx, market) + amount_uusd
        if total:
            ctx.kv(STORE).set(key, str(total).encode())
        else:
            ctx.kv(STORE).delete(key)


def take_funding_pool(ctx: Context, market: str) -> int:
    """Forget the pool of a market that is closed; what was in it, for the caller to book."""
    amount = get_funding_pool(ctx, market)
    ctx.kv(STORE).delete(_FUNDING_POOL + market.encode())
    return amount


def iterate_funding_pools(ctx: Context) -> Iterator[tuple[str, int]]:
    """(market, signed amount) in order of market."""
    for key, value in ctx.kv(STORE).iterate(_FUNDING_POOL):
        yield key[1:].decode(), int(value)


class Ledger(NamedTuple):
    """The sums of the cash identity; what the module account must hold follows from them."""

    cash_uusd: int
    cost_uusd: int
    funding_uusd: int
    fees_uusd: int

    @property
    def expected_balance_uusd(self) -> int:
        """Cash - cost + funding pools + accrued fees."""
        return self.cash_uusd - self.cost_uusd + self.funding_uusd + self.fees_uusd


def compute_ledger(ctx: Context) -> Ledger:
    """The sums over all accounts; reads every account."""
    cash = cost = 0
    for account in iterate_accounts(ctx):
        cash += account.cash_uusd
        cost += sum(position.cost_uusd for position in account.positions.values())
    funding = sum(amount for _, amount in iterate_funding_pools(ctx))
    return Ledger(cash, cost, funding, get_accrued_fees(ctx))


# Liens


def _add_total(ctx: Context, key: bytes, amount: int) -> None:
    kv = ctx.kv(STORE)
    total = int(kv.get(key) or b"0") + amount
    assert total >= 0, f"lien total {key!r} below zero"
    if total:
        kv.set(key, str(total).encode())
    else:
        kv.delete(key)


def _add_lien_totals(ctx: Context, owner: Address, lien: LienKey, amount: int) -> None:
    asset = lien.chain_id.encode() + b"\x00" + lien.denom.encode()
    _add_total(ctx, _OWNER_TOTAL + owner.encode() + b"\x00" + asset, amount)
    _add_total(ctx, _ASSET_TOTAL + asset, amount)
    _add_total(ctx, _ROUTE_TOTAL + lien.route_id.encode() + b"\x00" + asset, amount)


def credit_lien(ctx: Context, account_id: AccountId, lien: LienKey, amount: int) -> None:
    """Add to a lien and its totals; opens the account.

    Raises TooManyLines when it would be a line too many, InvalidAccount at 2^256.
    """
    account = open_account(ctx, account_id)
    held = account.liens.get(lien)
    if held is None and len(account.liens) >= get_params(ctx).liens_max:
        raise TooManyLines(
            f"account {account.number} of {account.owner} has {len(account.liens)} liens, the most "
            f"allowed; release one or use another account"
        )
    total = (held or 0) + amount
    if total >= AMOUNT_LIMIT:
        raise InvalidAccount(f"lien {held} + {amount} must stay below 2^256")
    account.liens[lien] = total
    set_account(ctx, account)
    _add_lien_totals(ctx, account.owner, lien, amount)


def debit_lien(ctx: Context, account_id: AccountId, lien: LienKey, amount: int) -> None:
    """Take from a lien and its totals, unchecked; raises AccountNotFound, InsufficientLien."""
    account = require_account(ctx, account_id)
    held = account.liens.get(lien, 0)
    if amount > held:
        raise InsufficientLien(
            f"lien of {lien.denom} on {lien.chain_id} over {lien.route_id} is {held}, "
            f"below {amount}"
        )
    if held == amount:
        del account.liens[lien]
    else:
        account.liens[lien] = held - amount
    set_account(ctx, account)
    _add_lien_totals(ctx, account.owner, lien, -amount)


def get_lien(ctx: Context, account_id: AccountId, lien: LienKey) -> int:
    """The lien's amount, 0 when there is none."""
    account = get_account(ctx, account_id)
    return account.liens.get(lien, 0) if account else 0


def get_owner_lien_total(ctx: Context, owner: Address, chain_id: str, denom: str) -> int:
    """What all accounts of an owner hold of a denom of a chain, over all routes."""
    asset = chain_id.encode() + b"\x00" + denom.encode()
    return int(ctx.kv(STORE).get(_OWNER_TOTAL + owner.encode() + b"\x00" + asset) or b"0")


def get_lien_total(ctx: Context, chain_id: str, denom: str) -> int:
    """What all accounts hold of a denom of a chain, over all routes."""
    asset = chain_id.encode() + b"\x00" + denom.encode()
    return int(ctx.kv(STORE).get(_ASSET_TOTAL + asset) or b"0")


def get_route_lien_total(ctx: Context, route_id: str, chain_id: str, denom: str) -> int:
    """What all accounts hold of a denom of a chain over one route."""
    asset = chain_id.encode() + b"\x00" + denom.encode()
    return int(ctx.kv(STORE).get(_ROUTE_TOTAL + route_id.encode() + b"\x00" + asset) or b"0")


# Margin states


def get_margin_state(ctx: Context, account_id: AccountId) -> tuple[MarginState, int]:
    """The state last seen by the block hook and the height since when; at first (HEALTHY, 0)."""
    value = ctx.kv(STORE).get(_MARGIN_STATE + encode_account_id(account_id))
    if value is None:
        return MarginState.HEALTHY, 0
    message = pb.AccountMarginState.FromString(value)
    return MarginState(message.state), message.since_height


def set_margin_state(ctx: Context, account_id: AccountId, state: MarginState, height: int) -> None:
    """Record a state, and move the account in the index by state (which leaves out HEALTHY)."""
    kv = ctx.kv(STORE)
    key = encode_account_id(account_id)
    before, _ = get_margin_state(ctx, account_id)
    if before is not MarginState.HEALTHY:
        kv.delete(_BY_STATE + bytes((before,)) + key)
    if state is not MarginState.HEALTHY:
        kv.set(_BY_STATE + bytes((state,)) + key, _PRESENT)
    message = pb.AccountMarginState(
        owner=account_id.owner,
        number=account_id.number,
        state=cast("pb.MarginState", state.value),
        since_height=height,
    )
    kv.set(_MARGIN_STATE + key, message.SerializeToString(deterministic=True))


def iterate_margin_states(ctx: Context) -> Iterator[pb.AccountMarginState]:
    """All recorded states in key order."""
    for _, value in ctx.kv(STORE).iterate(_MARGIN_STATE):
        yield pb.AccountMarginState.FromString(value)


def iterate_liquidatable(ctx: Context) -> Iterator[tuple[AccountId, MarginState]]:
    """Accounts last seen in LIQUIDATE, BACKSTOP or BANKRUPT, the worst state first."""
    for state in (MarginState.BANKRUPT, MarginState.BACKSTOP, MarginState.LIQUIDATE):
        prefix = _BY_STATE + bytes((state,))
        for key, _ in ctx.kv(STORE).iterate(prefix):
            yield decode_account_id(key[2:]), state


def iterate_in_state(
    ctx: Context, state: MarginState, after: AccountId | None = None
) -> Iterator[AccountId]:
    """Accounts last seen in one state other than HEALTHY, in key order, after one of them."""
    prefix = _BY_STATE + bytes((state,))
    start = prefix if after is None else prefix + encode_account_id(after) + b"\x00"
    for key, _ in ctx.kv(STORE).iterate_range(start, _BY_STATE + bytes((state + 1,))):
        yield decode_account_id(key[2:])


def iterate_at_risk(ctx: Context, after: AccountId | None) -> Iterator[AccountId]:
    """Accounts that have or lately had a position or debt, in key order, after one of them."""
    start = _AT_RISK if after is None else _AT_RISK + encode_account_id(after) + b"\x00"
    for key, _ in ctx.kv(STORE).iterate_range(start, b"\x03"):
        yield decode_account_id(key[1:])


def forget_at_risk(ctx: Context, account_id: AccountId) -> None:
    """Take an account without positions and debts out of the index."""
    ctx.kv(STORE).delete(_AT_RISK + encode_account_id(account_id))


def is_listed_at_risk(ctx: Context, account_id: AccountId) -> bool:
    """Whether the account is in the index of those at risk."""
    return ctx.kv(STORE).has(_AT_RISK + encode_account_id(account_id))


def find_account_of_key(key: bytes) -> AccountId | None:
    """The account whose margin or recorded state a written key of the store belongs to, if any."""
    return decode_account_id(key[1:]) if key[:1] in _KEYS_OF_ACCOUNTS else None


def is_margin_state_key(key: bytes) -> bool:
    """Whether a written key of the store holds an account's recorded state."""
    return key[:1] == _MARGIN_STATE
