"""Genesis of liquidation. Escrowed bids are in the bank's genesis, at the module account."""

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts.types import AccountId
from chain.modules.liquidation import state
from chain.modules.liquidation.types import build_default_params
from chain.runtime.context import Context
from chain.runtime.genesis import fill_amounts, require_content
from chain.units import Address


def build_default_genesis() -> pb.GenesisState:
    """Default parameters and no cases."""
    return pb.GenesisState(params=build_default_params(), next_auction_id=1, next_seizure_number=1)


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Write the genesis state; raises on a parameter out of its bounds."""
    state.PARAMS.set(ctx, genesis.params)
    for case in genesis.cases:
        state.set_case(ctx, case)
    for auction in genesis.auctions:
        fill_amounts(auction, "lot_amount", "tab_uusd", "top_price_ray")
        state.set_auction(ctx, auction)
    for seizure in genesis.seizures:
        fill_amounts(seizure, "amount", "owed_uusd")
        state.set_seizure(ctx, seizure)
    for index, entry in enumerate(genesis.history):
        require_content(entry.row, f"app_state.liquidation.history[{index}].row")
        state.set_history(ctx, AccountId(Address(entry.owner), entry.account), entry.row)
    state.set_next_auction_id(ctx, genesis.next_auction_id or 1)
    state.set_next_seizure_number(ctx, genesis.next_seizure_number or 1)
    if genesis.cursor_owner:
        cursor = AccountId(Address(genesis.cursor_owner), genesis.cursor_account)
        state.set_cursor(ctx, cursor)


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The whole state of the module; importing it gives the same state."""
    cursor = state.get_cursor(ctx)
    return pb.GenesisState(
        params=state.PARAMS.get(ctx),
        cases=state.iterate_cases(ctx),
        auctions=state.iterate_auctions(ctx),
        seizures=state.iterate_seizures(ctx),
        history=state.iterate_all_history(ctx),
        next_auction_id=state.get_next_auction_id(ctx),
        next_seizure_number=state.get_next_seizure_number(ctx),
        cursor_owner=cursor.owner if cursor else "",
        cursor_account=cursor.number if cursor else 0,
    )
