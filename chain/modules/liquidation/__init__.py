"""Liquidation: tiers from margin call to deficit, auctions of collateral on other chains."""

from chain._pb.margin.liquidation.v1 import liquidation_pb2
from chain.modules.liquidation import genesis, handlers, hooks, queries, state, types
from chain.runtime.module import Module

MODULE = Module(
    name=state.STORE,
    module_accounts=(types.MODULE_NAME,),
    stores=(state.STORE,),
    messages=handlers.MESSAGES,
    queries=queries.QUERIES,
    genesis=liquidation_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
    end_block=hooks.end_block,
)
