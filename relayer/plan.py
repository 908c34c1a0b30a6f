"""The relay plan: which packet messages are owed, decided from two snapshots and nothing else.

Pure: the same snapshot gives the same plan. It is derived from chain state every time, so a relayer
that was killed anywhere owes exactly what the chains say it owes. Source: ICS-04, ICS-18.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from chain._pb.ibc.core.channel.v1 import channel_pb2


class Owed(Enum):
    """What a packet waits for."""

    RECEIVE = "receive"
    ACKNOWLEDGE = "acknowledge"
    TIMEOUT = "timeout"
    TIMEOUT_ON_CLOSE = "timeout_on_close"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block of a chain whose state can be proven: revision, height and time (ns)."""

    revision: int
    height: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class DirectionSnapshot:
    """Packets that one channel end sent, as both chains report them.

    `commitments` are the sequences the source still holds; `packets` those whose content is known;
    `unreceived` those of the commitments that the destination has not received; `acknowledgements`
    maps sequences received there to the bytes written. `in_flight` sequences were submitted and
    are not settled yet. `next_sequence_receive` orders an ordered channel.
    """

    source: Tip
    destination: Tip
    commitments: frozenset[int]
    packets: Mapping[int, channel_pb2.Packet]
    unreceived: frozenset[int]
    acknowledgements: Mapping[int, bytes]
    in_flight: frozenset[int] = frozenset()
    is_ordered: bool = False
    next_sequence_receive: int = 1
    is_destination_closed: bool = False


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Packets an operator does not want to carry: larger data is skipped, logged and counted."""

    data_bytes_max: int = 65_536


@dataclass(frozen=True, slots=True)
class DirectionPlan:
    """Messages owed in one direction, each list in sequence order.

    `receive` goes to the destination; `acknowledge` (packet, acknowledgement) and the two kinds of
    timeout go to the source. `skipped` gives (sequence, reason) of every packet not relayed.
    """

    receive: tuple[channel_pb2.Packet, ...] = ()
    acknowledge: tuple[tuple[channel_pb2.Packet, bytes], ...] = ()
    timeout: tuple[channel_pb2.Packet, ...] = ()
    timeout_on_close: tuple[channel_pb2.Packet, ...] = ()
    skipped: tuple[tuple[int, str], ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Whether nothing is owed."""
        return not (self.receive or self.acknowledge or self.timeout or self.timeout_on_close)


def is_timed_out(packet: channel_pb2.Packet, destination: Tip) -> bool:
    """Whether the destination can no longer receive the packet: its tip reached the timeout."""
    timeout = packet.timeout_height
    if timeout.revision_height:
        reached = (destination.revision, destination.height)
        if reached >= (timeout.revision_number, timeout.revision_height):
            return True
    return bool(packet.timeout_timestamp) and destination.time_ns >= packet.timeout_timestamp


def compute_owed(
    snapshot: DirectionSnapshot, sequence: int, limits: RelayLimits
) -> tuple[Owed, str]:
    """What one sequence is owed, and the reason in words (an operator's `explain`)."""
    if sequence not in snapshot.commitments:
        return Owed.NOTHING, "the source holds no commitment: it is settled"
    if sequence in snapshot.in_flight:
        return Owed.NOTHING, "a transaction that carries it waits for its block"
    packet = snapshot.packets.get(sequence)
    if packet is None:
        return Owed.NOTHING, "no header proves it yet, or its send_packet event is not found"
    if len(packet.data) > limits.data_bytes_max:
        return Owed.NOTHING, f"{len(packet.data)} bytes of data, above {limits.data_bytes_max}"
    if sequence not in snapshot.unreceived:
        if sequence in snapshot.acknowledgements:
            return Owed.ACKNOWLEDGE, "received; the acknowledgement is written"
        return Owed.NOTHING, "received; the application has not acknowledged it yet"
    if is_timed_out(packet, snapshot.destination):
        return Owed.TIMEOUT, "its timeout passed on the destination before it was received"
    if snapshot.is_destination_closed:
        return Owed.TIMEOUT_ON_CLOSE, "the destination's channel end is closed"
    if snapshot.is_ordered and sequence < snapshot.next_sequence_receive:
        return Owed.NOTHING, "an ordered channel has passed it"
    return Owed.RECEIVE, "not received yet"


def plan_direction(
    snapshot: DirectionSnapshot, limits: RelayLimits, messages_max: int
) -> DirectionPlan:
    """The messages owed for the packets of one direction, at most messages_max of each kind.

    On an ordered channel only the run that starts at the next sequence is received, and only the
    first timed-out packet is proven, since its timeout closes the channel.
    """
    lists: dict[Owed, list[channel_pb2.Packet]] = {kind: [] for kind in Owed}
    skipped = []
    expected = snapshot.next_sequence_receive
    for sequence in sorted(snapshot.commitments):
        owed, reason = compute_owed(snapshot, sequence, limits)
        if owed is Owed.NOTHING:
            if sequence not in snapshot.in_flight:
                skipped.append((sequence, reason))
            continue
        if snapshot.is_ordered and owed is Owed.RECEIVE:
            if sequence != expected:
                skipped.append((sequence, f"an ordered channel waits for sequence {expected}"))
                continue
            expected += 1
        if len(lists[owed]) < messages_max:
            lists[owed].append(snapshot.packets[sequence])
    if snapshot.is_ordered:
        lists[Owed.TIMEOUT] = lists[Owed.TIMEOUT][:1]
    return DirectionPlan(
        receive=tuple(lists[Owed.RECEIVE]),
        acknowledge=tuple(
            (packet, snapshot.acknowledgements[packet.sequence])
            for packet in lists[Owed.ACKNOWLEDGE]
        ),
        timeout=tuple(lists[Owed.TIMEOUT]),
        timeout_on_close=tuple(lists[Owed.TIMEOUT_ON_CLOSE]),
        skipped=tuple(skipped),
    )


def is_client_refresh_due(
    consensus_time_ns: int, now_ns: int, trusting_period_ns: int, heartbeat_ns: int
) -> bool:
    """Whether a client must be updated although nothing is relayed.

    Either its newest consensus state is older than the heartbeat of a margin route (proof age is
    priced), or a third of the trusting period has passed.
    """
    age_ns = now_ns - consensus_time_ns
    return (heartbeat_ns > 0 and age_ns >= heartbeat_ns) or age_ns * 3 >= trusting_period_ns
