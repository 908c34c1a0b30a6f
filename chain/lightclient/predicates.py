"""The rules of header verification: each a function of plain values that raises its own error.

Source: the CometBFT light client specification and its v0.38 verifier; boundaries are exact to the
nanosecond. Parameters are named for where their values come from, trusted_ or untrusted_.
"""

from chain.lightclient.encoding import compute_header_hash, compute_validators_hash
from chain.lightclient.errors import (
    ChainIdMismatch,
    CommitMismatch,
    HeaderFromFuture,
    NextValidatorsMismatch,
    NonMonotonicHeight,
    NonMonotonicTime,
    TrustedStateExpired,
    TrustedValidatorsMismatch,
    ValidatorSetMismatch,
)
from chain.lightclient.types import Header, SignedHeader, ValidatorSet


def is_expired(trusted_time_ns: int, trusting_period_ns: int, now_ns: int) -> bool:
    """Whether a header may no longer be trusted; it lives while time + period is after now."""
    return trusted_time_ns + trusting_period_ns <= now_ns


def validate_not_expired(trusted_time_ns: int, trusting_period_ns: int, now_ns: int) -> None:
    """The trusting period since the trusted header has not passed; raises TrustedStateExpired."""
    if is_expired(trusted_time_ns, trusting_period_ns, now_ns):
        raise TrustedStateExpired(
            f"trusted time {trusted_time_ns} + period {trusting_period_ns} ns is not after now "
            f"{now_ns}; start from a fresh trusted header"
        )


def validate_chain_id(trusted_chain_id: str, untrusted_chain_id: str) -> None:
    """The header is of the followed chain; raises ChainIdMismatch."""
    if untrusted_chain_id != trusted_chain_id:
        raise ChainIdMismatch(f"header of {untrusted_chain_id!r}, client of {trusted_chain_id!r}")


def validate_monotonic_height(trusted_height: int, untrusted_height: int) -> None:
    """The header is above the trusted one; raises NonMonotonicHeight."""
    if untrusted_height <= trusted_height:
        raise NonMonotonicHeight(f"height {untrusted_height}, trusted {trusted_height}")


def validate_monotonic_time(trusted_time_ns: int, untrusted_time_ns: int) -> None:
    """The header is later than the trusted one (BFT time); raises NonMonotonicTime."""
    if untrusted_time_ns <= trusted_time_ns:
        raise NonMonotonicTime(f"time {untrusted_time_ns} ns, trusted {trusted_time_ns} ns")


def validate_not_from_future(untrusted_time_ns: int, clock_drift_ns: int, now_ns: int) -> None:
    """The header is before now plus the drift allowed; raises HeaderFromFuture."""
    if untrusted_time_ns >= now_ns + clock_drift_ns:
        raise HeaderFromFuture(
            f"time {untrusted_time_ns} ns is not before now {now_ns} + drift {clock_drift_ns}; "
            f"submit later or check the clocks"
        )


def validate_commit_matches_header(untrusted_signed_header: SignedHeader) -> None:
    """The commit is for the header's height and hash; raises CommitMismatch."""
    header, commit = untrusted_signed_header.header, untrusted_signed_header.commit
    if commit.height != header.height:
        raise CommitMismatch(f"commit height {commit.height}, header height {header.height}")
    header_hash = compute_header_hash(header)
    # A header without validators_hash has no hash (CometBFT); it cannot be committed.
    if not header.validators_hash or commit.block_id.hash != header_hash:
        raise CommitMismatch(
            f"commit signs {commit.block_id.hash.hex().upper()}, header is "
            f"{header_hash.hex().upper()}"
        )


def validate_validators_hash(untrusted_header: Header, untrusted_validators: ValidatorSet) -> None:
    """The validators offered are those the header names; raises ValidatorSetMismatch."""
    computed = compute_validators_hash(untrusted_validators)
    if untrusted_header.validators_hash != computed:
        raise ValidatorSetMismatch(
            f"header names {untrusted_header.validators_hash.hex().upper()}, the set hashes to "
            f"{computed.hex().upper()}"
        )


def validate_trusted_validators_hash(
    trusted_next_validators_hash: bytes, trusted_next_validators: ValidatorSet
) -> None:
    """The trusted validators are those the trusted header announced.

    Raises TrustedValidatorsMismatch.
    """
    computed = compute_validators_hash(trusted_next_validators)
    if trusted_next_validators_hash != computed:
        raise TrustedValidatorsMismatch(
            f"trusted header announced {trusted_next_validators_hash.hex().upper()}, the set "
            f"hashes to {computed.hex().upper()}"
        )


def validate_next_validators(
    trusted_next_validators_hash: bytes, untrusted_validators_hash: bytes
) -> None:
    """An adjacent header's set is the one announced; raises NextValidatorsMismatch."""
    if untrusted_validators_hash != trusted_next_validators_hash:
        raise NextValidatorsMismatch(
            f"announced {trusted_next_validators_hash.hex().upper()}, header has "
            f"{untrusted_validators_hash.hex().upper()}"
        )


def is_conflicting(first: Header, second: Header) -> bool:
    """Whether two headers of one height differ: equivocation, if both carry valid commits."""
    return first.height == second.height and compute_header_hash(first) != compute_header_hash(
        second
    )


def is_time_violation(first: Header, second: Header) -> bool:
    """Whether the higher of two headers is not the later one, against BFT time."""
    if first.height == second.height:
        return False
    low, high = (first, second) if first.height < second.height else (second, first)
    return high.time_ns <= low.time_ns


def is_misbehaviour(first: Header, second: Header) -> bool:
    """Whether two headers that verified prove misbehaviour (ICS-07)."""
    return is_conflicting(first, second) or is_time_violation(first, second)
