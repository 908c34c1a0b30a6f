"""Queries of the oracle."""

from chain._pb.margin.oracle.v1 import query_pb2 as pb
from chain.modules.oracle import state
from chain.modules.oracle.errors import UnknownAsset
from chain.modules.oracle.permissions import find_refusal
from chain.modules.oracle.types import Action
from chain.runtime.context import Context


def query_prices(ctx: Context, request: pb.QueryPricesRequest) -> pb.QueryPricesResponse:
    """All agreed prices in order of asset."""
    del request
    prices = [state.encode_price(price) for price in state.iterate_prices(ctx)]
    return pb.QueryPricesResponse(prices=prices)


def query_price(ctx: Context, request: pb.QueryPriceRequest) -> pb.QueryPriceResponse:
    """One price, its age, and which actions it does not allow now; raises UnknownAsset."""
    price = state.get_price(ctx, request.asset)
    if price is None:
        raise UnknownAsset(f"{request.asset[:40]!r} has no price; query Prices for those that do")
    rules = state.get_rules(ctx)
    refusals = {
        action.value: find_refusal(rules, request.asset, price, action, ctx.time_ns)
        for action in Action
    }
    return pb.QueryPriceResponse(
        price=state.encode_price(price),
        age_ns=max(0, ctx.time_ns - price.time_ns),
        refusals=pb.Permissions(**refusals),
    )


def query_volatility(
    ctx: Context, request: pb.QueryVolatilityRequest
) -> pb.QueryVolatilityResponse:
    """The measured volatility of an asset; raises UnknownAsset."""
    record = state.get_volatility_record(ctx, request.asset)
    if record is None:
        raise UnknownAsset(f"{request.asset[:40]!r} has no measured volatility yet")
    return pb.QueryVolatilityResponse(volatility=state.encode_volatility(request.asset, record))


def query_votes(ctx: Context, request: pb.QueryVotesRequest) -> pb.QueryVotesResponse:
    """What became of each validator's vote in the last block."""
    del request
    return pb.QueryVotesResponse(last_votes=state.get_last_votes(ctx))


def query_params(ctx: Context, request: pb.QueryParamsRequest) -> pb.QueryParamsResponse:
    """The governed parameters."""
    del request
    return pb.QueryParamsResponse(params=state.get_params(ctx))
