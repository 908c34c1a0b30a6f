"""Start from a header that verifies, break one thing, expect one error."""

import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.lightclient import ed25519, errors, voting_power
from chain.lightclient.types import (
    INT64_MAX,
    TOTAL_POWER_MAX,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    SignedHeader,
    TrustLevel,
    UntrustedBlock,
    Validator,
    ValidatorSet,
)
from chain.lightclient.verifier import (
    Invalid,
    NotEnoughTrust,
    Success,
    Verdict,
    verify,
    verify_misbehaviour_header,
)
from chain.units import NANOSECONDS
from tests.support.headers import (
    GENESIS_TIME_NS,
    OPTIONS,
    HeaderChain,
    TestBlock,
    TestValidatorSet,
    build_block,
)

FOUR = TestValidatorSet.create([40, 30, 20, 10])
TRUSTED = build_block(10, FOUR)
ADJACENT = build_block(11, FOUR)
SKIPPING = build_block(20, FOUR)
NOW_NS = SKIPPING.header.time_ns + NANOSECONDS


def judge(block: TestBlock | UntrustedBlock, **changes: object) -> Verdict:
    untrusted = block.untrusted if isinstance(block, TestBlock) else block
    arguments = {"trusted": TRUSTED.trusted, "options": OPTIONS, "now_ns": NOW_NS} | changes
    return verify(untrusted=untrusted, **arguments)


def assert_invalid(verdict: Verdict, error: type[errors.LightClientError]) -> None:
    assert isinstance(verdict, Invalid), verdict
    assert type(verdict.error) is error, verdict.error


def with_commit(block: TestBlock, change: Callable[[Commit], Commit]) -> TestBlock:
    signed = block.signed_header
    return replace(block, signed_header=replace(signed, commit=change(signed.commit)))


def with_sig(block: TestBlock, slot: int, **changes: object) -> TestBlock:
    def change(commit: Commit) -> Commit:
        sigs = list(commit.signatures)
        sigs[slot] = replace(sigs[slot], **changes)
        return replace(commit, signatures=tuple(sigs))

    return with_commit(block, change)


@pytest.mark.parametrize("block", [ADJACENT, SKIPPING])
def test_valid_header_is_trusted(block: TestBlock) -> None:
    assert judge(block) == Success()


class TestTime:
    def test_trusting_period_ends_to_the_nanosecond(self) -> None:
        end_ns = TRUSTED.header.time_ns + OPTIONS.trusting_period_ns
        assert judge(ADJACENT, now_ns=end_ns - 1) == Success()
        assert_invalid(judge(ADJACENT, now_ns=end_ns), errors.TrustedStateExpired)

    def test_clock_drift_ends_to_the_nanosecond(self) -> None:
        edge_ns = ADJACENT.header.time_ns - OPTIONS.clock_drift_ns
        assert judge(ADJACENT, now_ns=edge_ns + 1) == Success()
        assert_invalid(judge(ADJACENT, now_ns=edge_ns), errors.HeaderFromFuture)

    @pytest.mark.parametrize("offset_ns", [-1, 0])
    def test_time_must_rise(self, offset_ns: int) -> None:
        block = build_block(11, FOUR, time_ns=TRUSTED.header.time_ns + offset_ns)
        assert_invalid(judge(block), errors.NonMonotonicTime)

    def test_one_nanosecond_later_is_enough(self) -> None:
        assert judge(build_block(11, FOUR, time_ns=TRUSTED.header.time_ns + 1)) == Success()


@pytest.mark.parametrize("height", [9, 10])
def test_height_must_rise(height: int) -> None:
    block = build_block(height, FOUR, time_ns=NOW_NS)
    assert_invalid(judge(block), errors.NonMonotonicHeight)


def test_header_of_another_chain_is_refused() -> None:
    assert_invalid(judge(build_block(11, FOUR, chain_id="other-1")), errors.ChainIdMismatch)


def test_votes_for_another_chain_are_refused() -> None:
    commit = FOUR.sign_commit(ADJACENT.header, sign_chain_id="other-1")
    assert_invalid(judge(with_commit(ADJACENT, lambda _: commit)), errors.InvalidSignature)


BAD_HEADERS: list[Callable[[Header], Header]] = [
    lambda h: replace(h, version_block=12),
    lambda h: replace(h, version_app=1 << 64),
    lambda h: replace(h, chain_id="x" * 51),
    lambda h: replace(h, chain_id="\ud800"),
    lambda h: replace(h, height=1 << 63),
    lambda h: replace(h, height=-1),
    lambda h: replace(h, time_ns=1 << 90),
    lambda h: replace(h, data_hash=bytes(33)),
    lambda h: replace(h, validators_hash=bytes(31)),
    lambda h: replace(h, next_validators_hash=bytes(31)),
    lambda h: replace(h, evidence_hash=bytes(1)),
    lambda h: replace(h, last_block_id=replace(h.last_block_id, hash=bytes(5))),
    lambda h: replace(h, app_hash=bytes(1025)),
    lambda h: replace(h, proposer_address=bytes(19)),
]


@pytest.mark.parametrize("change", BAD_HEADERS)
def test_header_field_out_of_bounds_is_refused(change: Callable[[Header], Header]) -> None:
    signed = replace(ADJACENT.signed_header, header=change(ADJACENT.header))
    assert_invalid(judge(replace(ADJACENT, signed_header=signed)), errors.InvalidHeader)


@pytest.mark.parametrize(
    "field",
    ["app_hash", "data_hash", "consensus_hash", "last_results_hash", "next_validators_hash"],
)
def test_field_changed_after_signing_is_refused(field: str) -> None:
    header = replace(ADJACENT.header, **{field: sha256(b"other").digest()})
    signed = replace(ADJACENT.signed_header, header=header)
    assert_invalid(judge(replace(ADJACENT, signed_header=signed)), errors.CommitMismatch)


def test_header_without_validators_hash_cannot_be_committed() -> None:
    block = SKIPPING.resign(lambda h: replace(h, validators_hash=b""))
    assert_invalid(judge(block), errors.CommitMismatch)


BAD_SIGS = [
    {"block_id_flag": 0},
    {"block_id_flag": 4},
    {"block_id_flag": BlockIdFlag.ABSENT},
    {"signature": b""},
    {"signature": bytes(65)},
    {"validator_address": bytes(19)},
    {"timestamp_ns": 1 << 90},
]


@pytest.mark.parametrize("changes", BAD_SIGS)
def test_slot_out_of_bounds_is_refused(changes: dict[str, object]) -> None:
    assert_invalid(judge(with_sig(ADJACENT, 3, **changes)), errors.InvalidCommit)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: replace(c, signatures=()),
        lambda c: replace(c, round=-1),
        lambda c: replace(c, round=1 << 31),
        lambda c: replace(
            c,
            block_id=replace(
                c.block_id, part_set_header=replace(c.block_id.part_set_header, total=-1)
            ),
        ),
    ],
)
def test_commit_out_of_bounds_is_refused(change: Callable[[Commit], Commit]) -> None:
    assert_invalid(judge(with_commit(ADJACENT, change)), errors.InvalidCommit)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: replace(c, height=c.height + 1),
        lambda c: replace(c, block_id=replace(c.block_id, hash=bytes(32))),
    ],
)
def test_commit_for_another_block_is_refused(change: Callable[[Commit], Commit]) -> None:
    assert_invalid(judge(with_commit(ADJACENT, change)), errors.CommitMismatch)


def test_round_changed_after_signing_is_refused() -> None:
    block = with_commit(ADJACENT, lambda c: replace(c, round=c.round + 1))
    assert_invalid(judge(block), errors.InvalidSignature)


def test_vote_time_changed_after_signing_is_refused() -> None:
    sig = ADJACENT.signed_header.commit.signatures[0]
    block = with_sig(ADJACENT, 0, timestamp_ns=sig.timestamp_ns + 1)
    assert_invalid(judge(block), errors.InvalidSignature)


def test_missing_and_extra_slots_are_refused() -> None:
    fewer = with_commit(ADJACENT, lambda c: replace(c, signatures=c.signatures[:-1]))
    more = with_commit(ADJACENT, lambda c: replace(c, signatures=c.signatures + c.signatures[-1:]))
    assert_invalid(judge(fewer), errors.CommitSizeMismatch)
    assert_invalid(judge(more), errors.CommitSizeMismatch)


class TestPower:
    @pytest.mark.parametrize("flag", ["absent", "nil"])
    def test_two_thirds_is_exclusive(self, flag: str) -> None:
        validators = TestValidatorSet.create([4, 2, 2, 1])
        trusted = build_block(10, validators).trusted
        just_enough = build_block(11, validators, **{flag: [2]})
        too_little = build_block(11, validators, **{flag: [2, 3]})
        assert judge(just_enough, trusted=trusted) == Success()
        assert_invalid(judge(too_little, trusted=trusted), errors.InsufficientVotingPower)

    @pytest.mark.parametrize(("old_power", "verdict"), [(33, NotEnoughTrust), (34, Success)])
    def test_one_third_of_trusted_power_is_exclusive(
        self, old_power: int, verdict: type[Verdict]
    ) -> None:
        total = 99 if old_power == 33 else 100
        trusted = TestValidatorSet.from_members([("a", old_power), ("b", total - old_power)])
        block = build_block(20, TestValidatorSet.from_members([("a", 50), ("new", 10)]))
        judged = judge(block, trusted=build_block(10, trusted).trusted)
        assert isinstance(judged, verdict)
        if isinstance(judged, NotEnoughTrust):
            assert (judged.tally.signed_power, judged.tally.total_power) == (33, 99)

    def test_trust_level_is_the_options_own(self) -> None:
        trusted = TestValidatorSet.from_members([("a", 50), ("b", 50)])
        block = build_block(20, TestValidatorSet.from_members([("a", 50), ("new", 10)]))
        state = build_block(10, trusted).trusted
        half = replace(OPTIONS, trust_level=TrustLevel(1, 2))
        assert judge(block, trusted=state) == Success()
        assert isinstance(judge(block, trusted=state, options=half), NotEnoughTrust)

    def test_strangers_are_not_trusted_whatever_their_power(self) -> None:
        forged = TestValidatorSet.from_members([("whale", 10**9), ("v0", 1)])
        verdict = judge(build_block(20, forged, absent=[1]))
        assert isinstance(verdict, NotEnoughTrust)
        assert verdict.tally.signed_power == 0

    def test_trusted_power_counts_as_it_was(self) -> None:
        """The overlap is weighed with the old powers, the quorum with the new ones."""
        old = TestValidatorSet.from_members([("a", 1), ("b", 99)])
        new = TestValidatorSet.from_members([("a", 99), ("b", 1)])
        block = build_block(20, new, absent=[1])
        assert isinstance(judge(block, trusted=build_block(10, old).trusted), NotEnoughTrust)


def test_adjacent_header_must_have_the_announced_set() -> None:
    other = TestValidatorSet.create([40, 30, 20, 11])
    assert_invalid(judge(build_block(11, other)), errors.NextValidatorsMismatch)
    announced = build_block(10, FOUR, other)
    assert judge(build_block(11, other), trusted=announced.trusted) == Success()


def test_supplied_set_must_be_the_headers() -> None:
    other = TestValidatorSet.create([40, 30, 20, 11])
    untrusted = replace(ADJACENT.untrusted, validators=other.validators)
    assert_invalid(judge(untrusted), errors.ValidatorSetMismatch)


def test_trusted_set_must_be_the_announced_one() -> None:
    other = TestValidatorSet.create([40, 30, 20, 11])
    trusted = replace(TRUSTED.trusted, next_validators=other.validators)
    assert_invalid(judge(SKIPPING, trusted=trusted), errors.TrustedValidatorsMismatch)
    assert judge(ADJACENT, trusted=trusted) == Success()  # It is not needed there.


class TestAttribution:
    def test_swapped_votes_are_refused(self) -> None:
        def swap(commit: Commit) -> Commit:
            first, second, *rest = commit.signatures
            return replace(commit, signatures=(second, first, *rest))

        assert_invalid(judge(with_commit(ADJACENT, swap)), errors.ValidatorAddressMismatch)

    def test_vote_copied_over_others_is_refused(self) -> None:
        copied = with_commit(ADJACENT, lambda c: replace(c, signatures=c.signatures[:1] * 4))
        assert_invalid(judge(copied), errors.ValidatorAddressMismatch)

    def test_double_vote_of_a_trusted_validator_is_refused(self) -> None:
        """40 of 100 would pass 1/3 at once; at a level of 1/2 the second vote is met."""
        copied = with_commit(SKIPPING, lambda c: replace(c, signatures=c.signatures[:1] * 4))
        half = replace(OPTIONS, trust_level=TrustLevel(1, 2))
        assert_invalid(judge(copied, options=half), errors.DoubleVote)

    def test_address_of_another_validator_is_refused(self) -> None:
        other = FOUR.validators.validators[1].address
        block = with_sig(ADJACENT, 0, validator_address=other)
        assert_invalid(judge(block), errors.ValidatorAddressMismatch)
        assert_invalid(judge(with_sig(SKIPPING, 0, validator_address=other)), errors.DoubleVote)

    def test_own_signature_under_a_trusted_address_is_refused(self) -> None:
        """A forger's set under its own keys cannot borrow the addresses of trusted validators."""
        forged = TestValidatorSet.create([40, 30, 20, 10], prefix="forger")
        block = build_block(20, forged)
        sigs = [
            replace(sig, validator_address=v.address)
            for sig, v in zip(
                block.signed_header.commit.signatures, FOUR.validators.validators, strict=True
            )
        ]
        block = with_commit(block, lambda c: replace(c, signatures=tuple(sigs)))
        assert isinstance(judge(block), Invalid)


class TestSignatureCount:
    def test_bad_signature_before_the_threshold_is_refused(self) -> None:
        assert_invalid(judge(with_sig(ADJACENT, 0, signature=bytes(64))), errors.InvalidSignature)

    def test_signature_beyond_the_threshold_is_not_needed(self) -> None:
        """40 + 30 of 100 pass 2/3; CometBFT's clients do not look further, and neither do we."""
        assert judge(with_sig(ADJACENT, 3, signature=bytes(64))) == Success()

    @pytest.mark.parametrize(("block", "count"), [(ADJACENT, 2), (SKIPPING, 2)])
    def test_a_signature_is_verified_once(
        self, block: TestBlock, count: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = count_verifications(monkeypatch)
        assert judge(block) == Success()
        assert len(calls) == count

    def test_stops_at_the_first_bad_signature(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = count_verifications(monkeypatch)
        block = with_sig(ADJACENT, 0, signature=bytes(64))
        assert_invalid(judge(block), errors.InvalidSignature)
        assert len(calls) == 1

    def test_no_signature_is_verified_without_enough_power(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = count_verifications(monkeypatch)
        judge(build_block(20, TestValidatorSet.create([10, 10], prefix="new")))
        judge(build_block(11, FOUR, absent=[0]))
        assert calls == []


def count_verifications(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Keys whose signatures are verified from here on, by the real function."""
    calls: list[bytes] = []

    def count(public_key: bytes, message: bytes, signature: bytes) -> bool:
        calls.append(public_key)
        return ed25519.verify_signature(public_key, message, signature)

    monkeypatch.setattr(voting_power, "verify_signature", count)
    return calls


BAD_POWERS = [-1, 0, 1 << 63, (1 << 64) - 1, TOTAL_POWER_MAX + 1]


@pytest.mark.parametrize("power", BAD_POWERS)
@pytest.mark.parametrize("height", [11, 20])
def test_power_out_of_bounds_is_refused_before_hashing(power: int, height: int) -> None:
    """Advisory of a port that wrapped negative powers: headers without signatures passed there."""
    members = FOUR.validators.validators
    bad = ValidatorSet((Validator(members[0].public_key, power), *members[1:]))
    untrusted = replace(build_block(height, FOUR).untrusted, validators=bad)
    assert_invalid(judge(untrusted), errors.InvalidValidatorSet)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: (),
        lambda vs: vs + vs[:1],
        lambda vs: (Validator(bytes(31), 1), *vs[1:]),
        lambda vs: (Validator(vs[0].public_key, TOTAL_POWER_MAX), *vs[1:]),
    ],
)
def test_set_out_of_bounds_is_refused(
    change: Callable[[tuple[Validator, ...]], tuple[Validator, ...]],
) -> None:
    bad = ValidatorSet(change(FOUR.validators.validators))
    assert_invalid(judge(replace(ADJACENT.untrusted, validators=bad)), errors.InvalidValidatorSet)
    trusted = replace(TRUSTED.trusted, next_validators=bad)
    assert_invalid(judge(SKIPPING, trusted=trusted), errors.InvalidValidatorSet)


@pytest.mark.parametrize("level", [TrustLevel(1, 0), TrustLevel(INT64_MAX, INT64_MAX)])
def test_level_that_leaves_int64_is_refused(level: TrustLevel) -> None:
    options = replace(OPTIONS, trust_level=level)
    assert_invalid(judge(SKIPPING, options=options), errors.InvalidTrustLevel)


class TestCost:
    """10,000 slots are refused cheaply whatever is wrong with them."""

    COUNT = 10_000

    def get_big_block(self) -> UntrustedBlock:
        validators = ValidatorSet(
            tuple(Validator(sha256(b"%d" % i).digest(), 1) for i in range(self.COUNT))
        )
        time_ns = SKIPPING.header.time_ns
        sigs = tuple(
            CommitSig(BlockIdFlag.COMMIT, v.address, time_ns, bytes(64))
            for v in validators.validators
        )
        commit = replace(SKIPPING.signed_header.commit, signatures=sigs)
        return UntrustedBlock(SignedHeader(SKIPPING.header, commit), validators)

    def measure(self, untrusted: UntrustedBlock, monkeypatch: pytest.MonkeyPatch) -> Verdict:
        calls = count_verifications(monkeypatch)
        start = time.process_time()
        verdict = judge(untrusted)
        elapsed_s = time.process_time() - start
        assert calls == []
        assert elapsed_s < 0.1
        return verdict

    def test_bad_block_hash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        big = self.get_big_block()
        header = replace(SKIPPING.header, app_hash=bytes(32))
        signed = replace(big.signed_header, header=header)
        verdict = self.measure(replace(big, signed_header=signed), monkeypatch)
        assert_invalid(verdict, errors.CommitMismatch)

    def test_bad_validators_hash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        verdict = self.measure(self.get_big_block(), monkeypatch)
        assert_invalid(verdict, errors.ValidatorSetMismatch)

    def test_one_slot_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        big = self.get_big_block()
        commit = big.signed_header.commit
        commit = replace(commit, signatures=(*commit.signatures, commit.signatures[0]))
        signed = replace(big.signed_header, commit=commit)
        verdict = self.measure(replace(big, signed_header=signed), monkeypatch)
        assert_invalid(verdict, errors.InvalidCommit)


class TestMisbehaviourHeader:
    def test_header_may_lie_before_or_at_the_trusted_time(self) -> None:
        block = build_block(11, FOUR, time_ns=GENESIS_TIME_NS)
        judged = verify_misbehaviour_header(TRUSTED.trusted, block.untrusted, OPTIONS, NOW_NS)
        assert judged == Success()

    def test_trust_level_holds_at_every_height(self) -> None:
        stranger = TestValidatorSet.create([5], prefix="new")
        announced = build_block(10, FOUR, stranger)
        trusted = replace(announced.trusted, next_validators=FOUR.validators)
        trusted = replace(trusted, next_validators_hash=FOUR.hash)
        block = build_block(11, stranger)
        judged = verify_misbehaviour_header(trusted, block.untrusted, OPTIONS, NOW_NS)
        assert isinstance(judged, NotEnoughTrust)

    def test_other_rules_hold(self) -> None:
        end_ns = TRUSTED.header.time_ns + OPTIONS.trusting_period_ns
        cases = [
            (build_block(11, FOUR), end_ns, errors.TrustedStateExpired),
            (build_block(11, FOUR, chain_id="x"), NOW_NS, errors.ChainIdMismatch),
            (build_block(11, FOUR, absent=[0]), NOW_NS, errors.InsufficientVotingPower),
            (with_sig(ADJACENT, 0, signature=bytes(64)), NOW_NS, errors.InvalidSignature),
        ]
        for block, now_ns, error in cases:
            judged = verify_misbehaviour_header(TRUSTED.trusted, block.untrusted, OPTIONS, now_ns)
            assert_invalid(judged, error)


powers = st.lists(st.integers(1, 1000), min_size=1, max_size=7)


@settings(max_examples=60, deadline=None)
@given(powers=powers, data=st.data())
def test_verdict_follows_from_the_signed_power(powers: list[int], data: st.DataObject) -> None:
    """Success exactly when more than 2/3 signed; with one set the overlap is then given."""
    validators = TestValidatorSet.create(powers)
    slots = range(len(powers))
    absent = data.draw(st.sets(st.sampled_from(slots)))
    nil = data.draw(st.sets(st.sampled_from(slots))) - absent
    height = data.draw(st.sampled_from([11, 12]))
    block = build_block(height, validators, absent=absent, nil=nil)
    signed = sum(
        v.voting_power
        for slot, v in enumerate(validators.validators.validators)
        if slot not in absent | nil
    )
    verdict = judge(block, trusted=build_block(10, validators).trusted)
    total = sum(powers)
    if 3 * signed > 2 * total:
        assert verdict == Success()
    elif height == 12 and 3 * signed <= total:
        assert isinstance(verdict, NotEnoughTrust)
    else:
        assert_invalid(verdict, errors.InsufficientVotingPower)


@settings(max_examples=60, deadline=None)
@given(bit=st.integers(0, 64 * 8 - 1), slot=st.integers(0, 1), skipping=st.booleans())
def test_any_flipped_bit_of_a_counted_signature_is_refused(
    *, bit: int, slot: int, skipping: bool
) -> None:
    block = SKIPPING if skipping else ADJACENT
    signature = bytearray(block.signed_header.commit.signatures[slot].signature)
    signature[bit // 8] ^= 1 << bit % 8
    verdict = judge(with_sig(block, slot, signature=bytes(signature)))
    assert_invalid(verdict, errors.InvalidSignature)


def test_rotating_chain_verifies_step_by_step_and_needs_bisection_over_all() -> None:
    """A validator in five leaves at each height: after four heights the overlap is 1/5."""
    sets = [
        TestValidatorSet.from_members([(f"m{i}", 10) for i in range(start, start + 5)])
        for start in range(5)
    ]
    chain = HeaderChain(sets[0])
    for height in range(1, 6):
        chain.append(next_validators=sets[min(height, 4)])
    now_ns = chain.at(5).header.time_ns
    for height in range(1, 5):
        below, above = chain.at(height), chain.at(height + 1)
        assert verify(below.trusted, above.untrusted, OPTIONS, now_ns) == Success()
        assert above.header.last_block_id == below.signed_header.commit.block_id
    far = verify(build_block(1, sets[0]).trusted, chain.at(5).untrusted, OPTIONS, now_ns)
    assert isinstance(far, NotEnoughTrust)
    assert far.tally.signed_power == 10
