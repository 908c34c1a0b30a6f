"""The scenarios' part of the genesis file."""

from chain._pb.margin.scenarios.v1 import scenarios_pb2 as pb
from chain.modules.scenarios import state
from chain.modules.scenarios.errors import InvalidUnderlying
from chain.modules.scenarios.types import build_default_params
from chain.runtime.context import Context


def build_default_genesis() -> pb.GenesisState:
    """Default parameters; no underlying is margined by scenarios."""
    return pb.GenesisState(params=build_default_params())


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Store parameters and underlyings; raises InvalidUnderlying for one given twice."""
    state.PARAMS.set(ctx, genesis.params)
    for underlying in genesis.underlyings:
        asset = underlying.current.asset
        if state.get_rules(ctx, asset) is not None:
            raise InvalidUnderlying(f"underlying {asset} is there twice")
        state.set_underlying_state(ctx, underlying)


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The module's state as a genesis file holds it."""
    return pb.GenesisState(
        params=state.PARAMS.get(ctx), underlyings=list(state.iterate_underlying_states(ctx))
    )
