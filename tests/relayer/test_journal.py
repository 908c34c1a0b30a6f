"""The journal on a real database: what was recorded is there after it is opened again."""

from pathlib import Path

import pytest

from chain._pb.ibc.core.channel.v1 import channel_pb2
from relayer.journal import Journal

PACKET = channel_pb2.Packet(
    sequence=12,
    source_port="margin",
    source_channel="channel-0",
    destination_port="margin",
    destination_channel="channel-1",
    data=b"abc",
)


def test_blocks_survive_a_restart_and_settled_packets_are_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    assert journal.get_cursor("hub-1") == 0
    journal.record_block("hub-1", 9, [PACKET], [])
    journal.record_block("alpha-1", 4, [], [(PACKET, b"ok")])
    journal.close()
    journal = Journal(tmp_path / "journal")
    assert (journal.get_cursor("hub-1"), journal.get_cursor("alpha-1")) == (9, 4)
    assert journal.get_packet("hub-1", "margin", "channel-0", 12) == (9, PACKET)
    assert journal.get_acknowledgement("alpha-1", "margin", "channel-1", 12) == (4, b"ok")
    assert journal.get_packet("hub-1", "margin", "channel-0", 13) is None
    journal.forget("hub-1", "alpha-1", PACKET)
    assert journal.get_packet("hub-1", "margin", "channel-0", 12) is None
    assert journal.get_acknowledgement("alpha-1", "margin", "channel-1", 12) is None
    journal.close()


def test_a_damaged_journal_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.record_block("hub-1", 9, [PACKET], [])
    journal.close()
    for name in ("CURRENT", "MANIFEST"):
        for file in path.glob(f"{name}*"):
            file.write_bytes(b"\x00garbage\x00" * 10)
    journal = Journal(path)
    assert journal.get_cursor("hub-1") == 0
    journal.record_block("hub-1", 10, [PACKET], [])
    assert journal.get_packet("hub-1", "margin", "channel-0", 12) == (10, PACKET)
    journal.close()


def test_a_journal_in_use_is_refused_not_rebuilt(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.record_block("hub-1", 9, [PACKET], [])
    with pytest.raises(OSError, match="in use by another process"):
        Journal(tmp_path / "journal")
    assert journal.get_cursor("hub-1") == 9
    journal.close()


def test_packets_settled_while_nobody_watched_are_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    other = channel_pb2.Packet()
    other.CopyFrom(PACKET)
    other.sequence = 13
    journal.record_found("hub-1", 9, [PACKET, other], [])
    assert journal.get_cursor("hub-1") == 0
    assert journal.forget_settled("hub-1", "alpha-1", "margin", "channel-0", {13}) == 1
    assert journal.get_packet("hub-1", "margin", "channel-0", 12) is None
    assert journal.get_packet("hub-1", "margin", "channel-0", 13) == (9, other)
    journal.close()
