"""Margin accounts as the chain's other modules see them: ids, liens, positions, statuses."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from chain.modules.accounts.errors import InvalidAccount
from chain.risk.haircut import HaircutFactors, LienValue
from chain.risk.margin import LinearTerms, MarginState
from chain.runtime.address import decode_address
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

    def copy(self) -> "Account":
        """An account that can change without changing this one."""
        return Account(
            self.owner,
            self.number,
            self.cash_uusd,
            {
                market: Position(p.size_quantums, p.cost_uusd, p.funding_index_wad)
                for market, p in self.positions.items()
            },
            dict(self.liens),
            self.status,
        )

    @property
    def is_at_risk(self) -> bool:
        """Whether prices or debts can hurt it: it has a position, or cash below zero."""
        return bool(self.positions) or self.cash_uusd < 0

    @property
    def id(self) -> AccountId:
        """The account's key."""
        return AccountId(self.owner, self.number)


@dataclass(frozen=True, slots=True)
class LienMargin:
    """One lien's contribution with everything that went into it; price 0 when there is none."""

    lien: LienKey
    amount: int
    factors: HaircutFactors
    price_wad: int
    value: LienValue


@dataclass(frozen=True, slots=True)
class PositionMargin:
    """One market's contribution: the position, and its open orders at their worst."""

    market: str
    asset: str
    position: Position
    price_wad: int
    value_uusd: int
    funding_owed_uusd: int
    unrealised_uusd: int
    terms: LinearTerms
    maintenance_uusd: int
    initial_uusd: int
    worst_size_quantums: int
    worst_notional_uusd: int
    order_loss_uusd: int


@dataclass(frozen=True, slots=True)
class AccountMargin:
    """An account's equity against its requirements, uusd, with every factor.

    `equity_uusd` = collateral + cash + unrealised; `equity_initial_uusd` counts only part of each
    profit and takes off what open orders may lose. `state` is that of E / MMR.
    """

    cash_uusd: int
    collateral_uusd: int
    unrealised_uusd: int
    equity_uusd: int
    equity_initial_uusd: int
    maintenance_uusd: int
    initial_uusd: int
    worst_notional_uusd: int
    state: MarginState
    liens: tuple[LienMargin, ...]
    positions: tuple[PositionMargin, ...]

    @property
    def excess_uusd(self) -> int:
        """Equity above the maintenance requirement (negative: below)."""
        return self.equity_uusd - self.maintenance_uusd


def parse_account_id(owner: str, number: int) -> AccountId:
    """The account that a message names; raises InvalidAccount, InvalidAddress."""
    if number > NUMBER_MAX:
        raise InvalidAccount(f"account number {number} must lie within [0, {NUMBER_MAX}]")
    decode_address(owner, "owner")
    return AccountId(Address(owner), number)


def encode_account_id(account_id: AccountId) -> bytes:
    """The account in a store key; keys ascend as ids do. Raises InvalidAccount."""
    owner, number = account_id
    if not 0 <= number <= NUMBER_MAX:
        raise InvalidAccount(f"account number {number} must lie within [0, {NUMBER_MAX}]")
    return owner.encode() + b"\x00" + bytes((number,))


def decode_account_id(key: bytes) -> AccountId:
    """The account that encode_account_id wrote."""
    return AccountId(Address(key[:-2].decode()), key[-1])
