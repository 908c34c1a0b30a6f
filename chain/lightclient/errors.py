"""The refusals of the light client: one registered error for each rule."""

from chain.errors import ChainError


class LightClientError(ChainError):
    """Any reason to call a header invalid."""

    codespace = "lightclient"


class InvalidTrustLevel(LightClientError):
    """A trust level outside [1/3, 1], or one whose product with the voting power passes int64."""

    code = 2
    summary = "invalid trust level"


class TrustedStateExpired(LightClientError):
    """The trusting period since the trusted header has passed."""

    code = 3
    summary = "trusted state has expired"


class InvalidHeader(LightClientError):
    """A header field out of its bounds."""

    code = 4
    summary = "invalid header"


class ChainIdMismatch(LightClientError):
    """A header of another chain."""

    code = 5
    summary = "header belongs to another chain"


class NonMonotonicHeight(LightClientError):
    """A header that is not above the trusted one."""

    code = 6
    summary = "header height is not above the trusted height"


class NonMonotonicTime(LightClientError):
    """A header that is not later than the trusted one."""

    code = 7
    summary = "header time is not after the trusted time"


class HeaderFromFuture(LightClientError):
    """A header later than now plus the clock drift allowed."""

    code = 8
    summary = "header time is in the future"


class ValidatorSetMismatch(LightClientError):
    """A validator set that is not the one the header names."""

    code = 9
    summary = "validators do not hash to validators_hash"


class NextValidatorsMismatch(LightClientError):
    """An adjacent header whose set is not the one the trusted header announced."""

    code = 10
    summary = "validators are not those the trusted header announced"


class InvalidValidatorSet(LightClientError):
    """A validator set whose count, keys, powers or total are out of bounds."""

    code = 11
    summary = "invalid validator set"


class InvalidCommit(LightClientError):
    """A commit field out of its bounds."""

    code = 12
    summary = "invalid commit"


class CommitMismatch(LightClientError):
    """A commit for another height or block than the header's."""

    code = 13
    summary = "commit is not for this header"


class CommitSizeMismatch(LightClientError):
    """A commit without exactly one slot for each validator."""

    code = 14
    summary = "wrong number of commit signatures"


class ValidatorAddressMismatch(LightClientError):
    """A vote under an address that does not belong to its slot."""

    code = 15
    summary = "vote does not belong to the validator of its slot"


class DoubleVote(LightClientError):
    """One validator with two votes in a commit."""

    code = 16
    summary = "validator votes twice in one commit"


class InvalidSignature(LightClientError):
    """A counted vote whose signature does not verify."""

    code = 17
    summary = "invalid vote signature"


class InsufficientVotingPower(LightClientError):
    """A commit without more than 2/3 of the power of its own validators."""

    code = 18
    summary = "insufficient voting power"


class TrustedValidatorsMismatch(LightClientError):
    """Trusted validators that are not those the trusted header announced."""

    code = 19
    summary = "trusted validators do not hash to the trusted next_validators_hash"


class MalformedLightBlock(LightClientError):
    """A header, commit or validator set whose wire or JSON form cannot be read."""

    code = 20
    summary = "malformed light block"


class InvalidOptions(LightClientError):
    """A trusting period or clock drift outside its bounds."""

    code = 22
    summary = "invalid client options"


class UnsupportedKeyType(LightClientError):
    """A validator key that is not Ed25519."""

    code = 21
    summary = "unsupported validator key type"
