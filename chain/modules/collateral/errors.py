"""Refusals of collateral: routes, listings, caps, withdrawals."""

from chain.errors import ChainError


class RouteNotRegistered(ChainError):
    """A packet or request over a channel or route that the council has not registered."""

    codespace = "collateral"
    code = 2
    summary = "route is not registered"


class RouteExists(ChainError):
    """A route identifier or channel that is registered already."""

    codespace = "collateral"
    code = 3
    summary = "route exists"


class InvalidRoute(ChainError):
    """A route whose channel, connection or client is not what was stated."""

    codespace = "collateral"
    code = 4
    summary = "invalid route"


class RouteClosed(ChainError):
    """A route that is paused or frozen gives no new credit."""

    codespace = "collateral"
    code = 5
    summary = "route is not open"


class DenomNotListed(ChainError):
    """A denom that is not collateral on this route."""

    codespace = "collateral"
    code = 6
    summary = "denom is not listed"


class CapExceeded(ChainError):
    """An amount that would pass a cap of the asset, the route or the owner."""

    codespace = "collateral"
    code = 7
    summary = "collateral cap exceeded"


class AmountBelowMinimum(ChainError):
    """A lock smaller than the listing accepts."""

    codespace = "collateral"
    code = 8
    summary = "amount below the minimum"


class Unauthorized(ChainError):
    """A signer who may not do this."""

    codespace = "collateral"
    code = 9
    summary = "unauthorized"


class InvalidListing(ChainError):
    """An asset or listing with a figure out of its bounds."""

    codespace = "collateral"
    code = 10
    summary = "invalid listing"


class PriceUnavailable(ChainError):
    """An asset that the oracle does not price now."""

    codespace = "collateral"
    code = 11
    summary = "price unavailable"


class LockConflict(ChainError):
    """A lock id used before for another lock."""

    codespace = "collateral"
    code = 12
    summary = "lock id conflict"


class InvalidParams(ChainError):
    """Module parameters out of their bounds."""

    codespace = "collateral"
    code = 13
    summary = "invalid parameters"


class InvalidWithdrawal(ChainError):
    """A withdrawal request that breaks a stateless rule."""

    codespace = "collateral"
    code = 14
    summary = "invalid withdrawal"
