"""The queries of ibc.core.channel.v1.Query."""

from typing import Final

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.channel.v1 import channel_pb2, query_pb2
from chain.ibc.channel import state
from chain.ibc.channel.state import Channel
from chain.ibc.client.queries import get_identified_client_state, get_packed_consensus_state
from chain.ibc.client.state import get_self_height
from chain.ibc.connection.state import get_connection
from chain.ibc.errors import (
    AcknowledgementNotFound,
    ChannelNotFound,
    InvalidMessage,
    PacketCommitmentNotFound,
)
from chain.ibc.height import Height
from chain.ibc.queries import answer_not_found, build_query_routes, validate_sequences
from chain.ibc.router import ORDER_ORDERED
from chain.runtime.context import Context
from chain.runtime.module import QueryRoute
from chain.runtime.pagination import LIMIT_DEFAULT, LIMIT_MAX

SCAN_PAGES_MAX: Final = 10
"""Most pages of channels one filtered query looks through."""


def identify_channel(
    port_id: str, channel_id: str, channel: Channel
) -> channel_pb2.IdentifiedChannel:
    """A channel end with its port and identifier."""
    return channel_pb2.IdentifiedChannel(
        state=channel.state,
        ordering=channel.ordering,
        counterparty=channel.counterparty,
        connection_hops=channel.connection_hops,
        version=channel.version,
        port_id=port_id,
        channel_id=channel_id,
    )


def query_channel(
    ctx: Context, request: query_pb2.QueryChannelRequest
) -> query_pb2.QueryChannelResponse:
    """One channel end."""
    with answer_not_found():
        channel = state.get_channel(ctx, request.port_id, request.channel_id)
    return query_pb2.QueryChannelResponse(
        channel=channel, proof_height=get_self_height(ctx).to_proto()
    )


def query_channels(
    ctx: Context, request: query_pb2.QueryChannelsRequest
) -> query_pb2.QueryChannelsResponse:
    """A page of all channels."""
    rows, page = state.get_channel_page(ctx, request.pagination)
    return query_pb2.QueryChannelsResponse(
        channels=[identify_channel(*row) for row in rows],
        pagination=page,
        height=get_self_height(ctx).to_proto(),
    )


def query_connection_channels(
    ctx: Context, request: query_pb2.QueryConnectionChannelsRequest
) -> query_pb2.QueryConnectionChannelsResponse:
    """The channels over a connection, as many as one answer holds; next_key continues."""
    limit = min(request.pagination.limit or LIMIT_DEFAULT, LIMIT_MAX)
    found: list[channel_pb2.IdentifiedChannel] = []
    scan = pagination_pb2.PageRequest(
        key=request.pagination.key, offset=request.pagination.offset, limit=limit
    )
    page = pagination_pb2.PageResponse()
    for _ in range(SCAN_PAGES_MAX):
        rows, page = state.get_channel_page(ctx, scan)
        found += [
            identify_channel(*row)
            for row in rows
            if row[2].connection_hops[0] == request.connection
        ]
        room = limit - len(found)
        if not page.next_key or room <= 0:
            break
        # A page never holds more rows than there is room for, so that none is lost between pages.
        scan = pagination_pb2.PageRequest(key=page.next_key, limit=room)
    return query_pb2.QueryConnectionChannelsResponse(
        channels=found, pagination=page, height=get_self_height(ctx).to_proto()
    )


def query_channel_client_state(
    ctx: Context, request: query_pb2.QueryChannelClientStateRequest
) -> query_pb2.QueryChannelClientStateResponse:
    """The client state under a channel."""
    with answer_not_found():
        channel = state.get_channel(ctx, request.port_id, request.channel_id)
        connection = get_connection(ctx, channel.connection_hops[0])
        identified = get_identified_client_state(ctx, connection.client_id)
    return query_pb2.QueryChannelClientStateResponse(
        identified_client_state=identified, proof_height=get_self_height(ctx).to_proto()
    )


def query_channel_consensus_state(
    ctx: Context, request: query_pb2.QueryChannelConsensusStateRequest
) -> query_pb2.QueryChannelConsensusStateResponse:
    """A consensus state of the client under a channel."""
    height = Height(request.revision_number, request.revision_height)
    with answer_not_found():
        channel = state.get_channel(ctx, request.port_id, request.channel_id)
        connection = get_connection(ctx, channel.connection_hops[0])
        packed = get_packed_consensus_state(ctx, connection.client_id, height)
    return query_pb2.QueryChannelConsensusStateResponse(
        consensus_state=packed,
        client_id=connection.client_id,
        proof_height=get_self_height(ctx).to_proto(),
    )


def query_packet_commitment(
    ctx: Context, request: query_pb2.QueryPacketCommitmentRequest
) -> query_pb2.QueryPacketCommitmentResponse:
    """The commitment of one packet in flight."""
    with answer_not_found():
        state.get_channel(ctx, request.port_id, request.channel_id)
        commitment = state.get_packet_commitment(
            ctx, request.port_id, request.channel_id, request.sequence
        )
        if commitment is None:
            raise PacketCommitmentNotFound(f"packet {request.sequence} is not in flight")
    return query_pb2.QueryPacketCommitmentResponse(
        commitment=commitment, proof_height=get_self_height(ctx).to_proto()
    )


def query_packet_commitments(
    ctx: Context, request: query_pb2.QueryPacketCommitmentsRequest
) -> query_pb2.QueryPacketCommitmentsResponse:
    """A page of a channel's packets in flight."""
    with answer_not_found():
        state.get_channel(ctx, request.port_id, request.channel_id)
    rows, page = state.get_commitment_page(
        ctx, request.port_id, request.channel_id, request.pagination
    )
    return query_pb2.QueryPacketCommitmentsResponse(
        commitments=[
            _packet_state(request.port_id, request.channel_id, sequence, data)
            for sequence, data in rows
        ],
        pagination=page,
        height=get_self_height(ctx).to_proto(),
    )


def _packet_state(
    port_id: str, channel_id: str, sequence: int, data: bytes
) -> channel_pb2.PacketState:
    return channel_pb2.PacketState(
        port_id=port_id, channel_id=channel_id, sequence=sequence, data=data
    )


def query_packet_receipt(
    ctx: Context, request: query_pb2.QueryPacketReceiptRequest
) -> query_pb2.QueryPacketReceiptResponse:
    """Whether a packet was received on an unordered channel."""
    with answer_not_found():
        state.get_channel(ctx, request.port_id, request.channel_id)
    received = state.has_packet_receipt(ctx, request.port_id, request.channel_id, request.sequence)
    return query_pb2.QueryPacketReceiptResponse(
        received=received, proof_height=get_self_height(ctx).to_proto()
    )


def query_packet_acknowledgement(
    ctx: Context, request: query_pb2.QueryPacketAcknowledgementRequest
) -> query_pb2.QueryPacketAcknowledgementResponse:
    """The commitment of one acknowledgement."""
    with answer_not_found():
        state.get_channel(ctx, request.port_id, request.channel_id)
        acknowledgement = state.get_packet_acknowledgement(
            ctx, request.port_id, request.channel_id, request.sequence
        )
        if acknowledgement is None:
            raise AcknowledgementNotFound(f"packet {request.sequence} is not acknowledged")
    return query_pb2.QueryPacketAcknowledgementResponse(
        acknowledgement=acknowledgement, proof_height=get_self_height(ctx).to_proto()
    )


def query_packet_acknowledgements(
    ctx: Context, request: query_pb2.QueryPacketAcknowledgementsRequest
) -> query_pb2.QueryPacketAcknowledgementsResponse:
    """The acknowledgements of the packets asked about, or a page of all of a channel's."""
    port_id, channel_id = request.port_id, request.channel_id
    sequences = request.packet_commitment_sequences
    validate_sequences(len(sequences))
    with answer_not_found():
        state.get_channel(ctx, port_id, channel_id)
    page = pagination_pb2.PageResponse()
    if sequences:
        asked = (
            (number, state.get_packet_acknowledgement(ctx, port_id, channel_id, number))
            for number in sequences
        )
        rows = [(number, data) for number, data in asked if data is not None]
    else:
        rows, page = state.get_acknowledgement_page(ctx, port_id, channel_id, request.pagination)
    return query_pb2.QueryPacketAcknowledgementsResponse(
        acknowledgements=[_packet_state(port_id, channel_id, *row) for row in rows],
        pagination=page,
        height=get_self_height(ctx).to_proto(),
    )


def query_unreceived_packets(
    ctx: Context, request: query_pb2.QueryUnreceivedPacketsRequest
) -> query_pb2.QueryUnreceivedPacketsResponse:
    """Which of the counterparty's packets this chain has not received."""
    port_id, channel_id = request.port_id, request.channel_id
    sequences = request.packet_commitment_sequences
    validate_sequences(len(sequences))
    if any(number == 0 for number in sequences):
        raise InvalidMessage("packet sequences start at 1")
    with answer_not_found():
        channel = state.get_channel(ctx, port_id, channel_id)
    if channel.ordering == ORDER_ORDERED:
        following = state.get_next_sequence_recv(ctx, port_id, channel_id) or 0
        unreceived = [number for number in sequences if number >= following]
    else:
        unreceived = [
            number
            for number in sequences
            if not state.has_packet_receipt(ctx, port_id, channel_id, number)
        ]
    return query_pb2.QueryUnreceivedPacketsResponse(
        sequences=unreceived, height=get_self_height(ctx).to_proto()
    )


def query_unreceived_acks(
    ctx: Context, request: query_pb2.QueryUnreceivedAcksRequest
) -> query_pb2.QueryUnreceivedAcksResponse:
    """Which of the packets the counterparty acknowledged are still in flight here."""
    port_id, channel_id = request.port_id, request.channel_id
    sequences = request.packet_ack_sequences
    validate_sequences(len(sequences))
    if any(number == 0 for number in sequences):
        raise InvalidMessage("packet sequences start at 1")
    with answer_not_found():
        state.get_channel(ctx, port_id, channel_id)
    return query_pb2.QueryUnreceivedAcksResponse(
        sequences=[
            number
            for number in sequences
            if state.get_packet_commitment(ctx, port_id, channel_id, number) is not None
        ],
        height=get_self_height(ctx).to_proto(),
    )


def query_next_sequence_receive(
    ctx: Context, request: query_pb2.QueryNextSequenceReceiveRequest
) -> query_pb2.QueryNextSequenceReceiveResponse:
    """The next packet an ordered channel receives; 0 for an unordered one."""
    with answer_not_found():
        channel = state.get_channel(ctx, request.port_id, request.channel_id)
    following = 0
    if channel.ordering == ORDER_ORDERED:
        following = state.get_next_sequence_recv(ctx, request.port_id, request.channel_id) or 0
    return query_pb2.QueryNextSequenceReceiveResponse(
        next_sequence_receive=following, proof_height=get_self_height(ctx).to_proto()
    )


def query_next_sequence_send(
    ctx: Context, request: query_pb2.QueryNextSequenceSendRequest
) -> query_pb2.QueryNextSequenceSendResponse:
    """The next packet a channel sends."""
    with answer_not_found():
        following = state.get_next_sequence_send(ctx, request.port_id, request.channel_id)
        if following is None:
            raise ChannelNotFound(f"no channel {request.channel_id!r} on port {request.port_id!r}")
    return query_pb2.QueryNextSequenceSendResponse(
        next_sequence_send=following, proof_height=get_self_height(ctx).to_proto()
    )


QUERIES: Final[tuple[QueryRoute, ...]] = build_query_routes(
    query_pb2.DESCRIPTOR.services_by_name["Query"],
    {
        "Channel": query_channel,
        "Channels": query_channels,
        "ConnectionChannels": query_connection_channels,
        "ChannelClientState": query_channel_client_state,
        "ChannelConsensusState": query_channel_consensus_state,
        "PacketCommitment": query_packet_commitment,
        "PacketCommitments": query_packet_commitments,
        "PacketReceipt": query_packet_receipt,
        "PacketAcknowledgement": query_packet_acknowledgement,
        "PacketAcknowledgements": query_packet_acknowledgements,
        "UnreceivedPackets": query_unreceived_packets,
        "UnreceivedAcks": query_unreceived_acks,
        "NextSequenceReceive": query_next_sequence_receive,
        "NextSequenceSend": query_next_sequence_send,
    },
)
