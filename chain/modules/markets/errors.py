"""Refusals of the markets."""

from chain.errors import ChainError


class UnknownMarket(ChainError):
    """No such market."""

    codespace = "markets"
    code = 2
    summary = "unknown market"


class InvalidOrder(ChainError):
    """A side, size, price or time in force that no order can have."""

    codespace = "markets"
    code = 3
    summary = "invalid order"


class PriceOutOfBand(ChainError):
    """A limit price too far from the mark."""

    codespace = "markets"
    code = 4
    summary = "price out of band"


class SelfTrade(ChainError):
    """The order would trade with an order of the same owner."""

    codespace = "markets"
    code = 5
    summary = "self trade"


class PostOnlyWouldTrade(ChainError):
    """A post-only order that crosses the book."""

    codespace = "markets"
    code = 6
    summary = "post-only order would trade"


class TooManyOrders(ChainError):
    """The account has all the resting orders it can have."""

    codespace = "markets"
    code = 7
    summary = "too many orders"


class OrderNotFound(ChainError):
    """No such resting order of the account."""

    codespace = "markets"
    code = 8
    summary = "order not found"


class ReduceOnly(ChainError):
    """Only orders that reduce a position are allowed."""

    codespace = "markets"
    code = 9
    summary = "reduce-only"


class OpenInterestLimit(ChainError):
    """The fill would raise open interest above its cap."""

    codespace = "markets"
    code = 10
    summary = "open interest limit"


class InvalidMarket(ChainError):
    """Market parameters out of their bounds."""

    codespace = "markets"
    code = 11
    summary = "invalid market"


class NoLiquidity(ChainError):
    """Nothing rests on the other side within the limit."""

    codespace = "markets"
    code = 12
    summary = "no liquidity"


class MarketExpired(ChainError):
    """The market's expiry has come; it only settles now."""

    codespace = "markets"
    code = 13
    summary = "market expired"


class InsufficientBase(ChainError):
    """A spot position smaller than what is sold or withdrawn of it."""

    codespace = "markets"
    code = 14
    summary = "insufficient base"


class RampRunning(ChainError):
    """A market whose last change has not yet taken full effect."""

    codespace = "markets"
    code = 15
    summary = "ramp running"
