"""Refusals of insurance."""

from chain.errors import ChainError


class InvalidParams(ChainError):
    """Module parameters out of their bounds."""

    codespace = "insurance"
    code = 2
    summary = "invalid parameters"
