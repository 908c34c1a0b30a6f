"""The canonical encoding equals the generated protobuf classes, byte for byte."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain._pb.tendermint.types import canonical_pb2, params_pb2, types_pb2, validator_pb2
from chain.ibc.client.tendermint_wire import (
    block_id_to_pb,
    commit_to_pb,
    header_from_pb,
    header_to_pb,
    time_ns_to_pb,
    validator_to_pb,
)
from chain.lightclient.encoding import (
    CommitSignBytes,
    compute_commit_hash,
    compute_consensus_params_hash,
    compute_header_hash,
    compute_validators_hash,
    encode_block_id,
    encode_commit_sig,
    encode_proposal_sign_bytes,
    encode_simple_validator,
    encode_timestamp,
    encode_vote_extension_sign_bytes,
    encode_vote_sign_bytes,
    length_delimited,
    uvarint,
)
from chain.lightclient.errors import InvalidValidatorSet
from chain.lightclient.types import (
    ABSENT_SIG,
    HEIGHT_MAX,
    PART_COUNT_MAX,
    ROUND_MAX,
    TIME_MAX_NS,
    TIME_MIN_NS,
    TOTAL_POWER_MAX,
    ZERO_BLOCK_ID,
    BlockId,
    BlockIdFlag,
    Commit,
    CommitSig,
    PartSetHeader,
    Validator,
    ValidatorSet,
)
from chain.merkle.simple import EMPTY_HASH, compute_root
from tests.support.headers import TestValidatorSet, build_block, build_header

times_ns = st.integers(TIME_MIN_NS, TIME_MAX_NS)
heights = st.integers(0, HEIGHT_MAX)
rounds = st.integers(0, ROUND_MAX)
hashes = st.sampled_from([b""]) | st.binary(min_size=32, max_size=32)
chain_ids = st.text(max_size=50)
block_ids = st.builds(
    BlockId, hashes, st.builds(PartSetHeader, st.integers(0, PART_COUNT_MAX), hashes)
)


def canonical_block_id(block_id: BlockId) -> canonical_pb2.CanonicalBlockID | None:
    if block_id.is_zero():
        return None
    wire = block_id_to_pb(block_id).SerializeToString()
    return canonical_pb2.CanonicalBlockID.FromString(wire)


def framed(message: canonical_pb2.CanonicalVote) -> bytes:
    return length_delimited(message.SerializeToString(deterministic=True))


@given(time_ns=times_ns)
def test_timestamp(time_ns: int) -> None:
    assert encode_timestamp(time_ns) == time_ns_to_pb(time_ns).SerializeToString()


@given(block_id=block_ids)
def test_block_id(block_id: BlockId) -> None:
    assert encode_block_id(block_id) == block_id_to_pb(block_id).SerializeToString()


@given(chain_ids, st.integers(0, 2), heights, rounds, block_ids, times_ns)
def test_vote(
    chain_id: str, kind: int, height: int, vote_round: int, block_id: BlockId, time_ns: int
) -> None:
    encoded = encode_vote_sign_bytes(
        chain_id,
        vote_type=kind,
        height=height,
        vote_round=vote_round,
        block_id=block_id,
        time_ns=time_ns,
    )
    message = canonical_pb2.CanonicalVote(
        type=types_pb2.SignedMsgType.ValueType(kind),
        height=height,
        round=vote_round,
        block_id=canonical_block_id(block_id),
        timestamp=time_ns_to_pb(time_ns),
        chain_id=chain_id,
    )
    assert encoded == framed(message)
    if kind == 2:
        sig = CommitSig(BlockIdFlag.COMMIT, bytes(20), time_ns, b"")
        commit = Commit(height, vote_round, block_id, (sig,))
        assert CommitSignBytes(chain_id, commit).encode(sig) == encoded


@given(chain_ids, heights, rounds, st.integers(-1, ROUND_MAX), block_ids, times_ns)
def test_proposal(
    chain_id: str,
    height: int,
    proposal_round: int,
    pol_round: int,
    block_id: BlockId,
    time_ns: int,
) -> None:
    encoded = encode_proposal_sign_bytes(
        chain_id,
        height=height,
        proposal_round=proposal_round,
        pol_round=pol_round,
        block_id=block_id,
        time_ns=time_ns,
    )
    message = canonical_pb2.CanonicalProposal(
        type=types_pb2.SIGNED_MSG_TYPE_PROPOSAL,
        height=height,
        round=proposal_round,
        pol_round=pol_round,
        block_id=canonical_block_id(block_id),
        timestamp=time_ns_to_pb(time_ns),
        chain_id=chain_id,
    )
    assert encoded == length_delimited(message.SerializeToString(deterministic=True))


@given(chain_ids, heights, rounds, st.binary(max_size=300))
def test_vote_extension(chain_id: str, height: int, vote_round: int, extension: bytes) -> None:
    message = canonical_pb2.CanonicalVoteExtension(
        extension=extension, height=height, round=vote_round, chain_id=chain_id
    )
    encoded = encode_vote_extension_sign_bytes(chain_id, height, vote_round, extension)
    assert encoded == length_delimited(message.SerializeToString(deterministic=True))


@given(key=st.binary(min_size=32, max_size=32), power=st.integers(1, TOTAL_POWER_MAX))
def test_simple_validator(key: bytes, power: int) -> None:
    validator = Validator(key, power)
    full = validator_to_pb(validator)
    simple = validator_pb2.SimpleValidator(pub_key=full.pub_key, voting_power=power)
    assert encode_simple_validator(validator) == simple.SerializeToString()
    assert validator.address == sha256(key).digest()[:20]


@given(
    flag=st.integers(1, 3),
    address=st.binary(max_size=20),
    time_ns=times_ns,
    signature=st.binary(max_size=64),
)
def test_commit_sig(flag: int, address: bytes, time_ns: int, signature: bytes) -> None:
    sig = CommitSig(flag, address, time_ns, signature)
    wire = commit_to_pb(Commit(1, 0, ZERO_BLOCK_ID, (sig,))).signatures[0]
    assert encode_commit_sig(sig) == wire.SerializeToString()


@pytest.mark.parametrize(
    "validator",
    [Validator(bytes(31), 1), *(Validator(bytes(32), p) for p in (-1, 0, 1 << 63, 1 << 64))],
)
def test_validator_out_of_bounds_has_no_encoding(validator: Validator) -> None:
    with pytest.raises(InvalidValidatorSet):
        compute_validators_hash(ValidatorSet((validator,)))


def test_absent_slot_carries_the_zero_time() -> None:
    assert encode_commit_sig(ABSENT_SIG).hex() == "08011a0b088092b8c398feffffff01"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), ((1 << 64) - 1, "ff" * 9 + "01")],
)
def test_uvarint(value: int, encoded: str) -> None:
    assert uvarint(value).hex() == encoded


@given(max_bytes=st.integers(1, 1 << 40), max_gas=st.integers(-1, 1 << 60))
def test_consensus_params(max_bytes: int, max_gas: int) -> None:
    message = params_pb2.HashedParams(block_max_bytes=max_bytes, block_max_gas=max_gas)
    expected = sha256(message.SerializeToString(deterministic=True)).digest()
    assert compute_consensus_params_hash(max_bytes, max_gas) == expected


def test_hashes_bind_every_part() -> None:
    validators = TestValidatorSet.create([3, 2, 1])
    block = build_block(5, validators)
    members = validators.validators.validators
    assert compute_validators_hash(ValidatorSet(())) == EMPTY_HASH
    assert compute_validators_hash(ValidatorSet(members[::-1])) != validators.hash
    commit = block.signed_header.commit
    assert compute_commit_hash(commit) == compute_root(
        [sig.SerializeToString() for sig in commit_to_pb(commit).signatures]
    )
    header = build_header(height=5, validators=validators, next_validators=validators)
    assert compute_header_hash(header) == commit.block_id.hash
    assert header_from_pb(header_to_pb(header)) == header
