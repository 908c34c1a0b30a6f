"""Who acts by themselves in the story: a market maker that quotes, a keeper that bids."""

import asyncio
from collections.abc import Callable
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
from localnet.demo.hub_queries import get_auctions, get_position_quantums, get_price
from localnet.genesis import MARKET
from localnet.governance import LISTINGS

TICK_WAD: Final = 10**16
QUANTUMS: Final = 10**6
"""Quantums of one ETH."""
QUOTE_ETH: Final = 1_000
SPREAD_PPM: Final = 500
KEEPER_DISCOUNT_PPM: Final = 70_000
"""The keeper buys 7 % below the market."""
_PAUSE_S: Final = 0.4
_EXPECTED: Final = (TxRefused, WaitTimeout, NotFound, QueryRefused, NodeUnavailable)

Say = Callable[[str], None]


class MarketMaker:
    """Quotes both sides around the published price; while it moves too fast, only covers."""

    def __init__(self, hub: Chain, actor: Actor = ACTORS["bob"]) -> None:
        self._hub = hub
        self._actor = actor
        self._quoted: tuple[int, int, bool] | None = None
        self.quotes = 0
        self.last_refusal = ""

    async def run(self) -> None:
        """Quote until cancelled; a refusal is remembered and the next price tried."""
        while True:
            try:
                await self.quote_once()
            except _EXPECTED as error:
                self.last_refusal = str(error)
                self._quoted = None
            await asyncio.sleep(_PAUSE_S)

    async def quote_once(self) -> None:
        """Replace the quotes when price, position or what the price allows has changed."""
        answer = await get_price(self._hub)
        price_wad = int(answer.price.price_wad)
        is_free = not answer.refusals.open_risk
        position = await get_position_quantums(self._hub, self._actor.address)
        wanted = (price_wad, position, is_free)
        if wanted == self._quoted:
            return
        messages: list[Message] = [
            markets_tx.MsgCancelAll(owner=self._actor.address, market=MARKET)
        ]
        bid_wad = ceil_div(price_wad, TICK_WAD) * TICK_WAD
        ask_wad = ceil_div(price_wad * (PPM + SPREAD_PPM), PPM * TICK_WAD) * TICK_WAD
        ask_wad = max(ask_wad, bid_wad + TICK_WAD)
        if is_free:
            messages.append(self._make_order(markets_pb2.SIDE_BUY, bid_wad, QUOTE_ETH * QUANTUMS))
            messages.append(self._make_order(markets_pb2.SIDE_SELL, ask_wad, QUOTE_ETH * QUANTUMS))
        elif position < 0:
            messages.append(
                self._make_order(markets_pb2.SIDE_BUY, bid_wad, -position, reduce_only=True)
            )
        await self._hub.deliver(self._actor.wallet, messages)
        self._quoted = wanted
        self.quotes += 1

    def _make_order(
        self,
        side: markets_pb2.Side,
        price_wad: int,
        size: int,
        *,
        reduce_only: bool = False,
    ) -> markets_tx.MsgPlaceOrder:
        return markets_tx.MsgPlaceOrder(
            owner=self._actor.address,
            market=MARKET,
            side=side,
            size_quantums=str(size),
            price_wad=str(price_wad),
            time_in_force=markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL,
            reduce_only=reduce_only,
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
