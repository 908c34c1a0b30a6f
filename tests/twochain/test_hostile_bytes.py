"""Bytes nobody honest sends: refused with a registered error, never with another exception."""

import time
from contextlib import suppress
from functools import cache
from typing import Any

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.errors import ChainError
from chain.ibc.channel.handlers import ChannelMessages
from chain.ibc.client.handlers import handle_update_client
from chain.ibc.client.membership import decode_merkle_proof
from chain.ibc.router import PortRouter
from chain.runtime.context import Context
from tests.support.echo import PORT, EchoApplication
from tests.twochain.path import Coordinator, Path

CHANNELS = ChannelMessages(PortRouter({PORT: EchoApplication()}))
MUTATIONS = st.lists(
    st.tuples(st.floats(0, 0.999), st.integers(0, 255), st.sampled_from("xid")),
    min_size=1,
    max_size=4,
)


def mutate(data: bytes, mutations: list[tuple[float, int, str]]) -> bytes:
    """Bytes changed, inserted and deleted at relative places."""
    changed = bytearray(data)
    for place, value, kind in mutations:
        index = int(place * len(changed))
        if kind == "x":
            changed[index] = value
        elif kind == "i":
            changed.insert(index, value)
        elif len(changed) > 1:
            del changed[index]
    return bytes(changed)


@cache
def prepare() -> tuple[Path, channel_tx.MsgRecvPacket, tendermint_pb2.Header]:
    path = Coordinator().create_echo_path().setup()
    packet = path.a.send_packet(b"hello")
    message = path.b.build_recv(packet)
    path.a.chain.next_block()
    return path, message, path.b.build_header()


def is_accepted(handler: Any, message: Any) -> bool:
    """Whether a handler takes a message, in a branch that is dropped; others escape."""
    ctx: Context = prepare()[0].b.chain.read_context()
    try:
        handler(ctx, message)
    except ChainError:
        return False
    return True


def test_what_is_mutated_below_is_accepted_as_it_is() -> None:
    path, message, header = prepare()
    assert is_accepted(CHANNELS.handle_recv_packet, message)
    assert is_accepted(handle_update_client, path.b.build_update(header))


@settings(max_examples=150, deadline=None)
@given(MUTATIONS)
def test_mutated_proofs_are_refused(mutations: list[tuple[float, int, str]]) -> None:
    _, original, _ = prepare()
    data = mutate(original.proof_commitment, mutations)
    message = channel_tx.MsgRecvPacket()
    message.CopyFrom(original)
    message.proof_commitment = data
    if is_accepted(CHANNELS.handle_recv_packet, message):
        # The key and value of the proof's leaf are what was sent: only the same bytes may pass.
        assert data == original.proof_commitment


@settings(max_examples=150, deadline=None)
@given(MUTATIONS)
def test_mutated_headers_raise_nothing_else(mutations: list[tuple[float, int, str]]) -> None:
    path, _, header = prepare()
    update = path.b.build_update(header)
    update.client_message.value = mutate(update.client_message.value, mutations)
    is_accepted(handle_update_client, update)
    try:
        first = tendermint_pb2.Header.FromString(update.client_message.value)
    except DecodeError:
        return
    evidence = tendermint_pb2.Misbehaviour(
        client_id=path.b.client_id, header_1=first, header_2=header
    )
    is_accepted(handle_update_client, path.b.build_update(evidence))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_proof_or_refused(data: bytes) -> None:
    with suppress(ChainError):
        decode_merkle_proof(data)


def test_header_with_ten_thousand_signatures_is_refused_fast() -> None:
    """Cheap checks come first: nobody buys seconds of verification with one message."""
    path, _, original = prepare()
    header = tendermint_pb2.Header()
    header.CopyFrom(original)
    signature = header.signed_header.commit.signatures[0]
    header.signed_header.commit.signatures.extend([signature] * 9_996)
    header.signed_header.header.app_hash = b"x" * 32
    update = path.b.build_update(header)
    start = time.perf_counter()
    assert not is_accepted(handle_update_client, update)
    assert time.perf_counter() - start < 0.5
