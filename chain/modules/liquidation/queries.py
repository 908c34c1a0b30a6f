"""Queries of liquidation."""

from typing import Final

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain._pb.margin.liquidation.v1 import query_pb2
from chain.modules.accounts.types import AccountId
from chain.modules.liquidation import auctions, state
from chain.modules.liquidation.errors import AuctionNotFound
from chain.runtime.context import Context
from chain.runtime.module import QueryRoute
from chain.units import Address

_SERVICE: Final = "/margin.liquidation.v1.Query/"


def _clamp_limit(ctx: Context, limit: int) -> int:
    most = state.PARAMS.get(ctx).history_rows_max
    return min(limit or most, most)


def query_params(
    ctx: Context, request: query_pb2.QueryParamsRequest
) -> query_pb2.QueryParamsResponse:
    """The governed parameters."""
    del request
    return query_pb2.QueryParamsResponse(params=state.PARAMS.get(ctx))


def _view(ctx: Context, auction: pb.Auction) -> query_pb2.AuctionView:
    is_active = auction.status == pb.AUCTION_STATUS_ACTIVE
    return query_pb2.AuctionView(
        auction=auction,
        price_ray=str(auctions.get_price_ray(ctx, auction)) if is_active else "0",
        needs_reset=is_active and auctions.is_due_for_reset(ctx, auction),
        seizures=state.iterate_seizures(ctx, auction.auction_id),
    )


def query_auctions(
    ctx: Context, request: query_pb2.QueryAuctionsRequest
) -> query_pb2.QueryAuctionsResponse:
    """Auctions with their prices now, one page; closed ones on request."""
    limit = _clamp_limit(ctx, request.limit)
    rows = (
        state.iterate_auctions(ctx, request.start_after)
        if request.include_closed
        else state.iterate_active_auctions(ctx, request.start_after)
    )
    response = query_pb2.QueryAuctionsResponse()
    for auction in rows:
        if len(response.auctions) >= limit:
            break
        response.auctions.append(_view(ctx, auction))
    return response


def query_auction(
    ctx: Context, request: query_pb2.QueryAuctionRequest
) -> query_pb2.QueryAuctionResponse:
    """One auction with its price now and its seizures; raises AuctionNotFound."""
    auction = state.require_auction(ctx, request.auction_id)
    return query_pb2.QueryAuctionResponse(auction=_view(ctx, auction))


def query_cases(ctx: Context, request: query_pb2.QueryCasesRequest) -> query_pb2.QueryCasesResponse:
    """Accounts below a healthy ratio, by owner."""
    limit = _clamp_limit(ctx, request.limit)
    response = query_pb2.QueryCasesResponse()
    for case in state.iterate_cases(ctx):
        if len(response.cases) >= limit:
            break
        response.cases.append(case)
    return response


def query_history(
    ctx: Context, request: query_pb2.QueryHistoryRequest
) -> query_pb2.QueryHistoryResponse:
    """The tiers an account went through, in order, one page."""
    limit = _clamp_limit(ctx, request.limit)
    account_id = AccountId(Address(request.owner), request.account)
    response = query_pb2.QueryHistoryResponse()
    for row in state.iterate_history(ctx, account_id, request.start_after):
        if len(response.rows) >= limit:
            break
        response.rows.append(row)
    return response


def query_seizure(
    ctx: Context, request: query_pb2.QuerySeizureRequest
) -> query_pb2.QuerySeizureResponse:
    """One seizure; raises AuctionNotFound."""
    seizure = state.get_seizure(ctx, request.seize_id)
    if seizure is None:
        raise AuctionNotFound(f"no seizure has the id {request.seize_id[:64]!r}")
    return query_pb2.QuerySeizureResponse(seizure=seizure)


QUERIES: Final = tuple(
    QueryRoute(_SERVICE + name, request, response, handler)
    for name, request, response, handler in (
        ("Params", query_pb2.QueryParamsRequest, query_pb2.QueryParamsResponse, query_params),
        (
            "Auctions",
            query_pb2.QueryAuctionsRequest,
            query_pb2.QueryAuctionsResponse,
            query_auctions,
        ),
        ("Auction", query_pb2.QueryAuctionRequest, query_pb2.QueryAuctionResponse, query_auction),
        ("Cases", query_pb2.QueryCasesRequest, query_pb2.QueryCasesResponse, query_cases),
        ("History", query_pb2.QueryHistoryRequest, query_pb2.QueryHistoryResponse, query_history),
        ("Seizure", query_pb2.QuerySeizureRequest, query_pb2.QuerySeizureResponse, query_seizure),
    )
)
