"""Refusals of the oracle."""

from chain.errors import ChainError


class UnknownAsset(ChainError):
    """An asset that the oracle does not price."""

    codespace = "oracle"
    code = 2
    summary = "unknown asset"


class PriceNotUsable(ChainError):
    """The price does not allow the action: absent, stale, disputed or still moving."""

    codespace = "oracle"
    code = 3
    summary = "price not usable"


class InvalidOracleParams(ChainError):
    """Parameters out of their bounds."""

    codespace = "oracle"
    code = 4
    summary = "invalid oracle parameters"


class RampRunning(ChainError):
    """A volatility model whose last change has not yet taken full effect."""

    codespace = "oracle"
    code = 5
    summary = "ramp running"
