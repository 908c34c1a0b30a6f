"""ICS-20: tokens of other chains as vouchers here, tokens of this chain as vouchers elsewhere."""

from collections.abc import Callable

from chain._pb.ibc.applications.transfer.v1 import genesis_pb2
from chain.ibc.apps.transfer import genesis, handlers, queries, state
from chain.runtime.context import Context
from chain.runtime.module import Module


def module(get_authority: Callable[[Context], str]) -> Module:
    """The module "transfer": messages, queries and the store of the transfer application.

    `get_authority` names the address that may switch transfers on and off (the council's).
    """
    return Module(
        name=state.STORE,
        stores=(state.STORE,),
        messages=handlers.build_messages(get_authority),
        queries=queries.QUERIES,
        module_accounts=(state.STORE,),
        genesis=genesis_pb2.GenesisState,
        default_genesis=genesis.build_default_genesis,
        init_genesis=genesis.init_genesis,
        export_genesis=genesis.export_genesis,
    )
