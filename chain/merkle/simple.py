"""The simple Merkle tree of CometBFT (RFC 6962): header fields, validators, store roots."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of no leaves."""

_LEAF: Final = b"\x00"
_INNER: Final = b"\x01"


def leaf_hash(leaf: bytes) -> bytes:
    """The 32-byte hash of a leaf, domain-separated from inner nodes."""
    return sha256(_LEAF + leaf).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of an inner node."""
    return sha256(_INNER + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The 32-byte root over the leaves in their order; sha256("") when there are none.

    Pairing level by level and promoting an odd last node gives the same tree as RFC 6962's split at
    the largest power of two below the count.
    """
    if not leaves:
        return EMPTY_ROOT
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        pairs = [inner_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            pairs.append(level[-1])
        level = pairs
    return level[0]
