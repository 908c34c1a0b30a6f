"""Queries of balances and supplies."""

from chain._pb.cosmos.bank.v1beta1 import bank_pb2, query_pb2
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain.modules.bank import state
from chain.runtime.address import decode_address
from chain.runtime.coins import build_coin, is_denom
from chain.runtime.context import Context
from chain.runtime.errors import InvalidRequest, NotFound
from chain.runtime.pagination import get_page
from chain.units import Address


def _validate_denom(denom: str) -> None:
    if not is_denom(denom):
        raise InvalidRequest(f"{denom[:130]!r} is not a valid denom")


def query_balance(
    ctx: Context, request: query_pb2.QueryBalanceRequest
) -> query_pb2.QueryBalanceResponse:
    """One balance; zero when there is none."""
    decode_address(request.address)
    _validate_denom(request.denom)
    amount = state.get_balance(ctx, Address(request.address), request.denom)
    return query_pb2.QueryBalanceResponse(balance=build_coin(request.denom, amount))


def query_all_balances(
    ctx: Context, request: query_pb2.QueryAllBalancesRequest
) -> query_pb2.QueryAllBalancesResponse:
    """All balances of an address by denom, paged."""
    prefix = state.compute_account_prefix(request.address)
    rows, page = get_page(ctx.kv(state.STORE), prefix, request.pagination)
    return query_pb2.QueryAllBalancesResponse(balances=_build_coins(rows), pagination=page)


def query_spendable_balances(
    ctx: Context, request: query_pb2.QuerySpendableBalancesRequest
) -> query_pb2.QuerySpendableBalancesResponse:
    """As AllBalances: nothing in the bank is locked."""
    prefix = state.compute_account_prefix(request.address)
    rows, page = get_page(ctx.kv(state.STORE), prefix, request.pagination)
    return query_pb2.QuerySpendableBalancesResponse(balances=_build_coins(rows), pagination=page)


def query_total_supply(
    ctx: Context, request: query_pb2.QueryTotalSupplyRequest
) -> query_pb2.QueryTotalSupplyResponse:
    """The supply of every denom, paged."""
    rows, page = get_page(ctx.kv(state.STORE), state.SUPPLY_PREFIX, request.pagination)
    return query_pb2.QueryTotalSupplyResponse(supply=_build_coins(rows), pagination=page)


def query_supply_of(
    ctx: Context, request: query_pb2.QuerySupplyOfRequest
) -> query_pb2.QuerySupplyOfResponse:
    """The supply of one denom; zero when unknown."""
    _validate_denom(request.denom)
    amount = state.get_supply(ctx, request.denom)
    return query_pb2.QuerySupplyOfResponse(amount=build_coin(request.denom, amount))


def query_params(
    ctx: Context, request: query_pb2.QueryParamsRequest
) -> query_pb2.QueryParamsResponse:
    """The parameters in force."""
    del request
    return query_pb2.QueryParamsResponse(params=state.PARAMS.get(ctx))


def query_denom_metadata(
    ctx: Context, request: query_pb2.QueryDenomMetadataRequest
) -> query_pb2.QueryDenomMetadataResponse:
    """What a denom is called; raises NotFound."""
    _validate_denom(request.denom)
    metadata = state.get_metadata(ctx, request.denom)
    if metadata is None:
        raise NotFound(f"client metadata for denom {request.denom}")
    return query_pb2.QueryDenomMetadataResponse(metadata=metadata)


def query_denoms_metadata(
    ctx: Context, request: query_pb2.QueryDenomsMetadataRequest
) -> query_pb2.QueryDenomsMetadataResponse:
    """What all denoms are called, paged."""
    rows, page = get_page(ctx.kv(state.STORE), state.METADATA_PREFIX, request.pagination)
    metadatas = [bank_pb2.Metadata.FromString(data) for _, data in rows]
    return query_pb2.QueryDenomsMetadataResponse(metadatas=metadatas, pagination=page)


def _build_coins(rows: list[tuple[bytes, bytes]]) -> list[coin_pb2.Coin]:
    return [build_coin(key.decode(), int(value)) for key, value in rows]
