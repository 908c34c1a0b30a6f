"""What the actors of the story ask the hub, typed."""

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as accounts_query
from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.collateral.v1 import query_pb2 as collateral_query
from chain._pb.margin.desk.v1 import query_pb2 as desk_query
from chain._pb.margin.liquidation.v1 import liquidation_pb2
from chain._pb.margin.liquidation.v1 import query_pb2 as liquidation_query
from chain._pb.margin.markets.v1 import query_pb2 as markets_query
from chain._pb.margin.oracle.v1 import query_pb2 as oracle_query
from localnet.clients import Chain
from localnet.genesis import MARKET

PAGE_ROWS = 100


async def get_price(
    hub: Chain, asset: str = "ETH", *, height: int | None = None
) -> oracle_query.QueryPriceResponse:
    """The published price with what it allows; raises NotFound before the first."""
    return await hub.query(
        "/margin.oracle.v1.Query/Price",
        oracle_query.QueryPriceRequest(asset=asset),
        oracle_query.QueryPriceResponse,
        height=height,
    )


async def get_margin(hub: Chain, owner: str) -> accounts_query.QueryMarginResponse:
    """The whole margin computation of an owner's first account."""
    return await hub.query(
        "/margin.accounts.v1.Query/Margin",
        accounts_query.QueryMarginRequest(owner=owner),
        accounts_query.QueryMarginResponse,
    )


async def get_greeks(hub: Chain, owner: str) -> list[desk_query.UnderlyingGreeks]:
    """The Greeks of an owner's first account, one row an underlying."""
    answer = await hub.query(
        "/margin.desk.v1.Query/Greeks",
        desk_query.QueryGreeksRequest(owner=owner),
        desk_query.QueryGreeksResponse,
    )
    return list(answer.underlyings)


async def get_liens(hub: Chain, owner: str) -> dict[str, int]:
    """Liens of an owner's first account by denomination; raises NotFound, QueryRefused without."""
    answer = await hub.query(
        "/margin.collateral.v1.Query/Liens",
        collateral_query.QueryLiensRequest(owner=owner),
        collateral_query.QueryLiensResponse,
    )
    return {lien.denom: int(lien.amount) for lien in answer.liens}


async def get_account(hub: Chain, owner: str, *, height: int | None = None) -> accounts_pb2.Account:
    """An owner's first account; raises NotFound when there is none."""
    answer = await hub.query(
        "/margin.accounts.v1.Query/Account",
        accounts_query.QueryAccountRequest(owner=owner),
        accounts_query.QueryAccountResponse,
        height=height,
    )
    return answer.account


async def get_position_quantums(hub: Chain, owner: str) -> int:
    """The signed size of an owner's position in the demo's market."""
    answer = await hub.query(
        "/margin.markets.v1.Query/Positions",
        markets_query.QueryPositionsRequest(owner=owner, market=MARKET),
        markets_query.QueryPositionsResponse,
    )
    return sum(int(position.size_quantums) for position in answer.positions)


async def get_auctions(hub: Chain) -> list[liquidation_query.AuctionView]:
    """Auctions that take bids."""
    answer = await hub.query(
        "/margin.liquidation.v1.Query/Auctions",
        liquidation_query.QueryAuctionsRequest(limit=PAGE_ROWS),
        liquidation_query.QueryAuctionsResponse,
    )
    return list(answer.auctions)


async def get_all_auctions(hub: Chain) -> list[liquidation_query.AuctionView]:
    """All auctions with their seizures, closed ones too."""
    answer = await hub.query(
        "/margin.liquidation.v1.Query/Auctions",
        liquidation_query.QueryAuctionsRequest(include_closed=True, limit=PAGE_ROWS),
        liquidation_query.QueryAuctionsResponse,
    )
    return list(answer.auctions)


async def has_case(hub: Chain, owner: str) -> bool:
    """Whether an owner's account is being watched or liquidated."""
    answer = await hub.query(
        "/margin.liquidation.v1.Query/Cases",
        liquidation_query.QueryCasesRequest(limit=PAGE_ROWS),
        liquidation_query.QueryCasesResponse,
    )
    return any(case.owner == owner for case in answer.cases)


async def get_history(hub: Chain, owner: str) -> list[liquidation_pb2.HistoryRow]:
    """The tiers an owner's first account went through, with reasons and figures."""
    answer = await hub.query(
        "/margin.liquidation.v1.Query/History",
        liquidation_query.QueryHistoryRequest(owner=owner, limit=PAGE_ROWS),
        liquidation_query.QueryHistoryResponse,
    )
    return list(answer.rows)


async def get_flights(hub: Chain) -> list[collateral_pb2.Flight]:
    """Releases and seizures that no acknowledgement has settled."""
    answer = await hub.query(
        "/margin.collateral.v1.Query/PacketsInFlight",
        collateral_query.QueryPacketsInFlightRequest(),
        collateral_query.QueryPacketsInFlightResponse,
    )
    return list(answer.flights)


async def get_routes(hub: Chain) -> list[collateral_query.RouteView]:
    """All routes with what is measured of them."""
    answer = await hub.query(
        "/margin.collateral.v1.Query/Routes",
        collateral_query.QueryRoutesRequest(),
        collateral_query.QueryRoutesResponse,
    )
    return list(answer.routes)


def get_state_name(state: int) -> str:
    """healthy, margin_call, reduce_only, liquidate, backstop or bankrupt."""
    name: str = accounts_pb2.MarginState.Name(state)
    return name.removeprefix("MARGIN_STATE_").lower()
