"""Refusals of scenario sets."""

from chain.errors import ChainError


class InvalidUnderlying(ChainError):
    """A scenario set, parameter or asset that an underlying cannot have."""

    codespace = "scenarios"
    code = 2
    summary = "invalid underlying"


class RampRunning(ChainError):
    """An underlying whose last change has not yet taken full effect."""

    codespace = "scenarios"
    code = 3
    summary = "ramp running"
