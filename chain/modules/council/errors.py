"""Refusals of the council."""

from chain.errors import ChainError


class NotAuthority(ChainError):
    """A message only the council may send, signed by another."""

    codespace = "council"
    code = 2
    summary = "only the council may do this"


class NotMember(ChainError):
    """A vote or proposal by somebody outside the council."""

    codespace = "council"
    code = 3
    summary = "not a council member"


class UnknownProposal(ChainError):
    """A proposal number that does not exist."""

    codespace = "council"
    code = 4
    summary = "unknown proposal"


class ProposalNotOpen(ChainError):
    """A vote on a proposal that is decided or expired."""

    codespace = "council"
    code = 5
    summary = "proposal is not open"


class AlreadyVoted(ChainError):
    """A second vote of one member."""

    codespace = "council"
    code = 6
    summary = "member has voted"


class NotExecutable(ChainError):
    """A proposal that has not passed, or whose delay has not gone by."""

    codespace = "council"
    code = 7
    summary = "proposal cannot be executed"


class InvalidProposal(ChainError):
    """A proposal out of bounds, or with a message the council could not execute."""

    codespace = "council"
    code = 8
    summary = "invalid proposal"


class InvalidCouncil(ChainError):
    """Members or threshold that could not decide."""

    codespace = "council"
    code = 9
    summary = "invalid council"


class TooManyProposals(ChainError):
    """More open proposals than the council keeps."""

    codespace = "council"
    code = 10
    summary = "too many open proposals"
