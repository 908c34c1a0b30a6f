"""The store of ICS-04: channel ends, sequences, packet commitments, receipts, acknowledgements.

Keys and values as in ibc-go, which counterparties prove.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain.ibc import host
from chain.ibc.connection.proofs import pack_channel
from chain.ibc.errors import ChannelNotFound
from chain.runtime.context import Context
from chain.runtime.pagination import get_page
from chain.runtime.store import StoreView

Channel = channel_pb2.Channel

RECEIPT: Final = b"\x01"
_NEXT_CHANNEL_SEQUENCE: Final = b"nextChannelSequence"
_CHANNEL_ENDS: Final = b"channelEnds/"


def _store(ctx: Context) -> StoreView:
    return ctx.kv(host.STORE)


def _get_number(ctx: Context, path: bytes) -> int | None:
    value = _store(ctx).get(path)
    return None if value is None else int.from_bytes(value, "big")


def get_channel(ctx: Context, port_id: str, channel_id: str) -> Channel:
    """A channel end; raises ChannelNotFound."""
    value = _store(ctx).get(host.channel_path(port_id, channel_id))
    if value is None:
        raise ChannelNotFound(f"no channel {channel_id!r} on port {port_id!r}")
    return Channel.FromString(value)


def set_channel(ctx: Context, port_id: str, channel_id: str, channel: Channel) -> None:
    """Write a channel end."""
    _store(ctx).set(host.channel_path(port_id, channel_id), pack_channel(channel))


def iterate_channel_ends(ctx: Context) -> Iterator[tuple[str, str, Channel]]:
    """Port, identifier and end of every channel; bound the work at the call site."""
    for key, value in _store(ctx).iterate(_CHANNEL_ENDS):
        port_id, channel_id = parse_channel_path(key)
        yield port_id, channel_id, Channel.FromString(value)


def parse_channel_path(path: bytes) -> tuple[str, str]:
    """Port and channel of a path under channelEnds."""
    parts = path.decode().split("/")
    return parts[2], parts[4]


def get_channel_page(
    ctx: Context, request: pagination_pb2.PageRequest
) -> tuple[list[tuple[str, str, Channel]], pagination_pb2.PageResponse]:
    """One page of the channel ends with port and identifier."""
    rows, page = get_page(_store(ctx), _CHANNEL_ENDS, request)
    ends = [
        (*parse_channel_path(_CHANNEL_ENDS + key), Channel.FromString(value)) for key, value in rows
    ]
    return ends, page


def get_next_channel_sequence(ctx: Context) -> int:
    """The number of the next channel."""
    return _get_number(ctx, _NEXT_CHANNEL_SEQUENCE) or 0


def set_next_channel_sequence(ctx: Context, sequence: int) -> None:
    """Write the number of the next channel."""
    _store(ctx).set(_NEXT_CHANNEL_SEQUENCE, sequence.to_bytes(8, "big"))


def create_channel_id(ctx: Context) -> str:
    """A fresh channel identifier."""
    sequence = get_next_channel_sequence(ctx)
    set_next_channel_sequence(ctx, sequence + 1)
    return f"channel-{sequence}"


@dataclass(frozen=True, slots=True)
class Sequences:
    """The next packet a channel end sends, receives, and sees acknowledged."""

    send: int
    receive: int
    acknowledge: int


def get_sequences(ctx: Context, port_id: str, channel_id: str) -> Sequences:
    """The sequences of a channel end that exists."""
    numbers = [
        _get_number(ctx, path(port_id, channel_id))
        for path in (
            host.next_sequence_send_path,
            host.next_sequence_recv_path,
            host.next_sequence_ack_path,
        )
    ]
    send, receive, acknowledge = (number or 0 for number in numbers)
    return Sequences(send, receive, acknowledge)


def set_sequences(ctx: Context, port_id: str, channel_id: str, sequences: Sequences) -> None:
    """Write all three sequences of a channel end."""
    set_next_sequence_send(ctx, port_id, channel_id, sequences.send)
    set_next_sequence_recv(ctx, port_id, channel_id, sequences.receive)
    set_next_sequence_ack(ctx, port_id, channel_id, sequences.acknowledge)


def get_next_sequence_send(ctx: Context, port_id: str, channel_id: str) -> int | None:
    """The sequence of the next packet to send, or None without such a channel."""
    return _get_number(ctx, host.next_sequence_send_path(port_id, channel_id))


def set_next_sequence_send(ctx: Context, port_id: str, channel_id: str, sequence: int) -> None:
    """Write the sequence of the next packet to send."""
    path = host.next_sequence_send_path(port_id, channel_id)
    _store(ctx).set(path, sequence.to_bytes(8, "big"))


def get_next_sequence_recv(ctx: Context, port_id: str, channel_id: str) -> int | None:
    """The sequence of the next packet to receive, or None without such a channel."""
    return _get_number(ctx, host.next_sequence_recv_path(port_id, channel_id))


def set_next_sequence_recv(ctx: Context, port_id: str, channel_id: str, sequence: int) -> None:
    """Write the sequence of the next packet to receive."""
    path = host.next_sequence_recv_path(port_id, channel_id)
    _store(ctx).set(path, sequence.to_bytes(8, "big"))


def get_next_sequence_ack(ctx: Context, port_id: str, channel_id: str) -> int | None:
    """The sequence of the next packet to be acknowledged, or None without such a channel."""
    return _get_number(ctx, host.next_sequence_ack_path(port_id, channel_id))


def set_next_sequence_ack(ctx: Context, port_id: str, channel_id: str, sequence: int) -> None:
    """Write the sequence of the next packet to be acknowledged."""
    path = host.next_sequence_ack_path(port_id, channel_id)
    _store(ctx).set(path, sequence.to_bytes(8, "big"))


def get_packet_commitment(
    ctx: Context, port_id: str, channel_id: str, sequence: int
) -> bytes | None:
    """The commitment of a sent packet, None once it is settled (or never sent)."""
    return _store(ctx).get(host.packet_commitment_path(port_id, channel_id, sequence))


def set_packet_commitment(
    ctx: Context, port_id: str, channel_id: str, sequence: int, commitment: bytes
) -> None:
    """Commit to a sent packet."""
    _store(ctx).set(host.packet_commitment_path(port_id, channel_id, sequence), commitment)


def delete_packet_commitment(ctx: Context, port_id: str, channel_id: str, sequence: int) -> None:
    """Settle a sent packet."""
    _store(ctx).delete(host.packet_commitment_path(port_id, channel_id, sequence))


def has_packet_receipt(ctx: Context, port_id: str, channel_id: str, sequence: int) -> bool:
    """Whether a packet was received on an unordered channel."""
    return _store(ctx).has(host.packet_receipt_path(port_id, channel_id, sequence))


def set_packet_receipt(ctx: Context, port_id: str, channel_id: str, sequence: int) -> None:
    """Record that a packet was received."""
    _store(ctx).set(host.packet_receipt_path(port_id, channel_id, sequence), RECEIPT)


def get_packet_acknowledgement(
    ctx: Context, port_id: str, channel_id: str, sequence: int
) -> bytes | None:
    """The commitment of an acknowledgement, or None."""
    return _store(ctx).get(host.packet_acknowledgement_path(port_id, channel_id, sequence))


def set_packet_acknowledgement(
    ctx: Context, port_id: str, channel_id: str, sequence: int, commitment: bytes
) -> None:
    """Commit to an acknowledgement."""
    _store(ctx).set(host.packet_acknowledgement_path(port_id, channel_id, sequence), commitment)


def get_commitment_page(
    ctx: Context, port_id: str, channel_id: str, request: pagination_pb2.PageRequest
) -> tuple[list[tuple[int, bytes]], pagination_pb2.PageResponse]:
    """One page of a channel's packets in flight, by the text of the sequence: with commitment."""
    rows, page = get_page(_store(ctx), host.packet_commitment_prefix(port_id, channel_id), request)
    return [(int(key), value) for key, value in rows], page


def get_acknowledgement_page(
    ctx: Context, port_id: str, channel_id: str, request: pagination_pb2.PageRequest
) -> tuple[list[tuple[int, bytes]], pagination_pb2.PageResponse]:
    """One page of a channel's acknowledgements, by the text of the sequence: with commitment."""
    rows, page = get_page(
        _store(ctx), host.packet_acknowledgement_prefix(port_id, channel_id), request
    )
    return [(int(key), value) for key, value in rows], page


def iterate_packet_states(ctx: Context, kind: str) -> Iterator[tuple[str, str, int, bytes]]:
    """Port, channel, sequence and value of all `commitments`, `acks` or `receipts`."""
    for key, value in _store(ctx).iterate(f"{kind}/".encode()):
        parts = key.decode().split("/")
        yield parts[2], parts[4], int(parts[6]), value
