"""Conversion between ICS-23 types and protobuf bytes: the only protobuf of the merkle package."""

from typing import cast

from google.protobuf.message import DecodeError, Message

from chain._pb.cosmos.ics23.v1 import proofs_pb2 as pb
from chain.merkle.ics23 import (
    BatchProof,
    CommitmentProof,
    ExistenceProof,
    InnerOp,
    InnerSpec,
    LeafOp,
    MalformedProof,
    NonExistenceProof,
    ProofSpec,
)

PROOF_BYTES_MAX = 1 << 20
"""A proof above this is refused before it is decoded."""


def _parse_exactly(message: Message, data: bytes) -> None:
    """Fill the message; raises MalformedProof unless data is its one canonical encoding."""
    if len(data) > PROOF_BYTES_MAX:
        raise MalformedProof(f"a proof of {len(data)} bytes exceeds {PROOF_BYTES_MAX}")
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise MalformedProof(f"the proof does not decode: {error}") from error
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != data:
        raise MalformedProof("the proof has unknown fields or is not in canonical encoding")


def decode_proof(data: bytes) -> CommitmentProof:
    """The proof in the bytes of a cosmos.ics23.v1.CommitmentProof; raises MalformedProof."""
    message = pb.CommitmentProof()
    _parse_exactly(message, data)
    return proof_from_message(message)


def proof_from_message(message: pb.CommitmentProof) -> CommitmentProof:
    """The proof of a decoded message; raises MalformedProof when it holds none.

    For proofs inside a larger message, whose decoder has already refused unknown fields.
    """
    match message.WhichOneof("proof"):
        case "exist":
            return _existence(message.exist)
        case "nonexist":
            return _absence(message.nonexist)
        case "batch":
            return BatchProof(tuple(_batch_entry(entry) for entry in message.batch.entries))
        case "compressed":
            return _expand(message.compressed)
    raise MalformedProof("the commitment proof is empty")


def _leaf(message: pb.LeafOp) -> LeafOp:
    return LeafOp(
        message.hash, message.prehash_key, message.prehash_value, message.length, message.prefix
    )


def _existence(message: pb.ExistenceProof) -> ExistenceProof:
    path = tuple([InnerOp(step.hash, step.prefix, step.suffix) for step in message.path])
    leaf = _leaf(message.leaf) if message.HasField("leaf") else None
    return ExistenceProof(message.key, message.value, leaf, path)


def _absence(message: pb.NonExistenceProof) -> NonExistenceProof:
    return NonExistenceProof(
        message.key,
        _existence(message.left) if message.HasField("left") else None,
        _existence(message.right) if message.HasField("right") else None,
    )


def _batch_entry(message: pb.BatchEntry) -> ExistenceProof | NonExistenceProof | None:
    match message.WhichOneof("proof"):
        case "exist":
            return _existence(message.exist)
        case "nonexist":
            return _absence(message.nonexist)
    return None


def _expand(message: pb.CompressedBatchProof) -> BatchProof:
    lookup = [InnerOp(step.hash, step.prefix, step.suffix) for step in message.lookup_inners]
    return BatchProof(tuple(_compressed_entry(entry, lookup) for entry in message.entries))


def _compressed_entry(
    message: pb.CompressedBatchEntry, lookup: list[InnerOp]
) -> ExistenceProof | NonExistenceProof | None:
    match message.WhichOneof("proof"):
        case "exist":
            return _compressed_existence(message.exist, lookup)
        case "nonexist":
            absence = message.nonexist
            left = absence.left if absence.HasField("left") else None
            right = absence.right if absence.HasField("right") else None
            return NonExistenceProof(
                absence.key,
                _compressed_existence(left, lookup) if left is not None else None,
                _compressed_existence(right, lookup) if right is not None else None,
            )
    return None


def _compressed_existence(
    message: pb.CompressedExistenceProof, lookup: list[InnerOp]
) -> ExistenceProof:
    for index in message.path:
        if not 0 <= index < len(lookup):
            raise MalformedProof(f"step {index} is not among the {len(lookup)} shared steps")
    leaf = _leaf(message.leaf) if message.HasField("leaf") else None
    path = tuple(lookup[index] for index in message.path)
    return ExistenceProof(message.key, message.value, leaf, path)


def encode_proof(proof: ExistenceProof | NonExistenceProof) -> bytes:
    """The bytes of a cosmos.ics23.v1.CommitmentProof, equal to the Go library's."""
    return proof_to_message(proof).SerializeToString(deterministic=True)


def proof_to_message(proof: ExistenceProof | NonExistenceProof) -> pb.CommitmentProof:
    """The proof as a protobuf message."""
    message = pb.CommitmentProof()
    if isinstance(proof, ExistenceProof):
        _fill_existence(message.exist, proof)
        return message
    message.nonexist.key = proof.key
    if proof.left is not None:
        _fill_existence(message.nonexist.left, proof.left)
    if proof.right is not None:
        _fill_existence(message.nonexist.right, proof.right)
    return message


def _fill_existence(message: pb.ExistenceProof, proof: ExistenceProof) -> None:
    message.key = proof.key
    message.value = proof.value
    if proof.leaf is not None:
        message.leaf.CopyFrom(_leaf_to_message(proof.leaf))
    add = message.path.add
    for hash_op, prefix, suffix in proof.path:
        add(hash=cast("pb.HashOp", hash_op), prefix=prefix, suffix=suffix)


def _leaf_to_message(leaf: LeafOp) -> pb.LeafOp:
    return pb.LeafOp(
        hash=cast("pb.HashOp", leaf.hash),
        prehash_key=cast("pb.HashOp", leaf.prehash_key),
        prehash_value=cast("pb.HashOp", leaf.prehash_value),
        length=cast("pb.LengthOp", leaf.length),
        prefix=leaf.prefix,
    )


def spec_from_message(message: pb.ProofSpec) -> ProofSpec:
    """The proof spec of a client state; validate_spec judges it."""
    inner = message.inner_spec
    return ProofSpec(
        leaf=_leaf(message.leaf_spec) if message.HasField("leaf_spec") else None,
        inner=InnerSpec(
            tuple(inner.child_order),
            inner.child_size,
            inner.min_prefix_length,
            inner.max_prefix_length,
            inner.empty_child,
            inner.hash,
        )
        if message.HasField("inner_spec")
        else None,
        max_depth=message.max_depth,
        min_depth=message.min_depth,
        prehash_key_before_comparison=message.prehash_key_before_comparison,
    )


def spec_to_message(spec: ProofSpec) -> pb.ProofSpec:
    """The proof spec as it stands in a client state."""
    message = pb.ProofSpec(
        max_depth=spec.max_depth,
        min_depth=spec.min_depth,
        prehash_key_before_comparison=spec.prehash_key_before_comparison,
    )
    if spec.leaf is not None:
        message.leaf_spec.CopyFrom(_leaf_to_message(spec.leaf))
    if spec.inner is not None:
        order, child_size, low, high, empty_child, hash_op = spec.inner
        message.inner_spec.CopyFrom(
            pb.InnerSpec(
                child_order=order,
                child_size=child_size,
                min_prefix_length=low,
                max_prefix_length=high,
                empty_child=empty_child,
                hash=cast("pb.HashOp", hash_op),
            )
        )
    return message
