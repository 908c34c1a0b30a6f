"""The margin-1 application: typed packets between a hub and the vaults of its collateral chains.

Anyone may open a channel; what a packet may do is decided by its receiver, which obeys registered
routes alone. The acknowledgement settles: code 0, or the codespace and code of the refusal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from chain._pb.margin.packet.v1 import packet_pb2
from chain.errors import ChainError
from chain.ibc.channel.packets import send_packet
from chain.ibc.errors import InvalidChannelOrdering, InvalidChannelVersion, InvalidPacket
from chain.ibc.height import Height
from chain.ibc.router import ORDER_UNORDERED, ChannelOpening, Packet
from chain.runtime.context import Context
from chain.units import NANOSECONDS

PORT: Final = "margin"
VERSION: Final = "margin-1"
PACKET_BYTES_MAX: Final = 64 * 1024
ACKNOWLEDGEMENT_BYTES_MAX: Final = 512


class InvalidMarginPacket(ChainError):
    """Packet data that is not one canonical margin-1 message."""

    codespace = "margin"
    code = 2
    summary = "invalid margin packet"


class MessageNotServed(ChainError):
    """A margin-1 message that this chain does not receive."""

    codespace = "margin"
    code = 3
    summary = "message is not served here"


class InvalidMarginAcknowledgement(ChainError):
    """An acknowledgement that is not one canonical margin-1 acknowledgement."""

    codespace = "margin"
    code = 4
    summary = "invalid margin acknowledgement"


class ChannelStaysOpen(ChainError):
    """A margin channel is not closed: collateral could then move by a timeout alone."""

    codespace = "margin"
    code = 5
    summary = "a margin channel cannot be closed"


@dataclass(frozen=True, slots=True)
class PacketInfo:
    """Where a packet came from: this chain's channel, the other end's, and who brought it.

    sender_time_ns is the sender's block time; with it the receiver measures delivery delay.
    """

    channel_id: str
    counterparty_channel_id: str
    sequence: int
    sender_time_ns: int
    relayer: str


Receive = Callable[[Context, PacketInfo, Any], None]
"""Carries out a received message; raises ChainError to refuse it (nothing written, error ack)."""
Acknowledge = Callable[[Context, PacketInfo, Any, packet_pb2.MarginAcknowledgement], None]
"""Settles a message sent from here by its acknowledgement."""
Timeout = Callable[[Context, PacketInfo, Any], None]
"""Restores exactly what the sending of a message took."""


@dataclass(frozen=True, slots=True)
class PacketHandlers:
    """What a chain does with one message of the protocol; None where it never gets that far."""

    receive: Receive | None = None
    acknowledge: Acknowledge | None = None
    timeout: Timeout | None = None


def decode_packet(data: bytes) -> packet_pb2.MarginPacket:
    """The message that packet data carries; raises InvalidMarginPacket.

    The size is bounded before decoding; unknown fields are discarded at every level and the result
    must encode to the very same bytes, so one message has one encoding.
    """
    if len(data) > PACKET_BYTES_MAX:
        raise InvalidMarginPacket(f"{len(data)} bytes are above the limit {PACKET_BYTES_MAX}")
    message = packet_pb2.MarginPacket()
    _decode_canonical(message, data, InvalidMarginPacket)
    if message.WhichOneof("body") is None:
        raise InvalidMarginPacket("the packet carries no message")
    if message.sender_time_ns <= 0:
        raise InvalidMarginPacket(f"sender time {message.sender_time_ns} must be above zero")
    return message


def decode_acknowledgement(data: bytes) -> packet_pb2.MarginAcknowledgement:
    """The acknowledgement in these bytes; raises InvalidMarginAcknowledgement."""
    if not 0 < len(data) <= ACKNOWLEDGEMENT_BYTES_MAX:
        raise InvalidMarginAcknowledgement(
            f"{len(data)} bytes must lie within [1, {ACKNOWLEDGEMENT_BYTES_MAX}]"
        )
    message = packet_pb2.MarginAcknowledgement()
    _decode_canonical(message, data, InvalidMarginAcknowledgement)
    return message


def _decode_canonical(message: Message, data: bytes, error: type[ChainError]) -> None:
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise error(f"{len(data)} bytes do not decode") from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != data:
        raise error("the encoding is not canonical or has unknown fields")


def send_margin_packet(ctx: Context, channel_id: str, body: Message, timeout_s: int) -> int:
    """The sequence of a packet just sent with this message; it times out timeout_s from now."""
    packet = packet_pb2.MarginPacket(sender_time_ns=ctx.time_ns)
    name = _BODY_NAMES[type(body)]
    getattr(packet, name).CopyFrom(body)
    return send_packet(
        ctx,
        PORT,
        channel_id,
        Height(0, 0),
        ctx.time_ns + timeout_s * NANOSECONDS,
        packet.SerializeToString(deterministic=True),
    )


_BODY_NAMES: Final[Mapping[type[Message], str]] = {
    packet_pb2.LockCollateral: "lock_collateral",
    packet_pb2.PositionReport: "position_report",
    packet_pb2.ReleaseCollateral: "release_collateral",
    packet_pb2.SeizeCollateral: "seize_collateral",
    packet_pb2.GrantCredit: "grant_credit",
    packet_pb2.ForceReduce: "force_reduce",
    packet_pb2.Heartbeat: "heartbeat",
}


class MarginApplication:
    """The IBC application of port "margin": a table of handlers by message name."""

    def __init__(self, handlers: Mapping[str, PacketHandlers]) -> None:
        unknown = sorted(set(handlers) - set(_BODY_NAMES.values()))
        assert not unknown, f"no such messages: {unknown}"
        self._handlers = dict(handlers)

    def on_chan_open_init(self, ctx: Context, opening: ChannelOpening) -> str:
        """margin-1, also for an empty proposal; raises on another version, order or port."""
        del ctx
        if opening.version not in ("", VERSION):
            raise InvalidChannelVersion(f"{opening.version[:60]!r} must be {VERSION!r}")
        _validate_opening(opening)
        return VERSION

    def on_chan_open_try(self, ctx: Context, opening: ChannelOpening) -> str:
        """margin-1; raises when the counterparty proposed another version, order or port."""
        del ctx
        if opening.version != VERSION:
            raise InvalidChannelVersion(f"{opening.version[:60]!r} must be {VERSION!r}")
        _validate_opening(opening)
        return VERSION

    def on_chan_open_ack(
        self,
        ctx: Context,
        port_id: str,
        channel_id: str,
        counterparty_channel_id: str,
        counterparty_version: str,
    ) -> None:
        """Raises when the counterparty answered with another version."""
        del ctx, port_id, channel_id, counterparty_channel_id
        if counterparty_version != VERSION:
            raise InvalidChannelVersion(f"{counterparty_version[:60]!r} must be {VERSION!r}")

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Nothing to do: a channel means nothing until the council registers it."""

    def on_chan_close_init(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Always raises ChannelStaysOpen."""
        del ctx, port_id
        raise ChannelStaysOpen(f"{channel_id} carries collateral")

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Nothing to do: a route over a closed channel counts as frozen."""

    def on_recv_packet(self, ctx: Context, packet: Packet, relayer: str) -> bytes:
        """The success acknowledgement; raises ChainError when the message is refused."""
        message, name, handlers = self._open(packet)
        if handlers.receive is None:
            raise MessageNotServed(f"{name} is not received by this chain")
        info = PacketInfo(
            channel_id=packet.destination_channel,
            counterparty_channel_id=packet.source_channel,
            sequence=packet.sequence,
            sender_time_ns=message.sender_time_ns,
            relayer=relayer,
        )
        handlers.receive(ctx, info, getattr(message, name))
        acknowledgement = packet_pb2.MarginAcknowledgement(receiver_time_ns=ctx.time_ns)
        return acknowledgement.SerializeToString(deterministic=True)

    def error_acknowledgement(self, error: ChainError) -> bytes:
        """Codespace and code alone: texts may differ between releases, bytes may not."""
        acknowledgement = packet_pb2.MarginAcknowledgement(
            code=error.code, codespace=error.codespace
        )
        return acknowledgement.SerializeToString(deterministic=True)

    def on_acknowledgement_packet(
        self, ctx: Context, packet: Packet, acknowledgement: bytes, relayer: str
    ) -> None:
        """Hands the decoded acknowledgement to the sender of the message."""
        result = decode_acknowledgement(acknowledgement)
        message, name, handlers = self._open(packet)
        if handlers.acknowledge is None:
            raise MessageNotServed(f"{name} is not sent by this chain")
        info = _sent_info(packet, message, relayer)
        handlers.acknowledge(ctx, info, getattr(message, name), result)

    def on_timeout_packet(self, ctx: Context, packet: Packet, relayer: str) -> None:
        """Tells the sender of the message that it never arrived."""
        message, name, handlers = self._open(packet)
        if handlers.timeout is None:
            raise MessageNotServed(f"{name} is not sent by this chain")
        handlers.timeout(ctx, _sent_info(packet, message, relayer), getattr(message, name))

    def _open(self, packet: Packet) -> tuple[packet_pb2.MarginPacket, str, PacketHandlers]:
        message = decode_packet(packet.data)
        name = message.WhichOneof("body")
        assert name is not None, "decode_packet requires a body"
        return message, name, self._handlers.get(name, PacketHandlers())


def _sent_info(packet: Packet, message: packet_pb2.MarginPacket, relayer: str) -> PacketInfo:
    return PacketInfo(
        channel_id=packet.source_channel,
        counterparty_channel_id=packet.destination_channel,
        sequence=packet.sequence,
        sender_time_ns=message.sender_time_ns,
        relayer=relayer,
    )


def _validate_opening(opening: ChannelOpening) -> None:
    if opening.ordering != ORDER_UNORDERED:
        raise InvalidChannelOrdering(
            "a margin channel is unordered: one stuck order stops no other"
        )
    if opening.counterparty_port_id != PORT:
        raise InvalidPacket(
            f"counterparty port {opening.counterparty_port_id[:60]!r} is not {PORT!r}"
        )
