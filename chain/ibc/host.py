"""Identifiers and store paths of ICS-24: where a chain keeps what its counterparties prove."""

import re
from typing import Final

from chain.ibc.errors import InvalidIdentifier
from chain.ibc.height import Height

STORE: Final = "ibc"
"""Name of the provable store; also the commitment prefix that counterparties use."""
COMMITMENT_PREFIX: Final = b"ibc"

_ALPHABET: Final = re.compile(r"[a-zA-Z0-9._+\-#\[\]<>]+")
_CLIENT_FORMAT: Final = re.compile(r"\w+([\w-]+\w)?-[0-9]{1,20}", re.ASCII)


def _validate_identifier(identifier: str, low: int, high: int, kind: str) -> None:
    if not low <= len(identifier) <= high:
        raise InvalidIdentifier(
            f"{kind} identifier {identifier[: high + 1]!r} has {len(identifier)} characters, "
            f"must have {low} to {high}"
        )
    if _ALPHABET.fullmatch(identifier) is None:
        raise InvalidIdentifier(
            f"{kind} identifier {identifier!r} may hold only letters, digits and . _ + - # [ ] < >"
        )


def validate_client_id(identifier: str) -> None:
    """Raises InvalidIdentifier unless this may name a client (4 to 64 characters)."""
    _validate_identifier(identifier, 4, 64, "client")


def validate_connection_id(identifier: str) -> None:
    """Raises InvalidIdentifier unless this may name a connection (10 to 64 characters)."""
    _validate_identifier(identifier, 10, 64, "connection")


def validate_channel_id(identifier: str) -> None:
    """Raises InvalidIdentifier unless this may name a channel (8 to 64 characters)."""
    _validate_identifier(identifier, 8, 64, "channel")


def validate_port_id(identifier: str) -> None:
    """Raises InvalidIdentifier unless this may name a port (2 to 128 characters)."""
    _validate_identifier(identifier, 2, 128, "port")


def is_client_id_format(identifier: str) -> bool:
    """Whether this has the form `type-number` in which clients are named."""
    return _CLIENT_FORMAT.fullmatch(identifier) is not None


def parse_sequence(identifier: str, prefix: str) -> int | None:
    """The number in an identifier `{prefix}{number}` of a chain's own making, or None."""
    digits = identifier.removeprefix(prefix)
    if digits == identifier or not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        return None
    number = int(digits)
    return number if number < 1 << 64 else None


def client_state_path(client_id: str) -> bytes:
    """Where the state of a client is."""
    return f"clients/{client_id}/clientState".encode()


def consensus_state_path(client_id: str, height: Height) -> bytes:
    """Where a client keeps the consensus state of its chain at a height."""
    return f"clients/{client_id}/consensusStates/{height}".encode()


def client_connections_path(client_id: str) -> bytes:
    """Where the connections over a client are listed."""
    return f"clients/{client_id}/connections".encode()


def connection_path(connection_id: str) -> bytes:
    """Where a connection end is."""
    return f"connections/{connection_id}".encode()


def _channel(port_id: str, channel_id: str) -> str:
    return f"ports/{port_id}/channels/{channel_id}"


def channel_path(port_id: str, channel_id: str) -> bytes:
    """Where a channel end is."""
    return f"channelEnds/{_channel(port_id, channel_id)}".encode()


def next_sequence_send_path(port_id: str, channel_id: str) -> bytes:
    """Where the sequence of the next packet to send is (8 bytes, big-endian)."""
    return f"nextSequenceSend/{_channel(port_id, channel_id)}".encode()


def next_sequence_recv_path(port_id: str, channel_id: str) -> bytes:
    """Where the sequence of the next packet to receive is (8 bytes, big-endian)."""
    return f"nextSequenceRecv/{_channel(port_id, channel_id)}".encode()


def next_sequence_ack_path(port_id: str, channel_id: str) -> bytes:
    """Where the sequence of the next packet to be acknowledged is (8 bytes, big-endian)."""
    return f"nextSequenceAck/{_channel(port_id, channel_id)}".encode()


def packet_commitment_prefix(port_id: str, channel_id: str) -> bytes:
    """What the paths of all packet commitments of a channel start with."""
    return f"commitments/{_channel(port_id, channel_id)}/sequences/".encode()


def packet_commitment_path(port_id: str, channel_id: str, sequence: int) -> bytes:
    """Where the commitment of a sent packet is until it is settled."""
    return packet_commitment_prefix(port_id, channel_id) + str(sequence).encode()


def packet_acknowledgement_prefix(port_id: str, channel_id: str) -> bytes:
    """What the paths of all acknowledgements of a channel start with."""
    return f"acks/{_channel(port_id, channel_id)}/sequences/".encode()


def packet_acknowledgement_path(port_id: str, channel_id: str, sequence: int) -> bytes:
    """Where the commitment of an acknowledgement is."""
    return packet_acknowledgement_prefix(port_id, channel_id) + str(sequence).encode()


def packet_receipt_path(port_id: str, channel_id: str, sequence: int) -> bytes:
    """Where the receipt of a packet received on an unordered channel is."""
    return f"receipts/{_channel(port_id, channel_id)}/sequences/{sequence}".encode()
