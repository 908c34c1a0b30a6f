"""The relay plan, from a valid snapshot and one change at a time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.client.v1 import client_pb2
from relayer.plan import (
    DirectionSnapshot,
    Owed,
    RelayLimits,
    Tip,
    compute_owed,
    is_client_refresh_due,
    is_timed_out,
    plan_direction,
)

LIMITS = RelayLimits(data_bytes_max=100)
SECOND = 1_000_000_000


def get_packet(sequence: int, *, timeout_height: int = 0, timeout_ns: int = 0, size: int = 3):
    return channel_pb2.Packet(
        sequence=sequence,
        source_port="margin",
        source_channel="channel-0",
        destination_port="margin",
        destination_channel="channel-7",
        data=b"x" * size,
        timeout_height=client_pb2.Height(revision_number=1, revision_height=timeout_height),
        timeout_timestamp=timeout_ns,
    )


def get_valid_snapshot(**changes) -> DirectionSnapshot:
    snapshot = DirectionSnapshot(
        source=Tip(1, 50, 100 * SECOND),
        destination=Tip(1, 60, 100 * SECOND),
        commitments=frozenset({1, 2, 3}),
        packets={n: get_packet(n) for n in (1, 2, 3)},
        unreceived=frozenset({2, 3}),
        acknowledgements={1: b"done"},
    )
    return replace(snapshot, **changes)


def test_new_packets_are_received_and_acknowledged_ones_settled() -> None:
    plan = plan_direction(get_valid_snapshot(), LIMITS, 10)
    assert [packet.sequence for packet in plan.receive] == [2, 3]
    assert [(packet.sequence, ack) for packet, ack in plan.acknowledge] == [(1, b"done")]
    assert not plan.timeout
    assert not plan.skipped


@pytest.mark.parametrize(
    ("changes", "sequence", "owed"),
    [
        ({"commitments": frozenset({1, 3})}, 2, Owed.NOTHING),
        ({"in_flight": frozenset({2})}, 2, Owed.NOTHING),
        ({"packets": {}}, 2, Owed.NOTHING),
        ({"packets": {2: get_packet(2, size=101)}}, 2, Owed.NOTHING),
        ({"acknowledgements": {}}, 1, Owed.NOTHING),
        ({"packets": {2: get_packet(2, timeout_height=60)}}, 2, Owed.TIMEOUT),
        ({"packets": {2: get_packet(2, timeout_height=61)}}, 2, Owed.RECEIVE),
        ({"packets": {2: get_packet(2, timeout_ns=100 * SECOND)}}, 2, Owed.TIMEOUT),
        ({"packets": {2: get_packet(2, timeout_ns=100 * SECOND + 1)}}, 2, Owed.RECEIVE),
        ({"is_destination_closed": True}, 2, Owed.TIMEOUT_ON_CLOSE),
        ({"packets": {1: get_packet(1, timeout_height=1)}}, 1, Owed.ACKNOWLEDGE),
        ({"is_ordered": True, "next_sequence_receive": 3}, 2, Owed.NOTHING),
    ],
)
def test_one_change_changes_what_a_packet_is_owed(changes, sequence, owed) -> None:
    found, reason = compute_owed(get_valid_snapshot(**changes), sequence, LIMITS)
    assert found is owed
    assert reason


def test_ordered_channel_receives_only_the_run_from_the_next_sequence() -> None:
    snapshot = get_valid_snapshot(
        is_ordered=True,
        next_sequence_receive=2,
        commitments=frozenset({2, 4}),
        packets={2: get_packet(2), 4: get_packet(4)},
        unreceived=frozenset({2, 4}),
    )
    plan = plan_direction(snapshot, LIMITS, 10)
    assert [packet.sequence for packet in plan.receive] == [2]
    assert plan.skipped == ((4, "an ordered channel waits for sequence 3"),)


def test_ordered_channel_proves_one_timeout_since_it_closes() -> None:
    late = {n: get_packet(n, timeout_height=10) for n in (2, 3)}
    snapshot = get_valid_snapshot(
        is_ordered=True,
        next_sequence_receive=2,
        commitments=frozenset({2, 3}),
        packets=late,
    )
    assert [p.sequence for p in plan_direction(snapshot, LIMITS, 10).timeout] == [2]


def test_a_later_revision_has_passed_every_height_of_the_one_before() -> None:
    assert is_timed_out(get_packet(1, timeout_height=1_000), Tip(2, 1, 0))


@given(
    commitments=st.frozensets(st.integers(1, 40)),
    unreceived=st.frozensets(st.integers(1, 40)),
    acknowledged=st.frozensets(st.integers(1, 40)),
    in_flight=st.frozensets(st.integers(1, 40)),
    messages_max=st.integers(1, 50),
    is_ordered=st.booleans(),
)
def test_each_packet_is_planned_at_most_once_and_only_while_committed(
    commitments, unreceived, acknowledged, in_flight, messages_max, is_ordered
) -> None:
    snapshot = get_valid_snapshot(
        commitments=commitments,
        unreceived=unreceived & commitments,
        packets={n: get_packet(n, timeout_height=n + 40) for n in commitments},
        acknowledgements=dict.fromkeys(acknowledged, b"ok"),
        in_flight=in_flight,
        is_ordered=is_ordered,
    )
    plan = plan_direction(snapshot, LIMITS, messages_max)
    planned = [
        packet.sequence
        for packet in (*plan.receive, *(p for p, _ in plan.acknowledge), *plan.timeout)
    ]
    assert len(planned) == len(set(planned))
    assert set(planned) <= commitments - in_flight
    assert len(plan.receive) <= messages_max
    assert plan == plan_direction(snapshot, LIMITS, messages_max)


@pytest.mark.parametrize(
    ("age_s", "heartbeat_s", "due"),
    [(9, 10, False), (10, 10, True), (99, 0, False), (100, 0, True)],
)
def test_client_refresh(age_s, heartbeat_s, due) -> None:
    assert is_client_refresh_due(0, age_s * SECOND, 300 * SECOND, heartbeat_s * SECOND) is due
