"""CheckTx refuses what the faster relayer does, in a block or in the mempool, and nothing else.

Alice and bob relay the same packets, bob behind alice.
"""

from typing import Any

import pytest
from google.protobuf.message import Message

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.ibc import host
from chain.ibc.channel.handlers import NOOP
from chain.ibc.router import Packet
from chain.lightclient import verifier
from chain.runtime.gas import PROOF_FLAT
from tests.support.echo import PORT
from tests.twochain.chain import GAS_LIMIT, IbcChain
from tests.twochain.path import Coordinator, Path

REDUNDANT = ("channel", 22)


def build(chain: IbcChain, messages: tuple[Message, ...], name: str) -> bytes:
    """A transaction of the named relayer's, whoever the messages were built for."""
    copies: list[Any] = []
    for message in messages:
        copies.append(type(message).FromString(message.SerializeToString()))
        copies[-1].signer = chain.account(name).address
    return chain.draft(copies, name, gas_limit=GAS_LIMIT).build()


def code(answer: abci.ResponseCheckTx) -> tuple[str, int]:
    if (answer.codespace, answer.code) == REDUNDANT:
        assert "packet messages are redundant" in answer.log  # Hermes looks for these words.
    return answer.codespace, answer.code


def check(chain: IbcChain, *messages: Message) -> tuple[str, int]:
    """What the mempool says of the messages in one transaction."""
    return code(chain.check(chain.draft(list(messages), gas_limit=GAS_LIMIT).build()))


def send(path: Path) -> tuple[Packet, Message]:
    packet = path.a.send_packet(b"hello")
    path.b.update_client()
    return packet, path.b.build_recv(packet)


def test_a_packet_to_be_received_is_welcome_once(path: Path) -> None:
    packet, receive = send(path)
    assert check(path.b.chain, receive) == ("", 0)
    path.b.chain.deliver(receive)
    assert check(path.b.chain, receive) == REDUNDANT
    assert path.b.recv(packet) == b""


def test_an_acknowledgement_is_welcome_once(path: Path) -> None:
    packet, receive = send(path)
    path.b.chain.deliver(receive)
    acknowledge = path.a.build_ack(packet, b"echo:hello")
    assert check(path.a.chain, acknowledge) == ("", 0)
    path.a.chain.deliver(acknowledge)
    assert check(path.a.chain, acknowledge) == REDUNDANT
    assert path.a.acknowledge(packet, b"echo:hello") == NOOP


def test_a_timeout_is_welcome_once(path: Path, coordinator: Coordinator) -> None:
    timeout = time_out(path, coordinator)
    assert check(path.a.chain, timeout) == ("", 0)
    path.a.chain.deliver(timeout)
    assert check(path.a.chain, timeout) == REDUNDANT


def time_out(path: Path, coordinator: Coordinator) -> Message:
    """The timeout of a packet that nobody relayed in time."""
    packet = path.a.send_packet(b"late", timeout_s=60)
    coordinator.advance(60)
    path.b.chain.next_block()
    return path.a.build_timeout(packet)


def build_relays(path: Path, coordinator: Coordinator, kind: str) -> tuple[IbcChain, Message]:
    """A relay that is due, and the chain it is due on."""
    if kind == "timeout":
        return path.a.chain, time_out(path, coordinator)
    packet, receive = send(path)
    if kind == "receive":
        return path.b.chain, receive
    path.b.chain.deliver(receive)
    return path.a.chain, path.a.build_ack(packet, b"echo:hello")


@pytest.mark.parametrize("ordering", ["path", "ordered_path"])
@pytest.mark.parametrize("kind", ["receive", "acknowledge", "timeout"])
def test_the_slower_relayer_is_told_while_the_faster_one_waits(
    request: pytest.FixtureRequest, coordinator: Coordinator, ordering: str, kind: str
) -> None:
    """Were bob let in, his transaction would be dropped after alice's block, and every later one
    that he had numbered from it would wait for a sequence that never comes.
    """
    path: Path = request.getfixturevalue(ordering)
    chain, message = build_relays(path, coordinator, kind)
    alices, bobs = (build(chain, (message,), name) for name in ("alice", "bob"))
    assert code(chain.check(alices)) == ("", 0)
    assert code(chain.check(bobs)) == REDUNDANT
    chain.next_block()  # Alice's was too late for it.
    assert code(chain.check(alices, recheck=True)) == ("", 0)
    assert code(chain.check(bobs)) == REDUNDANT
    assert [result.code for result in chain.next_block([alices]).results] == [0]
    assert code(chain.check(bobs)) == REDUNDANT
    assert chain.account("bob").sequence == 0


def test_who_was_let_in_elsewhere_is_dropped_at_the_recheck(path: Path) -> None:
    _, receive = send(path)
    chain = path.b.chain
    alices, bobs = (build(chain, (receive,), name) for name in ("alice", "bob"))
    assert code(chain.check(bobs)) == ("", 0)
    chain.next_block([alices])
    assert code(chain.check(bobs, recheck=True)) == REDUNDANT


def test_a_false_proof_keeps_no_relayer_out(path: Path) -> None:
    _, receive = send(path)
    chain = path.b.chain
    false = type(receive).FromString(receive.SerializeToString())
    assert isinstance(false, channel_tx.MsgRecvPacket)
    false.packet.data += b"!"
    assert code(chain.check(build(chain, (false,), "bob")))[0] == "commitment"
    assert code(chain.check(build(chain, (receive,), "alice"))) == ("", 0)


def test_a_packet_out_of_order_waits_outside(ordered_path: Path) -> None:
    path, chain = ordered_path, ordered_path.b.chain
    packets = [path.a.send_packet(data) for data in (b"1", b"2")]
    first, second = [path.b.build_recv(packet) for packet in packets]
    assert check(chain, second) == ("channel", 21)
    assert check(chain, first, second) == ("", 0)


def test_a_recheck_verifies_nothing_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers: list[object] = []
    verify = verifier.verify

    def count(*given: Any) -> verifier.Verdict:
        headers.append(given)
        return verify(*given)

    monkeypatch.setattr(verifier, "verify", count)
    packet = path.a.send_packet(b"hello")
    path.a.chain.next_block()
    update, chain = path.b.build_update(), path.b.chain
    proof = path.a.chain.prove(host.packet_commitment_path(PORT, path.a.channel_id, 1))
    receive = channel_tx.MsgRecvPacket(
        packet=packet.to_proto(),
        proof_commitment=proof.data,
        proof_height=proof.height.to_proto(),
    )
    raw = build(chain, (update, receive), "bob")
    checked = chain.check(raw)
    chain.next_block()
    rechecked = chain.check(raw, recheck=True)
    assert (checked.code, rechecked.code) == (0, 0)
    assert len(headers) == 1
    assert rechecked.gas_used < checked.gas_used - PROOF_FLAT
    assert code(chain.check(build(chain, (receive,), "alice"))) == REDUNDANT


def test_one_useful_packet_carries_the_others(path: Path) -> None:
    _, first = send(path)
    path.b.chain.deliver(first)
    _, second = send(path)
    assert check(path.b.chain, first, second) == ("", 0)


def test_another_message_is_never_redundant(path: Path) -> None:
    _, receive = send(path)
    path.b.chain.deliver(receive)
    sender = path.b.signer
    payment = bank_tx.MsgSend(
        from_address=sender,
        to_address=sender,
        amount=[coin_pb2.Coin(denom="umargin", amount="1")],
    )
    assert check(path.b.chain, receive, payment) == ("", 0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_block_takes_what_the_mempool_would_not(path: Path, count: int) -> None:
    packet, receive = send(path)
    path.b.chain.deliver(receive)
    for result in path.b.chain.deliver_together(*[receive] * count):
        assert result.code == 0
    assert path.b.recv(packet) == b""
