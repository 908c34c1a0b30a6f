"""Genesis of the vault. Its coins are in the bank's genesis, at the module account."""

from chain._pb.margin.vault.v1 import vault_pb2 as pb
from chain.modules.bank import state as bank
from chain.modules.vault import state
from chain.modules.vault.types import MODULE_ADDRESS, build_default_params
from chain.runtime.context import Context
from chain.runtime.errors import InvalidGenesis
from chain.runtime.genesis import fill_amounts, require_content


def build_default_genesis() -> pb.GenesisState:
    """Default parameters and an empty vault."""
    return pb.GenesisState(params=build_default_params())


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Write the genesis state; raises InvalidGenesis when the bank holds another sum."""
    state.PARAMS.set(ctx, genesis.params)
    if genesis.HasField("hub"):
        require_content(genesis.hub, "app_state.vault.hub")
        state.set_hub(ctx, genesis.hub)
    for lock in genesis.locks:
        state.set_lock(ctx, lock)
    for holding in genesis.holdings:
        fill_amounts(holding, "pending", "liened", "released", "seized")
        state.set_holding(ctx, holding)
    for order in genesis.orders:
        state.set_order(ctx, order)
    state.set_next_lock_number(ctx, genesis.next_lock_number)
    for denom, (pending, liened) in state.get_totals(ctx).items():
        balance = bank.get_balance(ctx, MODULE_ADDRESS, denom)
        if balance != pending + liened:
            raise InvalidGenesis(
                f"app_state.vault: holdings sum to {pending + liened}{denom}, "
                f"the bank holds {balance}"
            )


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The whole state of the module; importing it gives the same state."""
    return pb.GenesisState(
        params=state.get_params(ctx),
        hub=state.get_hub(ctx),
        locks=state.iterate_locks(ctx),
        holdings=state.iterate_holdings(ctx),
        orders=state.iterate_orders(ctx),
        next_lock_number=state.get_next_lock_number(ctx),
    )
