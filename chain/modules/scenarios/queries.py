"""Queries of scenario sets."""

from chain._pb.margin.scenarios.v1 import query_pb2 as pb
from chain.modules.scenarios import state
from chain.runtime.context import Context


def query_underlyings(
    ctx: Context, request: pb.QueryUnderlyingsRequest
) -> pb.QueryUnderlyingsResponse:
    """Every underlying with the set in force and its ramp."""
    del request
    return pb.QueryUnderlyingsResponse(underlyings=list(state.iterate_underlying_states(ctx)))
