"""The queries of ibc.applications.transfer.v1.Query, those of ibc-go before and since v10."""

from typing import Final

from chain._pb.ibc.applications.transfer.v1 import denomtrace_pb2, query_pb2
from chain.ibc import host
from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.denoms import Denom, compute_escrow_address, parse_hash, parse_path
from chain.ibc.queries import build_query_routes
from chain.runtime.coins import build_coin, is_denom
from chain.runtime.context import Context
from chain.runtime.errors import InvalidRequest, NotFound
from chain.runtime.module import QueryRoute


def query_params(
    ctx: Context, request: query_pb2.QueryParamsRequest
) -> query_pb2.QueryParamsResponse:
    """Whether transfers are on."""
    del request
    return query_pb2.QueryParamsResponse(params=state.PARAMS.get(ctx))


def _require_denom(ctx: Context, text: str) -> Denom:
    denom_hash = parse_hash(text)
    if denom_hash is None:
        raise InvalidRequest(f"hash {text[:80]!r} must be 64 hexadecimal digits, or ibc/ and these")
    denom = state.get_denom(ctx, denom_hash)
    if denom is None:
        raise NotFound(f"denomination {text} not found")
    return denom


def _trace(denom: Denom) -> denomtrace_pb2.DenomTrace:
    return denomtrace_pb2.DenomTrace(path="/".join(map(str, denom.trace)), base_denom=denom.base)


def query_denom(ctx: Context, request: query_pb2.QueryDenomRequest) -> query_pb2.QueryDenomResponse:
    """What a voucher stands for."""
    return query_pb2.QueryDenomResponse(denom=_require_denom(ctx, request.hash).to_proto())


def query_denoms(
    ctx: Context, request: query_pb2.QueryDenomsRequest
) -> query_pb2.QueryDenomsResponse:
    """A page of all vouchers."""
    rows, page = state.get_denom_page(ctx, request.pagination)
    return query_pb2.QueryDenomsResponse(denoms=[row.to_proto() for row in rows], pagination=page)


def query_denom_trace(
    ctx: Context, request: query_pb2.QueryDenomTraceRequest
) -> query_pb2.QueryDenomTraceResponse:
    """What a voucher stands for, in the older form."""
    return query_pb2.QueryDenomTraceResponse(denom_trace=_trace(_require_denom(ctx, request.hash)))


def query_denom_traces(
    ctx: Context, request: query_pb2.QueryDenomTracesRequest
) -> query_pb2.QueryDenomTracesResponse:
    """A page of all vouchers, in the older form."""
    rows, page = state.get_denom_page(ctx, request.pagination)
    return query_pb2.QueryDenomTracesResponse(
        denom_traces=[_trace(row) for row in rows], pagination=page
    )


def query_denom_hash(
    ctx: Context, request: query_pb2.QueryDenomHashRequest
) -> query_pb2.QueryDenomHashResponse:
    """The hash of a path, when a voucher of it was issued."""
    denom_hash = parse_path(request.trace).hash
    if state.get_denom(ctx, denom_hash) is None:
        raise NotFound(f"denomination {request.trace[:200]} not found")
    return query_pb2.QueryDenomHashResponse(hash=denom_hash.hex().upper())


def query_escrow_address(
    ctx: Context, request: query_pb2.QueryEscrowAddressRequest
) -> query_pb2.QueryEscrowAddressResponse:
    """Where a channel's originals are held."""
    del ctx
    host.validate_port_id(request.port_id)
    host.validate_channel_id(request.channel_id)
    return query_pb2.QueryEscrowAddressResponse(
        escrow_address=compute_escrow_address(request.port_id, request.channel_id)
    )


def query_total_escrow_for_denom(
    ctx: Context, request: query_pb2.QueryTotalEscrowForDenomRequest
) -> query_pb2.QueryTotalEscrowForDenomResponse:
    """What all channels together hold of a denom."""
    if not is_denom(request.denom):
        raise InvalidRequest(f"{request.denom[:128]!r} is not a denom")
    amount = state.get_total_escrow(ctx, request.denom)
    return query_pb2.QueryTotalEscrowForDenomResponse(amount=build_coin(request.denom, amount))


QUERIES: Final[tuple[QueryRoute, ...]] = build_query_routes(
    query_pb2.DESCRIPTOR.services_by_name["Query"],
    {
        "Params": query_params,
        "Denoms": query_denoms,
        "Denom": query_denom,
        "DenomTraces": query_denom_traces,
        "DenomTrace": query_denom_trace,
        "DenomHash": query_denom_hash,
        "EscrowAddress": query_escrow_address,
        "TotalEscrowForDenom": query_total_escrow_for_denom,
    },
)
