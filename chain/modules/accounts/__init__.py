"""Margin accounts: cash, liens, positions and the margin over all of them."""

from chain._pb.margin.accounts.v1 import accounts_pb2, query_pb2, tx_pb2
from chain.modules.accounts import genesis, handlers, hooks, queries
from chain.modules.accounts.types import MODULE_NAME
from chain.runtime.module import MessageRoute, Module, QueryRoute

_QUERY = "/margin.accounts.v1.Query/"

MODULE = Module(
    name="accounts",
    module_accounts=(MODULE_NAME,),
    stores=("accounts",),
    messages=(
        MessageRoute(tx_pb2.MsgCreateAccount, handlers.handle_create_account, "owner"),
        MessageRoute(tx_pb2.MsgDepositCash, handlers.handle_deposit_cash, "sender"),
        MessageRoute(tx_pb2.MsgWithdrawCash, handlers.handle_withdraw_cash, "owner"),
        MessageRoute(tx_pb2.MsgTransferCash, handlers.handle_transfer_cash, "owner"),
        MessageRoute(tx_pb2.MsgSetMarginMode, handlers.handle_set_margin_mode, "owner"),
        MessageRoute(tx_pb2.MsgUpdateParams, handlers.handle_update_params, "authority"),
    ),
    queries=(
        QueryRoute(
            _QUERY + "Account",
            query_pb2.QueryAccountRequest,
            query_pb2.QueryAccountResponse,
            queries.query_account,
        ),
        QueryRoute(
            _QUERY + "Accounts",
            query_pb2.QueryAccountsRequest,
            query_pb2.QueryAccountsResponse,
            queries.query_accounts,
        ),
        QueryRoute(
            _QUERY + "Margin",
            query_pb2.QueryMarginRequest,
            query_pb2.QueryMarginResponse,
            queries.query_margin,
        ),
        QueryRoute(
            _QUERY + "Liquidatable",
            query_pb2.QueryLiquidatableRequest,
            query_pb2.QueryLiquidatableResponse,
            queries.query_liquidatable,
        ),
        QueryRoute(
            _QUERY + "Ledger",
            query_pb2.QueryLedgerRequest,
            query_pb2.QueryLedgerResponse,
            queries.query_ledger,
        ),
        QueryRoute(
            _QUERY + "Params",
            query_pb2.QueryParamsRequest,
            query_pb2.QueryParamsResponse,
            queries.query_params,
        ),
    ),
    genesis=accounts_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
    end_block=hooks.end_block,
)
