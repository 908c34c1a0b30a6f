"""The journal: a durable memory of scanned heights and packet contents, in LevelDB.

Nothing here is needed for correctness: what is owed is derived from chain state. The journal saves
searching a node's index for packets seen before, so that an unindexed or pruned node is enough.
"""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import plyvel
import structlog
from google.protobuf.message import DecodeError

from chain._pb.ibc.core.channel.v1 import channel_pb2

_HEIGHT_BYTES = 8

log = structlog.get_logger("relayer.journal")


class Journal:
    """Packets and acknowledgements by (chain, port, channel, sequence); a height cursor a chain."""

    def __init__(self, path: Path) -> None:
        self._database = _open_database(path)

    def close(self) -> None:
        """Release the database."""
        self._database.close()

    def get_cursor(self, chain_id: str) -> int:
        """The last height whose events are recorded; 0 when none is."""
        value = self._get(f"cursor/{chain_id}".encode())
        return int(value) if value.isdigit() else 0

    def record_block(
        self,
        chain_id: str,
        height: int,
        packets: list[channel_pb2.Packet],
        acknowledgements: list[tuple[channel_pb2.Packet, bytes]],
    ) -> None:
        """Remember a block's packets and advance the cursor, in one synced batch."""
        with self._database.write_batch(sync=bool(packets or acknowledgements)) as batch:
            _put_packets(batch, chain_id, height, packets, acknowledgements)
            batch.put(f"cursor/{chain_id}".encode(), str(height).encode())

    def record_found(
        self,
        chain_id: str,
        height: int,
        packets: list[channel_pb2.Packet],
        acknowledgements: list[tuple[channel_pb2.Packet, bytes]],
    ) -> None:
        """Remember the packets of an older block; the cursor stays."""
        with self._database.write_batch() as batch:
            _put_packets(batch, chain_id, height, packets, acknowledgements)

    def _get(self, key: bytes) -> bytes:
        """A value, empty when it is absent or cannot be read: chain state will tell it again."""
        try:
            value: bytes = self._database.get(key, b"")
        except plyvel.Error as error:
            log.warning("journal_unreadable", key=key.decode(), why=str(error))
            return b""
        return value

    def get_packet(
        self, chain_id: str, port: str, channel: str, sequence: int
    ) -> tuple[int, channel_pb2.Packet] | None:
        """A packet that the chain sent and the height it did, or None when it was never seen."""
        value = self._get(f"send/{chain_id}/{port}/{channel}/{sequence:020d}".encode())
        try:
            packet = channel_pb2.Packet.FromString(value[_HEIGHT_BYTES:])
        except DecodeError:
            return None
        if packet.sequence != sequence:
            return None
        return int.from_bytes(value[:_HEIGHT_BYTES], "big"), packet

    def get_acknowledgement(
        self, chain_id: str, port: str, channel: str, sequence: int
    ) -> tuple[int, bytes] | None:
        """What the chain wrote for a packet it received on (port, channel), and the height."""
        value = self._get(f"ack/{chain_id}/{port}/{channel}/{sequence:020d}".encode())
        if not value:
            return None
        return int.from_bytes(value[:_HEIGHT_BYTES], "big"), value[_HEIGHT_BYTES:]

    def forget(self, chain_id: str, counterparty_id: str, packet: channel_pb2.Packet) -> None:
        """Drop a settled packet and its acknowledgement."""
        with self._database.write_batch() as batch:
            batch.delete(_packet_key(chain_id, packet))
            batch.delete(_ack_key(counterparty_id, packet))

    def forget_settled(
        self, chain_id: str, counterparty_id: str, port: str, channel: str, owed: Collection[int]
    ) -> int:
        """Drop every packet that a channel end sent and that is not owed; how many there were.

        For packets that were settled while no relayer ran on this journal.
        """
        prefix = f"send/{chain_id}/{port}/{channel}/".encode()
        settled = [
            sequence
            for key in self._database.iterator(prefix=prefix, include_value=False)
            if (sequence := int(key.rsplit(b"/", 1)[1])) not in owed
        ]
        for sequence in settled:
            sent = self.get_packet(chain_id, port, channel, sequence)
            if sent is not None:
                self.forget(chain_id, counterparty_id, sent[1])
        return len(settled)


def _open_database(path: Path) -> plyvel.DB:
    """The database of a folder, begun anew when it is damaged; raises OSError when it is in use."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        return plyvel.DB(str(path), create_if_missing=True, paranoid_checks=True)
    except (plyvel.CorruptionError, plyvel.IOError) as error:
        if isinstance(error, plyvel.IOError) and "lock" in str(error).lower():
            raise OSError(f"{path} is in use by another process: {error}") from error
        log.warning("journal_rebuilt", path=str(path), why=str(error))
    shutil.rmtree(path)
    path.mkdir(parents=True)
    return plyvel.DB(str(path), create_if_missing=True, paranoid_checks=True)


def _put_packets(
    batch: Any,
    chain_id: str,
    height: int,
    packets: list[channel_pb2.Packet],
    acknowledgements: list[tuple[channel_pb2.Packet, bytes]],
) -> None:
    prefix = height.to_bytes(_HEIGHT_BYTES, "big")
    for packet in packets:
        batch.put(_packet_key(chain_id, packet), prefix + packet.SerializeToString())
    for packet, acknowledgement in acknowledgements:
        batch.put(_ack_key(chain_id, packet), prefix + acknowledgement)


def _packet_key(chain_id: str, packet: channel_pb2.Packet) -> bytes:
    path = f"{packet.source_port}/{packet.source_channel}"
    return f"send/{chain_id}/{path}/{packet.sequence:020d}".encode()


def _ack_key(chain_id: str, packet: channel_pb2.Packet) -> bytes:
    path = f"{packet.destination_port}/{packet.destination_channel}"
    return f"ack/{chain_id}/{path}/{packet.sequence:020d}".encode()
