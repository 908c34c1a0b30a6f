"""Balances of every denom, transfers, supply."""

from chain._pb.cosmos.bank.v1beta1 import genesis_pb2, query_pb2, tx_pb2
from chain.modules.bank import genesis, handlers, queries, state
from chain.runtime.module import MessageRoute, Module, QueryRoute

_QUERY = "/cosmos.bank.v1beta1.Query/"

MODULE = Module(
    name="bank",
    stores=(state.STORE,),
    messages=(
        MessageRoute(tx_pb2.MsgSend, handlers.handle_send, "from_address"),
        MessageRoute(tx_pb2.MsgMultiSend, handlers.handle_multi_send, "inputs.address"),
    ),
    queries=(
        QueryRoute(
            _QUERY + "Balance",
            query_pb2.QueryBalanceRequest,
            query_pb2.QueryBalanceResponse,
            queries.query_balance,
        ),
        QueryRoute(
            _QUERY + "AllBalances",
            query_pb2.QueryAllBalancesRequest,
            query_pb2.QueryAllBalancesResponse,
            queries.query_all_balances,
        ),
        QueryRoute(
            _QUERY + "SpendableBalances",
            query_pb2.QuerySpendableBalancesRequest,
            query_pb2.QuerySpendableBalancesResponse,
            queries.query_spendable_balances,
        ),
        QueryRoute(
            _QUERY + "TotalSupply",
            query_pb2.QueryTotalSupplyRequest,
            query_pb2.QueryTotalSupplyResponse,
            queries.query_total_supply,
        ),
        QueryRoute(
            _QUERY + "SupplyOf",
            query_pb2.QuerySupplyOfRequest,
            query_pb2.QuerySupplyOfResponse,
            queries.query_supply_of,
        ),
        QueryRoute(
            _QUERY + "Params",
            query_pb2.QueryParamsRequest,
            query_pb2.QueryParamsResponse,
            queries.query_params,
        ),
        QueryRoute(
            _QUERY + "DenomMetadata",
            query_pb2.QueryDenomMetadataRequest,
            query_pb2.QueryDenomMetadataResponse,
            queries.query_denom_metadata,
        ),
        QueryRoute(
            _QUERY + "DenomsMetadata",
            query_pb2.QueryDenomsMetadataRequest,
            query_pb2.QueryDenomsMetadataResponse,
            queries.query_denoms_metadata,
        ),
    ),
    genesis=genesis_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
)
