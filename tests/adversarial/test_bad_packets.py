"""Packets, proofs and headers nobody honest relays, between two chains at work."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from google.protobuf.message import Message

from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain.ibc.channel.handlers import NOOP, SUCCESS
from chain.ibc.router import Packet
from chain.modules.council import state as council
from chain.modules.council.types import authority_address
from chain.spoke import SPOKE
from chain.units import NANOSECONDS
from tests.adversarial.world import (
    World,
    assert_alive,
    assert_refused,
    build_world,
    judge_message,
    play_story,
)
from tests.modules.margin_network import build_listing
from tests.support.testchain import DENOM, Account
from tests.twochain.chain import IbcChain
from tests.twochain.path import Endpoint, Path, get_acknowledgement, get_result
from tests.twochain.test_clients import freeze
from tests.twochain.test_margin import (
    CONFIG,
    ETH,
    council_state,
    get_liens,
    get_locked,
    lock,
    read_packet,
    register_vault,
)


@pytest.fixture(scope="module")
def net() -> World:
    """A world whose clients these tests bring up to date; packets stay in flight."""
    return play_story(build_world())


def recv(net: World, packet: Packet | None = None) -> channel_tx.MsgRecvPacket:
    """A good message that brings the lock in flight to the hub."""
    return net.path.a.build_recv(packet or net.flights["lock"])


def test_what_is_broken_below_is_good_as_it_is(net: World) -> None:
    verdict = judge_message(net.hub, recv(net))
    assert verdict.code == ("", 0), verdict.log
    assert get_acknowledgement(verdict.results[0])
    release = net.path.b.build_recv(net.flights["release"])
    assert judge_message(net.spoke, release).code == ("", 0)


def altered(message: Message, **changes: object) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    for name, value in changes.items():
        target, names = copy, name.split("__")
        for part in names[:-1]:
            target = getattr(target, part)
        setattr(target, names[-1], value)
    return copy


def flip(data: bytes, index: int) -> bytes:
    changed = bytearray(data)
    changed[index] ^= 1
    return bytes(changed)


BROKEN: dict[str, tuple[Callable[[Message], dict[str, object]], tuple[str, int]]] = {
    "another amount": (
        lambda m: {"packet__data": m.packet.data.replace(b"3" + b"0" * 18, b"4" + b"0" * 18)},
        ("commitment", 2),
    ),
    "another sequence": (lambda _: {"packet__sequence": 99}, ("commitment", 2)),
    "no sequence": (lambda _: {"packet__sequence": 0}, ("channel", 13)),
    "later timeout": (
        lambda m: {"packet__timeout_timestamp": m.packet.timeout_timestamp + 1},
        ("commitment", 2),
    ),
    "another channel": (lambda _: {"packet__destination_channel": "channel-7"}, ("channel", 3)),
    "another source": (lambda _: {"packet__source_channel": "channel-7"}, ("channel", 13)),
    "another port": (lambda _: {"packet__destination_port": "transfer"}, ("channel", 3)),
    "proof byte at its end": (
        lambda m: {"proof_commitment": flip(m.proof_commitment, -1)},
        ("commitment", 2),
    ),
    "proof byte within": (
        lambda m: {"proof_commitment": flip(m.proof_commitment, 60)},
        ("commitment", 2),
    ),
    "truncated proof": (
        lambda m: {"proof_commitment": m.proof_commitment[:-5]},
        ("commitment", 2),
    ),
    "padded proof": (
        lambda m: {"proof_commitment": m.proof_commitment + b"\x7a\x01x"},
        ("commitment", 2),
    ),
    "no proof": (lambda _: {"proof_commitment": b""}, ("commitment", 2)),
    "proof of a later height": (
        lambda m: {"proof_height__revision_height": m.proof_height.revision_height + 50},
        ("client", 26),
    ),
    "proof of an earlier height": (
        lambda m: {"proof_height__revision_height": m.proof_height.revision_height - 1},
        ("commitment", 2),
    ),
    "proof of another revision": (
        lambda _: {"proof_height__revision_number": 2},
        ("client", 26),
    ),
}


@pytest.mark.parametrize(("change", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_packet_is_refused(net: World, change, code) -> None:
    good = recv(net)
    assert_refused(net.hub, altered(good, **change(good)), code)
    assert_alive(net.hub)


def test_proof_of_another_chain_is_refused(net: World) -> None:
    """The same packet committed on a chain that only calls itself alpha-1."""
    clock = net.hub.clock
    fake = IbcChain(
        clock,
        "alpha-1",
        SPOKE,
        accounts={"alice": {DENOM: 10**12}},
        app_state={"council": council_state()},
    )
    good = recv(net)
    while fake.height < net.spoke.height:
        fake.next_block()
    forged = fake.prove(b"clients/none")
    assert_refused(net.hub, altered(good, proof_commitment=forged.data), ("commitment", 2))
    trusted = net.path.a.get_client_height()
    fake.next_block()
    header = net.path.a.build_header(fake.latest_block, trusted)
    verdict = judge_message(net.hub, net.path.a.build_update(header))
    assert verdict.code == ("lightclient", 10), verdict.log


def test_header_signed_by_too_little_power_is_refused(net: World) -> None:
    net.spoke.next_block()
    end, block = net.path.a, net.spoke.latest_block
    commit = block.validators.sign_commit(block.signed_header.header, absent=(0, 1))
    weak = replace(block, signed_header=replace(block.signed_header, commit=commit))
    update = end.build_update(end.build_header(weak))
    assert_refused(net.hub, update, ("lightclient", 18), "20 of 40 signed, more than 2/3 needed")


def test_replay_changes_nothing(moving: World) -> None:
    packet = moving.flights["lock"]
    path = moving.path
    before = int(get_liens(path))
    acknowledgement = path.a.recv(packet)
    assert int(get_liens(path)) == before + 3 * ETH
    again = judge_message(moving.hub, recv(moving, packet))
    assert again.code == ("", 0)
    assert get_result(again.results[0], channel_tx.MsgRecvPacketResponse) == NOOP
    assert {store for store, _ in again.writes} == {"auth", "bank"}
    assert path.b.acknowledge(packet, acknowledgement) == SUCCESS
    locked = get_locked(path).SerializeToString()
    assert path.b.acknowledge(packet, acknowledgement) == NOOP
    assert get_locked(path).SerializeToString() == locked
    # A timeout of the settled packet is nothing either, and one of a received packet a refusal.
    moving.hub.clock.advance(3_601 * NANOSECONDS)
    moving.hub.next_block()
    assert path.b.timeout(packet) == NOOP


def test_received_lock_cannot_time_out(moving: World) -> None:
    packet, path = moving.flights["lock"], moving.path
    assert_refused(moving.spoke, path.b.build_timeout(packet), ("channel", 39))
    path.a.recv(packet)
    moving.hub.clock.advance(3_601 * NANOSECONDS)
    moving.hub.next_block()
    locked = get_locked(path).SerializeToString()
    assert_refused(moving.spoke, path.b.build_timeout(packet), ("commitment", 2))
    assert get_locked(path).SerializeToString() == locked


def test_acknowledgement_that_was_not_given_is_refused(moving: World) -> None:
    """A relayer invents a success, or a refusal that would refund what the hub has credited."""
    packet, path = moving.flights["lock"], moving.path
    path.a.recv(packet)
    for code, codespace in ((7, "collateral"), (0, "")):
        invented = packet_pb2.MarginAcknowledgement(
            code=code, codespace=codespace, receiver_time_ns=0 if code else 5
        )
        message = path.b.build_ack(packet, invented.SerializeToString())
        assert_refused(moving.spoke, message, ("commitment", 2))
    assert_alive(moving.spoke)


def test_packets_in_another_order_come_to_the_same(moving: World) -> None:
    path = moving.path
    packets = [moving.lock("erin", ETH), moving.lock("bob", 2 * ETH), moving.flights["lock"]]
    before = int(get_liens(path))
    for packet in packets:
        acknowledgement = path.a.recv(packet)
        path.b.acknowledge(packet, acknowledgement)
    assert int(get_liens(path)) == before + 6 * ETH


def test_expired_client_carries_nothing(moving: World) -> None:
    moving.hub.clock.advance(15 * 86_400 * NANOSECONDS)
    moving.run(1)
    assert moving.path.a.get_status() == "Expired"
    moving.spoke.next_block()
    update = moving.path.a.build_update()
    assert_refused(moving.hub, update, ("client", 29), "Expired")
    withdrawal = collateral_tx.MsgWithdrawCollateral(
        owner=moving.address("carol"),
        route_id="alpha",
        denom="aeth",
        amount="1",
        receiver=moving.address("carol"),
    )
    assert_refused(moving.hub, withdrawal, ("collateral", 5), "frozen", signer="carol")
    assert_alive(moving.hub)


def test_frozen_client_carries_nothing(moving: World) -> None:
    good = recv(moving)
    freeze(moving.path.a)
    assert moving.path.a.get_status() == "Frozen"
    assert_refused(moving.hub, good, ("client", 29), "Frozen")
    assert_alive(moving.hub)


def test_fake_collateral_chain_mints_no_credit(moving: World) -> None:
    """Anybody's chain with anybody's vault reaches the hub; its locks are refused and refunded."""
    clock = moving.hub.clock
    fake = IbcChain(
        clock,
        "fake-1",
        SPOKE,
        accounts={"alice": {DENOM: 10**12, "aeth": 10**9 * ETH}},
        app_state={"council": council_state()},
    )
    path = Path(Endpoint(moving.hub, channel_config=CONFIG), Endpoint(fake, channel_config=CONFIG))
    path.setup()
    register_vault(path)
    before = get_liens(moving.path)
    balance = fake.balance("alice", "aeth")
    packet = lock(path, 10**6 * ETH)
    acknowledgement = path.a.recv(packet)
    refusal = packet_pb2.MarginAcknowledgement.FromString(acknowledgement)
    assert (refusal.codespace, refusal.code) == ("collateral", 2)
    assert get_liens(moving.path) == before
    path.b.acknowledge(packet, acknowledgement)
    assert fake.balance("alice", "aeth") == balance


def test_second_channel_of_the_real_chain_moves_nothing(moving: World) -> None:
    """Another channel over the registered connection is no route, in neither direction."""
    first = moving.path
    second = Path(replace(first.a), replace(first.b))
    second.create_channels()
    assert second.a.channel_id != first.a.channel_id
    before = get_locked(first).SerializeToString()
    second.b.channel_id, kept = first.b.channel_id, second.b.channel_id
    good = recv(moving)
    wrong = altered(good, packet__destination_channel=second.a.channel_id)
    assert_refused(moving.hub, wrong, ("channel", 13))
    second.b.channel_id = kept
    register_vault(second)
    ctx = moving.spoke.read_context()
    proposal = council.get_proposal(ctx, 2)
    assert (proposal.failure_codespace, proposal.failure_code) == ("vault", 3)
    assert get_locked(first).SerializeToString() == before


def test_lock_over_the_cap_comes_back_to_the_unit(moving: World) -> None:
    path = moving.path
    before = moving.spoke.balance("bob", "aeth")
    for _ in range(3):
        packet = moving.lock("bob", 30 * ETH)
        acknowledgement = path.a.recv(packet)
        path.b.acknowledge(packet, acknowledgement)
    credited = before - moving.spoke.balance("bob", "aeth")
    assert credited % (30 * ETH) == 0
    listing = build_listing(amount_cap=str(ETH))
    path.a.chain.decide(collateral_tx.MsgSetListing(authority=authority_address(), listing=listing))
    before = moving.spoke.balance("bob", "aeth")
    liens = get_liens(path)
    packet = moving.lock("bob", ETH + 1)
    acknowledgement = path.a.recv(packet)
    refusal = packet_pb2.MarginAcknowledgement.FromString(acknowledgement)
    assert (refusal.codespace, refusal.code) == ("collateral", 7)
    path.b.acknowledge(packet, acknowledgement)
    assert moving.spoke.balance("bob", "aeth") == before
    assert get_liens(path) == liens


def test_address_of_a_stranger_in_a_lock(moving: World) -> None:
    """A lock for an owner the hub cannot know is refused there and comes back."""
    path, alice = moving.path, moving.address("alice")
    for owner in ("cosmos1abc", "nobody", str(Account.named("zed").address)[:-1] + "q"):
        before = moving.spoke.balance("alice", "aeth")
        message = vault_tx.MsgLockCollateral(
            depositor=alice, owner=owner, denom="aeth", amount=str(ETH)
        )
        result = moving.spoke.send(message, "alice", gas_limit=10**7)
        if result.code:
            assert moving.spoke.balance("alice", "aeth") == before
            continue
        packet = read_packet(result)
        path.b.acknowledge(packet, path.a.recv(packet))
        assert moving.spoke.balance("alice", "aeth") == before
