"""The desk: queries over accounts, markets and collateral; it has no state and no messages."""

from typing import Final

from chain._pb.margin.desk.v1 import query_pb2
from chain.modules.desk import explain, greeks, queries
from chain.runtime.module import Module, QueryRoute

_QUERY: Final = "/margin.desk.v1.Query/"

MODULE = Module(
    name="desk",
    queries=(
        QueryRoute(
            _QUERY + "Simulate",
            query_pb2.QuerySimulateRequest,
            query_pb2.QuerySimulateResponse,
            queries.query_simulate,
        ),
        QueryRoute(
            _QUERY + "RiskMatrix",
            query_pb2.QueryRiskMatrixRequest,
            query_pb2.QueryRiskMatrixResponse,
            queries.query_risk_matrix,
        ),
        QueryRoute(
            _QUERY + "LiquidationPrices",
            query_pb2.QueryLiquidationPricesRequest,
            query_pb2.QueryLiquidationPricesResponse,
            queries.query_liquidation_prices,
        ),
        QueryRoute(
            _QUERY + "Utilisation",
            query_pb2.QueryUtilisationRequest,
            query_pb2.QueryUtilisationResponse,
            queries.query_utilisation,
        ),
        QueryRoute(
            _QUERY + "Greeks",
            query_pb2.QueryGreeksRequest,
            query_pb2.QueryGreeksResponse,
            greeks.query_greeks,
        ),
        QueryRoute(
            _QUERY + "Explain",
            query_pb2.QueryExplainRequest,
            query_pb2.QueryExplainResponse,
            explain.query_explain,
        ),
    ),
)
