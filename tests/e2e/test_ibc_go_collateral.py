"""A real ibc-go chain as a collateral chain: deposits by memo, refusals refunded, withdrawals."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain.ibc.apps.transfer.denoms import Denom
from chain.ibc.channel.handlers import SUCCESS
from chain.ibc.router import Packet
from chain.modules.bank import state as bank
from chain.modules.collateral import state as collateral
from chain.modules.collateral.queries import get_lien_totals
from chain.modules.council.types import authority_address
from tests.e2e.ibc_go import (
    BASE,
    SIMD,
    SimdChain,
    SimdEndpoint,
    SimdNode,
    WallClock,
    build_memo,
    get_balance,
    transfer,
)
from tests.twochain.hostile_peer import ACCEPTED, ROUTE_ID, build_hub, register_vouchers
from tests.twochain.path import (
    ChannelConfig,
    ClientConfig,
    Endpoint,
    Path,
    get_acknowledgement,
    get_events,
)
from tests.twochain.test_margin import (
    read_packet,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not SIMD, reason="no ibc-go binary: set SIMD_BIN or run make interop"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An open transfer channel between ibc-go (a) and the hub (b), registered as a route."""
    node = SimdNode(tmp_path_factory.mktemp("simd"))
    try:
        client = ClientConfig(max_clock_drift_s=3_600)
        channel = ChannelConfig(port_id="transfer", version="ics20-1")
        theirs = SimdEndpoint(SimdChain(), client_config=client, channel_config=channel)
        ours = Endpoint(build_hub(WallClock()), client_config=client, channel_config=channel)
        path = Path(theirs, ours)
        path.create_clients()
        path.create_connections()
        path.create_channels()
        register_vouchers(path.b, BASE, prefix="cosmos")
        yield path
    finally:
        node.stop()


def get_voucher(hub: Endpoint) -> str:
    return Denom(BASE).with_hop("transfer", hub.channel_id).local_denom


def get_balance_of_simd(path: Path) -> int:
    return get_balance(path.a.signer)


def get_lien(path: Path) -> int:
    totals = get_lien_totals(path.b.chain.read_context())
    return totals[ROUTE_ID, get_voucher(path.b)]


def send(path: Path, amount: int, memo: str, denom: str = BASE) -> Packet:
    """A transfer that ibc-go's own module sends."""
    channel, receiver = path.a.channel_id, path.b.signer
    sent = transfer(path.a.chain, channel, receiver, amount, memo=memo, denom=denom)
    return read_packet(sent)


def settle(path: Path, packet: Packet) -> bytes:
    """Carry a packet of ibc-go to the hub and its acknowledgement back."""
    acknowledgement = path.b.recv(packet)
    result = path.a.chain.deliver(path.a.build_ack(packet, acknowledgement))
    assert get_events(result.events, "acknowledge_packet")
    return acknowledgement


def test_a_transfer_of_ibc_go_becomes_a_lien_and_goes_home(path: Path) -> None:
    balance = get_balance_of_simd(path)
    assert settle(path, send(path, 500, build_memo(path.b.signer))) == ACCEPTED
    assert get_lien(path) == 500
    assert get_balance_of_simd(path) == balance - 500
    withdrawal = collateral_tx.MsgWithdrawCollateral(
        owner=path.b.signer,
        route_id="simd",
        denom=get_voucher(path.b),
        amount="200",
        receiver=path.a.signer,
    )
    packet = read_packet(path.b.chain.deliver(withdrawal))
    acknowledgement = get_acknowledgement(path.a.chain.deliver(path.a.build_recv(packet)))
    assert acknowledgement == ACCEPTED
    assert get_balance_of_simd(path) == balance - 300
    assert path.b.acknowledge(packet, acknowledgement) == SUCCESS
    ctx = path.b.chain.read_context()
    assert not list(collateral.iterate_flights(ctx))
    assert get_lien(path) == bank.get_supply(ctx, get_voucher(path.b)) == 300


def pause(path: Path) -> None:
    message = collateral_tx.MsgPauseRoute(sender=authority_address(), route_id=ROUTE_ID)
    path.b.chain.decide(message)


def unpause(path: Path) -> None:
    message = collateral_tx.MsgUnpauseRoute(authority=authority_address(), route_id=ROUTE_ID)
    path.b.chain.decide(message)


REFUSED = {
    "unknown account": (lambda p: build_memo(p.b.signer, 9), 50, BASE, 2),
    "another owner": (lambda _: build_memo(authority_address()), 50, BASE, 9),
    "malformed": (lambda _: '{"margin":{}}', 50, BASE, 11),
    "unknown field": (
        lambda p: build_memo(p.b.signer).replace("}}}", ',"amount":1}}}'),
        50,
        BASE,
        11,
    ),
    "key twice": (lambda p: '{"margin":{},' + build_memo(p.b.signer)[1:], 50, BASE, 11),
    "account as text": (lambda p: build_memo(p.b.signer).replace(" 0}", '"0"}'), 50, BASE, 11),
    "deep": (
        lambda p: '{"x":' + "[" * 2_000 + "]" * 2_000 + "," + build_memo(p.b.signer)[1:],
        50,
        BASE,
        11,
    ),
    "over the cap": (lambda p: build_memo(p.b.signer), 5_000, BASE, 7),
    "below the least": (lambda p: build_memo(p.b.signer), 1, BASE, 8),
    "not listed": (lambda p: build_memo(p.b.signer), 50, "stake", 6),
}


@pytest.mark.parametrize(("memo", "amount", "denom", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_deposit_is_refunded_by_ibc_go(path: Path, memo, amount, denom, code) -> None:
    balance, lien = get_balance(path.a.signer, denom), get_lien(path)
    supplies = list(bank.get_supplies(path.b.chain.read_context()))
    acknowledgement = settle(path, send(path, amount, memo(path), denom))
    assert acknowledgement.startswith(b'{"error":"ABCI code: %d:' % code)
    assert get_balance(path.a.signer, denom) == balance
    assert get_lien(path) == lien
    after = list(bank.get_supplies(path.b.chain.read_context()))
    assert after == supplies, "the mint was reverted"


def test_a_paused_route_refunds_and_an_open_one_credits(path: Path) -> None:
    pause(path)
    balance, lien = get_balance_of_simd(path), get_lien(path)
    acknowledgement = settle(path, send(path, 50, build_memo(path.b.signer)))
    assert acknowledgement.startswith(b'{"error":"ABCI code: 5:')
    assert (get_balance_of_simd(path), get_lien(path)) == (balance, lien)
    unpause(path)
    assert settle(path, send(path, 50, build_memo(path.b.signer))) == ACCEPTED
    assert get_lien(path) == lien + 50


def test_a_channel_that_is_no_route_refunds(path: Path) -> None:
    """A second channel over the same connection: its tokens are no collateral."""
    other = Path(replace(path.a), replace(path.b))
    other.create_channels()
    assert other.b.channel_id != path.b.channel_id
    balance = get_balance_of_simd(path)
    acknowledgement = settle(other, send(other, 50, build_memo(path.b.signer)))
    assert acknowledgement.startswith(b'{"error":"ABCI code: 2:')
    assert get_balance_of_simd(path) == balance


ORDINARY = {
    "no JSON": "thanks \u2028 <&> \x00",
    "JSON of others": '{"wasm":{"contract":"x"},"n":1e400}',
    "look-alike key": '{"m\u0430rgin":{"deposit":{}}}',
    "32,768 bytes": "m" * 32_768,
}


@pytest.mark.parametrize("memo", ORDINARY.values(), ids=ORDINARY.keys())
def test_a_memo_without_the_key_is_an_ordinary_transfer(path: Path, memo: str) -> None:
    held = path.b.chain.balance("alice", get_voucher(path.b))
    lien = get_lien(path)
    assert settle(path, send(path, 3, memo)) == ACCEPTED
    assert path.b.chain.balance("alice", get_voucher(path.b)) == held + 3
    assert get_lien(path) == lien


RECEIVERS = ("nobody", "cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du", "m" * 2_048, "\u202e\x00")


@pytest.mark.parametrize("receiver", [*RECEIVERS, authority_address()])
def test_a_receiver_that_cannot_be_is_refunded(path: Path, receiver: str) -> None:
    balance = get_balance_of_simd(path)
    sent = transfer(path.a.chain, path.a.channel_id, receiver, 9)
    assert settle(path, read_packet(sent)).startswith(b'{"error":"ABCI code: ')
    assert get_balance_of_simd(path) == balance


def test_ibc_go_sends_no_longer_memo_than_we_receive(path: Path) -> None:
    with pytest.raises(AssertionError, match="memo"):
        send(path, 3, "m" * 32_769)
