"""Genesis of transfer."""

from chain._pb.ibc.applications.transfer.v1 import genesis_pb2
from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.denoms import PORT, Denom, validate_denom
from chain.modules.bank import state as bank
from chain.runtime.coins import build_coin, parse_coins
from chain.runtime.context import Context
from chain.runtime.errors import InvalidGenesis


def build_default_genesis() -> genesis_pb2.GenesisState:
    """Transfers both ways, nothing issued, nothing in escrow."""
    return genesis_pb2.GenesisState(port_id=PORT, params=state.build_default_params())


def init_genesis(ctx: Context, genesis: genesis_pb2.GenesisState) -> None:
    """Write the genesis state; raises InvalidGenesis for a double voucher or an escrow that
    exceeds the supply, InvalidDenom for a malformed one.
    """
    if genesis.port_id not in ("", PORT):
        raise InvalidGenesis(f"app_state.transfer.port_id: must be {PORT!r}")
    state.PARAMS.set(ctx, genesis.params)
    for index, message in enumerate(genesis.denoms):
        denom = Denom.from_proto(message)
        validate_denom(denom)
        if not denom.trace or state.get_denom(ctx, denom.hash) is not None:
            raise InvalidGenesis(
                f"app_state.transfer.denoms[{index}]: {denom.path} is native or stands twice"
            )
        state.set_denom(ctx, denom)
    for local_denom, amount in parse_coins(
        genesis.total_escrowed, "app_state.transfer.total_escrowed"
    ):
        if amount > bank.get_supply(ctx, local_denom):
            raise InvalidGenesis(
                f"app_state.transfer.total_escrowed: {amount}{local_denom} exceeds the supply"
            )
        state.set_total_escrow(ctx, local_denom, amount)


def export_genesis(ctx: Context) -> genesis_pb2.GenesisState:
    """The whole state of the module; importing it gives the same state."""
    return genesis_pb2.GenesisState(
        port_id=PORT,
        params=state.PARAMS.get(ctx),
        denoms=[denom.to_proto() for denom in state.iterate_denoms(ctx)],
        total_escrowed=[
            build_coin(denom, amount) for denom, amount in state.iterate_total_escrows(ctx)
        ],
    )
