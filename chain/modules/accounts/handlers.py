"""Messages of margin accounts."""

from chain._pb.margin.accounts.v1 import accounts_pb2 as pb_accounts
from chain._pb.margin.accounts.v1 import tx_pb2 as pb
from chain.modules.accounts import margin, state
from chain.modules.accounts.errors import (
    AccountExists,
    AccountLocked,
    CashNotSettled,
    InsufficientCash,
    InvalidAccount,
)
from chain.modules.accounts.types import (
    CASH_DENOM,
    Account,
    AccountId,
    AccountStatus,
    MarginMode,
    parse_account_id,
)
from chain.modules.bank import state as bank
from chain.modules.council import state as council
from chain.runtime.address import decode_address
from chain.runtime.context import Context
from chain.units import Address, parse_amount


def require_active(ctx: Context, account_id: AccountId) -> Account:
    """The account when its owner may act on it; raises AccountNotFound, AccountLocked."""
    account = state.require_account(ctx, account_id)
    if account.status is AccountStatus.LOCKED:
        raise AccountLocked(
            f"account {account_id.number} of {account_id.owner} is under liquidation; only "
            f"deposits are taken until it ends"
        )
    return account


def handle_create_account(ctx: Context, msg: pb.MsgCreateAccount) -> pb.MsgCreateAccountResponse:
    """Open an empty account; raises AccountExists."""
    account_id = parse_account_id(msg.owner, msg.number)
    if state.get_account(ctx, account_id) is not None:
        raise AccountExists(f"account {msg.number} of {msg.owner} is open already")
    state.open_account(ctx, account_id)
    return pb.MsgCreateAccountResponse()


def handle_deposit_cash(ctx: Context, msg: pb.MsgDepositCash) -> pb.MsgDepositCashResponse:
    """Turn uusd of the sender's bank balance into cash of an account."""
    account_id = parse_account_id(msg.owner, msg.number)
    amount = parse_amount(msg.amount_uusd, "amount_uusd")
    if msg.sender != msg.owner:
        # Strangers may help an account, not open ones in somebody's name.
        state.require_account(ctx, account_id)
    state.credit_cash(ctx, account_id, amount, Address(msg.sender))
    ctx.emit("cash_deposited", {"owner": msg.owner, "number": msg.number, "amount_uusd": amount})
    return pb.MsgDepositCashResponse()


def _require_cash(account: Account, amount: int) -> None:
    if account.cash_uusd < amount:
        raise InsufficientCash(
            f"account {account.number} has {account.cash_uusd} uusd of cash, below {amount}; close "
            f"positions to realise profit or ask for less"
        )


def handle_withdraw_cash(ctx: Context, msg: pb.MsgWithdrawCash) -> pb.MsgWithdrawCashResponse:
    """Turn cash into uusd of a bank balance, when the margin after it allows."""
    account_id = parse_account_id(msg.owner, msg.number)
    amount = parse_amount(msg.amount_uusd, "amount_uusd")
    receiver = Address(msg.receiver or msg.owner)
    decode_address(receiver, "receiver")
    account = require_active(ctx, account_id)
    _require_cash(account, amount)
    after = account.copy()
    after.cash_uusd -= amount
    margin.require_withdrawable(ctx, after)
    held = bank.get_balance(ctx, state.MODULE_ADDRESS, CASH_DENOM)
    if held < amount:
        raise CashNotSettled(
            f"{amount} uusd are asked and {held} are paid in: the rest is profit whose losers "
            f"still owe it; ask for less or wait for their debts to settle"
        )
    state.debit_cash(ctx, account_id, amount, receiver)
    ctx.emit(
        "cash_withdrawn",
        {"owner": msg.owner, "number": msg.number, "receiver": receiver, "amount_uusd": amount},
    )
    return pb.MsgWithdrawCashResponse()


def handle_transfer_cash(ctx: Context, msg: pb.MsgTransferCash) -> pb.MsgTransferCashResponse:
    """Move cash between two accounts of the owner, when the margin left behind allows."""
    sender = parse_account_id(msg.owner, msg.from_number)
    receiver = parse_account_id(msg.owner, msg.to_number)
    if sender == receiver:
        raise InvalidAccount(f"account {msg.from_number} is both sender and receiver; name two")
    amount = parse_amount(msg.amount_uusd, "amount_uusd")
    account = require_active(ctx, sender)
    _require_cash(account, amount)
    after = account.copy()
    after.cash_uusd -= amount
    margin.require_withdrawable(ctx, after)
    state.move_cash(ctx, sender, receiver, amount)
    ctx.emit(
        "cash_transferred",
        {
            "owner": msg.owner,
            "from_number": msg.from_number,
            "to_number": msg.to_number,
            "amount_uusd": amount,
        },
    )
    return pb.MsgTransferCashResponse()


def handle_set_margin_mode(ctx: Context, msg: pb.MsgSetMarginMode) -> pb.MsgSetMarginModeResponse:
    """Margin the account by another mode, when it is healthy by that mode."""
    account_id = parse_account_id(msg.owner, msg.number)
    if msg.margin_mode not in (pb_accounts.MARGIN_MODE_STANDARD, pb_accounts.MARGIN_MODE_PORTFOLIO):
        raise InvalidAccount(f"margin_mode {msg.margin_mode} must be standard (1) or portfolio (2)")
    account = require_active(ctx, account_id)
    account.margin_mode = MarginMode(msg.margin_mode)
    margin.require_withdrawable(ctx, account)
    state.set_account(ctx, account)
    ctx.emit(
        "margin_mode_set",
        {
            "owner": msg.owner,
            "number": msg.number,
            "margin_mode": account.margin_mode.name.lower(),
        },
    )
    return pb.MsgSetMarginModeResponse()


def handle_update_params(ctx: Context, msg: pb.MsgUpdateParams) -> pb.MsgUpdateParamsResponse:
    """Replace the parameters; only the council's authority may."""
    council.require_authority(ctx, msg.authority)
    state.set_params(ctx, msg.params)
    ctx.emit("accounts_params_updated", {})
    return pb.MsgUpdateParamsResponse()
