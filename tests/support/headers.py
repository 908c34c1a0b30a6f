"""Real signed headers for tests: validator sets with known keys, and chains of their blocks."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from nacl.signing import SigningKey

from chain.lightclient.encoding import (
    CommitSignBytes,
    compute_commit_hash,
    compute_header_hash,
    compute_validators_hash,
)
from chain.lightclient.types import (
    ABSENT_SIG,
    BLOCK_PROTOCOL,
    ONE_THIRD,
    ZERO_BLOCK_ID,
    BlockId,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    Options,
    PartSetHeader,
    SignedHeader,
    TrustedState,
    UntrustedBlock,
    Validator,
    ValidatorSet,
)
from chain.units import NANOSECONDS

CHAIN_ID = "vectors-1"
GENESIS_TIME_NS = 1_772_366_400 * NANOSECONDS
"""2026-03-01T12:00:00Z."""
BLOCK_INTERVAL_NS = 5 * NANOSECONDS
EMPTY_HASH = sha256(b"").digest()
OPTIONS = Options(
    trust_level=ONE_THIRD,
    trusting_period_ns=14 * 86_400 * NANOSECONDS,
    clock_drift_ns=10 * NANOSECONDS,
)


def get_signing_key(name: str) -> SigningKey:
    """A deterministic Ed25519 key."""
    return SigningKey(sha256(b"test validator " + name.encode()).digest())


@dataclass(frozen=True)
class TestValidatorSet:
    """A validator set in canonical order with the signing key of each validator in its slot."""

    __test__ = False

    validators: ValidatorSet
    keys: tuple[SigningKey, ...]

    @classmethod
    def create(cls, powers: Sequence[int], prefix: str = "v") -> "TestValidatorSet":
        """The set of the validators prefix0, prefix1, … with these powers."""
        return cls.from_members([(f"{prefix}{i}", power) for i, power in enumerate(powers)])

    @classmethod
    def from_members(cls, members: Sequence[tuple[str, int]]) -> "TestValidatorSet":
        """The set of named validators; a name gives the same key in every set."""
        pairs = []
        for name, power in members:
            key = get_signing_key(name)
            pairs.append((Validator(bytes(key.verify_key), power), key))
        pairs.sort(key=lambda pair: (-pair[0].voting_power, pair[0].address))
        return cls(ValidatorSet(tuple(v for v, _ in pairs)), tuple(k for _, k in pairs))

    @property
    def hash(self) -> bytes:
        """The validator set hash."""
        return compute_validators_hash(self.validators)

    def sign_commit(
        self,
        header: Header,
        *,
        absent: Collection[int] = (),
        nil: Collection[int] = (),
        commit_round: int = 0,
        sign_chain_id: str | None = None,
    ) -> Commit:
        """The commit of a header by all validators but the absent slots and those voting nil."""
        header_hash = compute_header_hash(header)
        block_id = BlockId(header_hash, PartSetHeader(1, sha256(header_hash).digest()))
        empty = Commit(header.height, commit_round, block_id, ())
        sign_bytes = CommitSignBytes(sign_chain_id or header.chain_id, empty)
        nil_sign_bytes = CommitSignBytes(
            sign_chain_id or header.chain_id, replace(empty, block_id=ZERO_BLOCK_ID)
        )
        signatures = []
        for slot, (validator, key) in enumerate(
            zip(self.validators.validators, self.keys, strict=True)
        ):
            if slot in absent:
                signatures.append(ABSENT_SIG)
                continue
            time_ns = header.time_ns + 1_000_000 * (slot + 1)
            vote = CommitSig(BlockIdFlag.COMMIT, validator.address, time_ns, b"")
            encoder = nil_sign_bytes if slot in nil else sign_bytes
            signature = key.sign(encoder.encode(vote)).signature
            flag = BlockIdFlag.NIL if slot in nil else BlockIdFlag.COMMIT
            signatures.append(replace(vote, block_id_flag=flag, signature=signature))
        return replace(empty, signatures=tuple(signatures))


def build_header(
    *,
    height: int,
    validators: TestValidatorSet,
    next_validators: TestValidatorSet,
    time_ns: int | None = None,
    chain_id: str = CHAIN_ID,
    app_hash: bytes = EMPTY_HASH,
    last_block_id: BlockId = ZERO_BLOCK_ID,
    last_commit_hash: bytes = EMPTY_HASH,
) -> Header:
    """A header that only waits for its commit; the default time is five seconds a height."""
    if time_ns is None:
        time_ns = GENESIS_TIME_NS + height * BLOCK_INTERVAL_NS
    return Header(
        version_block=BLOCK_PROTOCOL,
        version_app=0,
        chain_id=chain_id,
        height=height,
        time_ns=time_ns,
        last_block_id=last_block_id,
        last_commit_hash=last_commit_hash,
        data_hash=EMPTY_HASH,
        validators_hash=validators.hash,
        next_validators_hash=next_validators.hash,
        consensus_hash=EMPTY_HASH,
        app_hash=app_hash,
        last_results_hash=EMPTY_HASH,
        evidence_hash=EMPTY_HASH,
        proposer_address=validators.validators.validators[0].address,
    )


@dataclass(frozen=True)
class TestBlock:
    """A signed header with its validator sets and their keys."""

    __test__ = False

    signed_header: SignedHeader
    validators: TestValidatorSet
    next_validators: TestValidatorSet

    @property
    def header(self) -> Header:
        """The header."""
        return self.signed_header.header

    @property
    def trusted(self) -> TrustedState:
        """What a client keeps of this block once it trusts it."""
        header = self.header
        return TrustedState(
            header.chain_id,
            header.height,
            header.time_ns,
            header.next_validators_hash,
            self.next_validators.validators,
        )

    @property
    def untrusted(self) -> UntrustedBlock:
        """What a relayer offers of this block."""
        return UntrustedBlock(self.signed_header, self.validators.validators)

    def resign(self, change: Callable[[Header], Header]) -> "TestBlock":
        """The block with a changed header, signed anew by the same validators."""
        header = change(self.header)
        commit = self.validators.sign_commit(header)
        return replace(self, signed_header=SignedHeader(header, commit))


def build_block(
    height: int,
    validators: TestValidatorSet,
    next_validators: TestValidatorSet | None = None,
    *,
    time_ns: int | None = None,
    chain_id: str = CHAIN_ID,
    app_hash: bytes = EMPTY_HASH,
    absent: Collection[int] = (),
    nil: Collection[int] = (),
) -> TestBlock:
    """One signed block that stands alone."""
    following = next_validators or validators
    header = build_header(
        height=height,
        validators=validators,
        next_validators=following,
        time_ns=time_ns,
        chain_id=chain_id,
        app_hash=app_hash,
    )
    commit = validators.sign_commit(header, absent=absent, nil=nil)
    return TestBlock(SignedHeader(header, commit), validators, following)


@dataclass
class HeaderChain:
    """A chain of signed headers, each linked to the one before; validators may rotate.

    `append` takes the app hash of the header and, for IBC, any time; heights start at 1.
    """

    validators: TestValidatorSet
    chain_id: str = CHAIN_ID
    blocks: list[TestBlock] = field(default_factory=list)

    def append(
        self,
        *,
        app_hash: bytes = EMPTY_HASH,
        time_ns: int | None = None,
        next_validators: TestValidatorSet | None = None,
    ) -> TestBlock:
        """Sign the next block; its `next_validators` sign the one after it."""
        validators = self.blocks[-1].next_validators if self.blocks else self.validators
        following = next_validators or validators
        last_block_id, last_commit_hash = ZERO_BLOCK_ID, EMPTY_HASH
        if self.blocks:
            commit = self.blocks[-1].signed_header.commit
            last_block_id, last_commit_hash = commit.block_id, compute_commit_hash(commit)
        header = build_header(
            height=len(self.blocks) + 1,
            validators=validators,
            next_validators=following,
            time_ns=time_ns,
            chain_id=self.chain_id,
            app_hash=app_hash,
            last_block_id=last_block_id,
            last_commit_hash=last_commit_hash,
        )
        commit = validators.sign_commit(header)
        block = TestBlock(SignedHeader(header, commit), validators, following)
        self.blocks.append(block)
        return block

    def at(self, height: int) -> TestBlock:
        """The block at a height."""
        return self.blocks[height - 1]
