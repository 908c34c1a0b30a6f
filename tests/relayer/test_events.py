"""Packet events, from a valid one and one change at a time."""

import pytest

from chain._pb.tendermint.abci import types_pb2 as abci
from chain.client.comet import BlockResults
from relayer.events import find_attribute, parse_block_results, parse_packet

VALID = {
    "packet_sequence": "5",
    "packet_src_port": "margin",
    "packet_src_channel": "channel-0",
    "packet_dst_port": "margin",
    "packet_dst_channel": "channel-3",
    "packet_timeout_height": "1-900",
    "packet_timeout_timestamp": "1700000000000000000",
    "packet_data_hex": "0aff",
}


def get_event(kind: str, **changes: str) -> abci.Event:
    attributes = {**VALID, **changes}
    return abci.Event(
        type=kind,
        attributes=[abci.EventAttribute(key=k, value=v) for k, v in attributes.items()],
    )


def get_results(*events: abci.Event, code: int = 0, hooks: tuple[abci.Event, ...] = ()):
    return BlockResults(
        height=7,
        tx_results=(abci.ExecTxResult(code=code, events=events),),
        events=hooks,
        app_hash=b"",
        validator_updates=(),
    )


def test_packet_is_read_whole() -> None:
    packet = parse_packet(VALID)
    assert packet is not None
    assert (packet.sequence, packet.data) == (5, b"\x0a\xff")
    assert packet.timeout_height.revision_number == 1
    assert packet.timeout_height.revision_height == 900
    assert packet.timeout_timestamp == 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("packet_sequence", "x"),
        ("packet_sequence", "-1"),
        ("packet_sequence", str(1 << 64)),
        ("packet_data_hex", "0g"),
        ("packet_timeout_height", "1-x"),
        ("packet_timeout_timestamp", "soon"),
        ("packet_timeout_timestamp", str(1 << 64)),
    ],
)
def test_malformed_packet_is_left_out(key: str, value: str) -> None:
    assert parse_packet({**VALID, key: value}) is None


def test_missing_attribute_is_left_out() -> None:
    assert parse_packet({k: v for k, v in VALID.items() if k != "packet_src_port"}) is None


def test_transactions_and_hooks_are_read_and_failed_transactions_are_not() -> None:
    sent, written = (
        get_event("send_packet"),
        get_event("write_acknowledgement", packet_ack_hex="01"),
    )
    packets = parse_block_results(get_results(sent, hooks=(written,)))
    assert [packet.sequence for packet in packets.sent] == [5]
    assert [(packet.sequence, ack) for packet, ack in packets.acknowledged] == [(5, b"\x01")]
    failed = parse_block_results(get_results(sent, code=5))
    assert not failed.sent


def test_attribute_of_the_first_event_that_has_it() -> None:
    events = [get_event("x"), get_event("create_client", client_id="07-tendermint-2")]
    assert find_attribute(events, "create_client", "client_id") == "07-tendermint-2"
    assert find_attribute(events, "create_client", "absent") is None
