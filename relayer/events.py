"""Packet events: what a block's results say was sent and acknowledged. Pure parsing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.client.comet import BlockResults
from chain.ibc.height import Height

_UINT64_LIMIT = 1 << 64


@dataclass(slots=True)
class BlockPackets:
    """Packets of one block: sent here, and received here with the acknowledgement written."""

    sent: list[channel_pb2.Packet] = field(default_factory=list)
    acknowledged: list[tuple[channel_pb2.Packet, bytes]] = field(default_factory=list)


def parse_attributes(event: abci.Event) -> dict[str, str]:
    """The attributes of an event; of a repeated key the last value stands."""
    return {attribute.key: attribute.value for attribute in event.attributes}


def _parse_uint64(text: str) -> int:
    number = int(text)
    if not 0 <= number < _UINT64_LIMIT:
        raise ValueError(f"{text} does not fit 64 bits")
    return number


def parse_packet(attributes: Mapping[str, str]) -> channel_pb2.Packet | None:
    """The packet that an event describes, or None when the event is malformed.

    A remote chain writes these texts, so nothing in them is trusted: a packet built from a lie
    fails its proof on the other side.
    """
    try:
        revision, _, height = attributes.get("packet_timeout_height", "0-0").partition("-")
        return channel_pb2.Packet(
            sequence=_parse_uint64(attributes["packet_sequence"]),
            source_port=attributes["packet_src_port"],
            source_channel=attributes["packet_src_channel"],
            destination_port=attributes["packet_dst_port"],
            destination_channel=attributes["packet_dst_channel"],
            data=bytes.fromhex(attributes.get("packet_data_hex", "")),
            timeout_height=client_pb2.Height(
                revision_number=_parse_uint64(revision),
                revision_height=_parse_uint64(height or "0"),
            ),
            timeout_timestamp=_parse_uint64(attributes.get("packet_timeout_timestamp") or "0"),
        )
    except (KeyError, ValueError):
        return None


def parse_events(events: Iterable[abci.Event]) -> BlockPackets:
    """The packets that a run of events (of one transaction or of block hooks) tells of."""
    packets = BlockPackets()
    for event in events:
        if event.type not in ("send_packet", "write_acknowledgement"):
            continue
        attributes = parse_attributes(event)
        packet = parse_packet(attributes)
        if packet is None:
            continue
        if event.type == "send_packet":
            packets.sent.append(packet)
            continue
        try:
            acknowledgement = bytes.fromhex(attributes.get("packet_ack_hex", ""))
        except ValueError:
            continue
        packets.acknowledged.append((packet, acknowledgement))
    return packets


def parse_block_results(results: BlockResults) -> BlockPackets:
    """The packets of a block: those of its successful transactions and of its block hooks."""
    events: list[abci.Event] = []
    for result in results.tx_results:
        if result.code == 0:
            events.extend(result.events)
    events.extend(results.events)
    return parse_events(events)


def find_attribute(events: Iterable[abci.Event], event_type: str, key: str) -> str | None:
    """The first value of an attribute among events of a type, such as the id of a new client."""
    for event in events:
        if event.type == event_type:
            value = parse_attributes(event).get(key)
            if value:
                return value
    return None


def parse_client_updates(results: BlockResults) -> list[tuple[str, Height]]:
    """Clients that a block's transactions updated, each with the consensus height it got."""
    found = []
    for result in results.tx_results:
        for event in result.events if result.code == 0 else ():
            if event.type not in ("update_client", "create_client"):
                continue
            attributes = parse_attributes(event)
            for text in attributes.get("consensus_height", "").split(","):
                try:
                    found.append((attributes.get("client_id", ""), Height.parse(text)))
                except ValueError:
                    continue
    return found
