"""Prices agreed through vote extensions, and the market risk measured from them."""

from chain._pb.margin.oracle.v1 import oracle_pb2, query_pb2, tx_pb2
from chain.modules.oracle import genesis, handlers, market_risk, queries
from chain.modules.oracle.types import PriceSource
from chain.modules.oracle.votes import OracleVoteExtensions
from chain.runtime.module import MessageRoute, Module, QueryRoute

_QUERY = "/margin.oracle.v1.Query/"


def module(source: PriceSource | None = None) -> Module:
    """The oracle of a node; `source` is its own price feed, None for a node that does not vote."""
    return Module(
        name="oracle",
        stores=("oracle",),
        messages=(
            MessageRoute(tx_pb2.MsgUpdateParams, handlers.handle_update_params, "authority"),
        ),
        queries=(
            QueryRoute(
                _QUERY + "Prices",
                query_pb2.QueryPricesRequest,
                query_pb2.QueryPricesResponse,
                queries.query_prices,
            ),
            QueryRoute(
                _QUERY + "Price",
                query_pb2.QueryPriceRequest,
                query_pb2.QueryPriceResponse,
                queries.query_price,
            ),
            QueryRoute(
                _QUERY + "Volatility",
                query_pb2.QueryVolatilityRequest,
                query_pb2.QueryVolatilityResponse,
                queries.query_volatility,
            ),
            QueryRoute(
                _QUERY + "Volatilities",
                query_pb2.QueryVolatilitiesRequest,
                query_pb2.QueryVolatilitiesResponse,
                queries.query_volatilities,
            ),
            QueryRoute(
                _QUERY + "VolatilityIndex",
                query_pb2.QueryVolatilityIndexRequest,
                query_pb2.QueryVolatilityIndexResponse,
                queries.query_volatility_index,
            ),
            QueryRoute(
                _QUERY + "Correlations",
                query_pb2.QueryCorrelationsRequest,
                query_pb2.QueryCorrelationsResponse,
                queries.query_correlations,
            ),
            QueryRoute(
                _QUERY + "Depths",
                query_pb2.QueryDepthsRequest,
                query_pb2.QueryDepthsResponse,
                queries.query_depths,
            ),
            QueryRoute(
                _QUERY + "Votes",
                query_pb2.QueryVotesRequest,
                query_pb2.QueryVotesResponse,
                queries.query_votes,
            ),
            QueryRoute(
                _QUERY + "Params",
                query_pb2.QueryParamsRequest,
                query_pb2.QueryParamsResponse,
                queries.query_params,
            ),
        ),
        genesis=oracle_pb2.GenesisState,
        default_genesis=genesis.build_default_genesis,
        init_genesis=genesis.init_genesis,
        export_genesis=genesis.export_genesis,
        begin_block=market_risk.begin_block,
        vote_extensions=OracleVoteExtensions(source),
    )
