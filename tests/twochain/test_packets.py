"""Packets between two chains: the whole life, and every way to cheat with one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain.ibc import host
from chain.ibc.channel import state as channel_state
from chain.ibc.channel.handlers import NOOP, SUCCESS
from chain.ibc.channel.packets import write_acknowledgement
from chain.ibc.errors import InvalidChannelState, TimeoutElapsed
from chain.ibc.height import Height
from chain.ibc.router import Packet
from chain.runtime.context import Context
from tests.support.echo import get_count
from tests.twochain.chain import EchoChain, TxRefused
from tests.twochain.path import (
    Coordinator,
    Endpoint,
    Path,
    get_acknowledgement,
    get_events,
    get_result,
)


def count(endpoint: Endpoint, what: str) -> int:
    return get_count(endpoint.chain.read_context(), what)


def refused(action: Callable[[], Any]) -> tuple[str, int]:
    """The codespace and code with which an action is refused."""
    with pytest.raises(TxRefused) as caught:
        action()
    return caught.value.code


def echo_of(endpoint: Endpoint) -> EchoChain:
    assert isinstance(endpoint.chain, EchoChain)
    return endpoint.chain


def test_packet_is_received_and_acknowledged(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    assert path.a.has_commitment(packet)
    assert path.relay(packet) == b"echo:hello"
    assert not path.a.has_commitment(packet)
    assert (count(path.b, "recv"), count(path.a, "ack")) == (1, 1)


def test_events_name_what_relayers_look_for(path: Path) -> None:
    packet = path.a.send_packet(b"hello", timeout_height=Height(1, 900))
    sent = get_events(echo_of(path.a).blocks[-1].response.events, "send_packet")
    assert sent == [
        {
            "packet_data_hex": b"hello".hex(),
            "packet_timeout_height": "1-900",
            "packet_timeout_timestamp": "0",
            "packet_sequence": "1",
            "packet_src_port": "echo",
            "packet_src_channel": "channel-0",
            "packet_dst_port": "echo",
            "packet_dst_channel": "channel-0",
            "packet_channel_ordering": "ORDER_UNORDERED",
            "packet_connection": "connection-0",
            "connection_id": "connection-0",
        }
    ]
    result = path.b.chain.deliver(path.b.build_recv(packet))
    assert get_events(result.events, "recv_packet")[0]["packet_data_hex"] == b"hello".hex()
    written = get_events(result.events, "write_acknowledgement")[0]
    assert written["packet_ack_hex"] == b"echo:hello".hex()
    assert {"module": "ibc_channel", "msg_index": "0"} in get_events(result.events, "message")
    # The transaction's own event is not the relayers'; all that IBC emits is indexed.
    attributes = [a for event in result.events if event.type != "tx" for a in event.attributes]
    assert all(a.index for a in attributes if a.key != "msg_index")


def test_refused_packet_leaves_only_its_error_acknowledgement(path: Path) -> None:
    packet = path.a.send_packet(b"refuse")
    result = path.b.chain.deliver(path.b.build_recv(packet))
    acknowledgement = get_acknowledgement(result)
    assert acknowledgement == b"error:echo/2: refused"
    # Huckleberry: state and events of the refused callback are gone together.
    assert get_events(result.events, "echo") == []
    assert count(path.b, "recv") == 0
    assert path.a.acknowledge(packet, acknowledgement) == SUCCESS
    assert count(path.a, "ack_error") == 1


def test_asynchronous_acknowledgement_is_written_once(path: Path) -> None:
    packet = path.a.send_packet(b"later")
    assert path.b.recv(packet) == b""
    chain = echo_of(path.b)
    chain.run(lambda ctx: write_acknowledgement(ctx, packet, b"done"))
    with pytest.raises(Exception, match="acknowledgement for packet already exists"):
        chain.run(lambda ctx: write_acknowledgement(ctx, packet, b"again"))
    assert path.a.acknowledge(packet, b"done") == SUCCESS


def test_relaying_again_succeeds_and_changes_nothing(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    acknowledgement = path.b.recv(packet)
    again = path.b.chain.deliver(path.b.build_recv(packet))
    assert get_result(again, channel_tx.MsgRecvPacketResponse) == NOOP
    assert get_events(again.events, "write_acknowledgement") == []
    assert path.a.acknowledge(packet, acknowledgement) == SUCCESS
    assert path.a.acknowledge(packet, acknowledgement) == NOOP
    assert (count(path.b, "recv"), count(path.a, "ack")) == (1, 1)


def test_two_relayers_in_one_block_settle_once(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    message = path.b.build_recv(packet)
    results = path.b.chain.deliver_together(message, message)
    assert [get_result(r, channel_tx.MsgRecvPacketResponse) for r in results] == [SUCCESS, NOOP]
    assert count(path.b, "recv") == 1


def test_unordered_packets_arrive_in_any_order(path: Path) -> None:
    sent = [path.a.send_packet(f"{number}".encode()) for number in range(4)]
    for packet in reversed(sent):
        path.relay(packet)
    assert count(path.b, "recv") == 4


def test_ordered_packets_arrive_in_order_only(ordered_path: Path) -> None:
    path = ordered_path
    first, second = path.a.send_packet(b"1"), path.a.send_packet(b"2")
    assert refused(lambda: path.b.recv(second)) == ("channel", 21)
    message = path.b.build_recv(first)
    acknowledgements = [get_acknowledgement(path.b.chain.deliver(message)), path.b.recv(second)]
    assert refused(lambda: path.a.acknowledge(second, acknowledgements[1])) == ("channel", 21)
    assert path.a.acknowledge(first, acknowledgements[0]) == SUCCESS
    assert path.a.acknowledge(second, acknowledgements[1]) == SUCCESS
    again = path.b.chain.deliver(message)
    assert get_result(again, channel_tx.MsgRecvPacketResponse) == NOOP


# Forgery -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"data": b"other"},
        {"sequence": 2},
        {"timeout_timestamp_ns": 1 << 62},
        {"timeout_height": Height(1, 5_000)},
    ],
)
def test_altered_packet_is_refused(path: Path, change: dict[str, Any]) -> None:
    packet = path.a.send_packet(b"hello")
    message = path.b.build_recv(packet)
    message.packet.CopyFrom(replace(packet, **change).to_proto())
    assert refused(lambda: path.b.chain.deliver(message)) == ("commitment", 2)
    assert count(path.b, "recv") == 0


@pytest.mark.parametrize("change", [{"source_port": "forged"}, {"source_channel": "channel-9"}])
def test_packet_of_another_channel_is_refused(path: Path, change: dict[str, str]) -> None:
    message = path.b.build_recv(path.a.send_packet(b"hello"))
    for name, value in change.items():
        setattr(message.packet, name, value)
    assert refused(lambda: path.b.chain.deliver(message)) == ("channel", 13)


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _add_unknown_field(data: bytes) -> bytes:
    return data + b"\xfa\x3e\x01x"  # field 1007, one byte


def _double_exist(data: bytes) -> bytes:
    """The leaf proof's oneof set twice: one decoder reads the first, another the last."""
    message = commitment_pb2.MerkleProof.FromString(data)
    leaf = message.proofs[0].SerializeToString()
    joined = leaf + leaf
    outer = message.proofs[1].SerializeToString()
    return b"".join(b"\x0a" + _varint(len(part)) + part for part in (joined, outer))


def _varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _swap_levels(data: bytes) -> bytes:
    message = commitment_pb2.MerkleProof.FromString(data)
    swapped = commitment_pb2.MerkleProof(proofs=[message.proofs[1], message.proofs[0]])
    return swapped.SerializeToString()


def _drop_level(data: bytes) -> bytes:
    message = commitment_pb2.MerkleProof.FromString(data)
    return commitment_pb2.MerkleProof(proofs=message.proofs[:1]).SerializeToString()


@pytest.mark.parametrize(
    "forge",
    [_flip, _add_unknown_field, _double_exist, _swap_levels, _drop_level, lambda _: b"\xff\xff"],
)
def test_forged_proof_is_refused(path: Path, forge: Callable[[bytes], bytes]) -> None:
    message = path.b.build_recv(path.a.send_packet(b"hello"))
    message.proof_commitment = forge(message.proof_commitment)
    codespace, _ = refused(lambda: path.b.chain.deliver(message))
    assert codespace == "commitment"
    assert count(path.b, "recv") == 0


def test_proof_of_another_chain_is_refused(path: Path, coordinator: Coordinator) -> None:
    other = coordinator.create_echo_path().setup()
    # The same packet, sent on a chain of the same identifiers that nobody here follows.
    packet = other.a.send_packet(b"hello")
    elsewhere = other.b.build_recv(packet)
    message = path.b.build_recv(path.a.send_packet(b"hello"))
    message.proof_commitment = elsewhere.proof_commitment
    assert refused(lambda: path.b.chain.deliver(message)) == ("commitment", 2)


def test_proof_at_a_height_the_client_lacks_is_refused(path: Path) -> None:
    message = path.b.build_recv(path.a.send_packet(b"hello"))
    above, unknown = channel_tx.MsgRecvPacket(), channel_tx.MsgRecvPacket()
    above.CopyFrom(message)
    above.proof_height.revision_height += 1
    with pytest.raises(TxRefused, match="client state height < proof height"):
        path.b.chain.deliver(above)
    unknown.CopyFrom(message)
    unknown.proof_height.revision_height -= 1
    assert refused(lambda: path.b.chain.deliver(unknown)) == ("client", 7)


def test_stale_proof_is_refused(path: Path) -> None:
    """A proof against an old root does not prove what came later."""
    path.b.update_client()
    old_height = path.b.get_client_height()
    message = path.b.build_recv(path.a.send_packet(b"hello"))
    message.proof_height.CopyFrom(old_height.to_proto())
    assert refused(lambda: path.b.chain.deliver(message)) == ("commitment", 2)


def test_acknowledgement_that_was_not_given_is_refused(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    path.b.recv(packet)
    assert refused(lambda: path.a.acknowledge(packet, b"echo:forged")) == ("commitment", 2)
    assert path.a.has_commitment(packet)


def test_acknowledgement_of_a_packet_with_other_data_is_refused(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    acknowledgement = path.b.recv(packet)
    forged = replace(packet, data=b"other")
    assert refused(lambda: path.a.acknowledge(forged, acknowledgement)) == ("channel", 13)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("sequence", 0, ("channel", 13)),
        ("data", b"", ("channel", 13)),
        ("data", bytes(262_145), ("channel", 13)),
        ("destination_port", "a/b", ("host", 2)),
        ("destination_port", "unbound", ("port", 5)),
        ("destination_channel", "channel-77", ("channel", 3)),
    ],
)
def test_malformed_packet_is_refused(
    path: Path, field: str, value: Any, code: tuple[str, int]
) -> None:
    message = path.b.build_recv(path.a.send_packet(b"hello"))
    setattr(message.packet, field, value)
    assert refused(lambda: path.b.chain.deliver(message)) == code


def test_empty_proof_is_refused(path: Path) -> None:
    message = path.b.build_recv(path.a.send_packet(b"hello"))
    message.proof_commitment = b""
    assert refused(lambda: path.b.chain.deliver(message)) == ("commitment", 2)


def test_too_little_gas_cannot_turn_a_packet_away(path: Path) -> None:
    """Out of gas inside the callback fails the relay; it never becomes an error acknowledgement."""
    packet = path.a.send_packet(b"hello")
    message = path.b.build_recv(packet)
    echo_of(path.b).echo.hook = lambda ctx: ctx.gas.consume(10**12)
    assert refused(lambda: path.b.chain.deliver(message)) == ("sdk", 11)
    echo_of(path.b).echo.hook = None
    assert path.b.recv(packet) == b"echo:hello"


# Timeouts ----------------------------------------------------------------------------------------


def test_timeout_by_time(path: Path, coordinator: Coordinator) -> None:
    packet = path.a.send_packet(b"hello", timeout_s=60)
    assert refused(lambda: path.a.timeout(packet)) == ("channel", 39)
    coordinator.advance(60)
    assert path.a.timeout(packet) == SUCCESS
    assert count(path.a, "timeout") == 1
    assert not path.a.has_commitment(packet)
    assert path.a.timeout(packet) == NOOP
    assert refused(lambda: path.b.recv(packet)) == ("channel", 40)


def test_timeout_by_height(path: Path) -> None:
    packet = path.a.send_packet(b"hello", timeout_height=Height(1, path.b.chain.height + 3))
    assert refused(lambda: path.a.timeout(packet)) == ("channel", 39)
    for _ in range(3):
        path.b.chain.next_block()
    assert path.a.timeout(packet) == SUCCESS


@pytest.mark.parametrize(("blocks_left", "is_received"), [(1, False), (2, True)])
def test_timeout_boundary(path: Path, blocks_left: int, *, is_received: bool) -> None:
    """At the timeout height a packet is refused and times out; one block below it is received."""
    height = Height(1, path.b.chain.height + 2)
    packet = path.a.send_packet(b"hello", timeout_height=height)
    path.a.chain.next_block()
    update = path.b.build_update()
    proof = path.a.chain.prove(host.packet_commitment_path("echo", "channel-0", 1))
    message = channel_tx.MsgRecvPacket(
        packet=packet.to_proto(),
        proof_commitment=proof.data,
        proof_height=proof.height.to_proto(),
        signer=path.b.signer,
    )
    for _ in range(2 - blocks_left):
        path.b.chain.next_block()
    if is_received:
        path.b.chain.deliver(update, message)
        assert refused(lambda: path.a.timeout(packet))[0] == "commitment"
    else:
        assert refused(lambda: path.b.chain.deliver(update, message)) == ("channel", 40)
        assert path.a.timeout(packet) == SUCCESS


def test_received_packet_cannot_time_out(path: Path, coordinator: Coordinator) -> None:
    packet = path.a.send_packet(b"hello", timeout_s=60)
    path.b.recv(packet)
    coordinator.advance(61)
    codespace, _ = refused(lambda: path.a.timeout(packet))
    assert codespace == "commitment"
    assert path.a.has_commitment(packet)
    assert count(path.a, "timeout") == 0


def test_presence_offered_as_absence_is_refused(path: Path, coordinator: Coordinator) -> None:
    """Dragonberry: an existence proof of the receipt, or of another key, is no absence."""
    packet = path.a.send_packet(b"hello", timeout_s=60)
    path.b.recv(packet)
    coordinator.advance(61)
    message = path.a.build_timeout(packet)
    for number in (1, 2):
        absent = path.b.chain.prove(host.packet_receipt_path("echo", "channel-0", number))
        message.proof_unreceived = absent.data
        assert refused(lambda: path.a.chain.deliver(message))[0] == "commitment"
    one_sided = commitment_pb2.MerkleProof.FromString(message.proof_unreceived)
    assert one_sided.proofs[0].WhichOneof("proof") == "nonexist"
    one_sided.proofs[0].nonexist.ClearField("right")
    message.proof_unreceived = one_sided.SerializeToString()
    assert refused(lambda: path.a.chain.deliver(message))[0] == "commitment"
    assert path.a.has_commitment(packet)


def test_ordered_timeout_closes_the_channel(ordered_path: Path, coordinator: Coordinator) -> None:
    path = ordered_path
    first = path.a.send_packet(b"1", timeout_s=60)
    second = path.a.send_packet(b"2")
    coordinator.advance(61)
    assert path.a.timeout(first) == SUCCESS
    assert path.a.get_channel().state == channel_pb2.STATE_CLOSED
    with pytest.raises(InvalidChannelState):
        path.a.send_packet(b"3")
    assert refused(lambda: path.b.recv(second)) == ("channel", 21)
    path.b.chan_close_confirm()
    message = path.a.build_timeout_on_close(second)
    result = path.a.chain.deliver(message)
    assert get_result(result, channel_tx.MsgTimeoutOnCloseResponse) == SUCCESS
    assert count(path.a, "timeout") == 2


def test_ordered_received_packet_cannot_time_out(
    ordered_path: Path, coordinator: Coordinator
) -> None:
    path = ordered_path
    packet = path.a.send_packet(b"1", timeout_s=60)
    path.b.recv(packet)
    coordinator.advance(61)
    assert refused(lambda: path.a.timeout(packet)) == ("channel", 19)
    message = path.a.build_timeout(packet)
    message.next_sequence_recv = 1
    assert refused(lambda: path.a.chain.deliver(message)) == ("commitment", 2)


def test_timeout_on_close(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    assert refused(lambda: path.a.chain.deliver(path.a.build_timeout_on_close(packet))) == (
        "commitment",
        2,
    )
    path.b.chan_close_init()
    result = path.a.chain.deliver(path.a.build_timeout_on_close(packet))
    assert get_result(result, channel_tx.MsgTimeoutOnCloseResponse) == SUCCESS
    assert count(path.a, "timeout") == 1
    assert refused(lambda: path.b.recv(packet)) == ("channel", 5)


def test_packet_already_past_its_timeout_is_not_sent(path: Path) -> None:
    path.a.update_client()
    with pytest.raises(TimeoutElapsed):
        path.a.send_packet(b"late", timeout_height=path.a.get_client_height())
    sequence = channel_state.get_next_sequence_send(
        path.a.chain.read_context(), "echo", "channel-0"
    )
    assert sequence == 1


# Re-entrancy (ASA-2024-007) ----------------------------------------------------------------------


def _resubmit(messages: list[Any], outcomes: list[int]) -> Callable[[Context], None]:
    """A hook that submits the message under way again, from inside its own callback."""

    def hook(ctx: Context) -> None:
        assert ctx.router is not None
        if len(outcomes) < 3:
            outcomes.append(-1)
            message = messages[0]
            route = ctx.router.get_route("/" + message.DESCRIPTOR.full_name)
            outcomes[-1] = route.handler(ctx, message).result  # type: ignore[attr-defined]

    return hook


def test_timeout_from_inside_a_timeout_is_a_noop(path: Path, coordinator: Coordinator) -> None:
    packet = path.a.send_packet(b"hello", timeout_s=60)
    coordinator.advance(61)
    message, outcomes = path.a.build_timeout(packet), []
    echo_of(path.a).echo.hook = _resubmit([message], outcomes)
    path.a.chain.deliver(message)
    assert outcomes == [NOOP]
    assert count(path.a, "timeout") == 1


def test_acknowledgement_from_inside_itself_is_a_noop(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    message, outcomes = path.a.build_ack(packet, path.b.recv(packet)), []
    echo_of(path.a).echo.hook = _resubmit([message], outcomes)
    path.a.chain.deliver(message)
    assert outcomes == [NOOP]
    assert count(path.a, "ack") == 1


def test_receive_from_inside_itself_is_a_noop(path: Path) -> None:
    message, outcomes = path.b.build_recv(path.a.send_packet(b"hello")), []
    echo_of(path.b).echo.hook = _resubmit([message], outcomes)
    path.b.chain.deliver(message)
    assert outcomes == [NOOP]
    assert count(path.b, "recv") == 1


def test_timeout_twice_in_one_transaction_settles_once(
    path: Path, coordinator: Coordinator
) -> None:
    packet = path.a.send_packet(b"hello", timeout_s=60)
    coordinator.advance(61)
    message = path.a.build_timeout(packet)
    path.a.chain.deliver(message, message)
    assert count(path.a, "timeout") == 1


def test_failing_callback_keeps_the_packet_in_flight(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    message = path.a.build_ack(packet, path.b.recv(packet))

    def fail(ctx: Context) -> None:
        del ctx
        raise InvalidChannelState("not now")

    echo_of(path.a).echo.hook = fail
    assert refused(lambda: path.a.chain.deliver(message)) == ("channel", 5)
    assert path.a.has_commitment(packet)
    echo_of(path.a).echo.hook = None
    path.a.chain.deliver(message)
    assert not path.a.has_commitment(packet)


# Delays ------------------------------------------------------------------------------------------


def test_connection_delay_holds_packets_back(coordinator: Coordinator) -> None:
    path = coordinator.create_echo_path()
    path.a.delay_period_ns = path.b.delay_period_ns = 90_000_000_000
    path.setup()
    packet = path.a.send_packet(b"hello")
    message = path.b.build_recv(packet)
    assert refused(lambda: path.b.chain.deliver(message)) == ("07-tendermint", 10)
    coordinator.advance(90)
    # 90 s at 30 s a block: three blocks must have passed as well.
    path.b.chain.next_block()
    path.b.chain.deliver(message)
    assert count(path.b, "recv") == 1


def test_packet_round_trips_through_its_message() -> None:
    packet = Packet(1, "echo", "channel-0", "echo", "channel-1", b"x", Height(1, 2), 3)
    assert Packet.from_proto(packet.to_proto()) == packet
