"""Tallies of a commit: who counts, how much power signed, and whether their signatures hold.

Powers are summed before any signature is verified, so that a commit which cannot pass costs no
cryptography. Votes count in the order of the commit and counting stops once the threshold is
passed; votes beyond it are neither verified nor needed. This equals VerifyCommitLight and
VerifyCommitLightTrusting of CometBFT and is deliberate: verifying every signature would refuse
headers that the followed chain's own clients accept, a liveness fault with no gain in safety.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass

from chain.lightclient.ed25519 import verify_signature
from chain.lightclient.encoding import CommitSignBytes
from chain.lightclient.errors import (
    CommitSizeMismatch,
    DoubleVote,
    InvalidSignature,
    InvalidTrustLevel,
    ValidatorAddressMismatch,
)
from chain.lightclient.types import (
    INT64_MAX,
    TWO_THIRDS,
    BlockIdFlag,
    Commit,
    TrustLevel,
    ValidatorSet,
)


@dataclass(frozen=True, slots=True)
class VotingPowerTally:
    """Power that signed, of a total, against an exclusive threshold."""

    signed_power: int
    total_power: int
    threshold: TrustLevel

    def is_sufficient(self) -> bool:
        """Whether signed/total is above the threshold, by cross-multiplication."""
        return (
            self.signed_power * self.threshold.denominator
            > self.total_power * self.threshold.numerator
        )

    def __str__(self) -> str:
        level = f"{self.threshold.numerator}/{self.threshold.denominator}"
        return f"{self.signed_power} of {self.total_power} signed, more than {level} needed"


@dataclass(frozen=True, slots=True)
class CountedVotes:
    """A tally with the votes it rests on: (slot in the commit, public key) in commit order."""

    tally: VotingPowerTally
    voters: tuple[tuple[int, bytes], ...]


def count_votes_by_address(
    trusted_validators: ValidatorSet, untrusted_commit: Commit, trust_level: TrustLevel
) -> CountedVotes:
    """Votes of trusted validators in a later commit, found by address; strangers are skipped.

    Raises DoubleVote when one validator fills two slots, and InvalidTrustLevel when the product of
    power and numerator passes int64, where CometBFT refuses too.
    """
    total = trusted_validators.total_power
    if trust_level.denominator <= 0 or total * trust_level.numerator > INT64_MAX:
        raise InvalidTrustLevel(
            f"trust level {trust_level.numerator}/{trust_level.denominator} with a total power of "
            f"{total} leaves int64; use a smaller numerator"
        )
    by_address = {v.address: v for v in trusted_validators.validators}
    first_slot: dict[bytes, int] = {}
    voters: list[tuple[int, bytes]] = []
    signed = 0
    needed = total * trust_level.numerator
    for slot, sig in enumerate(untrusted_commit.signatures):
        if sig.block_id_flag != BlockIdFlag.COMMIT:
            continue
        validator = by_address.get(sig.validator_address)
        if validator is None:
            continue
        first = first_slot.setdefault(sig.validator_address, slot)
        if first != slot:
            raise DoubleVote(
                f"validator {sig.validator_address.hex().upper()} in slots {first} and {slot}"
            )
        voters.append((slot, validator.public_key))
        signed += validator.voting_power
        if signed * trust_level.denominator > needed:
            break
    return CountedVotes(VotingPowerTally(signed, total, trust_level), tuple(voters))


def count_votes_by_slot(
    untrusted_validators: ValidatorSet, untrusted_commit: Commit
) -> CountedVotes:
    """Votes of a header's own validators, slot by slot, until more than 2/3 of the power signed.

    Raises CommitSizeMismatch, and ValidatorAddressMismatch for a counted vote under another
    validator's address.
    """
    validators = untrusted_validators.validators
    if len(validators) != len(untrusted_commit.signatures):
        raise CommitSizeMismatch(
            f"{len(untrusted_commit.signatures)} signatures for {len(validators)} validators"
        )
    voters: list[tuple[int, bytes]] = []
    signed = 0
    needed = untrusted_validators.total_power * TWO_THIRDS.numerator
    for slot, sig in enumerate(untrusted_commit.signatures):
        if sig.block_id_flag != BlockIdFlag.COMMIT:
            continue
        validator = validators[slot]
        if validator.address != sig.validator_address:
            raise ValidatorAddressMismatch(
                f"slot {slot} belongs to {validator.address.hex().upper()}, its vote names "
                f"{sig.validator_address.hex().upper()}"
            )
        voters.append((slot, validator.public_key))
        signed += validator.voting_power
        if signed * TWO_THIRDS.denominator > needed:
            break
    tally = VotingPowerTally(signed, untrusted_validators.total_power, TWO_THIRDS)
    return CountedVotes(tally, tuple(voters))


def verify_votes(
    chain_id: str,
    untrusted_commit: Commit,
    votes: CountedVotes,
    verified: MutableMapping[int, bytes],
) -> None:
    """Verify the signatures a tally rests on; raises InvalidSignature at the first that fails.

    `verified` maps slots to the key under which they verified already and is extended: a validator
    in the trusted and in the new set is verified once.
    """
    sign_bytes = CommitSignBytes(chain_id, untrusted_commit)
    for slot, public_key in votes.voters:
        if verified.get(slot) == public_key:
            continue
        sig = untrusted_commit.signatures[slot]
        if not verify_signature(public_key, sign_bytes.encode(sig), sig.signature):
            raise InvalidSignature(
                f"signature in slot {slot} by {sig.validator_address.hex().upper()} does not verify"
            )
        verified[slot] = public_key
