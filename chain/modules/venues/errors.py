"""Refusals of venues: terms, consent, reports."""

from chain.errors import ChainError


class VenueNotFound(ChainError):
    """A venue, or a route of one, that the council has not registered."""

    codespace = "venues"
    code = 2
    summary = "venue not found"


class InvalidVenue(ChainError):
    """A venue or parameter with a figure out of its bounds."""

    codespace = "venues"
    code = 3
    summary = "invalid venue"


class InvalidReport(ChainError):
    """A position report that breaks a rule of its form."""

    codespace = "venues"
    code = 4
    summary = "invalid position report"


class MembershipRefused(ChainError):
    """Joining twice, or leaving with a position open."""

    codespace = "venues"
    code = 5
    summary = "membership refused"


class RequirementRaised(ChainError):
    """A change at a venue that would raise the requirement of an account that cannot carry it."""

    codespace = "venues"
    code = 6
    summary = "the change would raise the requirement"
