"""Accounts: addresses, public keys, sequences. Every chain lists this module first."""

from collections.abc import Sequence

from chain._pb.cosmos.auth.v1beta1 import auth_pb2, genesis_pb2, query_pb2
from chain._pb.cosmos.crypto.secp256k1 import keys_pb2
from chain.modules.auth import genesis, queries, state
from chain.modules.auth.types import module_address
from chain.runtime.module import Module, QueryRoute

__all__ = ["module", "module_address"]

_QUERY = "/cosmos.auth.v1beta1.Query/"


def module(module_accounts: Sequence[str] = ()) -> Module:
    """The module; `module_accounts` are the names of all accounts that modules of the chain
    hold.
    """
    names = tuple(module_accounts)
    return Module(
        name="auth",
        stores=(state.STORE,),
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
                _QUERY + "AccountInfo",
                query_pb2.QueryAccountInfoRequest,
                query_pb2.QueryAccountInfoResponse,
                queries.query_account_info,
            ),
            QueryRoute(
                _QUERY + "Params",
                query_pb2.QueryParamsRequest,
                query_pb2.QueryParamsResponse,
                queries.query_params,
            ),
            QueryRoute(
                _QUERY + "Bech32Prefix",
                query_pb2.Bech32PrefixRequest,
                query_pb2.Bech32PrefixResponse,
                queries.query_bech32_prefix,
            ),
        ),
        any_types=(keys_pb2.PubKey, auth_pb2.BaseAccount, auth_pb2.ModuleAccount),
        genesis=genesis_pb2.GenesisState,
        default_genesis=genesis.build_default_genesis,
        init_genesis=lambda ctx, message: genesis.init_genesis(ctx, message, names),
        export_genesis=genesis.export_genesis,
    )
