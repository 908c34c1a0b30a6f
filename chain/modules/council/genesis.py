"""The council in the genesis."""

from chain._pb.margin.council.v1 import council_pb2
from chain.modules.council import state
from chain.modules.council.types import build_default_params
from chain.runtime.context import Context
from chain.runtime.errors import InvalidGenesis


def build_default_genesis() -> council_pb2.GenesisState:
    """A council without members."""
    return council_pb2.GenesisState(params=build_default_params(), next_proposal_id=1)


def init_genesis(ctx: Context, genesis: council_pb2.GenesisState) -> None:
    """Store the council and its proposals; raises InvalidGenesis on a number out of order."""
    state.PARAMS.set(ctx, genesis.params)
    previous = 0
    for index, proposal in enumerate(genesis.proposals):
        if proposal.id <= previous:
            raise InvalidGenesis(f"app_state.council.proposals[{index}].id: must ascend from 1")
        previous = proposal.id
        state.set_proposal(ctx, proposal)
    next_id = genesis.next_proposal_id or previous + 1
    if next_id <= previous:
        raise InvalidGenesis(f"app_state.council.next_proposal_id: must be above {previous}")
    state.set_next_id(ctx, next_id)


def export_genesis(ctx: Context) -> council_pb2.GenesisState:
    """The council and all its proposals."""
    return council_pb2.GenesisState(
        params=state.PARAMS.get(ctx),
        proposals=state.get_proposals(ctx),
        next_proposal_id=state.get_next_id(ctx),
    )
