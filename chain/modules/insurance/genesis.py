"""Genesis of insurance. The fund's coins are in the bank's genesis, at the module account."""

from chain._pb.margin.insurance.v1 import insurance_pb2 as pb
from chain.modules.accounts.types import AccountId
from chain.modules.insurance import state
from chain.modules.insurance.types import build_default_params
from chain.runtime.context import Context
from chain.runtime.genesis import fill_amounts
from chain.units import Address, parse_amount


def build_default_genesis() -> pb.GenesisState:
    """Default parameters and no history."""
    return pb.GenesisState(params=build_default_params(), next_entry=1)


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Write the genesis state; raises on a figure out of its bounds."""
    state.PARAMS.set(ctx, genesis.params)
    for entry in genesis.entries:
        fill_amounts(entry, "amount_uusd", "balance_uusd")
        state.set_entry(ctx, entry)
    state.set_next_entry(ctx, genesis.next_entry or 1)
    if not genesis.entries:
        state.record_opening_balance(ctx)
    for payout in genesis.payouts:
        state.set_payout(ctx, payout)
    for row in genesis.deficits:
        account_id = AccountId(Address(row.owner), row.account)
        state.set_deficit(ctx, account_id, parse_amount(row.amount_uusd, "deficit"))


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The whole state of the module; importing it gives the same state."""
    return pb.GenesisState(
        params=state.PARAMS.get(ctx),
        entries=state.iterate_entries(ctx),
        payouts=state.iterate_payouts(ctx),
        deficits=state.iterate_deficits(ctx),
        next_entry=state.get_next_entry(ctx),
    )
