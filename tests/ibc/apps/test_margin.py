import pytest

from chain._pb.margin.packet.v1 import packet_pb2
from chain.errors import ChainError
from chain.ibc.apps.margin import (
    PACKET_BYTES_MAX,
    ChannelStaysOpen,
    InvalidMarginAcknowledgement,
    InvalidMarginPacket,
    MarginApplication,
    MessageNotServed,
    PacketHandlers,
    decode_acknowledgement,
    decode_packet,
)
from chain.ibc.errors import InvalidChannelOrdering, InvalidChannelVersion, InvalidPacket
from chain.ibc.height import Height
from chain.ibc.router import ORDER_ORDERED, ORDER_UNORDERED, ChannelOpening, Packet
from chain.runtime.context import Context
from chain.runtime.store import Branch, EmptyState

HEARTBEAT = packet_pb2.MarginPacket(sender_time_ns=5, heartbeat=packet_pb2.Heartbeat(number=7))


def build_context():
    return Context("hub-1", 1, 1_000, Branch(EmptyState()))


def wrap(data):
    return Packet(3, "margin", "channel-8", "margin", "channel-9", data, Height(0, 0), 1)


def opening(**changes):
    fields = {
        "ordering": ORDER_UNORDERED,
        "connection_id": "connection-0",
        "port_id": "margin",
        "channel_id": "channel-0",
        "counterparty_port_id": "margin",
        "counterparty_channel_id": "",
        "version": "margin-1",
    }
    return ChannelOpening(**{**fields, **changes})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(packet_pb2.MarginPacket(sender_time_ns=5).SerializeToString(), id="no body"),
        pytest.param(packet_pb2.MarginPacket(heartbeat={}).SerializeToString(), id="no time"),
        pytest.param(
            packet_pb2.MarginPacket(sender_time_ns=-1, heartbeat={}).SerializeToString(),
            id="negative time",
        ),
        pytest.param(HEARTBEAT.SerializeToString()[:-1], id="cut"),
        pytest.param(HEARTBEAT.SerializeToString() + b"\xf8\x01\x01", id="unknown field"),
        pytest.param(b"\x08\x05\x42\x04\x08\x07\x78\x01", id="unknown inner field"),
        pytest.param(HEARTBEAT.SerializeToString() + b"\x12\x00", id="two bodies"),
        pytest.param(b"\x08\x05\x42\x02\x08\x00", id="default on the wire"),
        pytest.param(b"\x08\x85\x00\x42\x02\x08\x07", id="long varint"),
        pytest.param(b"\x42\x02\x08\x07\x08\x05", id="wrong order"),
        pytest.param(b"\x08\x04\x08\x05\x42\x02\x08\x07", id="repeated"),
        pytest.param(b"\x00" * (PACKET_BYTES_MAX + 1), id="too long"),
        pytest.param(b"\x0b" * 5_000, id="deep groups"),
    ],
)
def test_packets_that_are_not_canonical_are_refused(data):
    with pytest.raises(InvalidMarginPacket):
        decode_packet(data)


def test_a_canonical_packet_decodes():
    assert decode_packet(HEARTBEAT.SerializeToString()) == HEARTBEAT
    assert HEARTBEAT.SerializeToString() == b"\x08\x05\x42\x02\x08\x07"


def test_a_received_message_meets_its_handler_and_success_is_not_empty():
    seen = []
    handlers = PacketHandlers(receive=lambda _, info, body: seen.append((info, body.number)))
    application = MarginApplication({"heartbeat": handlers})
    data = HEARTBEAT.SerializeToString()
    acknowledgement = application.on_recv_packet(build_context(), wrap(data), "relayer")
    result = decode_acknowledgement(acknowledgement)
    assert (result.code, result.receiver_time_ns) == (0, 1_000)
    ((info, number),) = seen
    assert number == 7
    assert (info.channel_id, info.counterparty_channel_id) == ("channel-9", "channel-8")
    assert (info.sender_time_ns, info.sequence, info.relayer) == (5, 3, "relayer")


def test_a_refusal_is_code_and_codespace_alone():
    application = MarginApplication({})
    with pytest.raises(MessageNotServed) as caught:
        application.on_recv_packet(build_context(), wrap(HEARTBEAT.SerializeToString()), "r")
    first = application.error_acknowledgement(caught.value)
    second = application.error_acknowledgement(MessageNotServed("another text"))
    assert first == second
    assert decode_acknowledgement(first) == packet_pb2.MarginAcknowledgement(
        code=3, codespace="margin"
    )


def test_acknowledgements_and_timeouts_reach_the_sender():
    seen = []
    handlers = PacketHandlers(
        acknowledge=lambda _ctx, info, _body, result: seen.append((info.channel_id, result.code)),
        timeout=lambda _ctx, info, _body: seen.append((info.channel_id, "timeout")),
    )
    application = MarginApplication({"heartbeat": handlers})
    packet = wrap(HEARTBEAT.SerializeToString())
    acknowledgement = application.error_acknowledgement(MessageNotServed())
    application.on_acknowledgement_packet(build_context(), packet, acknowledgement, "r")
    application.on_timeout_packet(build_context(), packet, "r")
    assert seen == [("channel-8", 3), ("channel-8", "timeout")]


@pytest.mark.parametrize(
    "data", [b"", b"\x08\x00", b"\x20\x01", b"\x08", b'{"result":"AQ=="}', b"\x00" * 600]
)
def test_malformed_acknowledgements_are_refused(data):
    with pytest.raises(InvalidMarginAcknowledgement):
        decode_acknowledgement(data)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"version": "ics20-1"}, InvalidChannelVersion),
        ({"ordering": ORDER_ORDERED}, InvalidChannelOrdering),
        ({"counterparty_port_id": "transfer"}, InvalidPacket),
    ],
)
def test_channels_of_another_kind_are_refused(changes, error):
    application = MarginApplication({})
    for step in (application.on_chan_open_init, application.on_chan_open_try):
        assert step(build_context(), opening()) == "margin-1"
        with pytest.raises(error):
            step(build_context(), opening(**changes))


def test_an_empty_version_proposes_ours_but_answers_nothing():
    application = MarginApplication({})
    assert application.on_chan_open_init(build_context(), opening(version="")) == "margin-1"
    with pytest.raises(InvalidChannelVersion):
        application.on_chan_open_try(build_context(), opening(version=""))
    with pytest.raises(ChainError):
        application.on_chan_open_ack(build_context(), "margin", "channel-0", "channel-1", "")


def test_nobody_closes_a_margin_channel():
    with pytest.raises(ChannelStaysOpen):
        MarginApplication({}).on_chan_close_init(build_context(), "margin", "channel-0")
