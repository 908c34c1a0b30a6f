"""Markets of spot, perpetuals, futures and options: order books, fills, funding, expiry."""

from chain._pb.margin.markets.v1 import markets_pb2, query_pb2, tx_pb2
from chain.modules.markets import genesis, handlers, hooks, queries, state
from chain.runtime.module import MessageRoute, Module, QueryRoute

_QUERY = "/margin.markets.v1.Query/"

MODULE = Module(
    name="markets",
    stores=("markets",),
    module_accounts=(state.MODULE_NAME,),
    messages=(
        MessageRoute(tx_pb2.MsgPlaceOrder, handlers.handle_place_order, "owner"),
        MessageRoute(tx_pb2.MsgCancelOrder, handlers.handle_cancel_order, "owner"),
        MessageRoute(tx_pb2.MsgCancelAll, handlers.handle_cancel_all, "owner"),
        MessageRoute(tx_pb2.MsgListMarket, handlers.handle_list_market, "authority"),
        MessageRoute(tx_pb2.MsgListOptionSeries, handlers.handle_list_option_series, "authority"),
        MessageRoute(tx_pb2.MsgDepositBase, handlers.handle_deposit_base, "owner"),
        MessageRoute(tx_pb2.MsgWithdrawBase, handlers.handle_withdraw_base, "owner"),
        MessageRoute(tx_pb2.MsgUpdateMarket, handlers.handle_update_market, "authority"),
        MessageRoute(tx_pb2.MsgUpdateParams, handlers.handle_update_params, "authority"),
    ),
    queries=(
        QueryRoute(
            _QUERY + "Markets",
            query_pb2.QueryMarketsRequest,
            query_pb2.QueryMarketsResponse,
            queries.query_markets,
        ),
        QueryRoute(
            _QUERY + "OrderBook",
            query_pb2.QueryOrderBookRequest,
            query_pb2.QueryOrderBookResponse,
            queries.query_order_book,
        ),
        QueryRoute(
            _QUERY + "Orders",
            query_pb2.QueryOrdersRequest,
            query_pb2.QueryOrdersResponse,
            queries.query_orders,
        ),
        QueryRoute(
            _QUERY + "Fills",
            query_pb2.QueryFillsRequest,
            query_pb2.QueryFillsResponse,
            queries.query_fills,
        ),
        QueryRoute(
            _QUERY + "Positions",
            query_pb2.QueryPositionsRequest,
            query_pb2.QueryPositionsResponse,
            queries.query_positions,
        ),
        QueryRoute(
            _QUERY + "Settlements",
            query_pb2.QuerySettlementsRequest,
            query_pb2.QuerySettlementsResponse,
            queries.query_settlements,
        ),
        QueryRoute(
            _QUERY + "SimulateOrder",
            query_pb2.QuerySimulateOrderRequest,
            query_pb2.QuerySimulateOrderResponse,
            queries.query_simulate_order,
        ),
        QueryRoute(
            _QUERY + "Params",
            query_pb2.QueryParamsRequest,
            query_pb2.QueryParamsResponse,
            queries.query_params,
        ),
    ),
    genesis=markets_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
    end_block=hooks.end_block,
)
