"""What IBC core and its applications know of each other: packets, channels, callbacks.

Core calls an application through this protocol and knows nothing else of it. An application sends
with `chain.ibc.channel.packets.send_packet`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain.errors import ChainError
from chain.ibc.errors import RouteNotFound
from chain.ibc.height import Height
from chain.runtime.context import Context

ORDER_UNORDERED = channel_pb2.ORDER_UNORDERED
ORDER_ORDERED = channel_pb2.ORDER_ORDERED


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of ICS-04; timeout_height 0-0 and timeout_timestamp_ns 0 mean "no such timeout".

    `proof_height` is the height whose header proved a received packet; it is no part of the packet.
    """

    sequence: int
    source_port: str
    source_channel: str
    destination_port: str
    destination_channel: str
    data: bytes
    timeout_height: Height
    timeout_timestamp_ns: int
    proof_height: Height | None = field(default=None, compare=False)

    @staticmethod
    def from_proto(message: channel_pb2.Packet) -> "Packet":
        """The packet a message carries."""
        return Packet(
            sequence=message.sequence,
            source_port=message.source_port,
            source_channel=message.source_channel,
            destination_port=message.destination_port,
            destination_channel=message.destination_channel,
            data=message.data,
            timeout_height=Height.from_proto(message.timeout_height),
            timeout_timestamp_ns=message.timeout_timestamp,
        )

    def to_proto(self) -> channel_pb2.Packet:
        """The packet as a message."""
        return channel_pb2.Packet(
            sequence=self.sequence,
            source_port=self.source_port,
            source_channel=self.source_channel,
            destination_port=self.destination_port,
            destination_channel=self.destination_channel,
            data=self.data,
            timeout_height=self.timeout_height.to_proto(),
            timeout_timestamp=self.timeout_timestamp_ns,
        )


@dataclass(frozen=True, slots=True)
class ChannelOpening:
    """A channel about to be opened; counterparty_channel_id is empty in the first step.

    version is what this side proposed in the first step, what the counterparty chose in the second.
    """

    ordering: int
    connection_id: str
    port_id: str
    channel_id: str
    counterparty_port_id: str
    counterparty_channel_id: str
    version: str


class IbcApplication(Protocol):
    """An application bound to a port.

    Every callback may raise ChainError: it refuses the handshake step, the acknowledgement or the
    timeout, whose transaction then fails. on_recv_packet runs in a branch of its own: a ChainError
    drops its writes and events, and the packet is acknowledged with error_acknowledgement.
    """

    def on_chan_open_init(self, ctx: Context, opening: ChannelOpening) -> str:
        """The version of the channel this side opens; an empty proposal asks for the default."""
        ...

    def on_chan_open_try(self, ctx: Context, opening: ChannelOpening) -> str:
        """The version with which this side answers the counterparty's."""
        ...

    def on_chan_open_ack(
        self,
        ctx: Context,
        port_id: str,
        channel_id: str,
        counterparty_channel_id: str,
        counterparty_version: str,
    ) -> None:
        """The counterparty answered: the channel is open here."""
        ...

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """The counterparty opened: the channel is open here."""
        ...

    def on_chan_close_init(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Somebody asks to close the channel; raise to refuse."""
        ...

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """The counterparty closed the channel."""
        ...

    def on_recv_packet(self, ctx: Context, packet: Packet, relayer: str) -> bytes:
        """The acknowledgement of a proven packet; b"" when it is written later."""
        ...

    def error_acknowledgement(self, error: ChainError) -> bytes:
        """The acknowledgement of a packet refused with this error: code and fixed text only."""
        ...

    def on_acknowledgement_packet(
        self, ctx: Context, packet: Packet, acknowledgement: bytes, relayer: str
    ) -> None:
        """A packet sent from here was acknowledged; its commitment is already deleted."""
        ...

    def on_timeout_packet(self, ctx: Context, packet: Packet, relayer: str) -> None:
        """A packet sent from here was never received; its commitment is already deleted."""
        ...


@dataclass(frozen=True, slots=True)
class PortRouter:
    """The applications of a chain by the port each is bound to."""

    applications: Mapping[str, IbcApplication]

    def get(self, port_id: str) -> IbcApplication:
        """The application bound to a port; raises RouteNotFound."""
        application = self.applications.get(port_id)
        if application is None:
            bound = ", ".join(sorted(self.applications)) or "none"
            raise RouteNotFound(f"no application is bound to port {port_id!r}; bound: {bound}")
        return application
