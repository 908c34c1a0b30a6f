"""Insurance: a fund that takes fees and covers what liquidated accounts cannot pay."""

from chain._pb.margin.insurance.v1 import insurance_pb2
from chain.modules.insurance import genesis, handlers, queries, state, types
from chain.runtime.module import Module

MODULE = Module(
    name=state.STORE,
    module_accounts=(types.MODULE_NAME,),
    stores=(state.STORE,),
    messages=handlers.MESSAGES,
    queries=queries.QUERIES,
    genesis=insurance_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
)
