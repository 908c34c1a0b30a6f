"""Packets of ICS-04: sending, and the verified halves of receiving, acknowledging and timing out.

No function here calls an application: handlers do, after these have made the packet's fate final.
"""

from dataclasses import dataclass
from typing import Final

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain.ibc import host
from chain.ibc.channel import state
from chain.ibc.channel.commitments import (
    compute_acknowledgement_commitment,
    compute_packet_commitment,
)
from chain.ibc.channel.state import Channel
from chain.ibc.client.membership import Proof
from chain.ibc.client.state import (
    get_consensus_time_ns,
    get_latest_height,
    get_self_height,
    require_active,
)
from chain.ibc.connection import proofs
from chain.ibc.connection.proofs import PacketPlace
from chain.ibc.connection.state import ConnectionEnd, get_connection
from chain.ibc.errors import (
    AcknowledgementExists,
    ConsensusStateNotFound,
    InvalidAcknowledgement,
    InvalidChannelState,
    InvalidConnectionState,
    InvalidPacket,
    PacketReceived,
    PacketSequenceOutOfOrder,
    TimeoutElapsed,
    TimeoutNotReached,
)
from chain.ibc.height import UINT64_LIMIT, Height
from chain.ibc.router import ORDER_ORDERED, Packet
from chain.runtime.context import Context

DATA_BYTES_MAX: Final = 262_144
"""Most bytes of packet data, as in ibc-go v10."""


def validate_packet(packet: Packet) -> None:
    """Raises InvalidIdentifier or InvalidPacket for a packet that breaks a rule of ICS-04."""
    host.validate_port_id(packet.source_port)
    host.validate_port_id(packet.destination_port)
    host.validate_channel_id(packet.source_channel)
    host.validate_channel_id(packet.destination_channel)
    if packet.sequence == 0:
        raise InvalidPacket("a packet's sequence starts at 1")
    if packet.timeout_height.is_zero and packet.timeout_timestamp_ns == 0:
        raise InvalidPacket("a packet needs a timeout height, a timeout time, or both")
    if not 1 <= len(packet.data) <= DATA_BYTES_MAX:
        raise InvalidPacket(
            f"packet data has {len(packet.data)} bytes, must have 1 to {DATA_BYTES_MAX}"
        )


def is_timed_out(packet: Packet, height: Height, time_ns: int) -> bool:
    """Whether the packet can no longer be received on a chain at this height and time."""
    by_height = not packet.timeout_height.is_zero and packet.timeout_height <= height
    by_time = packet.timeout_timestamp_ns != 0 and packet.timeout_timestamp_ns <= time_ns
    return by_height or by_time


def _describe_timeout(packet: Packet, height: Height, time_ns: int) -> str:
    return (
        f"timeout height {packet.timeout_height}, time {packet.timeout_timestamp_ns} ns; "
        f"the receiving chain is at height {height}, time {time_ns} ns"
    )


def _require_open(channel: Channel, channel_id: str) -> None:
    if channel.state != channel_pb2.STATE_OPEN:
        raise InvalidChannelState(
            f"channel {channel_id!r} is {channel_pb2.State.Name(channel.state)}, packets need "
            f"STATE_OPEN"
        )


def _get_open_connection(ctx: Context, channel: Channel) -> ConnectionEnd:
    connection_id = channel.connection_hops[0]
    connection = get_connection(ctx, connection_id)
    if connection.state != connection_pb2.STATE_OPEN:
        raise InvalidConnectionState(
            f"connection {connection_id!r} is {connection_pb2.State.Name(connection.state)}, "
            f"packets need STATE_OPEN"
        )
    return connection


def emit_packet_event(
    ctx: Context,
    event: str,
    packet: Packet,
    channel: Channel,
    *,
    has_data: bool,
    acknowledgement: bytes | None = None,
) -> None:
    """Record what happened to a packet, in the words relayers look for."""
    attributes: dict[str, str | int] = {}
    if has_data:
        attributes["packet_data_hex"] = packet.data.hex()
    attributes |= {
        "packet_timeout_height": str(packet.timeout_height),
        "packet_timeout_timestamp": packet.timeout_timestamp_ns,
        "packet_sequence": packet.sequence,
        "packet_src_port": packet.source_port,
        "packet_src_channel": packet.source_channel,
        "packet_dst_port": packet.destination_port,
        "packet_dst_channel": packet.destination_channel,
    }
    if acknowledgement is not None:
        attributes["packet_ack_hex"] = acknowledgement.hex()
    attributes |= {
        "packet_channel_ordering": channel_pb2.Order.Name(channel.ordering),
        "packet_connection": channel.connection_hops[0],
        "connection_id": channel.connection_hops[0],
    }
    ctx.emit(event, attributes)
    ctx.emit("message", {"module": "ibc_channel"})


def send_packet(
    ctx: Context,
    port_id: str,
    channel_id: str,
    timeout_height: Height,
    timeout_timestamp_ns: int,
    data: bytes,
) -> int:
    """The sequence of a packet just committed to an open channel.

    Raises ChannelNotFound, InvalidChannelState, InvalidPacket, ClientNotActive, or TimeoutElapsed
    when the counterparty is already known to be past the timeout.
    """
    channel = state.get_channel(ctx, port_id, channel_id)
    _require_open(channel, channel_id)
    if not 0 <= timeout_timestamp_ns < UINT64_LIMIT:
        raise InvalidPacket(f"timeout time {timeout_timestamp_ns} ns must lie within [0, 2^64)")
    sequence = state.get_next_sequence_send(ctx, port_id, channel_id)
    assert sequence is not None, "an open channel has sequences"
    packet = Packet(
        sequence=sequence,
        source_port=port_id,
        source_channel=channel_id,
        destination_port=channel.counterparty.port_id,
        destination_channel=channel.counterparty.channel_id,
        data=data,
        timeout_height=timeout_height,
        timeout_timestamp_ns=timeout_timestamp_ns,
    )
    validate_packet(packet)
    connection = get_connection(ctx, channel.connection_hops[0])
    require_active(ctx, connection.client_id)
    latest = get_latest_height(ctx, connection.client_id)
    latest_time_ns = get_consensus_time_ns(ctx, connection.client_id, latest)
    assert latest_time_ns is not None, "an active client holds its latest consensus state"
    if is_timed_out(packet, latest, latest_time_ns):
        raise TimeoutElapsed(_describe_timeout(packet, latest, latest_time_ns))
    state.set_next_sequence_send(ctx, port_id, channel_id, sequence + 1)
    commitment = compute_packet_commitment(packet)
    state.set_packet_commitment(ctx, port_id, channel_id, sequence, commitment)
    emit_packet_event(ctx, "send_packet", packet, channel, has_data=True)
    return sequence


def _require_counterparty(channel: Channel, port_id: str, channel_id: str, which: str) -> None:
    counterparty = channel.counterparty
    if (port_id, channel_id) != (counterparty.port_id, counterparty.channel_id):
        raise InvalidPacket(
            f"packet {which} {port_id}/{channel_id} is not the channel's counterparty "
            f"{counterparty.port_id}/{counterparty.channel_id}"
        )


def receive_packet(ctx: Context, packet: Packet, proof: Proof) -> bool:
    """Record a proven packet as received; False when it was received before (nothing is written).

    Raises for a channel or connection not open, another counterparty, a timeout that has elapsed
    here, a proof that does not verify, and a packet out of order on an ordered channel.
    """
    port_id, channel_id = packet.destination_port, packet.destination_channel
    channel = state.get_channel(ctx, port_id, channel_id)
    _require_open(channel, channel_id)
    _require_counterparty(channel, packet.source_port, packet.source_channel, "source")
    connection = _get_open_connection(ctx, channel)
    self_height = get_self_height(ctx)
    if is_timed_out(packet, self_height, ctx.time_ns):
        raise TimeoutElapsed(_describe_timeout(packet, self_height, ctx.time_ns))
    place = PacketPlace(packet.source_port, packet.source_channel, packet.sequence)
    proofs.verify_packet_commitment(
        ctx, connection, proof, place, compute_packet_commitment(packet)
    )
    is_new = record_received(ctx, packet, channel)
    if is_new:
        emit_packet_event(ctx, "recv_packet", packet, channel, has_data=True)
    return is_new


def record_received(ctx: Context, packet: Packet, channel: Channel) -> bool:
    """Keep a packet, verified before, from being received again; False when it was received.

    Raises PacketSequenceOutOfOrder on an ordered channel.
    """
    port_id, channel_id = packet.destination_port, packet.destination_channel
    if channel.ordering == ORDER_ORDERED:
        expected = state.get_next_sequence_recv(ctx, port_id, channel_id) or 0
        if packet.sequence > expected:
            raise PacketSequenceOutOfOrder(
                f"packet {packet.sequence} arrived before packet {expected}; relay that one first"
            )
        is_new = packet.sequence == expected
        if is_new:
            state.set_next_sequence_recv(ctx, port_id, channel_id, expected + 1)
    else:
        is_new = not state.has_packet_receipt(ctx, port_id, channel_id, packet.sequence)
        if is_new:
            state.set_packet_receipt(ctx, port_id, channel_id, packet.sequence)
    return is_new


def write_acknowledgement(ctx: Context, packet: Packet, acknowledgement: bytes) -> None:
    """Commit to the acknowledgement of a received packet, once.

    Raises AcknowledgementExists, or InvalidAcknowledgement when it is empty.
    """
    port_id, channel_id = packet.destination_port, packet.destination_channel
    channel = state.get_channel(ctx, port_id, channel_id)
    _require_open(channel, channel_id)
    if state.get_packet_acknowledgement(ctx, port_id, channel_id, packet.sequence) is not None:
        raise AcknowledgementExists(
            f"packet {packet.sequence} on {port_id}/{channel_id} is acknowledged already"
        )
    if not acknowledgement:
        raise InvalidAcknowledgement("an acknowledgement has at least one byte")
    commitment = compute_acknowledgement_commitment(acknowledgement)
    state.set_packet_acknowledgement(ctx, port_id, channel_id, packet.sequence, commitment)
    emit_packet_event(
        ctx,
        "write_acknowledgement",
        packet,
        channel,
        has_data=True,
        acknowledgement=acknowledgement,
    )


def is_in_flight(ctx: Context, packet: Packet) -> bool:
    """Whether this very packet is committed here; raises InvalidPacket when another one is."""
    stored = state.get_packet_commitment(
        ctx, packet.source_port, packet.source_channel, packet.sequence
    )
    if stored is None:
        return False
    computed = compute_packet_commitment(packet)
    if stored != computed:
        raise InvalidPacket(
            f"packet {packet.sequence} hashes to {computed.hex()}, the packet sent to "
            f"{stored.hex()}"
        )
    return True


def acknowledge_packet(ctx: Context, packet: Packet, acknowledgement: bytes, proof: Proof) -> bool:
    """Settle a packet by its proven acknowledgement; False when it is settled already.

    Raises for a channel or connection not open, another packet than the one sent, a proof that does
    not verify, and an acknowledgement out of order on an ordered channel.
    """
    port_id, channel_id = packet.source_port, packet.source_channel
    channel = state.get_channel(ctx, port_id, channel_id)
    _require_open(channel, channel_id)
    _require_counterparty(
        channel, packet.destination_port, packet.destination_channel, "destination"
    )
    connection = _get_open_connection(ctx, channel)
    if not is_in_flight(ctx, packet):
        return False
    place = PacketPlace(packet.destination_port, packet.destination_channel, packet.sequence)
    proofs.verify_packet_acknowledgement(
        ctx, connection, proof, place, compute_acknowledgement_commitment(acknowledgement)
    )
    record_acknowledged(ctx, packet, channel)
    emit_packet_event(ctx, "acknowledge_packet", packet, channel, has_data=False)
    return True


def record_acknowledged(ctx: Context, packet: Packet, channel: Channel) -> None:
    """End the flight of a packet whose acknowledgement was verified before.

    Raises PacketSequenceOutOfOrder on an ordered channel.
    """
    port_id, channel_id = packet.source_port, packet.source_channel
    if channel.ordering == ORDER_ORDERED:
        expected = state.get_next_sequence_ack(ctx, port_id, channel_id) or 0
        if packet.sequence != expected:
            raise PacketSequenceOutOfOrder(
                f"acknowledgement of packet {packet.sequence}, the next one is of packet {expected}"
            )
        state.set_next_sequence_ack(ctx, port_id, channel_id, expected + 1)
    state.delete_packet_commitment(ctx, port_id, channel_id, packet.sequence)


@dataclass(frozen=True, slots=True)
class Unreceived:
    """What proves that the counterparty never received a packet: next sequence or absence."""

    proof: Proof
    next_sequence_recv: int


def _verify_unreceived(
    ctx: Context,
    channel: Channel,
    connection: ConnectionEnd,
    packet: Packet,
    unreceived: Unreceived,
) -> None:
    port_id, channel_id = packet.destination_port, packet.destination_channel
    if channel.ordering == ORDER_ORDERED:
        if unreceived.next_sequence_recv > packet.sequence:
            raise PacketReceived(
                f"the counterparty next receives packet {unreceived.next_sequence_recv}, so it has "
                f"received packet {packet.sequence}"
            )
        place = PacketPlace(port_id, channel_id, unreceived.next_sequence_recv)
        proofs.verify_next_sequence_recv(ctx, connection, unreceived.proof, place)
    else:
        place = PacketPlace(port_id, channel_id, packet.sequence)
        proofs.verify_packet_receipt_absence(ctx, connection, unreceived.proof, place)


def record_timed_out(ctx: Context, packet: Packet, channel: Channel) -> None:
    """End the flight of a packet verified to be too late; an ordered channel is closed."""
    port_id, channel_id = packet.source_port, packet.source_channel
    state.delete_packet_commitment(ctx, port_id, channel_id, packet.sequence)
    if channel.ordering == ORDER_ORDERED and channel.state != channel_pb2.STATE_CLOSED:
        channel.state = channel_pb2.STATE_CLOSED
        state.set_channel(ctx, port_id, channel_id, channel)
        ctx.emit(
            "channel_close",
            {
                "port_id": port_id,
                "channel_id": channel_id,
                "counterparty_port_id": channel.counterparty.port_id,
                "counterparty_channel_id": channel.counterparty.channel_id,
                "connection_id": channel.connection_hops[0],
                "packet_channel_ordering": channel_pb2.Order.Name(channel.ordering),
            },
        )
        ctx.emit("message", {"module": "ibc_channel"})
    emit_packet_event(ctx, "timeout_packet", packet, channel, has_data=False)


def timeout_packet(ctx: Context, packet: Packet, unreceived: Unreceived) -> bool:
    """Settle a packet that can no longer be received; False when it is settled already.

    On an ordered channel this closes the channel. Raises TimeoutNotReached while the counterparty,
    at the proof height, could still receive it, PacketReceived, InvalidPacket, and for a proof that
    does not verify.
    """
    channel = state.get_channel(ctx, packet.source_port, packet.source_channel)
    _require_counterparty(
        channel, packet.destination_port, packet.destination_channel, "destination"
    )
    connection = get_connection(ctx, channel.connection_hops[0])
    height = unreceived.proof.height
    time_ns = get_consensus_time_ns(ctx, connection.client_id, height)
    if time_ns is None:
        raise ConsensusStateNotFound(
            f"client {connection.client_id!r} holds nothing at height {height}; update it first"
        )
    if not is_timed_out(packet, height, time_ns):
        raise TimeoutNotReached(_describe_timeout(packet, height, time_ns))
    if not is_in_flight(ctx, packet):
        return False
    _verify_unreceived(ctx, channel, connection, packet, unreceived)
    record_timed_out(ctx, packet, channel)
    return True


def timeout_packet_on_close(
    ctx: Context, packet: Packet, unreceived: Unreceived, proof_closed: Proof
) -> bool:
    """Settle a packet whose receiving channel end is proven closed; False when settled already."""
    channel = state.get_channel(ctx, packet.source_port, packet.source_channel)
    _require_counterparty(
        channel, packet.destination_port, packet.destination_channel, "destination"
    )
    connection = get_connection(ctx, channel.connection_hops[0])
    if not is_in_flight(ctx, packet):
        return False
    expected = Channel(
        state=channel_pb2.STATE_CLOSED,
        ordering=channel.ordering,
        counterparty=channel_pb2.Counterparty(
            port_id=packet.source_port, channel_id=packet.source_channel
        ),
        connection_hops=[connection.counterparty.connection_id],
        version=channel.version,
    )
    place = (channel.counterparty.port_id, channel.counterparty.channel_id)
    proofs.verify_channel_state(ctx, connection, proof_closed, place, expected)
    _verify_unreceived(ctx, channel, connection, packet, unreceived)
    record_timed_out(ctx, packet, channel)
    return True
