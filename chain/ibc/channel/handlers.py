"""The messages of ICS-04: handshake, closing, and relaying packets to the applications.

An application is called after core has made the step final in the store: a callback that submits
the same message again finds nothing to do. Redundant relays succeed and change nothing.
"""

from dataclasses import dataclass, replace

from chain._pb.ibc.core.channel.v1 import channel_pb2, tx_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain.errors import ChainError
from chain.ibc import host
from chain.ibc.channel import packets, state
from chain.ibc.channel.packets import Unreceived
from chain.ibc.channel.state import Channel, Sequences
from chain.ibc.client.membership import Proof, require_proof
from chain.ibc.client.state import require_active
from chain.ibc.connection import proofs
from chain.ibc.connection.state import ConnectionEnd, get_connection
from chain.ibc.errors import (
    InvalidChannelCounterparty,
    InvalidChannelIdentifier,
    InvalidChannelOrdering,
    InvalidChannelState,
    InvalidConnectionState,
    InvalidConnectionVersion,
    InvalidMessage,
    TooManyConnectionHops,
)
from chain.ibc.height import Height
from chain.ibc.router import (
    ORDER_ORDERED,
    ORDER_UNORDERED,
    ChannelOpening,
    IbcApplication,
    Packet,
    PortRouter,
)
from chain.runtime.context import Context
from chain.runtime.gas import OutOfGas

NOOP = tx_pb2.RESPONSE_RESULT_TYPE_NOOP
SUCCESS = tx_pb2.RESPONSE_RESULT_TYPE_SUCCESS
VERSION_BYTES_MAX = 10_000

Relayed = tuple[IbcApplication, Packet]
"""The application that is told of a packet, and the packet."""


def _validate_own_ids(port_id: str, channel_id: str) -> None:
    host.validate_port_id(port_id)
    if host.parse_sequence(channel_id, "channel-") is None:
        raise InvalidChannelIdentifier(
            f"{channel_id!r} is not of the form channel-NUMBER in which this chain names its own"
        )


def _validate_channel(port_id: str, channel: Channel, expected_state: int) -> None:
    host.validate_port_id(port_id)
    if channel.state != expected_state:
        raise InvalidChannelState(
            f"the proposed channel has state {channel.state}, this step needs {expected_state}"
        )
    if channel.ordering not in (ORDER_ORDERED, ORDER_UNORDERED):
        raise InvalidChannelOrdering("a channel is ORDER_ORDERED or ORDER_UNORDERED")
    if len(channel.connection_hops) != 1:
        raise TooManyConnectionHops(
            f"{len(channel.connection_hops)} connection hops, must be exactly 1"
        )
    host.validate_connection_id(channel.connection_hops[0])
    host.validate_port_id(channel.counterparty.port_id)
    _validate_version_size(channel.version)


def _validate_version_size(version: str) -> None:
    if len(version.encode()) > VERSION_BYTES_MAX:
        raise InvalidMessage(f"a channel version has at most {VERSION_BYTES_MAX} bytes")


def _require_ordering(connection: ConnectionEnd, ordering: int) -> None:
    name = channel_pb2.Order.Name(ordering)
    if len(connection.versions) != 1 or name not in connection.versions[0].features:
        raise InvalidConnectionVersion(
            f"the connection must have agreed on one version with {name}; has "
            f"{[list(version.features) for version in connection.versions]}"
        )


def _require_open(connection: ConnectionEnd, connection_id: str) -> None:
    if connection.state != connection_pb2.STATE_OPEN:
        raise InvalidConnectionState(
            f"connection {connection_id!r} is {connection_pb2.State.Name(connection.state)}, this "
            f"step needs STATE_OPEN"
        )


def _require_state(channel: Channel, channel_id: str, expected: int) -> None:
    if channel.state != expected:
        raise InvalidChannelState(
            f"channel {channel_id!r} is {channel_pb2.State.Name(channel.state)}, this step needs "
            f"{channel_pb2.State.Name(expected)}"
        )


def _expected_end(
    channel: Channel,
    connection: ConnectionEnd,
    own: tuple[str, str],
    channel_state: channel_pb2.State,
) -> Channel:
    """The counterparty's end of a channel, as it must have stored it."""
    port_id, channel_id = own
    return Channel(
        state=channel_state,
        ordering=channel.ordering,
        counterparty=channel_pb2.Counterparty(port_id=port_id, channel_id=channel_id),
        connection_hops=[connection.counterparty.connection_id],
        version=channel.version,
    )


def _emit(ctx: Context, event: str, own: tuple[str, str], channel: Channel) -> None:
    attributes = {
        "port_id": own[0],
        "channel_id": own[1],
        "counterparty_port_id": channel.counterparty.port_id,
        "counterparty_channel_id": channel.counterparty.channel_id,
        "connection_id": channel.connection_hops[0],
    }
    if event in ("channel_open_init", "channel_open_try"):
        attributes["version"] = channel.version
    ctx.emit(event, attributes)
    ctx.emit("message", {"module": "ibc_channel"})


@dataclass(frozen=True, slots=True)
class ChannelMessages:
    """The handlers of ibc.core.channel.v1.Msg over the applications of a chain."""

    router: PortRouter

    # Handshake -----------------------------------------------------------------------------------

    def handle_channel_open_init(
        self, ctx: Context, msg: tx_pb2.MsgChannelOpenInit
    ) -> tx_pb2.MsgChannelOpenInitResponse:
        """Propose a channel between an application here and one of the counterparty."""
        channel = msg.channel
        _validate_channel(msg.port_id, channel, channel_pb2.STATE_INIT)
        if channel.counterparty.channel_id:
            raise InvalidChannelCounterparty(
                "the counterparty has no channel identifier yet; leave it empty"
            )
        application = self.router.get(msg.port_id)
        connection_id = channel.connection_hops[0]
        connection = get_connection(ctx, connection_id)
        _require_ordering(connection, channel.ordering)
        require_active(ctx, connection.client_id)
        channel_id = state.create_channel_id(ctx)
        opening = _opening(msg.port_id, channel_id, channel, channel.version)
        version = application.on_chan_open_init(ctx, opening)
        end = Channel()
        end.CopyFrom(channel)
        end.version = version
        state.set_channel(ctx, msg.port_id, channel_id, end)
        state.set_sequences(ctx, msg.port_id, channel_id, Sequences(1, 1, 1))
        _emit(ctx, "channel_open_init", (msg.port_id, channel_id), end)
        return tx_pb2.MsgChannelOpenInitResponse(channel_id=channel_id, version=version)

    def handle_channel_open_try(
        self, ctx: Context, msg: tx_pb2.MsgChannelOpenTry
    ) -> tx_pb2.MsgChannelOpenTryResponse:
        """Answer a channel that the counterparty proposed."""
        channel = msg.channel
        _validate_channel(msg.port_id, channel, channel_pb2.STATE_TRYOPEN)
        _validate_version_size(msg.counterparty_version)
        if msg.previous_channel_id:
            raise InvalidChannelIdentifier("crossing hellos ended; leave previous_channel_id empty")
        host.validate_channel_id(channel.counterparty.channel_id)
        require_proof(msg.proof_init, "proof_init")
        application = self.router.get(msg.port_id)
        connection_id = channel.connection_hops[0]
        connection = get_connection(ctx, connection_id)
        _require_open(connection, connection_id)
        _require_ordering(connection, channel.ordering)
        channel_id = state.create_channel_id(ctx)
        proposed = _expected_end(channel, connection, (msg.port_id, ""), channel_pb2.STATE_INIT)
        proposed.version = msg.counterparty_version
        place = (channel.counterparty.port_id, channel.counterparty.channel_id)
        proof = Proof(msg.proof_init, Height.from_proto(msg.proof_height))
        proofs.verify_channel_state(ctx, connection, proof, place, proposed)
        opening = _opening(msg.port_id, channel_id, channel, msg.counterparty_version)
        version = application.on_chan_open_try(ctx, opening)
        end = Channel()
        end.CopyFrom(channel)
        end.version = version
        state.set_channel(ctx, msg.port_id, channel_id, end)
        state.set_sequences(ctx, msg.port_id, channel_id, Sequences(1, 1, 1))
        _emit(ctx, "channel_open_try", (msg.port_id, channel_id), end)
        return tx_pb2.MsgChannelOpenTryResponse(version=version, channel_id=channel_id)

    def handle_channel_open_ack(
        self, ctx: Context, msg: tx_pb2.MsgChannelOpenAck
    ) -> tx_pb2.MsgChannelOpenAckResponse:
        """Open the proposed channel after the counterparty answered."""
        _validate_own_ids(msg.port_id, msg.channel_id)
        host.validate_channel_id(msg.counterparty_channel_id)
        _validate_version_size(msg.counterparty_version)
        require_proof(msg.proof_try, "proof_try")
        application = self.router.get(msg.port_id)
        own = (msg.port_id, msg.channel_id)
        channel = state.get_channel(ctx, *own)
        _require_state(channel, msg.channel_id, channel_pb2.STATE_INIT)
        connection = get_connection(ctx, channel.connection_hops[0])
        _require_open(connection, channel.connection_hops[0])
        answered = _expected_end(channel, connection, own, channel_pb2.STATE_TRYOPEN)
        answered.version = msg.counterparty_version
        place = (channel.counterparty.port_id, msg.counterparty_channel_id)
        proof = Proof(msg.proof_try, Height.from_proto(msg.proof_height))
        proofs.verify_channel_state(ctx, connection, proof, place, answered)
        channel.state = channel_pb2.STATE_OPEN
        channel.version = msg.counterparty_version
        channel.counterparty.channel_id = msg.counterparty_channel_id
        state.set_channel(ctx, *own, channel)
        _emit(ctx, "channel_open_ack", own, channel)
        application.on_chan_open_ack(
            ctx,
            msg.port_id,
            msg.channel_id,
            msg.counterparty_channel_id,
            msg.counterparty_version,
        )
        return tx_pb2.MsgChannelOpenAckResponse()

    def handle_channel_open_confirm(
        self, ctx: Context, msg: tx_pb2.MsgChannelOpenConfirm
    ) -> tx_pb2.MsgChannelOpenConfirmResponse:
        """Open the answered channel after the counterparty opened its end."""
        _validate_own_ids(msg.port_id, msg.channel_id)
        require_proof(msg.proof_ack, "proof_ack")
        application = self.router.get(msg.port_id)
        own = (msg.port_id, msg.channel_id)
        channel = state.get_channel(ctx, *own)
        _require_state(channel, msg.channel_id, channel_pb2.STATE_TRYOPEN)
        proof = Proof(msg.proof_ack, Height.from_proto(msg.proof_height))
        self._verify_counterparty(ctx, own, channel, proof, channel_pb2.STATE_OPEN)
        channel.state = channel_pb2.STATE_OPEN
        state.set_channel(ctx, *own, channel)
        _emit(ctx, "channel_open_confirm", own, channel)
        application.on_chan_open_confirm(ctx, msg.port_id, msg.channel_id)
        return tx_pb2.MsgChannelOpenConfirmResponse()

    def handle_channel_close_init(
        self, ctx: Context, msg: tx_pb2.MsgChannelCloseInit
    ) -> tx_pb2.MsgChannelCloseInitResponse:
        """Close a channel from this side, if its application allows it."""
        _validate_own_ids(msg.port_id, msg.channel_id)
        application = self.router.get(msg.port_id)
        own = (msg.port_id, msg.channel_id)
        channel = state.get_channel(ctx, *own)
        _require_not_closed(channel, msg.channel_id)
        connection = get_connection(ctx, channel.connection_hops[0])
        require_active(ctx, connection.client_id)
        _require_open(connection, channel.connection_hops[0])
        channel.state = channel_pb2.STATE_CLOSED
        state.set_channel(ctx, *own, channel)
        _emit(ctx, "channel_close_init", own, channel)
        application.on_chan_close_init(ctx, msg.port_id, msg.channel_id)
        return tx_pb2.MsgChannelCloseInitResponse()

    def handle_channel_close_confirm(
        self, ctx: Context, msg: tx_pb2.MsgChannelCloseConfirm
    ) -> tx_pb2.MsgChannelCloseConfirmResponse:
        """Close a channel whose other end is proven closed."""
        _validate_own_ids(msg.port_id, msg.channel_id)
        require_proof(msg.proof_init, "proof_init")
        application = self.router.get(msg.port_id)
        own = (msg.port_id, msg.channel_id)
        channel = state.get_channel(ctx, *own)
        _require_not_closed(channel, msg.channel_id)
        proof = Proof(msg.proof_init, Height.from_proto(msg.proof_height))
        self._verify_counterparty(ctx, own, channel, proof, channel_pb2.STATE_CLOSED)
        channel.state = channel_pb2.STATE_CLOSED
        state.set_channel(ctx, *own, channel)
        _emit(ctx, "channel_close_confirm", own, channel)
        application.on_chan_close_confirm(ctx, msg.port_id, msg.channel_id)
        return tx_pb2.MsgChannelCloseConfirmResponse()

    @staticmethod
    def _verify_counterparty(
        ctx: Context,
        own: tuple[str, str],
        channel: Channel,
        proof: Proof,
        channel_state: channel_pb2.State,
    ) -> None:
        connection = get_connection(ctx, channel.connection_hops[0])
        _require_open(connection, channel.connection_hops[0])
        expected = _expected_end(channel, connection, own, channel_state)
        place = (channel.counterparty.port_id, channel.counterparty.channel_id)
        proofs.verify_channel_state(ctx, connection, proof, place, expected)

    # Packets -------------------------------------------------------------------------------------

    def handle_recv_packet(
        self, ctx: Context, msg: tx_pb2.MsgRecvPacket
    ) -> tx_pb2.MsgRecvPacketResponse:
        """Receive a proven packet, hand it to its application and acknowledge it."""
        received = self.receive(ctx, msg)
        if received is None:
            return tx_pb2.MsgRecvPacketResponse(result=NOOP)
        application, packet = received
        try:
            with ctx.branch() as branch:
                acknowledgement = application.on_recv_packet(branch, packet, msg.signer)
        except OutOfGas:
            # A relayer who offers too little gas must not be able to turn a packet away.
            raise
        except ChainError as error:
            acknowledgement = application.error_acknowledgement(error)
            # The acknowledgement holds a code alone; whoever asks why finds the reason here.
            ctx.emit(
                "packet_refused",
                {"codespace": error.codespace, "code": error.code, "reason": str(error)},
            )
        if acknowledgement:
            packets.write_acknowledgement(ctx, packet, acknowledgement)
        return tx_pb2.MsgRecvPacketResponse(result=SUCCESS)

    def handle_acknowledgement(
        self, ctx: Context, msg: tx_pb2.MsgAcknowledgement
    ) -> tx_pb2.MsgAcknowledgementResponse:
        """Settle a packet by its acknowledgement and tell its application."""
        settled = self.acknowledge(ctx, msg)
        if settled is None:
            return tx_pb2.MsgAcknowledgementResponse(result=NOOP)
        application, packet = settled
        with ctx.branch() as branch:
            application.on_acknowledgement_packet(branch, packet, msg.acknowledgement, msg.signer)
        return tx_pb2.MsgAcknowledgementResponse(result=SUCCESS)

    def handle_timeout(self, ctx: Context, msg: tx_pb2.MsgTimeout) -> tx_pb2.MsgTimeoutResponse:
        """Settle a packet that can no longer be received and tell its application."""
        settled = self.time_out(ctx, msg)
        if settled is None:
            return tx_pb2.MsgTimeoutResponse(result=NOOP)
        application, packet = settled
        with ctx.branch() as branch:
            application.on_timeout_packet(branch, packet, msg.signer)
        return tx_pb2.MsgTimeoutResponse(result=SUCCESS)

    def handle_timeout_on_close(
        self, ctx: Context, msg: tx_pb2.MsgTimeoutOnClose
    ) -> tx_pb2.MsgTimeoutOnCloseResponse:
        """Settle a packet whose receiving end is closed and tell its application."""
        settled = self.time_out_on_close(ctx, msg)
        if settled is None:
            return tx_pb2.MsgTimeoutOnCloseResponse(result=NOOP)
        application, packet = settled
        with ctx.branch() as branch:
            application.on_timeout_packet(branch, packet, msg.signer)
        return tx_pb2.MsgTimeoutOnCloseResponse(result=SUCCESS)

    # Core's half of a relay: verify, make the packet's fate final; None when it was final before --

    def receive(self, ctx: Context, msg: tx_pb2.MsgRecvPacket) -> Relayed | None:
        """A packet proven and recorded as received; raises to refuse it."""
        require_proof(msg.proof_commitment, "proof_commitment")
        packet = _packet(msg.packet)
        application = self.router.get(packet.destination_port)
        proof = Proof(msg.proof_commitment, Height.from_proto(msg.proof_height))
        is_new = packets.receive_packet(ctx, packet, proof)
        return (application, replace(packet, proof_height=proof.height)) if is_new else None

    def acknowledge(self, ctx: Context, msg: tx_pb2.MsgAcknowledgement) -> Relayed | None:
        """A packet in flight no more, its acknowledgement proven; raises to refuse it."""
        require_proof(msg.proof_acked, "proof_acked")
        if not msg.acknowledgement:
            raise InvalidMessage("an acknowledgement has at least one byte")
        packet = _packet(msg.packet)
        application = self.router.get(packet.source_port)
        proof = Proof(msg.proof_acked, Height.from_proto(msg.proof_height))
        is_settled = packets.acknowledge_packet(ctx, packet, msg.acknowledgement, proof)
        return (application, packet) if is_settled else None

    def time_out(self, ctx: Context, msg: tx_pb2.MsgTimeout) -> Relayed | None:
        """A packet in flight no more, proven too late to be received; raises to refuse it."""
        require_proof(msg.proof_unreceived, "proof_unreceived")
        packet = _packet(msg.packet)
        application = self.router.get(packet.source_port)
        is_settled = packets.timeout_packet(ctx, packet, _unreceived(msg))
        return (application, packet) if is_settled else None

    def time_out_on_close(self, ctx: Context, msg: tx_pb2.MsgTimeoutOnClose) -> Relayed | None:
        """A packet in flight no more, its receiving end proven closed; raises to refuse it."""
        require_proof(msg.proof_unreceived, "proof_unreceived")
        require_proof(msg.proof_close, "proof_close")
        packet = _packet(msg.packet)
        application = self.router.get(packet.source_port)
        proof_closed = Proof(msg.proof_close, Height.from_proto(msg.proof_height))
        is_settled = packets.timeout_packet_on_close(ctx, packet, _unreceived(msg), proof_closed)
        return (application, packet) if is_settled else None


def _require_not_closed(channel: Channel, channel_id: str) -> None:
    if channel.state == channel_pb2.STATE_CLOSED:
        raise InvalidChannelState(f"channel {channel_id!r} is closed already")


def _opening(port_id: str, channel_id: str, channel: Channel, version: str) -> ChannelOpening:
    return ChannelOpening(
        ordering=channel.ordering,
        connection_id=channel.connection_hops[0],
        port_id=port_id,
        channel_id=channel_id,
        counterparty_port_id=channel.counterparty.port_id,
        counterparty_channel_id=channel.counterparty.channel_id,
        version=version,
    )


def _packet(message: channel_pb2.Packet) -> Packet:
    packet = Packet.from_proto(message)
    packets.validate_packet(packet)
    return packet


def _unreceived(msg: tx_pb2.MsgTimeout | tx_pb2.MsgTimeoutOnClose) -> Unreceived:
    if msg.next_sequence_recv == 0:
        raise InvalidMessage("next_sequence_recv starts at 1")
    proof = Proof(msg.proof_unreceived, Height.from_proto(msg.proof_height))
    return Unreceived(proof, msg.next_sequence_recv)
