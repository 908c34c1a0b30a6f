"""A client update in the mempool counts for what is simulated after it, and only there."""

import pytest

from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain.ibc import host
from chain.ibc.errors import InvalidHeight
from tests.twochain.chain import GAS_LIMIT, IbcChain, TxRefused
from tests.twochain.path import Path


def prepare(path: Path) -> tuple[client_tx.MsgUpdateClient, channel_tx.MsgRecvPacket]:
    """An update of b's client that nobody has sent yet, and a packet that needs it."""
    packet = path.a.send_packet(b"hello")
    path.a.chain.next_block()
    place = (packet.source_port, packet.source_channel, packet.sequence)
    proof = path.a.chain.prove(host.packet_commitment_path(*place))
    receive = channel_tx.MsgRecvPacket(
        packet=packet.to_proto(),
        proof_commitment=proof.data,
        proof_height=proof.height.to_proto(),
        signer=path.b.signer,
    )
    return path.b.build_update(), receive


def simulate(chain: IbcChain, message: channel_tx.MsgRecvPacket, *, ahead: int) -> int:
    """The gas the message would use, `ahead` transactions after those committed of its signer."""
    sequences = [chain.account("alice").sequence + ahead]
    draft = chain.draft([message], gas_limit=GAS_LIMIT, sequences=sequences)
    gas, _ = chain.app.simulate(draft.build())
    return gas.gas_used


def test_what_follows_an_update_is_simulated_with_it(path: Path) -> None:
    update, receive = prepare(path)
    chain = path.b.chain
    with pytest.raises(InvalidHeight, match="client state height < proof height"):
        simulate(chain, receive, ahead=0)
    assert chain.check(chain.draft([update], gas_limit=GAS_LIMIT).build()).code == 0
    assert simulate(chain, receive, ahead=1) > 0


def test_an_update_in_the_mempool_is_forgotten_with_it(path: Path) -> None:
    update, receive = prepare(path)
    chain = path.b.chain
    raw = chain.draft([update], gas_limit=GAS_LIMIT).build()
    before = path.b.get_client_height()
    assert chain.check(raw).code == 0
    assert path.b.get_client_height() == before
    chain.next_block()
    with pytest.raises(InvalidHeight):
        simulate(chain, receive, ahead=0)
    assert chain.check(raw, recheck=True).code == 0
    assert simulate(chain, receive, ahead=1) > 0


def test_an_update_that_does_not_verify_is_not_let_in(path: Path) -> None:
    path.a.chain.next_block()
    header = path.b.build_header()
    for signature in header.signed_header.commit.signatures:
        signature.signature = bytes(64)
    broken = path.b.build_update(header)
    chain = path.b.chain
    answer = chain.check(chain.draft([broken], gas_limit=GAS_LIMIT).build())
    with pytest.raises(TxRefused) as refused:
        chain.deliver(broken)
    assert answer.code
    assert refused.value.code == (answer.codespace, answer.code)
