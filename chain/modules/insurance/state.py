"""The insurance store: the only place that knows its keys, and the verbs that move the fund.

The balance is the bank's; every verb moves coins and writes a ledger entry, so that the entries and
the balance tell the same story.
"""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message

from chain._pb.margin.insurance.v1 import insurance_pb2 as pb
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import (
    CASH_DENOM,
    NUMBER_MAX,
    Account,
    AccountId,
    encode_account_id,
)
from chain.modules.bank import state as bank
from chain.modules.insurance.types import (
    MODULE_ADDRESS,
    POSITION_ACCOUNT,
    WINDOW_HOURS,
    build_default_params,
    validate_params,
)
from chain.modules.params.state import declare_params
from chain.risk.waterfall import compute_rolling_capacity_uusd
from chain.runtime.context import Context
from chain.units import Address

STORE: Final = "insurance"
PARAMS: Final = declare_params(STORE, pb.Params, build_default_params, validate_params)
_ENTRY: Final = b"\x01"
_NEXT_ENTRY: Final = b"\x02"
_PAYOUT: Final = b"\x03"
_DEFICIT: Final = b"\x04"
_HOUR_S: Final = 3_600


def _set(ctx: Context, key: bytes, message: Message) -> None:
    ctx.kv(STORE).set(key, message.SerializeToString(deterministic=True))


# Ledger


def get_next_entry(ctx: Context) -> int:
    """The number of the next ledger entry; the first is 1."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_ENTRY) or b"\x01", "big")


def set_next_entry(ctx: Context, number: int) -> None:
    """Write the number of the next ledger entry."""
    ctx.kv(STORE).set(_NEXT_ENTRY, number.to_bytes(8, "big"))


def set_entry(ctx: Context, entry: pb.LedgerEntry) -> None:
    """Write a ledger entry."""
    _set(ctx, _ENTRY + entry.number.to_bytes(8, "big"), entry)


def iterate_entries(ctx: Context, start_after: int = 0) -> Iterator[pb.LedgerEntry]:
    """Ledger entries by number after one; bound the work at the call site."""
    start = _ENTRY + start_after.to_bytes(8, "big") + b"\x00"
    for _, value in ctx.kv(STORE).iterate_range(start, _NEXT_ENTRY):
        yield pb.LedgerEntry.FromString(value)


def _record(ctx: Context, kind: pb.EntryKind, amount_uusd: int, counterparty: str) -> None:
    number = get_next_entry(ctx)
    set_next_entry(ctx, number + 1)
    entry = pb.LedgerEntry(
        number=number,
        height=ctx.height,
        time_ns=ctx.time_ns,
        kind=kind,
        amount_uusd=str(amount_uusd),
        counterparty=counterparty,
        balance_uusd=str(get_balance(ctx)),
    )
    set_entry(ctx, entry)
    ctx.emit(
        "insurance_entry",
        {
            "kind": pb.EntryKind.Name(kind).removeprefix("ENTRY_KIND_").lower(),
            "amount_uusd": amount_uusd,
            "counterparty": counterparty,
            "balance_uusd": entry.balance_uusd,
        },
    )


# The fund


def get_balance(ctx: Context) -> int:
    """The fund in uusd."""
    return bank.get_balance(ctx, MODULE_ADDRESS, CASH_DENOM)


def set_payout(ctx: Context, payout: pb.HourPayout) -> None:
    """Write what was paid in an hour."""
    _set(ctx, _PAYOUT + payout.hour.to_bytes(8, "big"), payout)


def iterate_payouts(ctx: Context) -> Iterator[pb.HourPayout]:
    """What was paid in each hour still remembered, oldest first."""
    for _, value in ctx.kv(STORE).iterate(_PAYOUT):
        yield pb.HourPayout.FromString(value)


def get_payable(ctx: Context) -> int:
    """What the fund may pay now: its balance, within the share allowed in 24 rolling hours."""
    first_hour = ctx.time_s // _HOUR_S - WINDOW_HOURS + 1
    paid = sum(int(p.amount_uusd) for p in iterate_payouts(ctx) if p.hour >= first_hour)
    return compute_rolling_capacity_uusd(
        balance_uusd=get_balance(ctx),
        share_ppm=PARAMS.get(ctx).cover_share_ppm,
        paid_in_window_uusd=paid,
    )


def _add_payout(ctx: Context, amount_uusd: int) -> None:
    hour = ctx.time_s // _HOUR_S
    amount = amount_uusd
    for payout in list(iterate_payouts(ctx)):
        if payout.hour == hour:
            amount += int(payout.amount_uusd)
        elif payout.hour <= hour - WINDOW_HOURS:
            ctx.kv(STORE).delete(_PAYOUT + payout.hour.to_bytes(8, "big"))
    set_payout(ctx, pb.HourPayout(hour=hour, amount_uusd=str(amount)))


def fund(ctx: Context, sender: Address, amount_uusd: int, kind: pb.EntryKind) -> None:
    """Pay coins into the fund; raises bank's InsufficientFunds."""
    bank.move(ctx, sender, MODULE_ADDRESS, CASH_DENOM, amount_uusd)
    _record(ctx, kind, amount_uusd, sender)


def cover_account(ctx: Context, account_id: AccountId, debt_uusd: int) -> int:
    """Pay of an account's debt what the fund may pay now; the amount paid, possibly 0."""
    amount = min(debt_uusd, get_payable(ctx))
    if amount > 0:
        accounts.credit_cash(ctx, account_id, amount, MODULE_ADDRESS)
        _add_payout(ctx, amount)
        _record(ctx, pb.ENTRY_KIND_COVER, amount, f"{account_id.owner}/{account_id.number}")
    return amount


def pay_keeper(ctx: Context, keeper: Address, amount_uusd: int) -> int:
    """Pay a keeper's incentive as far as the fund may; the amount paid, possibly 0."""
    amount = min(amount_uusd, get_payable(ctx))
    if amount > 0:
        bank.move(ctx, MODULE_ADDRESS, keeper, CASH_DENOM, amount)
        _add_payout(ctx, amount)
        _record(ctx, pb.ENTRY_KIND_KEEPER_INCENTIVE, amount, keeper)
    return amount


def iterate_position_accounts(ctx: Context) -> Iterator[Account]:
    """The fund's margin accounts in order of number."""
    for number in range(NUMBER_MAX + 1):
        account = accounts.get_account(ctx, POSITION_ACCOUNT._replace(number=number))
        if account is None:
            return
        yield account


def open_position_account(ctx: Context, market_id: str) -> Account:
    """The account of the fund that holds a market, else the first with a line left for it.

    So each can be margined as any account can: the lines of all exceed the markets of a chain.
    """
    positions_max = accounts.get_params(ctx).positions_max
    held = list(iterate_position_accounts(ctx))
    for account in held:
        if market_id in account.positions:
            return account
    for account in held:
        if len(account.positions) < positions_max:
            return account
    return accounts.open_account(ctx, POSITION_ACCOUNT._replace(number=len(held)))


def settle_positions(ctx: Context) -> None:
    """Move the fund's trading results between its margin accounts and the fund.

    A profit is taken as far as losers have paid it in; a loss is paid as far as the fund may.
    """
    for account in list(iterate_position_accounts(ctx)):
        if account.cash_uusd < 0:
            _pay_loss(ctx, account)
        elif account.cash_uusd and not account.positions:
            _take_profit(ctx, account)


def _pay_loss(ctx: Context, account: Account) -> None:
    amount = min(-account.cash_uusd, get_payable(ctx))
    if amount > 0:
        accounts.credit_cash(ctx, account.id, amount, MODULE_ADDRESS)
        _add_payout(ctx, amount)
        counterparty = f"{account.owner}/{account.number}"
        _record(ctx, pb.ENTRY_KIND_POSITION_LOSS, amount, counterparty)


def _take_profit(ctx: Context, account: Account) -> None:
    amount = min(account.cash_uusd, bank.get_balance(ctx, accounts.MODULE_ADDRESS, CASH_DENOM))
    if amount > 0:
        accounts.debit_cash(ctx, account.id, amount, MODULE_ADDRESS)
        counterparty = f"{account.owner}/{account.number}"
        _record(ctx, pb.ENTRY_KIND_POSITION_PROFIT, amount, counterparty)


def record_opening_balance(ctx: Context) -> None:
    """Start the ledger with what the genesis of the bank gave the fund."""
    if get_balance(ctx) > 0:
        _record(ctx, pb.ENTRY_KIND_FUNDED, get_balance(ctx), MODULE_ADDRESS)


def record_swept_fees(ctx: Context) -> None:
    """Enter into the ledger what accounts moved into the fund since: trading fees."""
    number = get_next_entry(ctx) - 1
    value = ctx.kv(STORE).get(_ENTRY + number.to_bytes(8, "big"))
    known = int(pb.LedgerEntry.FromString(value).balance_uusd) if value else 0
    received = get_balance(ctx) - known
    if received > 0:
        _record(ctx, pb.ENTRY_KIND_FEE, received, accounts.MODULE_ADDRESS)


# Deficits


def _deficit_key(account_id: AccountId) -> bytes:
    return _DEFICIT + encode_account_id(account_id)


def get_deficit(ctx: Context, account_id: AccountId) -> int:
    """What an account still owes that nobody covered, 0 when nothing."""
    value = ctx.kv(STORE).get(_deficit_key(account_id))
    return int(pb.Deficit.FromString(value).amount_uusd) if value else 0


def set_deficit(ctx: Context, account_id: AccountId, amount_uusd: int) -> None:
    """Record what an account still owes; 0 forgets it."""
    if amount_uusd == 0:
        ctx.kv(STORE).delete(_deficit_key(account_id))
        return
    _set(
        ctx,
        _deficit_key(account_id),
        pb.Deficit(owner=account_id.owner, account=account_id.number, amount_uusd=str(amount_uusd)),
    )


def iterate_deficits(ctx: Context) -> Iterator[pb.Deficit]:
    """All deficits by owner and account."""
    for _, value in ctx.kv(STORE).iterate(_DEFICIT):
        yield pb.Deficit.FromString(value)
