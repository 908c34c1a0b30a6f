"""What a light client reasons about: headers, commits and validator sets as plain immutable values.

Field names and bounds follow CometBFT v0.38. Times are integer nanoseconds since 1970, hashes and
addresses raw bytes. A value of these types may be out of bounds until its validate_ function ran:
verifier.verify runs them all before it hashes or verifies anything that costs.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Final

from chain.lightclient.errors import (
    InvalidCommit,
    InvalidHeader,
    InvalidOptions,
    InvalidTrustLevel,
    InvalidValidatorSet,
)
from chain.units import NANOSECONDS

BLOCK_PROTOCOL: Final = 11
"""The block version of CometBFT v0.34 to v1."""
HASH_BYTES: Final = 32
ADDRESS_BYTES: Final = 20
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
CHAIN_ID_BYTES_MAX: Final = 50
APP_HASH_BYTES_MAX: Final = 1024
"""CometBFT sets no bound; this one keeps a hostile header small."""
HEIGHT_MAX: Final = (1 << 63) - 1
ROUND_MAX: Final = (1 << 31) - 1
PART_COUNT_MAX: Final = (1 << 32) - 1
UINT64_MAX: Final = (1 << 64) - 1
INT64_MAX: Final = (1 << 63) - 1
VALIDATOR_COUNT_MAX: Final = 10_000
"""CometBFT's MaxVotesCount: the most votes a commit may hold."""
TOTAL_POWER_MAX: Final = INT64_MAX // 8
"""CometBFT's MaxTotalVotingPower; it keeps proposer priorities inside int64."""
TIME_MIN_NS: Final = -62_135_596_800 * NANOSECONDS
"""0001-01-01T00:00:00Z: the least protobuf Timestamp, and the time of an absent vote."""
TIME_MAX_NS: Final = 253_402_300_800 * NANOSECONDS - 1
"""The last nanosecond of the year 9999, the greatest protobuf Timestamp."""


class BlockIdFlag(IntEnum):
    """What a validator's slot in a commit says."""

    ABSENT = 1
    COMMIT = 2
    NIL = 3


@dataclass(frozen=True, slots=True)
class PartSetHeader:
    """How a block was cut into parts: their count and Merkle root."""

    total: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class BlockId:
    """A block's identity: the header hash and the part set header."""

    hash: bytes
    part_set_header: PartSetHeader

    def is_zero(self) -> bool:
        """Whether nothing is set: the vote for nil, and the predecessor of the first block."""
        return not self.hash and not self.part_set_header.total and not self.part_set_header.hash


ZERO_BLOCK_ID: Final = BlockId(b"", PartSetHeader(0, b""))


@dataclass(frozen=True, slots=True)
class Header:
    """A block header; its hash is the Merkle root of these fields in this order."""

    version_block: int
    version_app: int
    chain_id: str
    height: int
    time_ns: int
    last_block_id: BlockId
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: bytes
    next_validators_hash: bytes
    consensus_hash: bytes
    app_hash: bytes
    last_results_hash: bytes
    evidence_hash: bytes
    proposer_address: bytes


@dataclass(frozen=True, slots=True)
class CommitSig:
    """One validator's slot in a commit; the flag is an int, so that unknown ones can be refused."""

    block_id_flag: int
    validator_address: bytes
    timestamp_ns: int
    signature: bytes


ABSENT_SIG: Final = CommitSig(BlockIdFlag.ABSENT, b"", TIME_MIN_NS, b"")


@dataclass(frozen=True, slots=True)
class Commit:
    """The precommits for one block, a slot for each validator in the order of the set."""

    height: int
    round: int
    block_id: BlockId
    signatures: tuple[CommitSig, ...]


@dataclass(frozen=True, slots=True)
class Validator:
    """An Ed25519 key with its voting power; the address is the key's SHA-256, cut to 20 bytes."""

    public_key: bytes
    voting_power: int
    proposer_priority: int = field(default=0, compare=False)
    address: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        address = sha256(self.public_key).digest()[:ADDRESS_BYTES]
        object.__setattr__(self, "address", address)


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Validators in the order their hash needs: power descending, then address ascending."""

    validators: tuple[Validator, ...]
    total_power: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total_power", sum(v.voting_power for v in self.validators))


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header with the commit that proves it."""

    header: Header
    commit: Commit


@dataclass(frozen=True, slots=True)
class TrustedState:
    """What a light client keeps of a header it accepted.

    `next_validators` serves non-adjacent verification and must hash to `next_validators_hash`; an
    IBC client stores the hash only and gets the set from the relayer.
    """

    chain_id: str
    height: int
    time_ns: int
    next_validators_hash: bytes
    next_validators: ValidatorSet


@dataclass(frozen=True, slots=True)
class UntrustedBlock:
    """A header offered, its commit, and the validators said to have signed it."""

    signed_header: SignedHeader
    validators: ValidatorSet


@dataclass(frozen=True, slots=True)
class TrustLevel:
    """The fraction of trusted power that must have signed a non-adjacent header, exclusive."""

    numerator: int
    denominator: int


ONE_THIRD: Final = TrustLevel(1, 3)
"""The default and least trust level."""
TWO_THIRDS: Final = TrustLevel(2, 3)
"""The quorum of a header's own validators, exclusive."""


@dataclass(frozen=True, slots=True)
class Options:
    """A client's parameters: trust level, trusting period and the clock drift allowed, in ns."""

    trust_level: TrustLevel
    trusting_period_ns: int
    clock_drift_ns: int


def validate_trust_level(trust_level: TrustLevel) -> None:
    """Refuse a level outside [1/3, 1]; clients call it when they are created.

    Raises InvalidTrustLevel. Below 1/3 no correct validator need have signed (CometBFT light
    specification); verify itself only refuses a denominator of zero, as CometBFT's does.
    """
    low, high = trust_level.numerator, trust_level.denominator
    if not (0 < low <= INT64_MAX and 0 < high <= INT64_MAX and high <= 3 * low and low <= high):
        raise InvalidTrustLevel(
            f"trust level {low}/{high} must lie within [1/3, 1] with terms in [1, 2^63); use 1/3"
        )


def validate_options(options: Options) -> None:
    """Refuse parameters no client can live with: level, trusting period <= 0, drift <= 0.

    Raises InvalidTrustLevel, or InvalidOptions for a time outside [1, 2^63) ns.
    """
    validate_trust_level(options.trust_level)
    for name, value in (
        ("trusting period", options.trusting_period_ns),
        ("clock drift", options.clock_drift_ns),
    ):
        if not 0 < value <= INT64_MAX:
            raise InvalidOptions(f"{name} {value} ns must lie within [1, 2^63)")


def _validate_hash(name: str, value: bytes) -> None:
    if len(value) not in (0, HASH_BYTES):
        raise InvalidHeader(f"{name} has {len(value)} bytes, must have {HASH_BYTES} or none")


def validate_header(header: Header) -> None:
    """Refuse a header with a field out of its bounds; raises InvalidHeader.

    The rules of CometBFT's Header.ValidateBasic, and integers within their wire types.
    """
    if header.version_block != BLOCK_PROTOCOL:
        raise InvalidHeader(f"block protocol {header.version_block} must be {BLOCK_PROTOCOL}")
    if not 0 <= header.version_app <= UINT64_MAX:
        raise InvalidHeader(f"app version {header.version_app} must lie within [0, 2^64)")
    try:
        chain_id_bytes = len(header.chain_id.encode())
    except UnicodeEncodeError:
        raise InvalidHeader("chain id is not valid UTF-8") from None
    if chain_id_bytes > CHAIN_ID_BYTES_MAX:
        raise InvalidHeader(f"chain id must have at most {CHAIN_ID_BYTES_MAX} bytes")
    if not 1 <= header.height <= HEIGHT_MAX:
        raise InvalidHeader(f"height {header.height} must lie within [1, 2^63)")
    if not TIME_MIN_NS <= header.time_ns <= TIME_MAX_NS:
        raise InvalidHeader(f"time {header.time_ns} ns must lie within the years 1 to 9999")
    _validate_hash("last_block_id.hash", header.last_block_id.hash)
    _validate_hash("last_block_id parts hash", header.last_block_id.part_set_header.hash)
    if not 0 <= header.last_block_id.part_set_header.total <= PART_COUNT_MAX:
        raise InvalidHeader("last_block_id part count must lie within [0, 2^32)")
    _validate_hash("last_commit_hash", header.last_commit_hash)
    _validate_hash("data_hash", header.data_hash)
    _validate_hash("validators_hash", header.validators_hash)
    _validate_hash("next_validators_hash", header.next_validators_hash)
    _validate_hash("consensus_hash", header.consensus_hash)
    _validate_hash("last_results_hash", header.last_results_hash)
    _validate_hash("evidence_hash", header.evidence_hash)
    if len(header.app_hash) > APP_HASH_BYTES_MAX:
        raise InvalidHeader(
            f"app_hash has {len(header.app_hash)} bytes, at most {APP_HASH_BYTES_MAX} are allowed"
        )
    if len(header.proposer_address) != ADDRESS_BYTES:
        raise InvalidHeader(
            f"proposer_address has {len(header.proposer_address)} bytes, must have {ADDRESS_BYTES}"
        )


def _validate_commit_sig(index: int, sig: CommitSig) -> None:
    if sig.block_id_flag in (BlockIdFlag.COMMIT, BlockIdFlag.NIL):
        if len(sig.validator_address) != ADDRESS_BYTES:
            raise InvalidCommit(
                f"signature {index} has an address of {len(sig.validator_address)} bytes, must be "
                f"{ADDRESS_BYTES}"
            )
        if not 1 <= len(sig.signature) <= SIGNATURE_BYTES:
            raise InvalidCommit(
                f"signature {index} has {len(sig.signature)} bytes, must have 1 to "
                f"{SIGNATURE_BYTES}"
            )
        if not TIME_MIN_NS <= sig.timestamp_ns <= TIME_MAX_NS:
            raise InvalidCommit(f"signature {index} has a time outside the years 1 to 9999")
    elif sig.block_id_flag == BlockIdFlag.ABSENT:
        if sig.validator_address or sig.signature or sig.timestamp_ns != TIME_MIN_NS:
            raise InvalidCommit(
                f"signature {index} is absent yet carries an address, a time or a signature"
            )
    else:
        raise InvalidCommit(f"signature {index} has the unknown flag {sig.block_id_flag}")


def validate_commit(commit: Commit) -> None:
    """Refuse a commit with a field out of its bounds; raises InvalidCommit.

    The rules of CometBFT's Commit.ValidateBasic, a cap on the count, and integers within their
    wire types.
    """
    count = len(commit.signatures)
    if not 1 <= count <= VALIDATOR_COUNT_MAX:
        raise InvalidCommit(f"{count} signatures, must be 1 to {VALIDATOR_COUNT_MAX}")
    if not 1 <= commit.height <= HEIGHT_MAX:
        raise InvalidCommit(f"commit height {commit.height} must lie within [1, 2^63)")
    if not 0 <= commit.round <= ROUND_MAX:
        raise InvalidCommit(f"commit round {commit.round} must lie within [0, 2^31)")
    if commit.block_id.is_zero():
        raise InvalidCommit("a commit cannot be for the nil block")
    parts = commit.block_id.part_set_header
    if len(commit.block_id.hash) != HASH_BYTES or len(parts.hash) not in (0, HASH_BYTES):
        raise InvalidCommit(f"block id hashes must have {HASH_BYTES} bytes")
    if not 0 <= parts.total <= PART_COUNT_MAX:
        raise InvalidCommit(f"part count {parts.total} must lie within [0, 2^32)")
    for index, sig in enumerate(commit.signatures):
        _validate_commit_sig(index, sig)


def validate_validator_set(validators: ValidatorSet) -> None:
    """Refuse a set with count, keys, powers or total out of bounds; raises InvalidValidatorSet.

    Python integers do not wrap, so a negative or oversized power must be stopped here and not by
    the encoding: a port of this verifier once accepted headers without signatures that way. Zero
    powers and repeated keys, which no CometBFT chain produces, are refused as well.
    """
    count = len(validators.validators)
    if not 1 <= count <= VALIDATOR_COUNT_MAX:
        raise InvalidValidatorSet(f"{count} validators, must be 1 to {VALIDATOR_COUNT_MAX}")
    seen: dict[bytes, int] = {}
    for index, validator in enumerate(validators.validators):
        if len(validator.public_key) != PUBLIC_KEY_BYTES:
            raise InvalidValidatorSet(
                f"validator {index} has a key of {len(validator.public_key)} bytes, must be "
                f"{PUBLIC_KEY_BYTES}"
            )
        if not 1 <= validator.voting_power <= TOTAL_POWER_MAX:
            raise InvalidValidatorSet(
                f"validator {index} has power {validator.voting_power}, must be 1 to "
                f"{TOTAL_POWER_MAX}"
            )
        first = seen.setdefault(validator.public_key, index)
        if first != index:
            raise InvalidValidatorSet(f"validators {first} and {index} have the same key")
    if validators.total_power > TOTAL_POWER_MAX:
        raise InvalidValidatorSet(
            f"total power {validators.total_power} is above {TOTAL_POWER_MAX}"
        )
