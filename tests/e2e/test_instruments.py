"""Options, a future and spot on real nodes: listed by the council, traded, margined, settled."""

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain.client.errors import TxRefused
from chain.modules.accounts.recompute import recompute_explanation
from localnet.actors import ACTORS
from localnet.block_history import BlockHistory
from localnet.clients import open_chains, wait_for
from localnet.demo import hub_queries
from localnet.governance import decide
from localnet.instruments import (
    compute_expiry_time_s,
    get_markets,
    make_future,
    make_option_series,
)
from localnet.settlement_report import compute_settled_value_uusd

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.localnet(validators={"hub-1": 2, "alpha-1": 1, "beta-1": 1}),
]

ETH = 10**18
QUANTUMS = 10**6
USD = 10**6
WAD = 10**18
AHEAD_S = 20
BUYER, SELLER = ACTORS["bob"], ACTORS["dave"]
TRADED_ETH = 10
NS = 10**9


@dataclass
class Scene:
    """The network, and what the council listed for the next minute."""

    localnet: object
    expiry_time_s: int = 0
    markets: dict = field(default_factory=dict)

    def play(self, act):
        """Run an act with clients of all chains."""

        async def run():
            async with open_chains(self.localnet.localnet.network.topology) as chains:
                return await act(chains)

        return asyncio.run(run())


async def get_mark(hub, market):
    answer = await get_markets(hub)
    return next(int(mark.mark_wad or 0) for mark in answer.marks if mark.market == market)


def make_order(actor, market, side, size, price_wad, *, is_resting):
    return markets_tx.MsgPlaceOrder(
        owner=actor.address,
        market=market,
        side=side,
        size_quantums=str(size),
        price_wad=str(price_wad // 10**16 * 10**16),
        time_in_force=(
            markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL
            if is_resting
            else markets_pb2.TIME_IN_FORCE_IMMEDIATE_OR_CANCEL
        ),
    )


async def trade(hub, buyer, seller, market, size, price_wad):
    """The seller rests, the buyer takes; the fill's fee of the buyer."""
    sell, buy = markets_pb2.SIDE_SELL, markets_pb2.SIDE_BUY
    resting = make_order(seller, market, sell, size, price_wad, is_resting=True)
    await hub.deliver(seller.wallet, [resting])
    taking = make_order(buyer, market, buy, size, price_wad, is_resting=False)
    response = (await hub.deliver(buyer.wallet, [taking])).responses[0]
    assert int(response.filled_quantums) == size
    return int(response.fee_uusd)


async def deposit(hub, actor, usd):
    message = accounts_tx.MsgDepositCash(
        sender=actor.address, owner=actor.address, amount_uusd=str(usd * USD)
    )
    await hub.deliver(actor.wallet, [message])


@pytest.fixture(scope="module")
def scene(localnet):
    made = Scene(localnet)

    async def prepare(chains):
        hub = chains["hub-1"]
        await asyncio.gather(deposit(hub, BUYER, 100_000), deposit(hub, SELLER, 100_000))
        made.expiry_time_s = compute_expiry_time_s(await hub.time_s(), AHEAD_S)
        future = make_future(made.expiry_time_s)
        series = make_option_series(made.expiry_time_s)
        listing = markets_tx.MsgListMarket(authority=series.authority, market=future)
        await decide(hub, "what expires next", [listing, series])
        answer = await get_markets(hub)
        made.markets = {
            market.id: market
            for market in answer.markets
            if market.expiry_time_s == made.expiry_time_s
        }

    made.play(prepare)
    return made


def find(scene, kind, option_kind=markets_pb2.OPTION_KIND_UNSPECIFIED, strike=0):
    (found,) = (
        market.id
        for market in scene.markets.values()
        if market.kind == kind
        and market.option_kind == option_kind
        and int(market.strike_wad or 0) == strike * WAD
    )
    return found


def test_the_council_lists_a_future_and_a_series_at_once(scene):
    kinds = sorted(market.kind for market in scene.markets.values())
    future, option = markets_pb2.INSTRUMENT_KIND_FUTURE, markets_pb2.INSTRUMENT_KIND_OPTION
    assert kinds == [future, *[option] * 4]


def test_nobody_but_the_council_lists(scene):
    series = make_option_series(scene.expiry_time_s + 60)
    series.authority = BUYER.address

    async def act(chains):
        with pytest.raises(TxRefused, match="only the council may do this"):
            await chains["hub-1"].deliver(BUYER.wallet, [series])

    scene.play(act)


def test_options_and_a_future_trade_and_their_margin_is_explained(scene):
    option = markets_pb2.INSTRUMENT_KIND_OPTION
    put = find(scene, option, markets_pb2.OPTION_KIND_PUT, 200)
    call = find(scene, option, markets_pb2.OPTION_KIND_CALL, 180)
    future = find(scene, markets_pb2.INSTRUMENT_KIND_FUTURE)

    async def act(chains):
        hub = chains["hub-1"]
        await wait_for(lambda: get_mark(hub, put), 30, "a mark")
        mode = accounts_tx.MsgSetMarginMode(
            owner=BUYER.address, margin_mode=accounts_pb2.MARGIN_MODE_PORTFOLIO
        )
        await hub.deliver(BUYER.wallet, [mode])
        for market in (put, call, future):
            price_wad = await get_mark(hub, market)
            await trade(hub, BUYER, SELLER, market, TRADED_ETH * QUANTUMS, price_wad)
        return [
            (await hub_queries.get_margin(hub, actor.address)).margin for actor in (BUYER, SELLER)
        ]

    bought, sold = scene.play(act)
    assert recompute_explanation(bought) == []
    assert recompute_explanation(sold) == []
    (underlying,) = bought.underlyings
    assert len(underlying.scenarios) == 21
    assert len({row.profit_wad for row in underlying.scenarios}) > 7  # Volatility matters.
    assert {line.position.market for line in bought.positions} == {put, call, future}
    assert int(sold.maintenance_uusd) > int(bought.maintenance_uusd) > 0


def test_spot_is_deposited_traded_and_withdrawn(scene):
    opened = scene.localnet.localnet.open_spot()
    denom, market = opened["denom"], opened["market"]
    owner = ACTORS["alice"]

    async def act(chains):
        hub, alpha = chains["hub-1"], chains["alpha-1"]
        sent = transfer_tx.MsgTransfer(
            source_port="transfer",
            source_channel=opened["alpha_channel"],
            token=coin_pb2.Coin(denom="aeth", amount=str(5 * ETH)),
            sender=owner.address,
            receiver=owner.address,
            timeout_timestamp=time.time_ns() + 600 * NS,
        )
        await alpha.deliver(owner.wallet, [sent])

        async def has_arrived():
            return await hub.balance(owner.address, denom) == 5 * ETH

        await wait_for(has_arrived, 60, "the voucher")
        base = markets_tx.MsgDepositBase(owner=owner.address, market=market, amount=str(5 * ETH))
        await hub.deliver(owner.wallet, [base])
        price_wad = await get_mark(hub, market) // 10**16 * 10**16
        before = [await hub_queries.get_account(hub, a.address) for a in (owner, BUYER)]
        fee = await trade(hub, BUYER, owner, market, 2 * ETH, price_wad)
        after = [await hub_queries.get_account(hub, a.address) for a in (owner, BUYER)]
        leave = markets_tx.MsgWithdrawBase(owner=owner.address, market=market, amount=str(3 * ETH))
        await hub.deliver(owner.wallet, [leave])
        more = markets_tx.MsgWithdrawBase(owner=owner.address, market=market, amount="1")
        with pytest.raises(TxRefused, match="held that no resting sell has promised"):
            await hub.deliver(owner.wallet, [more])
        return fee, price_wad, before, after, await hub.balance(owner.address, denom)

    fee, price_wad, before, after, balance = scene.play(act)
    notional = 2 * price_wad // 10**12
    cash = [
        int(new.cash_uusd) - int(old.cash_uusd or 0) for new, old in zip(after, before, strict=True)
    ]
    maker_fee = -(-notional * 100 // 10**6)
    assert cash == [notional - maker_fee, -notional - fee]
    held = {position.market: position.size_quantums for position in after[1].positions}
    assert held[market] == str(2 * ETH)
    assert balance == 3 * ETH


def test_the_expiry_pays_to_the_uusd_and_closes_its_markets(scene):
    async def act(chains):
        hub = chains["hub-1"]

        async def is_over():
            listed = {market.id for market in (await get_markets(hub)).markets}
            return not listed & set(scene.markets)

        await wait_for(is_over, 90, "the settlement")
        last = await hub.height()
        kinds = frozenset({"settlement_price", "position_settled", "market_settled"})
        history = await BlockHistory.read(hub, max(1, last - 250), last, kinds)
        (price,) = history.find("settlement_price", expiry_time_s=str(scene.expiry_time_s))
        settled = history.find("position_settled")
        heights = {event.height for event in settled}
        assert len(heights) == 1
        moved = {}
        for actor in (BUYER, SELLER):
            height = next(iter(heights))
            old = await hub_queries.get_account(hub, actor.address, height=height - 1)
            new = await hub_queries.get_account(hub, actor.address, height=height)
            moved[actor.address] = (old, int(new.cash_uusd) - int(old.cash_uusd))
        last_order = make_order(
            BUYER, min(scene.markets), markets_pb2.SIDE_BUY, QUANTUMS, WAD, is_resting=False
        )
        with pytest.raises(TxRefused, match="unknown market"):
            await hub.deliver(BUYER.wallet, [last_order])
        return int(price.values["price_wad"]), settled, moved

    price_wad, settled, moved = scene.play(act)
    assert len(settled) == 6
    for owner, (before, cash) in moved.items():
        expected = 0
        for position in before.positions:
            market = scene.markets.get(position.market)
            if market is None:
                continue
            size = int(position.size_quantums)
            value = compute_settled_value_uusd(market, size, price_wad)
            expected += value - int(position.cost_uusd)
            (event,) = (
                e for e in settled if (e.values["owner"], e.values["market"]) == (owner, market.id)
            )
            assert event.values["value_uusd"] == str(value)
        assert cash == expected
