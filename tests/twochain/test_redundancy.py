"""CheckTx refuses what the faster relayer has done already, and nothing else."""

import pytest
from google.protobuf.message import Message

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain.ibc.channel.handlers import NOOP
from chain.ibc.router import Packet
from tests.twochain.chain import GAS_LIMIT, IbcChain
from tests.twochain.path import Path

REDUNDANT = ("channel", 22)


def check(chain: IbcChain, *messages: Message) -> tuple[str, int]:
    """What the mempool says of the messages in one transaction."""
    answer = chain.check(chain.draft(list(messages), gas_limit=GAS_LIMIT).build())
    if answer.code:
        assert "packet messages are redundant" in answer.log
    return answer.codespace, answer.code


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


def test_a_timeout_of_a_settled_packet_is_redundant(path: Path) -> None:
    packet, _ = send(path)
    timeout = path.a.build_timeout(packet)
    assert check(path.a.chain, timeout) == ("", 0)
    assert path.relay(packet) == b"echo:hello"
    assert check(path.a.chain, timeout) == REDUNDANT


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
