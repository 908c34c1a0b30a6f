"""The bytes that are hashed and signed: canonical protobuf without a protobuf library.

Only what hashes and signatures need: fields in ascending order, proto3 zeros omitted, embedded
messages that gogoproto marks non-nullable always present. Sources: CometBFT v0.38 core data
structures specification and canonical.proto.
"""

from hashlib import sha256
from typing import Final

from chain.lightclient.errors import InvalidValidatorSet
from chain.lightclient.types import (
    INT64_MAX,
    PUBLIC_KEY_BYTES,
    BlockId,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
    Validator,
    ValidatorSet,
)
from chain.merkle.simple import compute_root
from chain.units import NANOSECONDS

VOTE_TYPE_PREVOTE: Final = 1
VOTE_TYPE_PRECOMMIT: Final = 2
VOTE_TYPE_PROPOSAL: Final = 32

_VARINT: Final = 0
_FIXED64: Final = 1
_LENGTH_DELIMITED: Final = 2
_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(0x80))


def uvarint(value: int) -> bytes:
    """The base-128 varint of an integer in [0, 2^64)."""
    if 0 <= value <= 0x7F:
        return _ONE_BYTE[value]
    assert 0 <= value < 1 << 64, f"{value} is not a uint64"
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint_field(number: int, value: int) -> bytes:
    """An int64, uint64 or enum field: two's complement when negative, nothing when zero."""
    if value == 0:
        return b""
    return bytes((number << 3 | _VARINT,)) + uvarint(value & 0xFFFF_FFFF_FFFF_FFFF)


def sfixed64_field(number: int, value: int) -> bytes:
    """A little-endian eight-byte field, nothing when zero."""
    if value == 0:
        return b""
    return bytes((number << 3 | _FIXED64,)) + value.to_bytes(8, "little", signed=True)


def message_field(number: int, body: bytes) -> bytes:
    """An embedded message that is present even when empty."""
    return bytes((number << 3 | _LENGTH_DELIMITED,)) + uvarint(len(body)) + body


def bytes_field(number: int, body: bytes) -> bytes:
    """A bytes or string field, nothing when empty."""
    return message_field(number, body) if body else b""


def length_delimited(body: bytes) -> bytes:
    """The body after its length as a varint: the framing of everything that is signed."""
    return uvarint(len(body)) + body


def encode_timestamp(time_ns: int) -> bytes:
    """google.protobuf.Timestamp of an instant in ns since 1970."""
    seconds, nanos = divmod(time_ns, NANOSECONDS)
    return varint_field(1, seconds) + varint_field(2, nanos)


def encode_part_set_header(parts: PartSetHeader) -> bytes:
    """tendermint.types.PartSetHeader, and its canonical twin."""
    return varint_field(1, parts.total) + bytes_field(2, parts.hash)


def encode_block_id(block_id: BlockId) -> bytes:
    """tendermint.types.BlockID, and its canonical twin; the part set header is always present."""
    parts = encode_part_set_header(block_id.part_set_header)
    return bytes_field(1, block_id.hash) + message_field(2, parts)


def encode_simple_validator(validator: Validator) -> bytes:
    """tendermint.types.SimpleValidator: the leaf of the validator set hash.

    Raises InvalidValidatorSet for a key or power that validate_validator_set refuses, so that a
    set hashed without validation cannot wrap.
    """
    power = validator.voting_power
    if len(validator.public_key) != PUBLIC_KEY_BYTES or not 0 < power <= INT64_MAX:
        raise InvalidValidatorSet(
            f"a key of {len(validator.public_key)} bytes with power {power} has no encoding"
        )
    # Written out, since a hostile set has 10,000: a PublicKey that holds a key has 34 bytes.
    return b"\x0a\x22\x0a\x20" + validator.public_key + b"\x10" + uvarint(power)


def encode_commit_sig(sig: CommitSig) -> bytes:
    """tendermint.types.CommitSig: the leaf of the commit hash."""
    return (
        varint_field(1, sig.block_id_flag)
        + bytes_field(2, sig.validator_address)
        + message_field(3, encode_timestamp(sig.timestamp_ns))
        + bytes_field(4, sig.signature)
    )


def compute_header_hash(header: Header) -> bytes:
    """The 32-byte block hash: the Merkle root of the fourteen header fields."""
    return compute_root(
        [
            varint_field(1, header.version_block) + varint_field(2, header.version_app),
            bytes_field(1, header.chain_id.encode()),
            varint_field(1, header.height),
            encode_timestamp(header.time_ns),
            encode_block_id(header.last_block_id),
            bytes_field(1, header.last_commit_hash),
            bytes_field(1, header.data_hash),
            bytes_field(1, header.validators_hash),
            bytes_field(1, header.next_validators_hash),
            bytes_field(1, header.consensus_hash),
            bytes_field(1, header.app_hash),
            bytes_field(1, header.last_results_hash),
            bytes_field(1, header.evidence_hash),
            bytes_field(1, header.proposer_address),
        ]
    )


def compute_validators_hash(validators: ValidatorSet) -> bytes:
    """The 32-byte hash of a validator set in its order; keys and powers enter, priorities not."""
    return compute_root([encode_simple_validator(v) for v in validators.validators])


def compute_commit_hash(commit: Commit) -> bytes:
    """The 32-byte hash the next header holds as last_commit_hash."""
    return compute_root([encode_commit_sig(sig) for sig in commit.signatures])


def compute_consensus_params_hash(block_bytes_max: int, block_gas_max: int) -> bytes:
    """The 32-byte consensus_hash of a header: only two parameters enter it."""
    # A single SHA-256 of HashedParams, not a Merkle root.
    return sha256(varint_field(1, block_bytes_max) + varint_field(2, block_gas_max)).digest()


def _vote_prefix(vote_type: int, height: int, vote_round: int, block_id: BlockId) -> bytes:
    head = varint_field(1, vote_type) + sfixed64_field(2, height) + sfixed64_field(3, vote_round)
    if block_id.is_zero():
        return head
    return head + message_field(4, encode_block_id(block_id))


def encode_vote_sign_bytes(
    chain_id: str,
    *,
    vote_type: int,
    height: int,
    vote_round: int,
    block_id: BlockId,
    time_ns: int,
) -> bytes:
    """What a validator signs for a vote: the length-delimited CanonicalVote."""
    return length_delimited(
        _vote_prefix(vote_type, height, vote_round, block_id)
        + message_field(5, encode_timestamp(time_ns))
        + bytes_field(6, chain_id.encode())
    )


def encode_proposal_sign_bytes(
    chain_id: str,
    *,
    height: int,
    proposal_round: int,
    pol_round: int,
    block_id: BlockId,
    time_ns: int,
) -> bytes:
    """What a proposer signs: the length-delimited CanonicalProposal; pol_round is -1 for none."""
    block = b"" if block_id.is_zero() else message_field(5, encode_block_id(block_id))
    return length_delimited(
        varint_field(1, VOTE_TYPE_PROPOSAL)
        + sfixed64_field(2, height)
        + sfixed64_field(3, proposal_round)
        + varint_field(4, pol_round)
        + block
        + message_field(6, encode_timestamp(time_ns))
        + bytes_field(7, chain_id.encode())
    )


def encode_vote_extension_sign_bytes(
    chain_id: str, height: int, vote_round: int, extension: bytes
) -> bytes:
    """What a validator signs for a vote extension: the length-delimited CanonicalVoteExtension."""
    return length_delimited(
        bytes_field(1, extension)
        + sfixed64_field(2, height)
        + sfixed64_field(3, vote_round)
        + bytes_field(4, chain_id.encode())
    )


class CommitSignBytes:
    """The sign bytes of a commit's block votes, which differ in their timestamps only."""

    __slots__ = ("_prefix", "_suffix")

    def __init__(self, chain_id: str, commit: Commit) -> None:
        self._prefix = _vote_prefix(
            VOTE_TYPE_PRECOMMIT, commit.height, commit.round, commit.block_id
        )
        self._suffix = bytes_field(6, chain_id.encode())

    def encode(self, sig: CommitSig) -> bytes:
        """The sign bytes of one vote for the block."""
        assert sig.block_id_flag == BlockIdFlag.COMMIT, "only votes for the block share a prefix"
        timestamp = message_field(5, encode_timestamp(sig.timestamp_ns))
        return length_delimited(self._prefix + timestamp + self._suffix)
