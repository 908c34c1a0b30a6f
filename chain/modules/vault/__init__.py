"""The vault of a collateral chain: coins locked for one hub, moved by its proven orders alone."""

from chain._pb.margin.vault.v1 import vault_pb2
from chain.modules.vault import genesis, handlers, queries, state, types
from chain.runtime.module import Module

MODULE = Module(
    name=state.STORE,
    module_accounts=(types.MODULE_NAME,),
    stores=(state.STORE,),
    messages=handlers.MESSAGES,
    queries=queries.QUERIES,
    genesis=vault_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
)
