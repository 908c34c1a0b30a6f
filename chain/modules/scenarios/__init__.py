"""Scenarios: what portfolio margin assumes may happen to each underlying, by governance."""

from chain._pb.margin.scenarios.v1 import query_pb2, scenarios_pb2, tx_pb2
from chain.modules.scenarios import genesis, handlers, queries, state
from chain.runtime.module import MessageRoute, Module, QueryRoute

MODULE = Module(
    name=state.STORE,
    stores=(state.STORE,),
    messages=(
        MessageRoute(tx_pb2.MsgUpdateUnderlying, handlers.handle_update_underlying, "authority"),
    ),
    queries=(
        QueryRoute(
            "/margin.scenarios.v1.Query/Underlyings",
            query_pb2.QueryUnderlyingsRequest,
            query_pb2.QueryUnderlyingsResponse,
            queries.query_underlyings,
        ),
    ),
    genesis=scenarios_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
)
