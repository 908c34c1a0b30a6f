"""What CheckTx asks of IBC messages: client updates that verify, packets that are of use.

The check state is left as the messages will leave core's, so that what follows in the mempool is
judged after them: a transaction that needs their header, and the same packets by another relayer,
who is told at once. Admitted, the slower transaction would be dropped when it is rechecked after
the block, and its sender's sequence, which clients count on from CheckTx, would be missing.

Rules of the mempool alone, as of ibc-go's redundant relay decorator. In a block a packet settled
before is harmless and answers NOOP.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from chain._pb.ibc.core.channel.v1 import tx_pb2
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx_pb2
from chain.ibc.channel import packets, state
from chain.ibc.channel.handlers import ChannelMessages, Relayed
from chain.ibc.client.handlers import apply_client_message
from chain.ibc.errors import RedundantTx
from chain.ibc.router import Packet
from chain.runtime.context import Context, Mode

_Relay = Callable[[ChannelMessages, Context, Any], Relayed | None]
_RELAYS: Final[Mapping[type[Message], _Relay]] = {
    tx_pb2.MsgRecvPacket: ChannelMessages.receive,
    tx_pb2.MsgAcknowledgement: ChannelMessages.acknowledge,
    tx_pb2.MsgTimeout: ChannelMessages.time_out,
    tx_pb2.MsgTimeoutOnClose: ChannelMessages.time_out_on_close,
}


@dataclass(frozen=True, slots=True)
class MempoolRules:
    """The rules over the channels of a chain; no application is called."""

    channels: ChannelMessages

    def apply(self, ctx: Context, messages: Sequence[Message]) -> None:
        """Apply client updates and relays, up to the first other message, to the check state.

        What passed CHECK is not verified again in RECHECK. Raises to refuse: a header or proof that
        does not verify, and RedundantTx when packets, and client updates for them, are all there
        is, and all of them were settled before.
        """
        is_verified = ctx.mode is Mode.RECHECK
        count = useful = 0
        for message in messages:
            if isinstance(message, client_tx_pb2.MsgUpdateClient):
                apply_client_message(
                    ctx, message.client_id, message.client_message, is_verified=is_verified
                )
                continue
            relay = _RELAYS.get(type(message))
            if relay is None:
                return
            count += 1
            if is_verified:
                useful += _record(ctx, message)
            else:
                useful += relay(self.channels, ctx, message) is not None
        if count and not useful:
            raise RedundantTx(f"all {count} packets are settled here; query what is unreceived")


def _record(ctx: Context, message: Any) -> bool:
    """Settle a packet whose relay was verified before; False when it is settled already."""
    packet = Packet.from_proto(message.packet)
    if isinstance(message, tx_pb2.MsgRecvPacket):
        channel = state.get_channel(ctx, packet.destination_port, packet.destination_channel)
        return packets.record_received(ctx, packet, channel)
    if not packets.is_in_flight(ctx, packet):
        return False
    channel = state.get_channel(ctx, packet.source_port, packet.source_channel)
    if isinstance(message, tx_pb2.MsgAcknowledgement):
        packets.record_acknowledged(ctx, packet, channel)
    else:
        packets.record_timed_out(ctx, packet, channel)
    return True
