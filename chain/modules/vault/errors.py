"""Refusals of the vault."""

from chain.errors import ChainError


class HubNotRegistered(ChainError):
    """The vault obeys nobody yet."""

    codespace = "vault"
    code = 2
    summary = "no hub is registered"


class HubExists(ChainError):
    """A vault obeys exactly one hub channel, for good."""

    codespace = "vault"
    code = 3
    summary = "a hub is registered already"


class NotTheHub(ChainError):
    """A packet over another channel than the registered hub's."""

    codespace = "vault"
    code = 4
    summary = "not the registered hub"


class InvalidHub(ChainError):
    """A hub whose channel, connection or client is not what was stated."""

    codespace = "vault"
    code = 5
    summary = "invalid hub"


class InsufficientLocked(ChainError):
    """An order for more than is locked for the account."""

    codespace = "vault"
    code = 6
    summary = "insufficient locked collateral"


class OrderConflict(ChainError):
    """An order id used before for another order."""

    codespace = "vault"
    code = 7
    summary = "order id conflict"


class InvalidDestination(ChainError):
    """An order to give collateral to nobody, or to an account that may not receive it."""

    codespace = "vault"
    code = 8
    summary = "invalid destination"


class LockNotFound(ChainError):
    """No lock or order has this id."""

    codespace = "vault"
    code = 9
    summary = "lock not found"


class InvalidParams(ChainError):
    """Module parameters out of their bounds."""

    codespace = "vault"
    code = 10
    summary = "invalid parameters"


class InvalidLock(ChainError):
    """A lock request that breaks a stateless rule."""

    codespace = "vault"
    code = 11
    summary = "invalid lock"
