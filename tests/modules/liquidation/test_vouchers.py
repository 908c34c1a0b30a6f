import json

import pytest

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain._pb.margin.liquidation.v1 import tx_pb2
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.collateral.types import MODULE_ADDRESS as COLLATERAL_ADDRESS
from chain.modules.liquidation import handlers, state
from chain.modules.liquidation.types import MODULE_ADDRESS
from chain.runtime.errors import InvalidAddress
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    ETHER,
    SELL,
    assert_identities,
    deliver,
    deposit,
    place,
)
from tests.modules.margin_network import ETH
from tests.modules.voucher_network import build_voucher_network

ACCOUNT = AccountId(ALICE, 0)
MEMO = json.dumps({"margin": {"deposit": {"owner": ALICE, "account": 0}}})


@pytest.fixture
def world():
    """ALICE's long is bankrolled by 10 ETH of vouchers, and the price has fallen: an auction."""
    world = build_voucher_network()
    network, ctx = world.network, world.hub.ctx
    accounts.open_account(ctx, ACCOUNT)
    network.advance(ETH=2_000)
    world.source.ctx.time_ns = ctx.time_ns
    assert world.deposit(10 * ETH, MEMO) == {"result": "AQ=="}
    for trader in (BOB, DAVE):
        deposit(ctx, trader, 500_000)
    place(ctx, BOB, SELL, 60 * ETHER, 200_000)
    place(ctx, ALICE, BUY, 60 * ETHER, 200_000)
    network.advance(ETH=1_770, hooks=False)
    place(ctx, DAVE, BUY, 100 * ETHER, 177_000)
    for _ in range(14):
        network.advance(ETH=1_770)
    world.hub.collect()
    return world


def bid(world, receiver=CAROL):
    response = deliver(
        world.hub.ctx,
        handlers.handle_bid,
        tx_pb2.MsgBid(
            bidder=CAROL,
            auction_id=1,
            amount=str(10 * ETH),
            max_price_ray=str(10**40),
            receiver=receiver,
        ),
    )
    (packet,) = [p for p in world.hub.collect() if b"seize-" in p.data]
    return response, packet


def get_seizure(world):
    (seizure,) = state.iterate_seizures(world.hub.ctx, 1)
    return seizure


def get_cash(world):
    return accounts.require_account(world.hub.ctx, ACCOUNT).cash_uusd


def test_the_winners_share_arrives_on_the_source_chain(world):
    debt = get_cash(world)
    assert debt < 0
    response, packet = bid(world)
    assert get_cash(world) == debt
    world.assert_identities()
    assert world.relay(packet, world.hub, world.source) == {"result": "AQ=="}
    assert world.get_source_balance(CAROL) == int(response.amount)
    assert get_seizure(world).status == pb.SEIZURE_STATUS_SEIZED
    assert get_cash(world) > debt
    assert bank.get_balance(world.hub.ctx, MODULE_ADDRESS, "uusd") == 0
    world.assert_identities()
    assert_identities(world.hub.ctx)


def test_a_refused_delivery_refunds_the_bid_and_restores_the_lien(world):
    liens, cash = world.liens, bank.get_balance(world.hub.ctx, CAROL, "uusd")
    for receiver in ("x", "cosmos18hhjs9p2lfch27w2v33s6492dqks7dkj4q5xfp"):
        with pytest.raises(InvalidAddress):
            bid(world, receiver)
    _, packet = bid(world, COLLATERAL_ADDRESS)  # A module's account, which receives nothing.
    assert world.liens < liens
    assert "error" in world.relay(packet, world.hub, world.source)
    assert world.liens == liens
    assert bank.get_balance(world.hub.ctx, CAROL, "uusd") == cash
    assert get_seizure(world).status == pb.SEIZURE_STATUS_RETURNED
    world.assert_identities()


def test_a_late_delivery_is_sent_again_until_the_attempts_run_out(world):
    liens = world.liens
    _, packet = bid(world)
    attempts = state.PARAMS.get(world.hub.ctx).seize_attempts_max
    for attempt in range(1, attempts):
        world.hub.time_out(packet)
        (packet,) = world.hub.collect()
        assert get_seizure(world).attempts == attempt + 1
        world.assert_identities()
    world.hub.time_out(packet)
    assert get_seizure(world).status == pb.SEIZURE_STATUS_RETURNED
    assert world.liens == liens
    world.assert_identities()


def test_a_delivery_sent_again_pays_once(world):
    response, packet = bid(world)
    world.hub.time_out(packet)
    (again,) = world.hub.collect()
    world.relay(again, world.hub, world.source)
    assert world.get_source_balance(CAROL) == int(response.amount)
    assert get_seizure(world).status == pb.SEIZURE_STATUS_SEIZED
    world.assert_identities()
