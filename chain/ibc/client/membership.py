"""Proofs about another chain's store: what an active client lets this chain believe (ICS-23)."""

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain.ibc.client import state
from chain.ibc.errors import ConsensusStateNotFound, DelayPeriodNotPassed, InvalidHeight
from chain.ibc.height import Height
from chain.merkle import ics23
from chain.merkle.ics23 import InvalidProof
from chain.merkle.ics23_codec import proof_from_message, spec_from_message
from chain.runtime.context import Context
from chain.runtime.gas import PROOF_FLAT

Path = tuple[bytes, ...]
"""Keys from the outermost tree inward: (store, key)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """An encoded ibc.core.commitment.v1.MerkleProof and the height of the header it is against."""

    data: bytes
    height: Height


@dataclass(frozen=True, slots=True)
class Delay:
    """How long ago, in time and in blocks of this chain, the header must have been processed."""

    time_ns: int
    blocks: int


NO_DELAY: Final = Delay(time_ns=0, blocks=0)


def require_proof(data: bytes, field: str) -> None:
    """Raises InvalidProof for an empty proof, before any state is read."""
    if not data:
        raise InvalidProof(f"{field} is empty")


def decode_merkle_proof(data: bytes) -> tuple[ics23.CommitmentProof, ...]:
    """The proofs from the store's tree outward.

    Raises InvalidProof for bytes that are not the one encoding of a MerkleProof without unknown
    fields: a forged proof must not hide what one verifier reads and another ignores.
    """
    message = commitment_pb2.MerkleProof()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise InvalidProof("the proof is not a MerkleProof message") from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != data:
        raise InvalidProof(
            "the proof is not canonically encoded; it has unknown or repeated fields"
        )
    return tuple(proof_from_message(proof) for proof in message.proofs)


def _require_delay_passed(ctx: Context, client_id: str, height: Height, delay: Delay) -> None:
    if delay == NO_DELAY:
        return
    processed = state.get_processed(ctx, client_id, height)
    if processed is None:
        raise ConsensusStateNotFound(f"client {client_id!r} holds nothing at height {height}")
    time_ns, self_height = processed
    if ctx.time_ns < time_ns + delay.time_ns:
        raise DelayPeriodNotPassed(
            f"header {height} may be used from time {time_ns + delay.time_ns} ns, now is "
            f"{ctx.time_ns} ns"
        )
    valid_from = Height(self_height.revision_number, self_height.revision_height + delay.blocks)
    if state.get_self_height(ctx) < valid_from:
        raise DelayPeriodNotPassed(
            f"header {height} may be used from height {valid_from}, now is "
            f"{state.get_self_height(ctx)}"
        )


@dataclass(frozen=True, slots=True)
class _Anchor:
    """What a proof is verified against."""

    specs: tuple[ics23.ProofSpec, ...]
    root: bytes
    proofs: tuple[ics23.CommitmentProof, ...]


def _prepare(ctx: Context, client_id: str, proof: Proof, delay: Delay) -> _Anchor:
    """The rules common to all proofs, the cheap ones first."""
    state.require_active(ctx, client_id)
    client = state.get_client_state(ctx, client_id)
    latest = Height.from_proto(client.latest_height)
    if latest < proof.height:
        raise InvalidHeight(
            f"proof verification failed: client state height < proof height ({latest} < "
            f"{proof.height}), please ensure the client has been updated"
        )
    consensus = state.get_consensus_state(ctx, client_id, proof.height)
    if consensus is None:
        raise ConsensusStateNotFound(
            f"client {client_id!r} holds nothing at height {proof.height}; use a proof against a "
            f"height the client was updated to"
        )
    _require_delay_passed(ctx, client_id, proof.height, delay)
    proofs = decode_merkle_proof(proof.data)
    ctx.gas.consume(PROOF_FLAT * len(client.proof_specs))
    specs = tuple(spec_from_message(spec) for spec in client.proof_specs)
    return _Anchor(specs, consensus.root.hash, proofs)


def verify_membership(
    ctx: Context,
    client_id: str,
    proof: Proof,
    path: Path,
    value: bytes,
    *,
    delay: Delay = NO_DELAY,
) -> None:
    """Require that the client's chain stored the value under the path at the proof height.

    Raises ClientNotActive, InvalidHeight, ConsensusStateNotFound, DelayPeriodNotPassed or
    InvalidProof.
    """
    anchor = _prepare(ctx, client_id, proof, delay)
    ics23.verify_membership(anchor.specs, anchor.proofs, anchor.root, path, value)


def verify_non_membership(
    ctx: Context, client_id: str, proof: Proof, path: Path, *, delay: Delay = NO_DELAY
) -> None:
    """Require that the client's chain stored nothing under the path at the proof height.

    Raises as verify_membership.
    """
    anchor = _prepare(ctx, client_id, proof, delay)
    ics23.verify_non_membership(anchor.specs, anchor.proofs, anchor.root, path)
