"""ICS-23 proofs and their verification, as the Go library cosmos/ics23 v0.11 judges them.

Types mirror cosmos.ics23.v1 (chain.merkle.ics23_codec converts). The verdicts equal the Go
library's, with one rule more: a spec whose inner prefixes may overlap a child (max_prefix_length at
or above min_prefix_length + child_size) is refused: two different trees could share such a proof.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b, blake2s, new, sha256, sha512
from typing import NamedTuple

from chain.errors import ChainError

DEFAULT_DEPTH_MAX = 128
SPECS_REMEMBERED = 64
"""Judgements of specs kept: a chain meets few, and each proof asks again."""


class InvalidProof(ChainError):
    """A proof that does not show what is claimed, or is not in the form its spec asks."""

    codespace = "commitment"
    code = 2
    summary = "invalid proof"


class InvalidProofSpec(ChainError):
    """A proof spec under which no proof could be trusted."""

    codespace = "commitment"
    code = 3
    summary = "invalid proof spec"


class MalformedProof(ChainError):
    """Bytes that are not exactly one canonical proof message."""

    codespace = "commitment"
    code = 4
    summary = "malformed proof"


class HashOp(IntEnum):
    """Hash functions by their number in cosmos.ics23.v1.HashOp."""

    NO_HASH = 0
    SHA256 = 1
    SHA512 = 2
    KECCAK256 = 3
    RIPEMD160 = 4
    BITCOIN = 5
    SHA512_256 = 6
    BLAKE2B_512 = 7
    BLAKE2S_256 = 8
    BLAKE3 = 9


class LengthOp(IntEnum):
    """Length prefixes by their number in cosmos.ics23.v1.LengthOp."""

    NO_PREFIX = 0
    VAR_PROTO = 1
    VAR_RLP = 2
    FIXED32_BIG = 3
    FIXED32_LITTLE = 4
    FIXED64_BIG = 5
    FIXED64_LITTLE = 6
    REQUIRE_32_BYTES = 7
    REQUIRE_64_BYTES = 8


class LeafOp(NamedTuple):
    """How a key and a value become a leaf hash. Operations are numbers, known or not."""

    hash: int
    prehash_key: int
    prehash_value: int
    length: int
    prefix: bytes


class InnerOp(NamedTuple):
    """One step toward the root: hash(prefix ‖ child ‖ suffix)."""

    hash: int
    prefix: bytes
    suffix: bytes


class ExistenceProof(NamedTuple):
    """A leaf and the steps from it to the root."""

    key: bytes
    value: bytes
    leaf: LeafOp | None
    path: tuple[InnerOp, ...]


class NonExistenceProof(NamedTuple):
    """The neighbours between which an absent key would lie; one is None at the edge of the tree."""

    key: bytes
    left: ExistenceProof | None
    right: ExistenceProof | None


class BatchProof(NamedTuple):
    """Several proofs under one root; compressed batches are expanded into this form on decoding."""

    entries: tuple[ExistenceProof | NonExistenceProof | None, ...]


CommitmentProof = ExistenceProof | NonExistenceProof | BatchProof


class InnerSpec(NamedTuple):
    """The form of inner nodes; lengths in bytes."""

    child_order: tuple[int, ...]
    child_size: int
    min_prefix_length: int
    max_prefix_length: int
    empty_child: bytes
    hash: int


class ProofSpec(NamedTuple):
    """The form every proof of a tree must have; depth 0 means 128 at most, 0 at least."""

    leaf: LeafOp | None
    inner: InnerSpec | None
    max_depth: int = 0
    min_depth: int = 0
    prehash_key_before_comparison: bool = False


_SHA_LEAF = LeafOp(HashOp.SHA256, HashOp.NO_HASH, HashOp.SHA256, LengthOp.VAR_PROTO, b"\x00")

IAVL_SPEC = ProofSpec(_SHA_LEAF, InnerSpec((0, 1), 33, 4, 12, b"", HashOp.SHA256))
"""Trees of cosmos/iavl."""
TENDERMINT_SPEC = ProofSpec(_SHA_LEAF, InnerSpec((0, 1), 32, 1, 1, b"", HashOp.SHA256))
"""Simple Merkle trees of CometBFT, as the multistore uses them."""
SMT_SPEC = ProofSpec(
    LeafOp(HashOp.SHA256, HashOp.SHA256, HashOp.SHA256, LengthOp.NO_PREFIX, b"\x00"),
    InnerSpec((0, 1), 32, 1, 1, bytes(32), HashOp.SHA256),
    max_depth=256,
    prehash_key_before_comparison=True,
)
"""Sparse Merkle trees of celestiaorg/smt."""
SDK_SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
"""What a Cosmos SDK chain, and this one, proves with: a store's tree, then the tree of stores."""


def encode_uvarint(value: int) -> bytes:
    """A nonnegative integer as a base-128 varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_HASHERS: Mapping[int, Callable[[bytes], bytes]] = {
    HashOp.SHA256: lambda data: sha256(data).digest(),
    HashOp.SHA512: lambda data: sha512(data).digest(),
    HashOp.RIPEMD160: lambda data: new("ripemd160", data).digest(),
    HashOp.BITCOIN: lambda data: new("ripemd160", sha256(data).digest()).digest(),
    HashOp.SHA512_256: lambda data: new("sha512_256", data).digest(),
    HashOp.BLAKE2B_512: lambda data: blake2b(data).digest(),
    HashOp.BLAKE2S_256: lambda data: blake2s(data).digest(),
}
_LENGTH_PREFIXES: Mapping[int, Callable[[int], bytes]] = {
    LengthOp.NO_PREFIX: lambda _: b"",
    LengthOp.VAR_PROTO: encode_uvarint,
    LengthOp.FIXED32_BIG: lambda size: size.to_bytes(4, "big"),
    LengthOp.FIXED32_LITTLE: lambda size: size.to_bytes(4, "little"),
    LengthOp.FIXED64_BIG: lambda size: size.to_bytes(8, "big"),
    LengthOp.FIXED64_LITTLE: lambda size: size.to_bytes(8, "little"),
}
_REQUIRED_LENGTHS: Mapping[int, int] = {
    LengthOp.REQUIRE_32_BYTES: 32,
    LengthOp.REQUIRE_64_BYTES: 64,
}


def hash_bytes(operation: int, data: bytes) -> bytes:
    """The digest of data; raises InvalidProof for an operation without a hash function."""
    hasher = _HASHERS.get(operation)
    if hasher is None:
        raise InvalidProof(f"hash operation {operation} is not supported")
    return hasher(data)


def prepare_leaf_data(prehash: int, length: int, data: bytes) -> bytes:
    """A key or value as it enters the leaf: hashed if asked, then length-prefixed."""
    if prehash != HashOp.NO_HASH:
        data = hash_bytes(prehash, data)
    prefix = _LENGTH_PREFIXES.get(length)
    if prefix is not None:
        return prefix(len(data)) + data
    required = _REQUIRED_LENGTHS.get(length)
    if required is None:
        raise InvalidProof(f"length operation {length} is not supported")
    if len(data) != required:
        raise InvalidProof(f"leaf data has {len(data)} bytes where {required} are required")
    return data


def compute_leaf(leaf: LeafOp, key: bytes, value: bytes) -> bytes:
    """The leaf hash of a key and a value; raises InvalidProof when either is empty."""
    if not key or not value:
        raise InvalidProof("a leaf needs a key and a value, neither empty")
    data = leaf.prefix + prepare_leaf_data(leaf.prehash_key, leaf.length, key)
    return hash_bytes(leaf.hash, data + prepare_leaf_data(leaf.prehash_value, leaf.length, value))


def compute_inner(step: InnerOp, child: bytes) -> bytes:
    """The hash of an inner node over one child's hash; raises InvalidProof when that is empty."""
    if not child:
        raise InvalidProof("an inner step needs the hash of its child")
    return hash_bytes(step.hash, step.prefix + child + step.suffix)


def compute_root(proof: CommitmentProof | None) -> bytes:
    """The root that the (first) existence proof leads to; that alone proves nothing.

    Raises InvalidProof when there is none.
    """
    if isinstance(proof, BatchProof):
        if not proof.entries or proof.entries[0] is None:
            raise InvalidProof("the batch proof has no first entry")
        return compute_root(proof.entries[0])
    if isinstance(proof, NonExistenceProof):
        proof = proof.left if proof.left is not None else proof.right
    if proof is None:
        raise InvalidProof("the proof of absence has neither a left nor a right neighbour")
    assert isinstance(proof, ExistenceProof)
    return _compute_existence_root(proof, None)


def _compute_existence_root(proof: ExistenceProof, inner: InnerSpec | None) -> bytes:
    if proof.leaf is None:
        raise InvalidProof("the existence proof has no leaf operation")
    digest = compute_leaf(proof.leaf, proof.key, proof.value)
    for step in proof.path:
        digest = compute_inner(step, digest)
        if inner is not None and 32 <= inner.child_size < len(digest):
            raise InvalidProof(
                f"a step of {len(digest)} bytes exceeds child size {inner.child_size}"
            )
    return digest


@lru_cache(maxsize=SPECS_REMEMBERED)
def validate_spec(spec: ProofSpec) -> None:
    """Refuse a spec under which proofs would be ambiguous; raises InvalidProofSpec."""
    if spec.leaf is None or spec.inner is None:
        raise InvalidProofSpec("a spec needs both leaf_spec and inner_spec")
    inner = spec.inner
    if inner.child_size < 1:
        raise InvalidProofSpec(f"child_size {inner.child_size} must be at least 1")
    if sorted(inner.child_order) != list(range(len(inner.child_order))) or not inner.child_order:
        raise InvalidProofSpec(f"child_order {inner.child_order} must order the children 0, 1, …")
    if inner.min_prefix_length < 0 or inner.max_prefix_length < inner.min_prefix_length:
        raise InvalidProofSpec(
            f"prefix lengths {inner.min_prefix_length} to {inner.max_prefix_length} are not a range"
        )
    if inner.max_prefix_length >= inner.min_prefix_length + inner.child_size:
        raise InvalidProofSpec(
            f"max_prefix_length {inner.max_prefix_length} must be below min_prefix_length "
            f"{inner.min_prefix_length} + child_size {inner.child_size}"
        )
    if spec.max_depth < 0 or spec.min_depth < 0 or 0 < spec.max_depth < spec.min_depth:
        raise InvalidProofSpec(f"depths {spec.min_depth} to {spec.max_depth} are not a range")


@lru_cache(maxsize=SPECS_REMEMBERED)
def is_iavl_spec(spec: ProofSpec) -> bool:
    """Whether the IAVL operation rules apply; prefixes, depths and child order do not count."""
    if spec.leaf is None or spec.inner is None:
        return False
    ours, leaf = IAVL_SPEC.inner, IAVL_SPEC.leaf
    assert ours is not None
    assert leaf is not None
    return (
        spec.leaf[:4] == leaf[:4]
        and spec.inner.hash == ours.hash
        and spec.inner.min_prefix_length == ours.min_prefix_length
        and spec.inner.max_prefix_length == ours.max_prefix_length
        and spec.inner.child_size == ours.child_size
        and len(spec.inner.child_order) == len(ours.child_order)
    )


def _read_zigzag(data: bytes, offset: int) -> tuple[int, int]:
    """A signed varint and the offset behind it; raises InvalidProof past 64 bits or the end."""
    raw = shift = 0
    while True:
        if offset >= len(data) or shift > 63:
            raise InvalidProof("the prefix of an IAVL step must hold three varints")
        byte = data[offset]
        offset += 1
        if shift == 63 and byte > 1:
            raise InvalidProof("a varint in the prefix of an IAVL step exceeds 64 bits")
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), offset
        shift += 7


def _validate_iavl_prefix(prefix: bytes, hash_op: int, layer: int) -> None:
    """The prefix rule of IAVL: height, size, version; layer 0 is the leaf."""
    values = []
    offset = 0
    for _ in range(3):
        byte = prefix[offset] if offset < len(prefix) else 0x80
        if byte < 0x80:
            value = (byte >> 1) ^ -(byte & 1)
            offset += 1
        else:
            value, offset = _read_zigzag(prefix, offset)
        values.append(value)
    if min(values) < 0:
        raise InvalidProof("height, size and version of an IAVL step must not be negative")
    if values[0] < layer:
        raise InvalidProof(f"an IAVL step at layer {layer} claims height {values[0]}")
    rest = len(prefix) - offset
    if layer == 0:
        if rest != 0:
            raise InvalidProof(f"{rest} bytes follow the version in the prefix of an IAVL leaf")
    elif rest not in (1, 34) or hash_op != HashOp.SHA256:
        raise InvalidProof(f"{rest} bytes follow the version of an IAVL step: 1 or 34 must")


def validate_leaf(leaf: LeafOp, spec: ProofSpec) -> None:
    """Require the leaf operation that the spec asks; raises InvalidProof."""
    if spec.leaf is None:
        raise InvalidProofSpec("the spec has no leaf_spec")
    if is_iavl_spec(spec):
        _validate_iavl_prefix(leaf.prefix, leaf.hash, 0)
    if leaf[:4] != spec.leaf[:4]:
        raise InvalidProof(f"leaf operations {leaf[:4]} are not the spec's {spec.leaf[:4]}")
    if not leaf.prefix.startswith(spec.leaf.prefix):
        raise InvalidProof(f"the leaf prefix does not start with {spec.leaf.prefix.hex()}")


def validate_inner(step: InnerOp, spec: ProofSpec, layer: int) -> None:
    """Require an inner operation of the form of the spec, `layer` steps above the leaf."""
    if spec.inner is None or spec.leaf is None:
        raise InvalidProofSpec("the spec needs leaf_spec and inner_spec")
    _validate_step(step, spec.inner, spec.leaf.prefix, layer, is_iavl=is_iavl_spec(spec))


def _validate_step(
    step: InnerOp, inner: InnerSpec, leaf_prefix: bytes, layer: int, *, is_iavl: bool
) -> None:
    hash_op, prefix, suffix = step
    if hash_op != inner.hash:
        raise InvalidProof(f"inner hash operation {hash_op} is not the spec's {inner.hash}")
    if is_iavl:
        _validate_iavl_prefix(prefix, hash_op, layer)
    if prefix.startswith(leaf_prefix):
        raise InvalidProof("an inner prefix starts like a leaf")
    child_size = inner.child_size
    high = inner.max_prefix_length + (len(inner.child_order) - 1) * child_size
    if not inner.min_prefix_length <= len(prefix) <= high:
        raise InvalidProof(
            f"an inner prefix of {len(prefix)} bytes is outside [{inner.min_prefix_length}, {high}]"
        )
    if child_size < 1 or len(suffix) % child_size:
        raise InvalidProof(f"an inner suffix of {len(suffix)} bytes is no multiple of {child_size}")


def validate_existence(proof: ExistenceProof, spec: ProofSpec) -> None:
    """Require every operation of the proof to have the form of the spec; raises InvalidProof."""
    validate_spec(spec)
    if proof.leaf is None:
        raise InvalidProof("the existence proof has no leaf operation")
    validate_leaf(proof.leaf, spec)
    depth_max = spec.max_depth or DEFAULT_DEPTH_MAX
    if not spec.min_depth <= len(proof.path) <= depth_max:
        raise InvalidProof(
            f"{len(proof.path)} inner steps are outside [{spec.min_depth}, {depth_max}]"
        )
    inner = spec.inner
    assert inner is not None
    assert spec.leaf is not None
    is_iavl = is_iavl_spec(spec)
    for layer, step in enumerate(proof.path, start=1):
        _validate_step(step, inner, spec.leaf.prefix, layer, is_iavl=is_iavl)


def compute_proven_root(proof: ExistenceProof, spec: ProofSpec, key: bytes, value: bytes) -> bytes:
    """The root under which the proof shows key = value; raises InvalidProof when it shows none."""
    validate_existence(proof, spec)
    if proof.key != key:
        raise InvalidProof(f"the proof is of key {proof.key.hex()}, not of {key.hex()}")
    if proof.value != value:
        raise InvalidProof("the proof is of another value")
    return _compute_existence_root(proof, spec.inner)


def _require_root(computed: bytes, root: bytes) -> None:
    if computed != root:
        raise InvalidProof(f"the proof leads to root {computed.hex()}, not to {root.hex()}")


def verify_existence(
    proof: ExistenceProof, spec: ProofSpec, root: bytes, key: bytes, value: bytes
) -> None:
    """Require that the proof shows key = value under the root; raises InvalidProof."""
    _require_root(compute_proven_root(proof, spec, key, value), root)


def _compare_form(spec: ProofSpec, key: bytes) -> bytes:
    if not spec.prehash_key_before_comparison or spec.leaf is None:
        return key
    if spec.leaf.prehash_key == HashOp.NO_HASH:
        return key
    return hash_bytes(spec.leaf.prehash_key, key)


def verify_non_existence(
    proof: NonExistenceProof, spec: ProofSpec, root: bytes, key: bytes
) -> None:
    """Require that the proof shows the key absent under the root; raises InvalidProof."""
    _require_root(compute_root_without(proof, spec, key), root)


def compute_root_without(proof: NonExistenceProof, spec: ProofSpec, key: bytes) -> bytes:
    """The root under which the proof shows the key absent; raises InvalidProof."""
    left, right = proof.left, proof.right
    roots = [
        compute_proven_root(neighbour, spec, neighbour.key, neighbour.value)
        for neighbour in (left, right)
        if neighbour is not None
    ]
    if not roots:
        raise InvalidProof("the proof of absence has neither a left nor a right neighbour")
    _require_root(roots[-1], roots[0])
    place = _compare_form(spec, key)
    if right is not None and place >= _compare_form(spec, right.key):
        raise InvalidProof("the key is not left of its right neighbour")
    if left is not None and place <= _compare_form(spec, left.key):
        raise InvalidProof("the key is not right of its left neighbour")
    inner = spec.inner
    assert inner is not None
    if left is None:
        assert right is not None
        if not is_leftmost(inner, right.path):
            raise InvalidProof("without a left neighbour, the right one must be the leftmost leaf")
    elif right is None:
        if not is_rightmost(inner, left.path):
            raise InvalidProof("without a right neighbour, the left one must be the rightmost leaf")
    elif not is_left_neighbour(inner, left.path, right.path):
        raise InvalidProof("the two neighbours are not adjacent leaves")
    return roots[0]


def _get_padding(inner: InnerSpec, branch: int) -> tuple[int, int, int]:
    """Least and greatest prefix length and the suffix length of a step on the given branch."""
    position = inner.child_order.index(branch)
    before = position * inner.child_size
    after = (len(inner.child_order) - 1 - position) * inner.child_size
    return before + inner.min_prefix_length, before + inner.max_prefix_length, after


def _has_padding(step: InnerOp, padding: tuple[int, int, int]) -> bool:
    low, high, suffix = padding
    return low <= len(step.prefix) <= high and len(step.suffix) == suffix


def _find_branch(inner: InnerSpec, step: InnerOp) -> int | None:
    for branch in range(len(inner.child_order)):
        if _has_padding(step, _get_padding(inner, branch)):
            return branch
    return None


def is_left_empty(inner: InnerSpec, step: InnerOp) -> bool:
    """Whether every sibling left of the step's child is the empty placeholder."""
    branch = _find_branch(inner, step)
    start = len(step.prefix) - (branch or 0) * inner.child_size
    if not branch or start < 0:
        return False
    return all(
        step.prefix[begin : begin + inner.child_size] == inner.empty_child
        for begin in (start + inner.child_order.index(i) * inner.child_size for i in range(branch))
    )


def is_right_empty(inner: InnerSpec, step: InnerOp) -> bool:
    """Whether every sibling right of the step's child is the empty placeholder."""
    branch = _find_branch(inner, step)
    if branch is None:
        return False
    siblings = len(inner.child_order) - 1 - branch
    if siblings == 0 or len(step.suffix) != siblings * inner.child_size:
        return False
    return all(
        step.suffix[begin : begin + inner.child_size] == inner.empty_child
        for begin in (inner.child_order.index(i) * inner.child_size for i in range(siblings))
    )


def is_leftmost(inner: InnerSpec, path: Sequence[InnerOp]) -> bool:
    """Whether the path is the leftmost of its tree, empty placeholders aside."""
    padding = _get_padding(inner, 0)
    return all(_has_padding(step, padding) or is_left_empty(inner, step) for step in path)


def is_rightmost(inner: InnerSpec, path: Sequence[InnerOp]) -> bool:
    """Whether the path is the rightmost of its tree, empty placeholders aside."""
    padding = _get_padding(inner, len(inner.child_order) - 1)
    return all(_has_padding(step, padding) or is_right_empty(inner, step) for step in path)


def is_left_neighbour(inner: InnerSpec, left: Sequence[InnerOp], right: Sequence[InnerOp]) -> bool:
    """Whether the leaf of `left` stands directly before the leaf of `right`.

    The paths are equal from the root down to one node; there they part into adjacent branches, and
    below it the left path keeps to the right edge and the right path to the left edge.
    """
    at_left, at_right = len(left) - 1, len(right) - 1
    while (
        at_left >= 0
        and at_right >= 0
        and left[at_left].prefix == right[at_right].prefix
        and left[at_left].suffix == right[at_right].suffix
    ):
        at_left -= 1
        at_right -= 1
    if at_left < 0 or at_right < 0:
        return False
    left_branch = _find_branch(inner, left[at_left])
    right_branch = _find_branch(inner, right[at_right])
    if left_branch is None or right_branch is None or right_branch != left_branch + 1:
        return False
    return is_rightmost(inner, left[:at_left]) and is_leftmost(inner, right[:at_right])


def verify_key(
    spec: ProofSpec, root: bytes, proof: CommitmentProof, key: bytes, value: bytes
) -> None:
    """Require that a proof, or an entry of a batch, shows key = value in one tree."""
    entries = proof.entries if isinstance(proof, BatchProof) else (proof,)
    for entry in entries:
        if isinstance(entry, ExistenceProof) and entry.key == key:
            verify_existence(entry, spec, root, key, value)
            return
    raise InvalidProof(f"no existence proof of key {key.hex()}")


def verify_key_absent(spec: ProofSpec, root: bytes, proof: CommitmentProof, key: bytes) -> None:
    """Require that a proof, or an entry of a batch, shows the key absent from one tree."""
    validate_spec(spec)
    entries = proof.entries if isinstance(proof, BatchProof) else (proof,)
    place = _compare_form(spec, key)
    for entry in entries:
        if not isinstance(entry, NonExistenceProof):
            continue
        left, right = entry.left, entry.right
        if left is not None and _compare_form(spec, left.key) >= place:
            continue
        if right is not None and _compare_form(spec, right.key) <= place:
            continue
        verify_non_existence(entry, spec, root, key)
        return
    raise InvalidProof(f"no proof of absence around key {key.hex()}")


def _require_arguments(
    specs: Sequence[ProofSpec],
    proofs: Sequence[CommitmentProof],
    root: bytes,
    path: Sequence[bytes],
) -> None:
    if not root:
        raise InvalidProof("the root must not be empty")
    if not proofs or not len(specs) == len(proofs) == len(path):
        raise InvalidProof(
            f"{len(specs)} specs, {len(proofs)} proofs and {len(path)} path keys must be as many, "
            f"and at least one"
        )


def verify_membership(
    specs: Sequence[ProofSpec],
    proofs: Sequence[CommitmentProof],
    root: bytes,
    path: Sequence[bytes],
    value: bytes,
) -> None:
    """Require that nested trees hold the value under the path (ICS-23, ibc.core.commitment.v1).

    Specs and proofs run from the innermost tree outward, `path` from the outermost key inward:
    (b"ibc", key). Each tree's root is the value in the next. Raises InvalidProof.
    """
    _require_arguments(specs, proofs, root, path)
    if not value:
        raise InvalidProof("the value must not be empty: absence has proofs of its own")
    _require_root(
        _compute_chain(list(zip(specs, proofs, reversed(path), strict=True)), value), root
    )


def verify_non_membership(
    specs: Sequence[ProofSpec],
    proofs: Sequence[CommitmentProof],
    root: bytes,
    path: Sequence[bytes],
) -> None:
    """Require that the innermost tree lacks the last path key; arguments as verify_membership."""
    _require_arguments(specs, proofs, root, path)
    absence = proofs[0]
    if not isinstance(absence, NonExistenceProof):
        raise InvalidProof(f"the first proof is {type(absence).__name__}, not of absence")
    subroot = compute_root_without(absence, specs[0], path[-1])
    outer = list(zip(specs, proofs, reversed(path), strict=True))[1:]
    _require_root(_compute_chain(outer, subroot), root)


def _compute_chain(
    levels: Sequence[tuple[ProofSpec, CommitmentProof, bytes]], value: bytes
) -> bytes:
    """The outermost root of nested trees, each holding the root of the one before."""
    for spec, proof, key in levels:
        if not isinstance(proof, ExistenceProof):
            raise InvalidProof(f"an outer proof is {type(proof).__name__}, not of existence")
        value = compute_proven_root(proof, spec, key, value)
    return value
