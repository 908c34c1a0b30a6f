"""Refusals of liquidation and its auctions."""

from chain.errors import ChainError


class AuctionNotFound(ChainError):
    """No auction or seizure has this id."""

    codespace = "liquidation"
    code = 2
    summary = "auction not found"


class AuctionClosed(ChainError):
    """An auction that takes no bids: sold out, paid off, or waiting for its reset."""

    codespace = "liquidation"
    code = 3
    summary = "auction takes no bids"


class PriceAboveLimit(ChainError):
    """The auction's price is above what the bidder would pay at most."""

    codespace = "liquidation"
    code = 4
    summary = "price above the bidder's limit"


class ResetNotDue(ChainError):
    """An auction that is neither too old nor too low."""

    codespace = "liquidation"
    code = 5
    summary = "reset is not due"


class InvalidParams(ChainError):
    """Module parameters out of their bounds."""

    codespace = "liquidation"
    code = 6
    summary = "invalid parameters"


class InvalidBid(ChainError):
    """A bid by the account's own owner, or one that breaks a stateless rule."""

    codespace = "liquidation"
    code = 7
    summary = "invalid bid"
