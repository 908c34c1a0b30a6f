"""The simple Merkle tree of CometBFT (RFC 6962) and the multistore root that is the app hash.

Leaf sha256(0x00 ‖ item), inner node sha256(0x01 ‖ left ‖ right), split at the largest power of two
below the size, empty tree sha256(""). The multistore tree has a leaf per store in name order:
len‖name ‖ len‖sha256(store root), as the Cosmos SDK commits its stores.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from chain.merkle.ics23 import ExistenceProof, HashOp, InnerOp, LeafOp, LengthOp, encode_uvarint

HASH_LENGTH = 32
EMPTY_HASH = sha256(b"").digest()
"""The root of no items."""

_LEAF = LeafOp(HashOp.SHA256, HashOp.NO_HASH, HashOp.SHA256, LengthOp.VAR_PROTO, b"\x00")


def hash_leaf(item: bytes) -> bytes:
    """The hash of one item."""
    return sha256(b"\x00" + item).digest()


def hash_inner(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def compute_root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes.

    Pairing neighbours level by level, the odd one moving up unchanged, gives the tree that
    splitting at the largest power of two defines.
    """
    if not hashes:
        return EMPTY_HASH
    level = list(hashes)
    while len(level) > 1:
        pairs = len(level) >> 1
        odd = level[-1:] if len(level) & 1 else []
        level = [hash_inner(level[2 * i], level[2 * i + 1]) for i in range(pairs)] + odd
    return level[0]


def compute_root(items: Sequence[bytes]) -> bytes:
    """The root over items."""
    return compute_root_of_hashes([hash_leaf(item) for item in items])


def compute_aunts(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The sibling hashes from a leaf up to the root."""
    assert 0 <= index < len(hashes)
    aunts = []
    level = list(hashes)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            aunts.append(level[sibling])
        pairs = len(level) >> 1
        odd = level[-1:] if len(level) & 1 else []
        level = [hash_inner(level[2 * i], level[2 * i + 1]) for i in range(pairs)] + odd
        index >>= 1
    return aunts


def compute_root_from_aunts(
    index: int, total: int, leaf_hash: bytes, aunts: Sequence[bytes]
) -> bytes | None:
    """The root an inclusion proof leads to, or None when its shape does not fit index and total."""
    if not 0 <= index < total or len(leaf_hash) != HASH_LENGTH:
        return None
    digest = leaf_hash
    used = 0
    width = total
    while width > 1:
        if index & 1 or index + 1 < width:
            if used == len(aunts):
                return None
            aunt = aunts[used]
            used += 1
            digest = hash_inner(aunt, digest) if index & 1 else hash_inner(digest, aunt)
        index >>= 1
        width = (width + 1) >> 1
    return digest if used == len(aunts) else None


def is_included(
    root: bytes, index: int, total: int, leaf_hash: bytes, aunts: Sequence[bytes]
) -> bool:
    """Whether the proof shows that the leaf stands at `index` of `total` under the root."""
    return compute_root_from_aunts(index, total, leaf_hash, aunts) == root


def _hash_store(name: bytes, root: bytes) -> bytes:
    digest = sha256(root).digest()
    return hash_leaf(encode_uvarint(len(name)) + name + encode_uvarint(len(digest)) + digest)


def compute_app_hash(roots: Mapping[str, bytes]) -> bytes:
    """The app hash over the roots of the named stores."""
    named = sorted((name.encode(), root) for name, root in roots.items())
    return compute_root_of_hashes([_hash_store(name, root) for name, root in named])


def prove_store(roots: Mapping[str, bytes], store: str) -> ExistenceProof:
    """The ICS-23 proof (TendermintSpec) that a store has its root under the app hash."""
    named = sorted((name.encode(), root) for name, root in roots.items())
    hashes = [_hash_store(name, root) for name, root in named]
    index = [name for name, _ in named].index(store.encode())
    steps = []
    width, position = len(hashes), index
    aunts = iter(compute_aunts(hashes, index))
    while width > 1:
        if position & 1:
            steps.append(InnerOp(HashOp.SHA256, b"\x01" + next(aunts), b""))
        elif position + 1 < width:
            steps.append(InnerOp(HashOp.SHA256, b"\x01", next(aunts)))
        position >>= 1
        width = (width + 1) >> 1
    return ExistenceProof(store.encode(), roots[store], _LEAF, tuple(steps))
