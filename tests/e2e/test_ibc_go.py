"""IBC with ibc-go itself: handshakes, packets and timeouts in both directions, proofs of both."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from nacl.signing import SigningKey

from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.ibc import host
from chain.ibc.channel.handlers import SUCCESS
from chain.ibc.client.state import get_consensus_state
from chain.ibc.height import Height
from chain.ibc.router import Packet
from tests.e2e.ibc_go import SIMD, SimdChain, SimdEndpoint, SimdNode, WallClock, transfer
from tests.support.echo import get_count
from tests.support.headers import TestBlock, TestValidatorSet
from tests.twochain.chain import TxRefused
from tests.twochain.hostile_peer import ACCEPTED, CONFIG, LiarChain
from tests.twochain.path import ClientConfig, Endpoint, Path, get_events
from tests.twochain.test_clients import build_misbehaviour
from tests.twochain.test_margin import read_packet

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not SIMD, reason="no ibc-go binary: set SIMD_BIN or run make interop"),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimdNode]:
    node = SimdNode(tmp_path_factory.mktemp("simd"))
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="module")
def path(node: SimdNode) -> Path:
    """A channel between ibc-go (a) and a chain of ours (b); each side took two opening steps."""
    del node  # It runs.
    # Blocks here may run ahead of the wall clock by a second each.
    client = ClientConfig(max_clock_drift_s=3_600)
    ours = LiarChain(WallClock(), "alpha-1")
    path = Path(
        SimdEndpoint(SimdChain(), client_config=client, channel_config=CONFIG),
        Endpoint(ours, client_config=client, channel_config=CONFIG),
    )
    path.create_clients()
    path.create_connections()
    path.b.chan_open_init()
    path.a.chan_open_try()
    path.b.chan_open_ack()
    path.a.chan_open_confirm()
    return path


def send(path: Path, timeout_s: int) -> Packet:
    """A packet that ibc-go's transfer module sends."""
    channel, receiver = path.a.channel_id, path.b.signer
    return read_packet(transfer(path.a.chain, channel, receiver, 12_345, timeout_s=timeout_s))


def test_packet_of_ibc_go_is_received_and_acknowledged(path: Path) -> None:
    packet = send(path, 600)
    acknowledgement = path.b.recv(packet)
    assert acknowledgement == ACCEPTED
    result = path.a.chain.deliver(path.a.build_ack(packet, acknowledgement))
    assert get_events(result.events, "acknowledge_packet")
    assert get_count(path.b.chain.read_context(), "recv") == 1


def test_ibc_go_times_out_over_our_absence_proof(path: Path) -> None:
    packet = send(path, 15)
    time.sleep(18)
    result = path.a.chain.deliver(path.a.build_timeout(packet))
    assert get_events(result.events, "timeout_packet")


def test_packet_of_ours_is_answered_by_ibc_go(path: Path) -> None:
    packet = path.b.send_packet(b'{"not":"ics20"}', timeout_s=600)
    result = path.a.chain.deliver(path.a.build_recv(packet))
    written = get_events(result.events, "write_acknowledgement")[0]
    acknowledgement = bytes.fromhex(written["packet_ack_hex"])
    assert acknowledgement.startswith(b'{"error":')
    assert path.b.acknowledge(packet, acknowledgement) == SUCCESS


# Clients -----------------------------------------------------------------------------------------


def follow_again(path: Path) -> Path:
    """The same chains with new clients of each other, so that one may be frozen."""
    fresh = Path(replace(path.a), replace(path.b))
    fresh.create_clients()
    return fresh


def build_double_vote(honest: TestBlock) -> tuple[TestBlock, TestBlock]:
    """Two headers of one height."""
    return honest, honest.resign(lambda header: replace(header, data_hash=b"d" * 32))


def build_time_travel(earlier: TestBlock, later: TestBlock) -> tuple[TestBlock, TestBlock]:
    """A higher header that is not later than a lower one."""
    time_ns = earlier.header.time_ns
    return later.resign(lambda header: replace(header, time_ns=time_ns)), earlier


def is_frozen(end: Endpoint) -> bool:
    """Whether ibc-go's client stands still."""
    stored = AnyMessage.FromString(end.chain.read(host.client_state_path(end.client_id)))
    client = tendermint_pb2.ClientState.FromString(stored.value)
    return bool(client.frozen_height.revision_height)


def get_own_blocks(path: Path) -> tuple[TestBlock, TestBlock]:
    """Two headers of our chain, above what ibc-go's client has."""
    path.b.chain.next_block()
    path.b.chain.next_block()
    height = path.b.chain.height
    return path.b.chain.headers.at(height - 1), path.b.chain.headers.at(height)


def get_their_blocks(path: Path, node: SimdNode) -> tuple[TestBlock, TestBlock]:
    """Two headers of ibc-go's chain with the key of its validator, who is about to lie."""
    file = json.loads((node.home / "config" / "priv_validator_key.json").read_text())
    key = SigningKey(base64.b64decode(file["priv_key"]["value"])[:32])
    path.a.chain.next_block()
    first = path.a.chain.height
    blocks = []
    for height in (first, first + 1):
        block = path.a.chain.at(height)
        members = TestValidatorSet(block.validators.validators, (key,))
        blocks.append(TestBlock(block.signed_header, members, members))
    return blocks[0], blocks[1]


@pytest.mark.parametrize("kind", ["double vote", "time travel"])
def test_ibc_go_freezes_its_client_of_a_lying_chain_of_ours(path: Path, kind: str) -> None:
    fresh = follow_again(path)
    earlier, later = get_own_blocks(fresh)
    pair = build_double_vote(later) if kind == "double vote" else build_time_travel(earlier, later)
    fresh.a.chain.deliver(fresh.a.build_update(build_misbehaviour(fresh.a, *pair)))
    assert is_frozen(fresh.a)


@pytest.mark.parametrize("kind", ["double vote", "time travel"])
def test_we_freeze_our_client_of_a_lying_ibc_go_and_recover_it(
    path: Path, node: SimdNode, kind: str
) -> None:
    fresh = follow_again(path)
    fresh.b.update_client()
    earlier, later = get_their_blocks(fresh, node)
    pair = build_double_vote(later) if kind == "double vote" else build_time_travel(earlier, later)
    evidence = fresh.b.build_update(build_misbehaviour(fresh.b, *pair))
    fresh.b.chain.deliver(evidence)
    assert fresh.b.get_status() == "Frozen"
    with pytest.raises(TxRefused) as caught:
        fresh.b.update_client()
    assert caught.value.code == ("client", 29)

    subject, fresh.a.chain.height = fresh.b.client_id, path.a.chain.height
    fresh.a.chain.next_block()
    substitute = fresh.b.create_client()
    fresh.b.client_id = subject
    recover = client_tx.MsgRecoverClient(
        subject_client_id=subject, substitute_client_id=substitute, signer=fresh.b.signer
    )
    fresh.b.chain.deliver(recover)
    assert fresh.b.get_status() == "Active"
    fresh.b.update_client()


def test_headers_of_ibc_go_may_be_skipped_and_filled_in(path: Path) -> None:
    """A later header first, one between afterwards; both verify over the first trusted height."""
    fresh = follow_again(path)
    trusted = fresh.b.get_client_height()
    fresh.a.chain.next_block()
    between = fresh.a.chain.height
    fresh.a.chain.next_block()
    fresh.b.chain.deliver(fresh.b.build_update())
    latest = fresh.b.get_client_height()
    assert latest.revision_height > between > trusted.revision_height
    late = fresh.b.build_header(fresh.a.chain.at(between), trusted=trusted)
    fresh.b.chain.deliver(fresh.b.build_update(late))
    assert fresh.b.get_client_height() == latest
    held = get_consensus_state(fresh.b.chain.read_context(), fresh.b.client_id, Height(0, between))
    assert held is not None
