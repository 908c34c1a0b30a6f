"""The verifier: it orders the predicates, cheapest first, and gives a three-valued verdict."""

from dataclasses import dataclass

from chain.lightclient import predicates
from chain.lightclient.errors import InsufficientVotingPower, LightClientError
from chain.lightclient.types import (
    Options,
    TrustedState,
    UntrustedBlock,
    validate_commit,
    validate_header,
    validate_validator_set,
)
from chain.lightclient.voting_power import (
    VotingPowerTally,
    count_votes_by_address,
    count_votes_by_slot,
    verify_votes,
)


@dataclass(frozen=True, slots=True)
class Success:
    """The header may be trusted."""


@dataclass(frozen=True, slots=True)
class NotEnoughTrust:
    """Too little trusted power signed: not a fault; verify a header in between first."""

    tally: VotingPowerTally


@dataclass(frozen=True, slots=True)
class Invalid:
    """The header breaks a rule, or the trusted state has expired."""

    error: LightClientError


Verdict = Success | NotEnoughTrust | Invalid


def verify(
    trusted: TrustedState, untrusted: UntrustedBlock, options: Options, now_ns: int
) -> Verdict:
    """Judge a header above the trusted one; raises nothing that its input can cause.

    An adjacent header (trusted height + 1) must have the validators the trusted header announced;
    any other must be signed by more than the trust level of the trusted power. Both must be signed
    by more than 2/3 of their own validators. Equals CometBFT's light.Verify; voting_power says
    which signatures count. Parameters are validated at client creation (validate_options).
    """
    header = untrusted.signed_header.header
    try:
        predicates.validate_not_expired(trusted.time_ns, options.trusting_period_ns, now_ns)
        validate_header(header)
        predicates.validate_chain_id(trusted.chain_id, header.chain_id)
        predicates.validate_monotonic_height(trusted.height, header.height)
        predicates.validate_monotonic_time(trusted.time_ns, header.time_ns)
        predicates.validate_not_from_future(header.time_ns, options.clock_drift_ns, now_ns)
        if header.height == trusted.height + 1:
            predicates.validate_next_validators(
                trusted.next_validators_hash, header.validators_hash
            )
        return _verify_signers(trusted, untrusted, options)
    except LightClientError as error:
        return Invalid(error)


def verify_misbehaviour_header(
    trusted: TrustedState, untrusted: UntrustedBlock, options: Options, now_ns: int
) -> Verdict:
    """Judge one header of a misbehaviour submission (ICS-07).

    Unlike verify it asks for the trust level at every height and neither for a height or time above
    the trusted ones nor for a time before now: a fork may break exactly those rules.
    """
    header = untrusted.signed_header.header
    try:
        predicates.validate_not_expired(trusted.time_ns, options.trusting_period_ns, now_ns)
        validate_header(header)
        predicates.validate_chain_id(trusted.chain_id, header.chain_id)
        return _verify_signers(trusted, untrusted, options, is_overlap_needed=True)
    except LightClientError as error:
        return Invalid(error)


def _verify_signers(
    trusted: TrustedState,
    untrusted: UntrustedBlock,
    options: Options,
    *,
    is_overlap_needed: bool = False,
) -> Verdict:
    """Hashes, then tallies, then signatures; raises LightClientError for an invalid header."""
    signed_header, validators = untrusted.signed_header, untrusted.validators
    header, commit = signed_header.header, signed_header.commit
    # One header hash before anything that grows with the number of signatures.
    predicates.validate_commit_matches_header(signed_header)
    validate_commit(commit)
    validate_validator_set(validators)
    predicates.validate_validators_hash(header, validators)
    overlap = None
    if is_overlap_needed or header.height != trusted.height + 1:
        validate_validator_set(trusted.next_validators)
        predicates.validate_trusted_validators_hash(
            trusted.next_validators_hash, trusted.next_validators
        )
        overlap = count_votes_by_address(trusted.next_validators, commit, options.trust_level)
        if not overlap.tally.is_sufficient():
            return NotEnoughTrust(overlap.tally)
    quorum = count_votes_by_slot(validators, commit)
    if not quorum.tally.is_sufficient():
        raise InsufficientVotingPower(str(quorum.tally))
    verified: dict[int, bytes] = {}
    # Trusted keys first: who holds too few of them cannot make us verify a large set of its own.
    if overlap is not None:
        verify_votes(trusted.chain_id, commit, overlap, verified)
    verify_votes(trusted.chain_id, commit, quorum, verified)
    return Success()
