"""What a chain commits to of a packet and of an acknowledgement (ICS-04 v1). Pure."""

from hashlib import sha256

from chain.ibc.router import Packet


def compute_packet_commitment(packet: Packet) -> bytes:
    """SHA-256 over timeout time, timeout height and the hash of the data."""
    return sha256(
        packet.timeout_timestamp_ns.to_bytes(8, "big")
        + packet.timeout_height.revision_number.to_bytes(8, "big")
        + packet.timeout_height.revision_height.to_bytes(8, "big")
        + sha256(packet.data).digest()
    ).digest()


def compute_acknowledgement_commitment(acknowledgement: bytes) -> bytes:
    """SHA-256 of the acknowledgement."""
    return sha256(acknowledgement).digest()
