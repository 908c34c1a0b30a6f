"""Collateral that lies on a real ibc-go chain is sold: the winner's share arrives there."""

from collections.abc import Iterator

import pytest

from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.liquidation.v1 import liquidation_pb2
from chain._pb.margin.liquidation.v1 import tx_pb2 as liquidation_tx
from chain.ibc.channel.handlers import SUCCESS
from chain.modules.bank import state as bank
from chain.modules.collateral.queries import get_lien_totals
from chain.modules.collateral.types import MODULE_ADDRESS
from chain.modules.liquidation import state as liquidation
from chain.modules.liquidation.types import MODULE_ADDRESS as AUCTIONEER
from tests.adversarial.world import Feed, World, build_hub
from tests.e2e.ibc_go import (
    BASE,
    RELAYER,
    SIMD,
    SimdChain,
    SimdEndpoint,
    SimdNode,
    WallClock,
    build_memo,
    get_balance,
    transfer,
)
from tests.modules.economy import BUY, ETHER, SELL, order
from tests.twochain.hostile_peer import ACCEPTED, CONFIG, ROUTE_ID, register_vouchers
from tests.twochain.path import ClientConfig, Endpoint, Path, get_acknowledgement, get_events
from tests.twochain.test_margin import read_packet

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not SIMD, reason="no ibc-go binary: set SIMD_BIN or run make interop"),
]

DEPOSIT = 10_000_000
"""Ten whole units of a token with six decimals, valued as ETH."""


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hub (a) whose carol is long on 10 units of simd's (b) token; the price is about to fall."""
    node = SimdNode(tmp_path_factory.mktemp("simd"))
    try:
        clock = WallClock()
        feed = Feed(clock)
        # The hub's blocks run ahead of this machine's time, which simd must bear; a drift the hub
        # allows is counted in the age of every proof, and new risk needs a young one.
        strict, lenient = ClientConfig(max_clock_drift_s=30), ClientConfig(max_clock_drift_s=3_600)
        ours = Endpoint(build_hub(clock, feed), client_config=strict, channel_config=CONFIG)
        theirs = SimdEndpoint(SimdChain(), client_config=lenient, channel_config=CONFIG)
        yield World(Path(ours, theirs).setup(), feed)
    finally:
        node.stop()


def test_the_winners_share_arrives_on_ibc_go(world: World) -> None:
    path, hub, carol = world.path, world.hub, world.address("carol")
    world.run(2)
    voucher = register_vouchers(path.a, BASE, prefix="cosmos", amount_cap=10 * DEPOSIT)
    hub.deliver(accounts_tx.MsgCreateAccount(owner=carol, number=0), signer="carol")
    sent = transfer(path.b.chain, path.b.channel_id, carol, DEPOSIT, memo=build_memo(carol))
    packet = read_packet(sent)
    received = hub.deliver(path.a.build_recv(packet))
    assert get_acknowledgement(received) == ACCEPTED, get_events(received.events, "packet_refused")
    path.b.chain.deliver(path.b.build_ack(packet, ACCEPTED))
    assert bank.get_balance(hub.read_context(), MODULE_ADDRESS, voucher) == DEPOSIT

    for name in ("bob", "dave"):
        world.deposit(name, 500_000)
    world.act(hub, "bob", order(world.address("bob"), SELL, 60 * ETHER, 200_000))
    world.act(hub, "carol", order(carol, BUY, 60 * ETHER, 200_000))
    world.run(1, ETH=1_770)
    world.act(hub, "dave", order(world.address("dave"), BUY, 100 * ETHER, 177_000))
    world.run(14)
    path.a.update_client()

    before = get_balance(RELAYER.address)
    lien = get_lien_totals(hub.read_context())[ROUTE_ID, voucher]
    bid = liquidation_tx.MsgBid(
        bidder=world.address("bob"),
        auction_id=1,
        amount=str(DEPOSIT),
        max_price_ray=str(10**40),
        receiver=RELAYER.address,
    )
    result = hub.deliver(bid, signer="bob")
    answers = abci_pb2.TxMsgData.FromString(result.data).msg_responses
    won = int(liquidation_tx.MsgBidResponse.FromString(answers[0].value).amount)
    assert 0 < won <= DEPOSIT
    packet = read_packet(result)
    acknowledgement = get_acknowledgement(path.b.chain.deliver(path.b.build_recv(packet)))
    assert acknowledgement == ACCEPTED
    assert get_balance(RELAYER.address) == before + won
    assert path.a.acknowledge(packet, acknowledgement) == SUCCESS

    ctx = hub.read_context()
    (seizure,) = liquidation.iterate_seizures(ctx, 1)
    assert seizure.status == liquidation_pb2.SEIZURE_STATUS_SEIZED
    assert bank.get_balance(ctx, AUCTIONEER, "uusd") == 0
    assert get_lien_totals(hub.read_context())[ROUTE_ID, voucher] == lien - won
    assert bank.get_supply(ctx, voucher) == DEPOSIT - won
    assert bank.find_broken_supply(ctx) is None
