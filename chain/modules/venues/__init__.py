"""Venues: positions on collateral chains that net with the hub's in one margin account."""

from chain._pb.margin.venues.v1 import venues_pb2
from chain.modules.venues import genesis, handlers, hooks, queries, state
from chain.runtime.module import Module

MODULE = Module(
    name=state.STORE,
    stores=(state.STORE,),
    messages=handlers.MESSAGES,
    queries=queries.QUERIES,
    genesis=venues_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
    end_block=hooks.end_block,
)
