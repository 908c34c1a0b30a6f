"""Refusals of margin accounts."""

from chain.errors import ChainError


class AccountNotFound(ChainError):
    """No such account."""

    codespace = "accounts"
    code = 2
    summary = "account not found"


class InvalidAccount(ChainError):
    """An owner, number, receiver or parameter out of its bounds."""

    codespace = "accounts"
    code = 3
    summary = "invalid account request"


class AccountLocked(ChainError):
    """The account is under liquidation."""

    codespace = "accounts"
    code = 4
    summary = "account locked"


class InsufficientMargin(ChainError):
    """The margin after the action would be below its requirement."""

    codespace = "accounts"
    code = 5
    summary = "insufficient margin"


class InsufficientCash(ChainError):
    """The account has less cash than asked."""

    codespace = "accounts"
    code = 6
    summary = "insufficient cash"


class InsufficientLien(ChainError):
    """The lien is smaller than asked."""

    codespace = "accounts"
    code = 7
    summary = "insufficient lien"


class TooManyLines(ChainError):
    """The account has all the liens or positions it can have."""

    codespace = "accounts"
    code = 8
    summary = "too many lines"


class AccountExists(ChainError):
    """The account is open already."""

    codespace = "accounts"
    code = 9
    summary = "account exists"


class CashNotSettled(ChainError):
    """Profit that losers have not yet paid in cannot leave."""

    codespace = "accounts"
    code = 10
    summary = "cash not settled"
