"""Tendermint headers, commits and validator sets between their protobuf and their pure types.

Reading is strict: a missing part, a time outside protobuf's range, a key of another type or an
address that its key does not give raises MalformedLightBlock or UnsupportedKeyType, so that every
value the light client sees has one meaning. Counts are bounded before anything is built.
"""

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from chain._pb.tendermint.crypto import keys_pb2
from chain._pb.tendermint.types import types_pb2, validator_pb2
from chain._pb.tendermint.version import types_pb2 as version_pb2
from chain.lightclient.errors import MalformedLightBlock, UnsupportedKeyType
from chain.lightclient.types import (
    TIME_MAX_NS,
    TIME_MIN_NS,
    VALIDATOR_COUNT_MAX,
    BlockId,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
    SignedHeader,
    Validator,
    ValidatorSet,
)
from chain.units import NANOSECONDS


def time_ns_from_pb(time: Timestamp) -> int:
    """Nanoseconds since 1970; raises MalformedLightBlock outside the years 1 to 9999."""
    time_ns = time.seconds * NANOSECONDS + time.nanos
    if not (0 <= time.nanos < NANOSECONDS and TIME_MIN_NS <= time_ns <= TIME_MAX_NS):
        raise MalformedLightBlock(
            f"time of {time.seconds} s and {time.nanos} ns must lie within the years 1 to 9999"
        )
    return time_ns


def block_id_from_pb(block_id: types_pb2.BlockID) -> BlockId:
    """A block id; unset parts are zero, as on the wire."""
    parts = block_id.part_set_header
    return BlockId(block_id.hash, PartSetHeader(parts.total, parts.hash))


def header_from_pb(header: types_pb2.Header) -> Header:
    """A header; an unset time is the zero time, as CometBFT reads it."""
    return Header(
        version_block=header.version.block,
        version_app=header.version.app,
        chain_id=header.chain_id,
        height=header.height,
        time_ns=time_ns_from_pb(header.time) if header.HasField("time") else TIME_MIN_NS,
        last_block_id=block_id_from_pb(header.last_block_id),
        last_commit_hash=header.last_commit_hash,
        data_hash=header.data_hash,
        validators_hash=header.validators_hash,
        next_validators_hash=header.next_validators_hash,
        consensus_hash=header.consensus_hash,
        app_hash=header.app_hash,
        last_results_hash=header.last_results_hash,
        evidence_hash=header.evidence_hash,
        proposer_address=header.proposer_address,
    )


def commit_from_pb(commit: types_pb2.Commit) -> Commit:
    """A commit of at most VALIDATOR_COUNT_MAX slots; raises MalformedLightBlock."""
    count = len(commit.signatures)
    if count > VALIDATOR_COUNT_MAX:
        raise MalformedLightBlock(f"{count} signatures, at most {VALIDATOR_COUNT_MAX} are allowed")
    return Commit(
        height=commit.height,
        round=commit.round,
        block_id=block_id_from_pb(commit.block_id),
        signatures=tuple(
            CommitSig(
                sig.block_id_flag,
                sig.validator_address,
                time_ns_from_pb(sig.timestamp) if sig.HasField("timestamp") else TIME_MIN_NS,
                sig.signature,
            )
            for sig in commit.signatures
        ),
    )


def signed_header_from_pb(signed_header: types_pb2.SignedHeader) -> SignedHeader:
    """A header with its commit; raises MalformedLightBlock when either is missing."""
    for part in ("header", "commit"):
        if not signed_header.HasField(part):
            raise MalformedLightBlock(f"signed header has no {part}")
    return SignedHeader(header_from_pb(signed_header.header), commit_from_pb(signed_header.commit))


def validator_from_pb(validator: validator_pb2.Validator) -> Validator:
    """A validator; raises UnsupportedKeyType unless Ed25519, MalformedLightBlock on its address."""
    kind = validator.pub_key.WhichOneof("sum")
    if kind != "ed25519":
        raise UnsupportedKeyType(f"validator key of type {kind or 'none'}; only ed25519 is known")
    result = Validator(
        validator.pub_key.ed25519, validator.voting_power, validator.proposer_priority
    )
    if result.address != validator.address:
        raise MalformedLightBlock(
            f"validator address {validator.address.hex().upper()} is not that of its key, "
            f"{result.address.hex().upper()}"
        )
    return result


def validator_set_from_pb(validator_set: validator_pb2.ValidatorSet) -> ValidatorSet:
    """A validator set in the order given; its proposer must be set and a member.

    The total power on the wire is ignored and summed anew. Raises MalformedLightBlock and
    UnsupportedKeyType; powers are judged by lightclient.types.validate_validator_set.
    """
    count = len(validator_set.validators)
    if not 1 <= count <= VALIDATOR_COUNT_MAX:
        raise MalformedLightBlock(f"{count} validators, must be 1 to {VALIDATOR_COUNT_MAX}")
    if not validator_set.HasField("proposer"):
        raise MalformedLightBlock("validator set has no proposer")
    proposer = validator_from_pb(validator_set.proposer)
    validators = tuple(validator_from_pb(v) for v in validator_set.validators)
    if all(v.address != proposer.address for v in validators):
        raise MalformedLightBlock(
            f"proposer {proposer.address.hex().upper()} is not in the validator set"
        )
    return ValidatorSet(validators)


def time_ns_to_pb(time_ns: int) -> Timestamp:
    """The protobuf time of nanoseconds since 1970."""
    seconds, nanos = divmod(time_ns, NANOSECONDS)
    return Timestamp(seconds=seconds, nanos=nanos)


def block_id_to_pb(block_id: BlockId) -> types_pb2.BlockID:
    """The protobuf block id; the part set header is present even when zero."""
    parts = block_id.part_set_header
    return types_pb2.BlockID(
        hash=block_id.hash,
        part_set_header=types_pb2.PartSetHeader(total=parts.total, hash=parts.hash),
    )


def header_to_pb(header: Header) -> types_pb2.Header:
    """The protobuf header."""
    return types_pb2.Header(
        version=version_pb2.Consensus(block=header.version_block, app=header.version_app),
        chain_id=header.chain_id,
        height=header.height,
        time=time_ns_to_pb(header.time_ns),
        last_block_id=block_id_to_pb(header.last_block_id),
        last_commit_hash=header.last_commit_hash,
        data_hash=header.data_hash,
        validators_hash=header.validators_hash,
        next_validators_hash=header.next_validators_hash,
        consensus_hash=header.consensus_hash,
        app_hash=header.app_hash,
        last_results_hash=header.last_results_hash,
        evidence_hash=header.evidence_hash,
        proposer_address=header.proposer_address,
    )


def commit_to_pb(commit: Commit) -> types_pb2.Commit:
    """The protobuf commit."""
    result = types_pb2.Commit(
        height=commit.height, round=commit.round, block_id=block_id_to_pb(commit.block_id)
    )
    for sig in commit.signatures:
        result.signatures.add(
            block_id_flag=validator_pb2.BlockIDFlag.ValueType(sig.block_id_flag),
            validator_address=sig.validator_address,
            timestamp=time_ns_to_pb(sig.timestamp_ns),
            signature=sig.signature,
        )
    return result


def signed_header_to_pb(signed_header: SignedHeader) -> types_pb2.SignedHeader:
    """The protobuf header with its commit."""
    return types_pb2.SignedHeader(
        header=header_to_pb(signed_header.header), commit=commit_to_pb(signed_header.commit)
    )


def validator_to_pb(validator: Validator) -> validator_pb2.Validator:
    """The protobuf validator."""
    return validator_pb2.Validator(
        address=validator.address,
        pub_key=keys_pb2.PublicKey(ed25519=validator.public_key),
        voting_power=validator.voting_power,
        proposer_priority=validator.proposer_priority,
    )


def validator_set_to_pb(
    validators: ValidatorSet, proposer: Validator | None = None
) -> validator_pb2.ValidatorSet:
    """The protobuf validator set; the proposer is the first validator unless one is given."""
    return validator_pb2.ValidatorSet(
        validators=_validators_to_pb(validators.validators),
        proposer=validator_to_pb(proposer or validators.validators[0]),
        total_voting_power=validators.total_power,
    )


def _validators_to_pb(validators: Iterable[Validator]) -> list[validator_pb2.Validator]:
    return [validator_to_pb(v) for v in validators]
