"""The accounts' part of the genesis file."""

from chain._pb.margin.accounts.v1 import accounts_pb2 as pb
from chain.modules.accounts import state
from chain.modules.accounts.errors import InvalidAccount
from chain.modules.accounts.params import build_default_params
from chain.modules.accounts.types import CASH_DENOM, NUMBER_MAX, AccountId, MarginMode
from chain.modules.bank import state as bank
from chain.risk.margin import MarginState
from chain.runtime.address import decode_address
from chain.runtime.context import Context
from chain.units import Address, parse_amount, parse_nonnegative, parse_signed


def build_default_genesis() -> pb.GenesisState:
    """Default parameters, no accounts."""
    return pb.GenesisState(params=build_default_params())


def _require(value: int, low: int, high: int, field: str) -> None:
    if not low <= value <= high:
        raise InvalidAccount(f"{field} {value} must lie within [{low}, {high}]")


def _validate_account(message: pb.Account) -> None:
    decode_address(message.owner, "owner")
    _require(message.number, 0, NUMBER_MAX, "account number")
    parse_signed(message.cash_uusd, "cash_uusd")
    if message.status not in (pb.ACCOUNT_STATUS_ACTIVE, pb.ACCOUNT_STATUS_LOCKED):
        raise InvalidAccount(f"status {message.status} must be active (1) or locked (2)")
    _require(message.margin_mode, 0, len(MarginMode), "margin_mode")
    for lien in message.liens:
        parse_amount(lien.amount, "lien amount")
    for position in message.positions:
        if parse_signed(position.size_quantums, "size_quantums") == 0:
            raise InvalidAccount(f"position in {position.market} has no size")
        parse_signed(position.cost_uusd, "cost_uusd")
        parse_signed(position.funding_index_wad, "funding_index_wad")


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Store parameters and accounts; raises InvalidAccount, also when the cash identity is broken.

    Bank's genesis comes first: the module account must hold what the accounts say.
    """
    state.set_params(ctx, genesis.params)
    for message in genesis.accounts:
        _validate_account(message)
        account = state.decode_account(message)
        if state.get_account(ctx, account.id) is not None:
            raise InvalidAccount(f"account {account.number} of {account.owner} is there twice")
        liens, account.liens = account.liens, {}
        state.set_account(ctx, account)
        for lien, amount in liens.items():
            state.credit_lien(ctx, account.id, lien, amount)
    state.add_accrued_fees(ctx, parse_nonnegative(genesis.accrued_fees_uusd))
    for pool in genesis.funding_pools:
        amount = parse_signed(pool.amount_uusd, "funding pool")
        state.add_funding_pool(ctx, pool.market, amount)
    for message_state in genesis.margin_states:
        account_id = AccountId(Address(message_state.owner), message_state.number)
        state.require_account(ctx, account_id)
        _require(message_state.state, 1, len(MarginState), "margin state")
        margin_state = MarginState(message_state.state)
        state.set_margin_state(ctx, account_id, margin_state, message_state.since_height)
    ledger = state.compute_ledger(ctx)
    held = bank.get_balance(ctx, state.MODULE_ADDRESS, CASH_DENOM)
    if held != ledger.expected_balance_uusd:
        raise InvalidAccount(
            f"the module account {state.MODULE_ADDRESS} holds {held} {CASH_DENOM} and the accounts "
            f"come to {ledger.expected_balance_uusd}; correct the bank balance"
        )


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The module's state as a genesis file holds it."""
    return pb.GenesisState(
        params=state.get_params(ctx),
        accounts=[state.encode_account(account) for account in state.iterate_accounts(ctx)],
        margin_states=list(state.iterate_margin_states(ctx)),
        accrued_fees_uusd=str(state.get_accrued_fees(ctx)),
        funding_pools=[
            pb.FundingPool(market=market, amount_uusd=str(amount))
            for market, amount in state.iterate_funding_pools(ctx)
        ],
    )
