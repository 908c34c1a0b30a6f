"""The gas schedule and its meter: a deterministic price for every unit of work.

Bytes and signatures of a transaction are priced by the governed parameters of the auth module.
"""

from collections.abc import Callable
from typing import Final

from chain.errors import ChainError

SIGNATURE_ED25519: Final = 600
READ_FLAT: Final = 200
READ_BYTE: Final = 1
WRITE_FLAT: Final = 500
WRITE_BYTE: Final = 10
DELETE_FLAT: Final = 200
ITERATE_FLAT: Final = 30
PROOF_FLAT: Final = 2_000
"""One ICS-23 proof verified."""
RISK_CELL: Final = 2
"""One position valued in one scenario."""


Spend = Callable[[int], None]
"""Takes the gas of a computation, where no meter is at hand."""


class OutOfGas(ChainError):
    """The work of a transaction passed its gas limit."""

    codespace = "sdk"
    code = 11
    summary = "out of gas"


class GasMeter:
    """Counts gas against a limit; None means unlimited (block hooks, queries)."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.used = 0

    def can_pay(self, amount: int) -> bool:
        """Whether the limit leaves that much."""
        return self.limit is None or self.used + amount <= self.limit

    def consume(self, amount: int) -> None:
        """Add gas; raises OutOfGas when the limit is passed."""
        self.used += amount
        if self.limit is not None and self.used > self.limit:
            raise OutOfGas(
                f"gas used {self.used} is above the limit {self.limit}; set a higher gas limit"
            )
