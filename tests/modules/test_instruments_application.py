"""Options on the hub's application: listed by its council, traded, settled, exported half-way."""

import json
from dataclasses import replace

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import markets_pb2, query_pb2, tx_pb2
from chain.hub import HUB
from chain.modules import oracle
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.council import state as council
from chain.modules.markets import state
from chain.units import NANOSECONDS, WAD
from tests.modules.economy import BUY, ETHER, NOW, SELL, USD, assert_cash_backed
from tests.modules.instruments import build_option
from tests.modules.test_economy_application import build_hub
from tests.support.testchain import Account, TestChain

PREMIUM = 20_000  # cents


def list_series(chain):
    """Calls and puts of two strikes that expire within the hour, one item settled a block."""
    ctx = chain.read_context()
    delay_s = council.PARAMS.get(ctx).execution_delay_ns // NANOSECONDS
    expiry_s = (chain.time_ns // NANOSECONDS + delay_s + 3_600) // 60 * 60
    template = build_option(expiry_time_s=expiry_s, settlement_window_s=120)
    template.id = template.strike_wad = ""
    template.option_kind = 0
    params = markets_pb2.Params()
    params.CopyFrom(state.get_params(ctx))
    params.settled_per_block_max = 1
    authority = council.get_authority(ctx)
    chain.decide(
        tx_pb2.MsgListOptionSeries(
            authority=authority,
            template=template,
            strikes_wad=[str(1_900 * WAD), str(2_100 * WAD)],
            kinds=[markets_pb2.OPTION_KIND_CALL, markets_pb2.OPTION_KIND_PUT],
        ),
        tx_pb2.MsgUpdateParams(authority=authority, params=params),
    )
    return expiry_s, [
        market.id
        for market in read_markets(chain).markets
        if market.kind == markets_pb2.INSTRUMENT_KIND_OPTION
    ]


def read_markets(chain):
    return chain.query(
        "/margin.markets.v1.Query/Markets",
        query_pb2.QueryMarketsRequest(),
        query_pb2.QueryMarketsResponse,
    )


def read_settlements(chain):
    answer = chain.query(
        "/margin.markets.v1.Query/Settlements",
        query_pb2.QuerySettlementsRequest(),
        query_pb2.QuerySettlementsResponse,
    )
    return list(answer.settlements)


def send_order(chain, name, market, side, cents, tif=1):
    msg = tx_pb2.MsgPlaceOrder(
        owner=chain.account(name).address,
        market=market,
        side=side,
        size_quantums=str(ETHER),
        price_wad=str(cents * WAD // 100),
        time_in_force=tif,
    )
    return chain.must_send(msg, name)


def assert_ledger(chain):
    ctx = chain.read_context()
    assert_cash_backed(ctx)
    assert bank.find_broken_supply(ctx) is None


def read_cash(chain, name):
    account_id = AccountId(chain.account(name).address, 0)
    return accounts.require_account(chain.read_context(), account_id).cash_uusd


def settle(chain):
    """Blocks until nothing is left to settle; what became of each block's events."""
    kinds = []
    while True:
        result = chain.next_block()
        kinds += [event.type for event in result.response.events]
        assert_ledger(chain)
        if not read_settlements(chain):
            return kinds


def restart_from_export(chain, feed):
    """A new chain from the exported genesis of another, its feed and clock going on."""
    document = json.loads(chain.app.export_genesis())
    with_feed = tuple(
        oracle.module(feed) if module.name == "oracle" else module for module in HUB.modules
    )
    again = TestChain(
        replace(HUB, modules=with_feed),
        accounts={name: {} for name in chain.accounts},
        app_state=document["app_state"],
        validators=4,
        vote_extensions=True,
        start_ns=chain.time_ns,
    )
    feed.chain = again
    return again


def test_options_are_listed_traded_and_settled_across_an_export():
    members = {
        "members": [Account.named("alice").address],
        "threshold": 1,
        "execution_delay_ns": str(60 * NANOSECONDS),
        "voting_period_ns": str(3_600 * NANOSECONDS),
    }
    chain, feed = build_hub(council={"params": members})
    for name in ("alice", "bob"):
        address = chain.account(name).address
        chain.must_send(
            accounts_tx.MsgDepositCash(
                sender=address, owner=address, amount_uusd=str(100_000 * USD)
            ),
            name,
        )
    expiry_s, ids = list_series(chain)
    assert len(ids) == 4
    chain.next_block()
    chain.next_block()
    for market in ids:
        send_order(chain, "alice", market, SELL, PREMIUM)
        send_order(chain, "bob", market, BUY, PREMIUM, NOW)
    marks = {mark.market: mark for mark in read_markets(chain).marks}
    assert all(int(marks[market].volatility_wad) > 0 for market in ids)
    cash = {name: read_cash(chain, name) for name in ("alice", "bob")}
    feed.prices["ETH"] = 2_150
    chain.advance(expiry_s * NANOSECONDS - chain.time_ns - 100 * NANOSECONDS)
    while not read_settlements(chain)[0].price_wad:
        chain.next_block()
        assert_ledger(chain)
    (settlement,) = read_settlements(chain)
    assert 2_000 * WAD < int(settlement.price_wad) <= 2_150 * WAD
    for _ in range(3):
        chain.next_block()
    (settlement,) = read_settlements(chain)
    assert 0 < settlement.markets < 4
    price_wad = int(settlement.price_wad)
    again = restart_from_export(chain, feed)
    kinds = settle(again)
    feed.chain = chain
    assert [kind for kind in settle(chain) if "settled" in kind] == [
        kind for kind in kinds if "settled" in kind
    ]
    for finished in (chain, again):
        # Bob holds every option of both strikes: |price - 1,900| + |price - 2,100| in payoffs.
        payoff = sum(abs(price_wad - strike * WAD) // (WAD // USD) for strike in (1_900, 2_100))
        gained = read_cash(finished, "bob") - cash["bob"]
        assert payoff - 4 <= gained + 4 * PREMIUM * USD // 100 <= payoff
        markets = read_markets(finished).markets
        assert [market.id for market in markets] == ["ETH-USD"]
