"""Refusals of a venue's end on a collateral chain."""

from chain.errors import ChainError


class NotTheOperator(ChainError):
    """A report by somebody who is not the governed operator."""

    codespace = "venue"
    code = 2
    summary = "not the operator"


class InvalidPositions(ChainError):
    """Positions or parameters that break a rule of their form."""

    codespace = "venue"
    code = 3
    summary = "invalid positions"


class UnaskedReduction(ChainError):
    """A report that shrinks an acknowledged leg without having asked the hub."""

    codespace = "venue"
    code = 4
    summary = "a leg shrinks by a request alone"


class TooManyReports(ChainError):
    """More reports on their way than are allowed."""

    codespace = "venue"
    code = 5
    summary = "too many reports on their way"
