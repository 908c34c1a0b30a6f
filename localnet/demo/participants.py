"""Who acts by themselves in the story: makers that quote, a keeper that bids."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from google.protobuf.message import Message

from chain._pb.margin.liquidation.v1 import tx_pb2 as liquidation_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain.client.errors import NodeUnavailable, NotFound, QueryRefused, TxRefused, WaitTimeout
from chain.risk.auction import compute_unit_price_ray
from chain.units import PPM, ceil_div
from localnet.actors import ACTORS, Actor
from localnet.clients import Chain
from localnet.demo.hub_queries import (
    get_account,
    get_auctions,
    get_position_quantums,
    get_price,
)
from localnet.genesis import MARKET
from localnet.governance import LISTINGS
from localnet.instruments import SETTLEMENT_WINDOW_S, get_markets

TICK_WAD: Final = 10**16
QUANTUMS: Final = 10**6
"""Quantums of one ETH."""
QUOTE_ETH: Final = 1_000
SPREAD_PPM: Final = 500
OPTION_QUOTE_ETH: Final = 100
OPTION_SPREAD_PPM: Final = 30_000
KEEPER_DISCOUNT_PPM: Final = 70_000
"""The keeper buys 7 % below the market."""
_PAUSE_S: Final = 0.4
_EXPECTED: Final = (TxRefused, WaitTimeout, NotFound, QueryRefused, NodeUnavailable)

Say = Callable[[str], None]


class Maker(ABC):
    """Quotes until cancelled; a refusal is remembered and the next price tried."""

    pause_s = _PAUSE_S

    def __init__(self, hub: Chain, actor: Actor) -> None:
        self._hub = hub
        self._actor = actor
        self._quoted: object = None
        self.quotes = 0
        self.last_refusal = ""

    async def run(self) -> None:
        """Quote until cancelled."""
        while True:
            try:
                await self.quote_once()
            except _EXPECTED as error:
                self.last_refusal = str(error)
                self._quoted = None
            await asyncio.sleep(self.pause_s)

    @abstractmethod
    async def quote_once(self) -> None:
        """Replace the quotes when what they follow from has changed."""

    async def _replace(self, orders: Sequence[Message], markets: Sequence[str]) -> None:
        cancels: list[Message] = [
            markets_tx.MsgCancelAll(owner=self._actor.address, market=market) for market in markets
        ]
        await self._hub.deliver(self._actor.wallet, [*cancels, *orders])
        self.quotes += 1

    def _make_order(
        self,
        market: str,
        side: markets_pb2.Side,
        price_wad: int,
        size: int,
        *,
        reduce_only: bool = False,
    ) -> markets_tx.MsgPlaceOrder:
        return markets_tx.MsgPlaceOrder(
            owner=self._actor.address,
            market=market,
            side=side,
            size_quantums=str(size),
            price_wad=str(price_wad),
            time_in_force=markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL,
            reduce_only=reduce_only,
        )


class MarketMaker(Maker):
    """Quotes the perpetual around the published price; while it moves too fast, only covers."""

    def __init__(self, hub: Chain, actor: Actor = ACTORS["bob"]) -> None:
        super().__init__(hub, actor)

    async def quote_once(self) -> None:
        """Replace the quotes when price, position or what the price allows has changed."""
        answer = await get_price(self._hub)
        price_wad = int(answer.price.price_wad)
        is_free = not answer.refusals.open_risk
        position = await get_position_quantums(self._hub, self._actor.address)
        wanted = (price_wad, position, is_free)
        if wanted == self._quoted:
            return
        bid_wad = ceil_div(price_wad, TICK_WAD) * TICK_WAD
        ask_wad = ceil_div(price_wad * (PPM + SPREAD_PPM), PPM * TICK_WAD) * TICK_WAD
        ask_wad = max(ask_wad, bid_wad + TICK_WAD)
        orders: list[Message] = []
        size = QUOTE_ETH * QUANTUMS
        if is_free:
            orders.append(self._make_order(MARKET, markets_pb2.SIDE_BUY, bid_wad, size))
            orders.append(self._make_order(MARKET, markets_pb2.SIDE_SELL, ask_wad, size))
        elif position < 0:
            orders.append(
                self._make_order(MARKET, markets_pb2.SIDE_BUY, bid_wad, -position, reduce_only=True)
            )
        await self._replace(orders, [MARKET])
        self._quoted = wanted


class OptionMaker(Maker):
    """Quotes every option around its mark; while the price moves too fast, only what it holds.

    What is being averaged for its settlement is not quoted any more.
    """

    pause_s = 1.2

    def __init__(self, hub: Chain, actor: Actor = ACTORS["dave"]) -> None:
        super().__init__(hub, actor)

    async def quote_once(self) -> None:
        """Replace the quotes when a mark, a position or what the price allows has changed."""
        answer = await get_markets(self._hub, markets_pb2.INSTRUMENT_KIND_OPTION)
        price = await get_price(self._hub)
        account = await get_account(self._hub, self._actor.address)
        held = {position.market: int(position.size_quantums) for position in account.positions}
        is_free = not price.refusals.open_risk
        marks = {
            mark.market: int(mark.mark_wad)
            for mark in answer.marks
            if mark.mark_wad and mark.time_to_expiry_s > SETTLEMENT_WINDOW_S
        }
        wanted = (is_free, tuple(sorted(held.items())), tuple(sorted(marks.items())))
        if wanted == self._quoted:
            return
        orders: list[Message] = []
        for market, mark_wad in marks.items():
            orders += self._quote(market, mark_wad, held.get(market, 0), is_free=is_free)
        await self._replace(orders, sorted(marks))
        self._quoted = wanted

    def _quote(
        self, market: str, mark_wad: int, position: int, *, is_free: bool
    ) -> Iterator[Message]:
        """A bid and an ask, or the one that reduces the position."""
        bid_wad = mark_wad * (PPM - OPTION_SPREAD_PPM) // (PPM * TICK_WAD) * TICK_WAD
        ask_wad = ceil_div(mark_wad * (PPM + OPTION_SPREAD_PPM), PPM * TICK_WAD) * TICK_WAD
        ask_wad = max(ask_wad, bid_wad + TICK_WAD)
        size = OPTION_QUOTE_ETH * QUANTUMS if is_free else abs(position)
        if bid_wad and (is_free or position < 0):
            yield self._make_order(
                market, markets_pb2.SIDE_BUY, bid_wad, size, reduce_only=not is_free
            )
        if is_free or position > 0:
            yield self._make_order(
                market, markets_pb2.SIDE_SELL, ask_wad, size, reduce_only=not is_free
            )


class Keeper:
    """Bids for every lot once its falling price is far enough below the market."""

    def __init__(self, hub: Chain, say: Say, actor: Actor = ACTORS["keeper"]) -> None:
        self._hub = hub
        self._say = say
        self._actor = actor
        self.bids: list[dict[str, str | int]] = []
        self.last_refusal = ""

    async def run(self) -> None:
        """Watch the auctions until cancelled."""
        while True:
            try:
                await self.bid_once()
            except _EXPECTED as error:
                self.last_refusal = str(error)
            await asyncio.sleep(_PAUSE_S)

    async def bid_once(self) -> None:
        """Bid for every lot that is cheap enough now."""
        for view in await get_auctions(self._hub):
            auction = view.auction
            price_ray = int(view.price_ray)
            limit_ray = await self._compute_limit_ray(auction.asset)
            if view.needs_reset:
                reset = liquidation_tx.MsgResetAuction(
                    keeper=self._actor.address, auction_id=auction.auction_id
                )
                await self._hub.deliver(self._actor.wallet, [reset])
            elif price_ray and price_ray <= limit_ray:
                await self._bid(auction.auction_id, auction.lot_amount, limit_ray, auction.denom)

    async def _compute_limit_ray(self, asset: str) -> int:
        answer = await get_price(self._hub, asset)
        decimals = next(row[2] for row in LISTINGS.values() if row[0] == asset)
        price = answer.price
        price_wad = int(price.raw_median_wad if price.step_bound_active else price.price_wad)
        unit_ray = compute_unit_price_ray(price_wad, decimals)
        return unit_ray * (PPM - KEEPER_DISCOUNT_PPM) // PPM

    async def _bid(self, auction_id: int, amount: str, limit_ray: int, denom: str) -> None:
        message = liquidation_tx.MsgBid(
            bidder=self._actor.address,
            auction_id=auction_id,
            amount=amount,
            max_price_ray=str(limit_ray),
            receiver=self._actor.address,
        )
        outcome = await self._hub.deliver(self._actor.wallet, [message])
        response = outcome.responses[0]
        assert isinstance(response, liquidation_tx.MsgBidResponse)
        self.bids.append(
            {
                "auction_id": auction_id,
                "seize_id": response.seize_id,
                "denom": denom,
                "amount": response.amount,
                "owed_uusd": response.owed_uusd,
                "height": outcome.height,
            }
        )
        self._say(
            f"keeper bought {response.amount} {denom} for {response.owed_uusd} uusd in escrow: "
            f"order {response.seize_id} is on its way"
        )
