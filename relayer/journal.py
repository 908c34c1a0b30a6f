"""The journal: a durable memory of scanned heights and packet contents, in LevelDB.

Nothing here is needed for correctness: what is owed is derived from chain state. The journal saves
searching a node's index for packets seen before, so that an unindexed or pruned node is enough.
"""

from pathlib import Path

import plyvel

from chain._pb.ibc.core.channel.v1 import channel_pb2

_HEIGHT_BYTES = 8


class Journal:
    """Packets and acknowledgements by (chain, port, channel, sequence); a height cursor a chain."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._database = plyvel.DB(str(path), create_if_missing=True)

    def close(self) -> None:
        """Release the database."""
        self._database.close()

    def get_cursor(self, chain_id: str) -> int:
        """The last height whose events are recorded; 0 when none is."""
        value = self._database.get(f"cursor/{chain_id}".encode())
        return int(value) if value else 0

    def record_block(
        self,
        chain_id: str,
        height: int,
        packets: list[channel_pb2.Packet],
        acknowledgements: list[tuple[channel_pb2.Packet, bytes]],
    ) -> None:
        """Remember a block's packets and advance the cursor, in one synced batch."""
        prefix = height.to_bytes(_HEIGHT_BYTES, "big")
        with self._database.write_batch(sync=bool(packets or acknowledgements)) as batch:
            for packet in packets:
                batch.put(_packet_key(chain_id, packet), prefix + packet.SerializeToString())
            for packet, acknowledgement in acknowledgements:
                batch.put(_ack_key(chain_id, packet), prefix + acknowledgement)
            batch.put(f"cursor/{chain_id}".encode(), str(height).encode())

    def get_packet(
        self, chain_id: str, port: str, channel: str, sequence: int
    ) -> tuple[int, channel_pb2.Packet] | None:
        """A packet that the chain sent and the height it did, or None when it was never seen."""
        value = self._database.get(f"send/{chain_id}/{port}/{channel}/{sequence:020d}".encode())
        if not value:
            return None
        height = int.from_bytes(value[:_HEIGHT_BYTES], "big")
        return height, channel_pb2.Packet.FromString(value[_HEIGHT_BYTES:])

    def get_acknowledgement(
        self, chain_id: str, port: str, channel: str, sequence: int
    ) -> tuple[int, bytes] | None:
        """What the chain wrote for a packet it received on (port, channel), and the height."""
        value = self._database.get(f"ack/{chain_id}/{port}/{channel}/{sequence:020d}".encode())
        if not value:
            return None
        return int.from_bytes(value[:_HEIGHT_BYTES], "big"), value[_HEIGHT_BYTES:]

    def forget(self, chain_id: str, counterparty_id: str, packet: channel_pb2.Packet) -> None:
        """Drop a settled packet and its acknowledgement."""
        with self._database.write_batch() as batch:
            batch.delete(_packet_key(chain_id, packet))
            batch.delete(_ack_key(counterparty_id, packet))


def _packet_key(chain_id: str, packet: channel_pb2.Packet) -> bytes:
    path = f"{packet.source_port}/{packet.source_channel}"
    return f"send/{chain_id}/{path}/{packet.sequence:020d}".encode()


def _ack_key(chain_id: str, packet: channel_pb2.Packet) -> bytes:
    path = f"{packet.destination_port}/{packet.destination_channel}"
    return f"ack/{chain_id}/{path}/{packet.sequence:020d}".encode()
