"""Refusals of the validator register."""

from chain.errors import ChainError


class InvalidValidator(ChainError):
    """A key, power or name out of its bounds."""

    codespace = "validators"
    code = 2
    summary = "invalid validator"


class Tombstoned(ChainError):
    """Power for a validator that was proven to have voted twice."""

    codespace = "validators"
    code = 3
    summary = "validator is tombstoned"


class SetBoundary(ChainError):
    """A change that would leave no validator, too many, or too much power."""

    codespace = "validators"
    code = 4
    summary = "validator set out of bounds"
