"""Amounts with their unit, between the texts people write and the integers the chain keeps."""

import re
from dataclasses import dataclass
from typing import Final, Self

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain.client.errors import InvalidField
from chain.units import Denom, parse_amount

DISPLAY_UNITS: Final[dict[str, tuple[str, int]]] = {
    "ETH": ("aeth", 18),
    "MARGIN": ("umargin", 6),
    "USD": ("uusd", 6),
    "USDC": ("uusdc", 6),
}
"""Unit people write → (denomination on chain, decimals)."""
_COIN = re.compile(r"([0-9]+)([a-zA-Z][a-zA-Z0-9/:._-]{2,127})")
_DISPLAY = re.compile(r"([0-9]+)(?:\.([0-9]+))?\s+([A-Z]+)")


@dataclass(frozen=True, slots=True)
class Amount:
    """A positive count of atomic units of a denomination."""

    units: int
    denom: Denom

    @classmethod
    def parse(cls, text: str) -> Self:
        """`1.5 ETH` (a unit of DISPLAY_UNITS) or `1500uusdc` (atomic units); raises InvalidField.

        More decimals than the unit has are refused, never rounded.
        """
        stripped = text.strip()
        coin = _COIN.fullmatch(stripped)
        if coin:
            return cls(parse_amount(coin[1]), Denom(coin[2]))
        display = _DISPLAY.fullmatch(stripped)
        if not display or display[3] not in DISPLAY_UNITS:
            raise InvalidField(
                f"amount {text!r} must look like 1500uusdc or 1.5 ETH; units with a name: "
                f"{', '.join(DISPLAY_UNITS)}"
            )
        denom, decimals = DISPLAY_UNITS[display[3]]
        fraction = display[2] or ""
        if len(fraction) > decimals:
            raise InvalidField(
                f"amount {text!r} has {len(fraction)} decimals, {display[3]} has {decimals}"
            )
        digits = (display[1] + fraction.ljust(decimals, "0")).lstrip("0")
        return cls(parse_amount(digits or "0"), Denom(denom))

    def to_coin(self) -> coin_pb2.Coin:
        """The wire form."""
        return coin_pb2.Coin(denom=self.denom, amount=str(self.units))

    def __str__(self) -> str:
        for name, (denom, decimals) in DISPLAY_UNITS.items():
            if denom == self.denom:
                whole, fraction = divmod(self.units, 10**decimals)
                text = str(fraction).rjust(decimals, "0").rstrip("0")
                return f"{whole}.{text} {name}" if text else f"{whole} {name}"
        return f"{self.units}{self.denom}"
