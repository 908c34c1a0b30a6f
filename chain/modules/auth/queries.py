"""Queries of accounts."""

from chain._pb.cosmos.auth.v1beta1 import auth_pb2, query_pb2
from chain.modules.auth import state
from chain.runtime.address import BECH32_PREFIX, decode_address
from chain.runtime.context import Context
from chain.runtime.errors import NotFound
from chain.runtime.pagination import get_page
from chain.runtime.router import pack
from chain.units import Address


def _get_any_account(ctx: Context, address: str) -> auth_pb2.BaseAccount | auth_pb2.ModuleAccount:
    decode_address(address)
    account = state.get_account(ctx, Address(address)) or state.get_module_account(
        ctx, Address(address)
    )
    if account is None:
        raise NotFound(f"account {address} not found")
    return account


def query_account(
    ctx: Context, request: query_pb2.QueryAccountRequest
) -> query_pb2.QueryAccountResponse:
    """The account of an address; raises NotFound."""
    return query_pb2.QueryAccountResponse(account=pack(_get_any_account(ctx, request.address)))


def query_account_info(
    ctx: Context, request: query_pb2.QueryAccountInfoRequest
) -> query_pb2.QueryAccountInfoResponse:
    """The BaseAccount of an address, also of a module; raises NotFound."""
    account = _get_any_account(ctx, request.address)
    if isinstance(account, auth_pb2.ModuleAccount):
        account = account.base_account
    return query_pb2.QueryAccountInfoResponse(info=account)


def query_accounts(
    ctx: Context, request: query_pb2.QueryAccountsRequest
) -> query_pb2.QueryAccountsResponse:
    """Users' accounts by address, paged."""
    rows, page = get_page(ctx.kv(state.STORE), state.ACCOUNT_PREFIX, request.pagination)
    accounts = [pack(auth_pb2.BaseAccount.FromString(data)) for _, data in rows]
    return query_pb2.QueryAccountsResponse(accounts=accounts, pagination=page)


def query_params(
    ctx: Context, request: query_pb2.QueryParamsRequest
) -> query_pb2.QueryParamsResponse:
    """The parameters in force."""
    del request
    return query_pb2.QueryParamsResponse(params=state.get_params(ctx))


def query_bech32_prefix(
    ctx: Context, request: query_pb2.Bech32PrefixRequest
) -> query_pb2.Bech32PrefixResponse:
    """The prefix of addresses."""
    del ctx, request
    return query_pb2.Bech32PrefixResponse(bech32_prefix=BECH32_PREFIX)
