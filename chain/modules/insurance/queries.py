"""Queries of insurance."""

from typing import Final

from chain._pb.margin.insurance.v1 import query_pb2
from chain.modules.insurance import state
from chain.runtime.context import Context
from chain.runtime.module import QueryRoute

_SERVICE: Final = "/margin.insurance.v1.Query/"


def query_params(
    ctx: Context, request: query_pb2.QueryParamsRequest
) -> query_pb2.QueryParamsResponse:
    """The governed parameters."""
    del request
    return query_pb2.QueryParamsResponse(params=state.PARAMS.get(ctx))


def query_fund(ctx: Context, request: query_pb2.QueryFundRequest) -> query_pb2.QueryFundResponse:
    """The fund, what it may pay now, and what nobody has covered."""
    del request
    deficit = sum(int(row.amount_uusd) for row in state.iterate_deficits(ctx))
    return query_pb2.QueryFundResponse(
        balance_uusd=str(state.get_balance(ctx)),
        payable_uusd=str(state.get_payable(ctx)),
        deficit_uusd=str(deficit),
    )


def query_ledger(
    ctx: Context, request: query_pb2.QueryLedgerRequest
) -> query_pb2.QueryLedgerResponse:
    """Movements of the fund, oldest first, one page."""
    most = state.PARAMS.get(ctx).ledger_rows_max
    limit = min(request.limit or most, most)
    response = query_pb2.QueryLedgerResponse()
    for entry in state.iterate_entries(ctx, request.start_after):
        if len(response.entries) >= limit:
            break
        response.entries.append(entry)
    return response


QUERIES: Final = (
    QueryRoute(
        _SERVICE + "Params",
        query_pb2.QueryParamsRequest,
        query_pb2.QueryParamsResponse,
        query_params,
    ),
    QueryRoute(
        _SERVICE + "Fund", query_pb2.QueryFundRequest, query_pb2.QueryFundResponse, query_fund
    ),
    QueryRoute(
        _SERVICE + "Ledger",
        query_pb2.QueryLedgerRequest,
        query_pb2.QueryLedgerResponse,
        query_ledger,
    ),
)
