"""What CosmJS and cosmpy must be able to do, with our chains and with ibc-go's alike."""

from collections.abc import Callable
from functools import partial
from typing import Final

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.oracle.v1 import query_pb2 as oracle_query
from localnet.genesis import MARKET
from localnet.interop.scenario import Scenario
from localnet.interop.sides import Side
from localnet.interop.wallets import trade_with_cosmjs, use_cosmjs, use_cosmpy
from localnet.interop.world import World

TRADER: Final = "alice"
MAKER: Final = "bob"
_CASH_UUSD: Final = 1_000_000 * 10**6
_QUOTE_QUANTUMS: Final = 10**7
_TICK_WAD: Final = 10**16


def quote_both_sides(hub: Side, price_wad: int, maker: str = MAKER) -> None:
    """Rest an order on either side of a price, so that somebody can open and close against them."""
    owner = hub.get_address(maker)
    orders = [
        markets_tx.MsgPlaceOrder(
            owner=owner,
            market=MARKET,
            side=side,
            size_quantums=str(_QUOTE_QUANTUMS),
            price_wad=str(price_wad // _TICK_WAD * _TICK_WAD + offset * _TICK_WAD),
            time_in_force=markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL,
        )
        for side, offset in ((markets_pb2.SIDE_BUY, -10), (markets_pb2.SIDE_SELL, 10))
    ]
    deposit = accounts_tx.MsgDepositCash(
        sender=owner, owner=owner, number=0, amount_uusd=str(_CASH_UUSD)
    )
    hub.deliver(maker, deposit, *orders)


def get_price_wad(hub: Side, asset: str = "ETH") -> int:
    """The published price; raises NotFound before the first."""
    with hub.connect() as client:
        answer = client.query(
            "/margin.oracle.v1.Query/Price",
            oracle_query.QueryPriceRequest(asset=asset),
            oracle_query.QueryPriceResponse,
        )
    return int(answer.price.price_wad)


def trade(world: World) -> str:
    """The npm package's example against a maker's quotes."""
    quote_both_sides(world.hub, get_price_wad(world.hub))
    return trade_with_cosmjs(world.hub, world.spoke, MARKET, TRADER)


def _use_cosmjs(world: World, chain: str) -> str:
    return use_cosmjs(getattr(world, chain))


def _use_cosmpy(world: World, chain: str, transport: str) -> str:
    return use_cosmpy(getattr(world, chain), transport)


def _build() -> tuple[Scenario[World], ...]:
    titles = {"hub": "hub", "spoke": "spoke", "simd": "ibc-go"}
    made = [
        Scenario(
            f"account, send, wait, query: {title}", "cosmjs", partial(_use_cosmjs, chain=chain)
        )
        for chain, title in titles.items()
    ]
    made.append(Scenario("deposit, open and close a position", "cosmjs", trade))
    for chain, transport in (
        *(("hub", "grpc"), ("hub", "rest"), ("spoke", "grpc"), ("spoke", "rest")),
        ("simd", "grpc"),
    ):
        title = f"account, send, wait, query over {transport}: {titles[chain]}"
        play: Callable[[World], str] = partial(_use_cosmpy, chain=chain, transport=transport)
        made.append(Scenario(title, "cosmpy", play))
    return tuple(made)


SCENARIOS: Final = _build()
