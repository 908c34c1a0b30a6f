"""Queries of the oracle."""

from chain._pb.margin.oracle.v1 import oracle_pb2
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
        votes=[v for v in state.get_last_votes(ctx).votes if v.asset == request.asset],
    )


def query_volatility(
    ctx: Context, request: pb.QueryVolatilityRequest
) -> pb.QueryVolatilityResponse:
    """The measured volatility of an asset; raises UnknownAsset."""
    record = state.get_volatility_record(ctx, request.asset)
    if record is None:
        raise UnknownAsset(f"{request.asset[:40]!r} has no measured volatility yet")
    return pb.QueryVolatilityResponse(volatility=state.encode_volatility(request.asset, record))


def query_volatilities(
    ctx: Context, request: pb.QueryVolatilitiesRequest
) -> pb.QueryVolatilitiesResponse:
    """All measured volatilities in order of asset."""
    del request
    return pb.QueryVolatilitiesResponse(
        volatilities=[
            state.encode_volatility(asset, record)
            for asset, record in state.iterate_volatilities(ctx)
        ],
        readings=[
            pb.VolatilityReading(
                asset=asset, volatility_wad=str(state.get_volatility_wad(ctx, asset))
            )
            for asset, _ in state.iterate_volatilities(ctx)
        ],
        ramp=state.get_ramp_message(ctx) if state.get_running_ramp(ctx) else None,
    )


def query_volatility_index(
    ctx: Context, request: pb.QueryVolatilityIndexRequest
) -> pb.QueryVolatilityIndexResponse:
    """The volatility index of the last block, its tier and what initial margin is multiplied by."""
    del request
    return pb.QueryVolatilityIndexResponse(volatility_index=state.get_volatility_index(ctx))


def query_correlations(
    ctx: Context, request: pb.QueryCorrelationsRequest
) -> pb.QueryCorrelationsResponse:
    """The correlation matrix in force and the covariances behind it; empty before the first."""
    del request
    record = state.get_correlation_record(ctx)
    return pb.QueryCorrelationsResponse(
        correlations=state.encode_correlations(record) if record else None
    )


def query_depths(ctx: Context, request: pb.QueryDepthsRequest) -> pb.QueryDepthsResponse:
    """Depth and volume in force of every priced asset."""
    del request
    depths = []
    for rules in state.get_rules(ctx).assets:
        depth = state.get_depth(ctx, rules.asset)
        record = state.get_depth_record(ctx, rules.asset)
        depths.append(
            oracle_pb2.Depth(
                asset=rules.asset,
                depth_usd=depth.depth_usd,
                volume_usd=depth.volume_usd,
                time_ns=record.time_ns if record else 0,
            )
        )
    return pb.QueryDepthsResponse(depths=depths)


def query_votes(ctx: Context, request: pb.QueryVotesRequest) -> pb.QueryVotesResponse:
    """What became of each validator's vote in the last block."""
    del request
    return pb.QueryVotesResponse(last_votes=state.get_last_votes(ctx))


def query_params(ctx: Context, request: pb.QueryParamsRequest) -> pb.QueryParamsResponse:
    """The governed parameters."""
    del request
    return pb.QueryParamsResponse(params=state.get_params(ctx))
