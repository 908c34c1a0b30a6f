"""What one end of a connection proves of the other chain's store, over the connection's client."""

from dataclasses import dataclass

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain.ibc import host
from chain.ibc.client.membership import NO_DELAY, Delay, Proof
from chain.ibc.client.membership import verify_membership as verify_client_membership
from chain.ibc.client.membership import verify_non_membership as verify_client_non_membership
from chain.ibc.connection.state import ConnectionEnd, get_params, pack_connection
from chain.runtime.context import Context
from chain.units import ceil_div


@dataclass(frozen=True, slots=True)
class PacketPlace:
    """Where on the counterparty something about a packet is stored."""

    port_id: str
    channel_id: str
    sequence: int


def pack_channel(channel: channel_pb2.Channel) -> bytes:
    """A channel end as chains store it: fields that Go never omits are present."""
    channel.counterparty.SetInParent()
    return channel.SerializeToString(deterministic=True)


def commitment_prefix(connection: ConnectionEnd) -> bytes:
    """Name of the counterparty's provable store."""
    return connection.counterparty.prefix.key_prefix


def compute_delay(ctx: Context, connection: ConnectionEnd) -> Delay:
    """How long a header must have been known here before a packet proof may use it (rounds up)."""
    time_ns = connection.delay_period
    time_per_block_ns = get_params(ctx).max_expected_time_per_block
    blocks = 0 if time_per_block_ns == 0 else ceil_div(time_ns, time_per_block_ns)
    return Delay(time_ns=time_ns, blocks=blocks)


def _verify(
    ctx: Context,
    connection: ConnectionEnd,
    proof: Proof,
    path: bytes,
    value: bytes,
    *,
    delay: Delay = NO_DELAY,
) -> None:
    full_path = (commitment_prefix(connection), path)
    verify_client_membership(ctx, connection.client_id, proof, full_path, value, delay=delay)


def verify_connection_state(
    ctx: Context,
    connection: ConnectionEnd,
    proof: Proof,
    connection_id: str,
    expected: ConnectionEnd,
) -> None:
    """Raises unless the counterparty stores this connection end."""
    _verify(ctx, connection, proof, host.connection_path(connection_id), pack_connection(expected))


def verify_channel_state(
    ctx: Context,
    connection: ConnectionEnd,
    proof: Proof,
    place: tuple[str, str],
    expected: channel_pb2.Channel,
) -> None:
    """Raises unless the counterparty stores this channel end under (port, channel)."""
    _verify(ctx, connection, proof, host.channel_path(*place), pack_channel(expected))


def verify_packet_commitment(
    ctx: Context, connection: ConnectionEnd, proof: Proof, place: PacketPlace, commitment: bytes
) -> None:
    """Raises unless the counterparty committed to the packet."""
    path = host.packet_commitment_path(place.port_id, place.channel_id, place.sequence)
    _verify(ctx, connection, proof, path, commitment, delay=compute_delay(ctx, connection))


def verify_packet_acknowledgement(
    ctx: Context, connection: ConnectionEnd, proof: Proof, place: PacketPlace, commitment: bytes
) -> None:
    """Raises unless the counterparty stores this acknowledgement commitment."""
    path = host.packet_acknowledgement_path(place.port_id, place.channel_id, place.sequence)
    _verify(ctx, connection, proof, path, commitment, delay=compute_delay(ctx, connection))


def verify_packet_receipt_absence(
    ctx: Context, connection: ConnectionEnd, proof: Proof, place: PacketPlace
) -> None:
    """Raises unless the counterparty had not received the packet (unordered channels)."""
    path = host.packet_receipt_path(place.port_id, place.channel_id, place.sequence)
    verify_client_non_membership(
        ctx,
        connection.client_id,
        proof,
        (commitment_prefix(connection), path),
        delay=compute_delay(ctx, connection),
    )


def verify_next_sequence_recv(
    ctx: Context, connection: ConnectionEnd, proof: Proof, place: PacketPlace
) -> None:
    """Raises unless place.sequence is the next one the counterparty receives (ordered channels)."""
    path = host.next_sequence_recv_path(place.port_id, place.channel_id)
    value = place.sequence.to_bytes(8, "big")
    _verify(ctx, connection, proof, path, value, delay=compute_delay(ctx, connection))
