"""The mempool's rule against relayers who pay for nothing: packets settled already are refused.

Of two relayers the slower one learns it from CheckTx, as of ibc-go's redundant relay decorator. A
rule of the mempool alone: in a block such a message is harmless and answers NOOP.
"""

from collections.abc import Sequence

from google.protobuf.message import Message

from chain._pb.ibc.core.channel.v1 import channel_pb2, tx_pb2
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx_pb2
from chain.ibc.channel import state
from chain.ibc.errors import RedundantTx
from chain.runtime.context import Context

_SETTLING = (tx_pb2.MsgAcknowledgement, tx_pb2.MsgTimeout, tx_pb2.MsgTimeoutOnClose)


def refuse_redundant(ctx: Context, messages: Sequence[Message]) -> None:
    """Raise RedundantTx when packets, and client updates for them, are all there is, and none is
    of use any more.
    """
    count = 0
    for message in messages:
        if isinstance(message, client_tx_pb2.MsgUpdateClient):
            continue
        if isinstance(message, tx_pb2.MsgRecvPacket):
            is_settled = _is_received(ctx, message.packet)
        elif isinstance(message, _SETTLING):
            is_settled = not _is_in_flight(ctx, message.packet)
        else:
            return
        if not is_settled:
            return
        count += 1
    if count:
        raise RedundantTx(f"all {count} packets are settled here; query what is unreceived")


def _is_received(ctx: Context, packet: channel_pb2.Packet) -> bool:
    place = (packet.destination_port, packet.destination_channel)
    if state.has_packet_receipt(ctx, *place, packet.sequence):
        return True
    if state.get_next_sequence_recv(ctx, *place) is None:
        return False
    channel = state.get_channel(ctx, *place)
    expected = state.get_next_sequence_recv(ctx, *place) or 0
    return channel.ordering == channel_pb2.ORDER_ORDERED and packet.sequence < expected


def _is_in_flight(ctx: Context, packet: channel_pb2.Packet) -> bool:
    place = (packet.source_port, packet.source_channel)
    return state.get_packet_commitment(ctx, *place, packet.sequence) is not None
