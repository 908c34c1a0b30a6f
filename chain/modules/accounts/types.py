"""Margin accounts as the chain's other modules see them: ids, liens, positions, statuses."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from chain.units import Address

NUMBER_MAX: Final = 127
"""Sub-accounts of an owner are numbered 0..127."""
CASH_DENOM: Final = "uusd"
MODULE_NAME: Final = "accounts"


class AccountId(NamedTuple):
    """An owner's numbered account; orders by owner, then number."""

    owner: Address
    number: int


class LienKey(NamedTuple):
    """Which collateral: its chain and denom there, the vault that holds it, the route that proves
    it.
    """

    chain_id: str
    denom: str
    vault: str
    route_id: str


class AccountStatus(IntEnum):
    """Who may act on an account; the numbers are those of the protobuf enum."""

    ACTIVE = 1
    LOCKED = 2
    """Under liquidation: its owner can only deposit."""


@dataclass(slots=True)
class Position:
    """A perpetual position: signed size in quantums and what was paid for it.

    Unrealised PnL = floor(value of size at the mark price) - cost - funding owed since
    `funding_index_wad`.
    """

    size_quantums: int = 0
    cost_uusd: int = 0
    funding_index_wad: int = 0


@dataclass(slots=True)
class Account:
    """One margin account as read from the store; change it, then `state.set_account`."""

    owner: Address
    number: int
    cash_uusd: int = 0
    positions: dict[str, Position] = field(default_factory=dict)
    liens: dict[LienKey, int] = field(default_factory=dict)
    status: AccountStatus = AccountStatus.ACTIVE

    @property
    def id(self) -> AccountId:
        """The account's key."""
        return AccountId(self.owner, self.number)
