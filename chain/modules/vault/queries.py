"""Queries of the vault."""

from typing import Final

from chain._pb.margin.vault.v1 import query_pb2
from chain.modules.bank import state as bank
from chain.modules.vault import state
from chain.modules.vault.errors import LockNotFound
from chain.modules.vault.types import MODULE_ADDRESS
from chain.runtime.context import Context
from chain.runtime.module import QueryRoute

_SERVICE: Final = "/margin.vault.v1.Query/"
HOLDINGS_MAX: Final = 1_000
"""Rows of one answer."""


def query_params(
    ctx: Context, request: query_pb2.QueryParamsRequest
) -> query_pb2.QueryParamsResponse:
    """The governed parameters."""
    del request
    return query_pb2.QueryParamsResponse(params=state.get_params(ctx))


def query_hub(ctx: Context, request: query_pb2.QueryHubRequest) -> query_pb2.QueryHubResponse:
    """The hub this vault obeys; raises HubNotRegistered."""
    del request
    return query_pb2.QueryHubResponse(hub=state.require_hub(ctx))


def query_lock(ctx: Context, request: query_pb2.QueryLockRequest) -> query_pb2.QueryLockResponse:
    """One lock; raises LockNotFound."""
    lock = state.get_lock(ctx, request.lock_id)
    if lock is None:
        raise LockNotFound(f"no lock has the id {request.lock_id[:64]!r}")
    return query_pb2.QueryLockResponse(lock=lock)


def query_locks(ctx: Context, request: query_pb2.QueryLocksRequest) -> query_pb2.QueryLocksResponse:
    """The locks for a hub owner, oldest first, one page."""
    most = state.get_params(ctx).locks_per_query_max
    limit = min(request.limit or most, most)
    response = query_pb2.QueryLocksResponse()
    for lock in state.iterate_owner_locks(ctx, request.owner, request.start_after):
        if len(response.locks) >= limit:
            break
        response.locks.append(lock)
    return response


def query_pending_locks(
    ctx: Context, request: query_pb2.QueryPendingLocksRequest
) -> query_pb2.QueryPendingLocksResponse:
    """Locks whose packets are not settled, oldest first, one page."""
    most = state.get_params(ctx).locks_per_query_max
    limit = min(request.limit or most, most)
    response = query_pb2.QueryPendingLocksResponse()
    for lock in state.iterate_pending_locks(ctx, request.start_after):
        if len(response.locks) >= limit:
            break
        response.locks.append(lock)
    return response


def query_holdings(
    ctx: Context, request: query_pb2.QueryHoldingsRequest
) -> query_pb2.QueryHoldingsResponse:
    """What is held for a hub owner, by account and denom."""
    response = query_pb2.QueryHoldingsResponse()
    for holding in state.iterate_holdings(ctx, request.owner):
        if len(response.holdings) >= HOLDINGS_MAX:
            break
        response.holdings.append(holding)
    return response


def query_totals(
    ctx: Context, request: query_pb2.QueryTotalsRequest
) -> query_pb2.QueryTotalsResponse:
    """Per denom the ledger and the bank side by side: the vault's invariant."""
    del request
    return query_pb2.QueryTotalsResponse(
        totals=[
            query_pb2.DenomTotal(
                denom=denom,
                pending=str(pending),
                liened=str(liened),
                bank_balance=str(bank.get_balance(ctx, MODULE_ADDRESS, denom)),
            )
            for denom, (pending, liened) in state.get_totals(ctx).items()
        ]
    )


def query_order(ctx: Context, request: query_pb2.QueryOrderRequest) -> query_pb2.QueryOrderResponse:
    """An order of the hub that was carried out; raises LockNotFound."""
    order = state.get_order(ctx, request.order_id)
    if order is None:
        raise LockNotFound(f"no order {request.order_id[:64]!r} was carried out")
    return query_pb2.QueryOrderResponse(order=order)


QUERIES: Final = tuple(
    QueryRoute(_SERVICE + name, request, response, handler)
    for name, request, response, handler in (
        ("Params", query_pb2.QueryParamsRequest, query_pb2.QueryParamsResponse, query_params),
        ("Hub", query_pb2.QueryHubRequest, query_pb2.QueryHubResponse, query_hub),
        ("Lock", query_pb2.QueryLockRequest, query_pb2.QueryLockResponse, query_lock),
        ("Locks", query_pb2.QueryLocksRequest, query_pb2.QueryLocksResponse, query_locks),
        (
            "PendingLocks",
            query_pb2.QueryPendingLocksRequest,
            query_pb2.QueryPendingLocksResponse,
            query_pending_locks,
        ),
        (
            "Holdings",
            query_pb2.QueryHoldingsRequest,
            query_pb2.QueryHoldingsResponse,
            query_holdings,
        ),
        ("Totals", query_pb2.QueryTotalsRequest, query_pb2.QueryTotalsResponse, query_totals),
        ("Order", query_pb2.QueryOrderRequest, query_pb2.QueryOrderResponse, query_order),
    )
)
