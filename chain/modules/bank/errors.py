"""Refusals of the bank."""

from chain.errors import ChainError
from chain.runtime.errors import InsufficientFunds

__all__ = ["BalanceOverflow", "InsufficientFunds", "SendDisabled"]


class SendDisabled(ChainError):
    """A denom whose transfers the council switched off."""

    codespace = "bank"
    code = 5
    summary = "send transactions are disabled"


class BalanceOverflow(ChainError):
    """A sum at or above 2^256."""

    codespace = "bank"
    code = 20
    summary = "amount out of range"
