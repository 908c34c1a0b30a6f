"""Prices by vote extensions, orders by signed transactions: the hub's application end to end."""

from dataclasses import replace

from google.protobuf.json_format import MessageToDict

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as accounts_query
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.oracle.v1 import oracle_pb2, query_pb2
from chain.hub import HUB
from chain.modules import oracle
from chain.modules.bank import state as bank
from chain.modules.markets.params import build_default_params as build_markets_params
from chain.modules.oracle.params import build_default_params as build_oracle_params
from chain.modules.oracle.types import SourcePrice
from chain.units import WAD
from tests.modules.economy import (
    BUY,
    ETHER,
    NOW,
    SELL,
    USD,
    assert_cash_backed,
    build_asset_params,
    build_market,
    order,
)
from tests.support.testchain import DENOM, TestChain


class Feed:
    """Two venues, always fresh by the chain's virtual clock."""

    def __init__(self):
        self.chain = None
        self.prices = {"ETH": 2_000, "USDC": 1}

    def read(self):
        return [
            SourcePrice(asset, venue, price * WAD, self.chain.time_ns)
            for asset, price in self.prices.items()
            for venue in ("left", "right")
        ]


def build_hub(**app_state):
    feed = Feed()
    params = build_oracle_params()
    params.assets.extend([build_asset_params("ETH"), build_asset_params("USDC")])
    markets_genesis = markets_pb2.GenesisState(
        params=build_markets_params(), markets=[build_market()], next_order_id=1, next_fill_id=1
    )
    coins = {DENOM: 10**12, "uusd": 10**6 * USD}
    with_feed = tuple(
        oracle.module(feed) if module.name == "oracle" else module for module in HUB.modules
    )
    chain = TestChain(
        replace(HUB, modules=with_feed),
        accounts={"alice": coins, "bob": coins},
        app_state={
            "oracle": MessageToDict(
                oracle_pb2.GenesisState(params=params), preserving_proto_field_name=True
            ),
            "markets": MessageToDict(markets_genesis, preserving_proto_field_name=True),
            **app_state,
        },
        validators=4,
        vote_extensions=True,
    )
    feed.chain = chain
    chain.next_block()
    chain.next_block()
    return chain, feed


def read_margin(chain, name):
    request = accounts_query.QueryMarginRequest(owner=chain.account(name).address)
    return chain.query(
        "/margin.accounts.v1.Query/Margin", request, accounts_query.QueryMarginResponse
    )


def test_story_of_a_falling_price():
    chain, feed = build_hub()
    for name, usd in (("alice", 500_000), ("bob", 5_000)):
        address = chain.account(name).address
        chain.must_send(
            accounts_tx.MsgDepositCash(sender=address, owner=address, amount_uusd=str(usd * USD)),
            name,
        )
    alice, bob = (chain.account(name).address for name in ("alice", "bob"))
    chain.must_send(order(alice, SELL, 20 * ETHER, 200_000), "alice")
    chain.must_send(order(bob, BUY, 20 * ETHER, tif=NOW), "bob")
    refused = chain.send(order(bob, BUY, 20 * ETHER, 200_000), "bob")
    assert (refused.codespace, refused.code) == ("accounts", 5)
    seen = []
    for price in (2_000, 1_870, 1_850, 1_830, 1_800, 1_700):
        feed.prices["ETH"] = price
        chain.next_block()
        chain.next_block()
        answer = read_margin(chain, "bob")
        assert answer.margin.positions[0].price_wad == str(price * WAD)
        assert answer.recorded_state == answer.margin.state
        seen.append(answer.margin.state)
    assert seen == sorted(seen)
    assert seen[0] == accounts_pb2.MARGIN_STATE_HEALTHY
    assert seen[-1] >= accounts_pb2.MARGIN_STATE_LIQUIDATE
    address = chain.account("bob").address
    refused = chain.send(accounts_tx.MsgWithdrawCash(owner=address, amount_uusd="1"), "bob")
    assert refused.code != 0
    ctx = chain.read_context()
    assert_cash_backed(ctx)
    assert bank.find_broken_supply(ctx) is None
    assert bank.get_supply(ctx, "uusd") == 2 * 10**6 * USD


def test_dead_feed_stops_prices_and_not_the_chain():
    chain, feed = build_hub()
    before = chain.query(
        "/margin.oracle.v1.Query/Price",
        query_pb2.QueryPriceRequest(asset="ETH"),
        query_pb2.QueryPriceResponse,
    )
    feed.read = None
    for _ in range(3):
        chain.next_block()
    after = chain.query(
        "/margin.oracle.v1.Query/Price",
        query_pb2.QueryPriceRequest(asset="ETH"),
        query_pb2.QueryPriceResponse,
    )
    assert after.price.height <= before.price.height + 1
    assert after.age_ns > before.age_ns
