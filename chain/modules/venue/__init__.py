"""A venue's end on a collateral chain: positions reported to the hub, changed once acknowledged."""

from typing import Final

from chain._pb.margin.venue.v1 import query_pb2, venue_pb2
from chain.modules.venue import handlers, state
from chain.runtime.context import Context
from chain.runtime.module import Module, QueryRoute

_QUERY: Final = "/margin.venue.v1.Query/"


def query_params(
    ctx: Context, request: query_pb2.QueryParamsRequest
) -> query_pb2.QueryParamsResponse:
    """The governed parameters."""
    del request
    return query_pb2.QueryParamsResponse(params=state.PARAMS.get(ctx))


def query_reports(
    ctx: Context, request: query_pb2.QueryReportsRequest
) -> query_pb2.QueryReportsResponse:
    """What the hub has acknowledged, and what is on its way."""
    del request
    return query_pb2.QueryReportsResponse(
        acknowledged=state.get_acknowledged(ctx), pending=state.iterate_pending(ctx)
    )


def build_default_genesis() -> venue_pb2.GenesisState:
    """Default parameters, nothing reported."""
    return venue_pb2.GenesisState(params=state.build_default_params(), next_epoch=1)


def init_genesis(ctx: Context, genesis: venue_pb2.GenesisState) -> None:
    """Write the genesis state; raises on a parameter out of its bounds."""
    state.PARAMS.set(ctx, genesis.params)
    state.set_next_epoch(ctx, max(1, genesis.next_epoch))
    if genesis.HasField("acknowledged"):
        state.set_acknowledged(ctx, genesis.acknowledged)
    for report in genesis.pending:
        state.set_pending(ctx, report)


def export_genesis(ctx: Context) -> venue_pb2.GenesisState:
    """The whole state of the module; importing it gives the same state."""
    acknowledged = state.get_acknowledged(ctx)
    return venue_pb2.GenesisState(
        params=state.PARAMS.get(ctx),
        next_epoch=state.get_next_epoch(ctx),
        acknowledged=acknowledged if acknowledged.epoch else None,
        pending=state.iterate_pending(ctx),
    )


MODULE = Module(
    name=state.STORE,
    stores=(state.STORE,),
    messages=handlers.MESSAGES,
    queries=(
        QueryRoute(
            _QUERY + "Params",
            query_pb2.QueryParamsRequest,
            query_pb2.QueryParamsResponse,
            query_params,
        ),
        QueryRoute(
            _QUERY + "Reports",
            query_pb2.QueryReportsRequest,
            query_pb2.QueryReportsResponse,
            query_reports,
        ),
    ),
    genesis=venue_pb2.GenesisState,
    default_genesis=build_default_genesis,
    init_genesis=init_genesis,
    export_genesis=export_genesis,
)
