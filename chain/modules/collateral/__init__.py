"""Collateral: liens credited over registered routes, what they are worth, and their withdrawal."""

from chain._pb.margin.collateral.v1 import collateral_pb2
from chain.modules.collateral import genesis, handlers, hooks, queries, state, types
from chain.runtime.module import Module

MODULE = Module(
    name=state.STORE,
    module_accounts=(types.MODULE_NAME,),
    stores=(state.STORE,),
    messages=handlers.MESSAGES,
    queries=queries.QUERIES,
    genesis=collateral_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
    end_block=hooks.end_block,
)
