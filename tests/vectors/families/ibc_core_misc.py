"""Packet commitments, identifiers, store paths and stored ends as ibc-go forms them.

Covers the parts of generated/ibc_core_misc that belong to ICS-02, 03, 04 and 24; its IBC v2
commitments and ICS-20 parts belong to rooms of their own.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain.errors import ChainError
from chain.ibc import host
from chain.ibc.channel.commitments import (
    compute_acknowledgement_commitment,
    compute_packet_commitment,
)
from chain.ibc.channel.packets import validate_packet
from chain.ibc.connection.proofs import pack_channel
from chain.ibc.connection.state import pack_connection
from chain.ibc.connection.versions import build_default_version
from chain.ibc.height import Height
from chain.ibc.router import Packet
from tests.vectors.families import CaseResult


def run(folder: Path) -> Iterator[CaseResult]:
    """A case for each recorded commitment, identifier, path and end."""
    recorded = json.loads((folder / "generated" / "ibc_core_misc.json").read_text())
    yield from _run_packets(recorded)
    for index, case in enumerate(recorded["result_acks"]):
        computed = compute_acknowledgement_commitment(case["ack_bytes_utf8"].encode()).hex()
        yield _compare(f"acknowledgement {index}", computed, case["commitment"])
    yield from _run_identifiers(recorded)
    yield from _run_paths(recorded)
    yield from _run_ends(recorded)


def _compare(name: str, computed: object, expected: object) -> CaseResult:
    return CaseResult(name, computed == expected, f"computed {computed}, expected {expected}")


def _is_accepted(validate: Callable[..., None], value: object) -> bool:
    try:
        validate(value)
    except ChainError:
        return False
    return True


def _run_packets(recorded: dict[str, Any]) -> Iterator[CaseResult]:
    for index, case in enumerate(recorded["packets_v1"]):
        data = bytes.fromhex(case["packet_pb"])
        packet = Packet.from_proto(channel_pb2.Packet.FromString(data))
        computed = compute_packet_commitment(packet).hex()
        yield _compare(f"packet {index} commitment", computed, case["commitment"])
        encoded = packet.to_proto().SerializeToString(deterministic=True).hex()
        yield _compare(f"packet {index} encoding", encoded, case["packet_pb"])
        height = str(packet.timeout_height)
        yield _compare(f"packet {index} timeout height", height, case["timeout_height"])
        accepted = _is_accepted(validate_packet, packet)
        yield _compare(f"packet {index} valid", accepted, case["validate_basic_error"] is None)


def _run_identifiers(recorded: dict[str, Any]) -> Iterator[CaseResult]:
    validators = {
        "client": host.validate_client_id,
        "connection": host.validate_connection_id,
        "channel": host.validate_channel_id,
        "port": host.validate_port_id,
    }
    for case in recorded["identifiers"]:
        name = case["id"][:24]
        for kind, validate in validators.items():
            yield _compare(f"{kind} id {name!r}", _is_accepted(validate, case["id"]), case[kind])
        is_client = host.is_client_id_format(case["id"])
        yield _compare(f"client format {name!r}", is_client, case["is_client_format"])
        is_channel = host.parse_sequence(case["id"], "channel-") is not None
        yield _compare(f"channel format {name!r}", is_channel, case["is_channel_format"])


def _run_paths(recorded: dict[str, Any]) -> Iterator[CaseResult]:
    port, channel, sequence = "transfer", "channel-2", 99
    computed = {
        "ack": host.packet_acknowledgement_path(port, channel, sequence),
        "channel": host.channel_path(port, channel),
        "client_state": host.client_state_path("07-tendermint-3"),
        "commitment": host.packet_commitment_path(port, channel, sequence),
        "connection": host.connection_path("connection-7"),
        "consensus_state": host.consensus_state_path("07-tendermint-3", Height(4, 1234567)),
        "next_ack": host.next_sequence_ack_path(port, channel),
        "next_recv": host.next_sequence_recv_path(port, channel),
        "next_send": host.next_sequence_send_path(port, channel),
        "receipt": host.packet_receipt_path(port, channel, sequence),
    }
    for name, path in recorded["ics24_paths"].items():
        yield _compare(f"path {name}", computed[name].decode(), path)


def _run_ends(recorded: dict[str, Any]) -> Iterator[CaseResult]:
    connection = connection_pb2.ConnectionEnd(
        client_id="07-tendermint-1",
        versions=[build_default_version()],
        state=connection_pb2.STATE_TRYOPEN,
        counterparty=connection_pb2.Counterparty(
            client_id="07-tendermint-2",
            connection_id="connection-4",
            prefix=commitment_pb2.MerklePrefix(key_prefix=host.COMMITMENT_PREFIX),
        ),
    )
    packed = pack_connection(connection).hex()
    yield _compare("connection end", packed, recorded["connection_end_tryopen_pb"])
    channel = channel_pb2.Channel(
        state=channel_pb2.STATE_OPEN,
        ordering=channel_pb2.ORDER_UNORDERED,
        counterparty=channel_pb2.Counterparty(port_id="transfer", channel_id="channel-5"),
        connection_hops=["connection-4"],
        version="ics20-1",
    )
    yield _compare("channel end", pack_channel(channel).hex(), recorded["channel_open_pb"])
