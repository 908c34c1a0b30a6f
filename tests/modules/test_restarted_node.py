"""A node that restarts before every block, and one that never does: one state, one gas, one story.

What a node keeps in memory - the index of accounts at risk, prices of options, parsed records -
may change how fast an answer comes and nothing else. And from every phase of the instruments' lives
the exported state brings itself back.
"""

import json
import random
import sys
from dataclasses import replace

from google.protobuf.json_format import MessageToDict

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.errors import INTERNAL_CODESPACE
from chain.hub import HUB
from chain.modules import oracle as oracle_module
from chain.modules.accounts import health
from chain.modules.accounts.params import build_default_params as build_accounts_params
from chain.modules.markets import marks, state
from chain.modules.markets.params import build_default_params as build_markets_params
from chain.modules.oracle import state as oracle
from chain.modules.oracle.params import build_default_params as build_oracle_params
from chain.node.keyvalue import MemoryKeyValue
from chain.node.snapshots import SnapshotArchive
from chain.node.storage import LevelCommitStore, open_commit_store
from chain.runtime.application import Application
from chain.runtime.genesis import build_genesis_document, encode_genesis
from chain.units import NANOSECONDS, WAD
from tests.modules.economy import (
    BUY,
    GOOD,
    MARKET,
    NOW,
    SELL,
    USD,
    build_asset_params,
    build_market,
)
from tests.modules.instruments import (
    CALL,
    ETH_DENOM,
    FUTURE,
    PUT,
    SPOT,
    build_future,
    build_option,
    build_put,
    build_spot,
)
from tests.modules.test_economy_application import Feed
from tests.support.testchain import DENOM, START_NS, TestChain

NAMES = ("alice", "bob", "carol", "dave")
TRADED = (MARKET, CALL, PUT, FUTURE, SPOT)
START_S = START_NS // NANOSECONDS
EXPIRY_S = START_S + 7_200
ROUNDS = 20
SEED = 5
"""One with which accounts are liquidated and every dated market settles."""


def encode(message):
    return MessageToDict(message, preserving_proto_field_name=True)


def build_ramp(market_id):
    return markets_pb2.MarketRamp(
        market=market_id,
        maintenance_ppm=30_000,
        volatility_floor_wad=str(WAD // 5),
        horizon_s=30,
        start_s=START_S,
        end_s=START_S + 5_000,
    )


def build_genesis():
    """Every kind of market, a scenario set, and limits so small that work is left over."""
    dated = {"expiry_time_s": EXPIRY_S, "settlement_window_s": 600}
    oracle_params = build_oracle_params()
    oracle_params.assets.extend([build_asset_params("ETH"), build_asset_params("USDC")])
    markets_params = build_markets_params()
    markets_params.settled_per_block_max = 2
    accounts_params = build_accounts_params()
    accounts_params.accounts_scanned_max = 1
    listed = [
        build_market(),
        build_option(**dated),
        build_put(**dated),
        build_future(**dated),
        build_spot(),
    ]
    rules = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", stable_asset="USDC")
    return {
        "oracle": encode(oracle_pb2.GenesisState(params=oracle_params)),
        "markets": encode(
            markets_pb2.GenesisState(
                params=markets_params,
                markets=listed,
                ramps=[build_ramp(MARKET), build_ramp(CALL)],
                next_order_id=1,
                next_fill_id=1,
            )
        ),
        "accounts": encode(accounts_pb2.GenesisState(params=accounts_params)),
        "scenarios": encode(
            scenarios_pb2.GenesisState(
                params=scenarios_pb2.Params(ramp_s=3_600),
                underlyings=[
                    scenarios_pb2.UnderlyingState(
                        current=rules, ramp_start_s=START_S, ramp_end_s=START_S + 3_600
                    )
                ],
            )
        ),
    }


class RecordingChain(TestChain):
    """Keeps what FinalizeBlock was asked and answered, and the export before each block."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.genesis_ns = self.time_ns
        self.finalized = []
        self.answer = self.app.finalize_block
        self.app.finalize_block = self.record

    def record(self, request):
        response = self.answer(request)
        self.finalized.append((request, response))
        return response


def build_chain():
    feed = Feed()
    modules = tuple(
        oracle_module.module(feed) if module.name == "oracle" else module for module in HUB.modules
    )
    coins = {DENOM: 10**12, "uusd": 10**6 * USD, ETH_DENOM: 100 * WAD}
    chain = RecordingChain(
        replace(HUB, modules=modules),
        accounts=dict.fromkeys(NAMES, coins),
        app_state=build_genesis(),
        validators=2,
        vote_extensions=True,
    )
    feed.chain = chain
    chain.next_block()
    chain.next_block()
    return chain, feed


def draw_order(rng, ctx, owner):
    """An order near the mark of a market that still trades, or None."""
    market = state.get_market(ctx, rng.choice(TRADED))
    if market is None:
        return None
    mark = marks.compute_mark(ctx, market, oracle.get_price(ctx, "ETH").price_wad)
    ticks = max(1, mark.price_wad * rng.randint(97, 103) // (100 * market.tick_wad))
    size = rng.randint(1, 8_000) * market.step_quantums
    return tx_pb2.MsgPlaceOrder(
        owner=owner,
        market=market.id,
        side=rng.choice((BUY, SELL)),
        size_quantums=str(size),
        price_wad=str(ticks * market.tick_wad),
        time_in_force=rng.choice((GOOD, GOOD, NOW)),
    )


def draw_message(rng, ctx, owner):
    """Something that an owner may try."""
    chosen = rng.randrange(12)
    if chosen == 0:
        return accounts_tx.MsgSetMarginMode(owner=owner, margin_mode=rng.choice((1, 2)))
    if chosen == 1:
        return accounts_tx.MsgWithdrawCash(owner=owner, amount_uusd=str(rng.randint(1, 400) * USD))
    if chosen == 2:
        return tx_pb2.MsgWithdrawBase(owner=owner, market=SPOT, amount=str(rng.randint(1, WAD)))
    return draw_order(rng, ctx, owner)


def init_chain(app, chain, app_state, initial_height, time_ns):
    request = abci.RequestInitChain(
        chain_id=chain.chain_id,
        initial_height=initial_height,
        app_state_bytes=json.dumps(app_state).encode(),
        consensus_params=chain.params,
    )
    request.time.FromNanoseconds(time_ns)
    app.init_chain(request)


def assert_brings_itself_back(chain):
    """The export, imported and exported before a block, is what it was."""
    exported = json.loads(chain.app.export_genesis())["app_state"]
    app = Application(chain.definition, open_commit_store(None, chain.definition.store_names))
    init_chain(app, chain, exported, chain.height + 1, chain.time_ns)
    ctx = app._check_ctx
    ctx.gas.limit = None
    document = encode_genesis(build_genesis_document(ctx, chain.definition))
    assert json.loads(document)["app_state"] == exported


def live(chain, feed, seed):
    """Trade, crash and expire: most blocks are a minute or more apart."""
    rng = random.Random(seed)
    for name in NAMES:
        address = chain.account(name).address
        deposits = [
            accounts_tx.MsgDepositCash(
                sender=address, owner=address, amount_uusd=str(rng.choice((2_000, 6_000)) * USD)
            ),
            tx_pb2.MsgDepositBase(owner=address, market=SPOT, amount=str(WAD)),
            accounts_tx.MsgSetMarginMode(owner=address, margin_mode=rng.choice((1, 2))),
        ]
        chain.must_send(deposits, name)
    for number in range(ROUNDS):
        if number % 5 == 4:
            assert_brings_itself_back(chain)
        chain.advance(rng.choice((1, 60, 240, 400)) * NANOSECONDS)
        feed.prices["ETH"] = max(900, feed.prices["ETH"] * rng.randint(930, 1_050) // 1_000)
        chain.next_block()  # Votes on a price are counted in the block after.
        ctx = chain.read_context()
        txs = []
        for name in rng.sample(NAMES, 3):
            drawn = [draw_message(rng, ctx, chain.account(name).address) for _ in range(3)]
            messages = [message for message in drawn if message is not None]
            if messages:
                # One refusal drops a transaction: few messages in each.
                txs.append(chain.draft(messages[: rng.randint(1, 3)], name).build())
        chain.next_block(txs)
    chain.advance(max(0, EXPIRY_S * NANOSECONDS - chain.time_ns))
    for number in range(12):
        chain.next_block()
        if number in (0, 3):
            assert_brings_itself_back(chain)


def forget_everything():
    """Empty what a process keeps beside its store."""
    health._INDEXES.clear()
    for name, module in sorted(sys.modules.items()):
        if name.startswith("chain."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_info"):
                    value.cache_clear()


def replay(chain):
    """The answers of a node that is started anew for each block."""
    values = MemoryKeyValue()
    for request, _ in chain.finalized:
        forget_everything()
        store = LevelCommitStore(values, chain.definition.store_names, SnapshotArchive(None), None)
        app = Application(chain.definition, store)
        if request.height == 1:
            init_chain(app, chain, chain.app_state, 1, chain.genesis_ns)
        yield app.finalize_block(request)
        app.commit(abci.RequestCommit())


def find_faults(answer):
    """The block's hooks that broke on something else than a refusal."""
    return [
        event.type
        for event in answer.events
        for attribute in event.attributes
        if (attribute.key, attribute.value) == ("codespace", INTERNAL_CODESPACE)
    ]


def test_a_node_that_restarts_before_each_block_answers_the_same():
    chain, feed = build_chain()
    live(chain, feed, SEED)
    kinds = {event.type for _, answer in chain.finalized for event in answer.events}
    assert {"margin_state_changed", "liquidation_tier", "position_settled"} <= kinds
    for (request, answer), again in zip(chain.finalized, replay(chain), strict=True):
        assert not find_faults(answer)
        assert again.app_hash == answer.app_hash, request.height
        # Gas and events too: other chains and clients rely on them.
        assert again == answer, request.height
