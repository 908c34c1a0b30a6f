"""Margin accounts as the chain's other modules see them: ids, liens, positions, statuses."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from chain.modules.accounts.errors import InvalidAccount
from chain.risk import standard
from chain.risk.haircut import HaircutFactors, LienValue
from chain.risk.margin import LinearTerms, MarginState
from chain.risk.netting import VenueMargin
from chain.risk.portfolio import ExpiryPosition, Portfolio, PortfolioMargin
from chain.runtime.address import decode_address
from chain.units import PPM, Address

if TYPE_CHECKING:
    # Markets read accounts: at run time these types cannot be had here.
    from chain.modules.markets.marks import Mark
    from chain.modules.markets.types import InstrumentKind
    from chain.modules.scenarios.types import UnderlyingRules

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


class MarginMode(IntEnum):
    """How an account's requirement is computed; the numbers are those of the protobuf enum."""

    STANDARD = 1
    """Each position by itself (row 13)."""
    PORTFOLIO = 2
    """By scenarios an underlying (row 14), correlated across underlyings (row 16)."""


@dataclass(slots=True)
class Position:
    """A position in a market: signed size in quantums and what was paid for it.

    Unrealised PnL = floor(value of size at the mark) - cost - funding owed since
    `funding_index_wad`. A position in a spot market is the asset itself: no cost, no debt.
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
    margin_mode: MarginMode = MarginMode.STANDARD

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
            self.margin_mode,
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


class Contract(NamedTuple):
    """What margin knows of a market's instrument; strike and expiry 0 where there is none."""

    kind: "InstrumentKind"
    quantum_decimals: int
    expiry_time_s: int = 0
    strike_wad: int = 0
    is_call: bool = False


class UnderlyingTerms(NamedTuple):
    """What margin knows of an underlying besides its positions, WAD.

    `is_portfolio`: priced by its scenario set; `rules` None without governed rules.
    `stable_wad` is the price of what it is quoted in, `previous_stable_wad` of what it was quoted
    in before a change that ramps in. `latency_wad` is L of the slowest route of the account's
    liens, which the discount of option value sees.
    """

    asset: str
    spot_wad: int
    rules: "UnderlyingRules | None"
    is_portfolio: bool
    stable_wad: int
    confidence_wad: int
    previous_stable_wad: int
    rate_wad: int = 0
    latency_wad: int = 0


@dataclass(frozen=True, slots=True)
class PositionMargin:
    """One market's contribution: the position, and its open orders at their worst.

    `price_wad` is the mark's; `bought_quantums` and `sold_quantums` are what orders that may add
    risk would fill. `equity_uusd` is what the position adds to E, `equity_initial_uusd`
    to E_initial before `order_loss_uusd` is taken off. `maintenance_uusd` and `initial_uusd` are
    what row 13 asks of a perpetual or future by itself, and 0 of spot and options, which are asked
    by underlying; `margin.attribute_requirements` replaces them by the position's part of the
    account's requirements.
    """

    market: str
    asset: str
    kind: "InstrumentKind"
    contract: Contract
    position: Position
    mark: "Mark"
    price_wad: int
    value_uusd: int
    funding_owed_uusd: int
    unrealised_uusd: int
    equity_uusd: int
    equity_initial_uusd: int
    terms: LinearTerms
    maintenance_uusd: int
    initial_uusd: int
    worst_size_quantums: int
    worst_notional_uusd: int
    order_loss_uusd: int
    bought_quantums: int = 0
    sold_quantums: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether its settlement price is final: what it is worth moves no more."""
        return self.mark.is_settled

    @property
    def uncounted_uusd(self) -> int:
        """What it is worth at its mark beyond what equity counts of it (negative: owes)."""
        worth = self.value_uusd - self.position.cost_uusd - self.funding_owed_uusd
        return worth - self.equity_uusd


@dataclass(frozen=True, slots=True)
class StandardUnderlying:
    """What row 15 asks of one underlying under standard margin: its options, and charges.

    `portfolio` is what is held, `portfolio_initial` what initial margin sees: options with every
    sell filled, the rest at its largest. The charges for a depegged stable and a doubtful price
    belong to initial margin. `maintenance_target_uusd` is what is asked once a ramp is over.
    """

    asset: str
    portfolio: Portfolio
    portfolio_initial: Portfolio
    margin: standard.UnderlyingMargin
    margin_initial: standard.UnderlyingMargin
    maintenance_uusd: int
    maintenance_target_uusd: int
    initial_uusd: int


@dataclass(frozen=True, slots=True)
class OrderCharge:
    """What initial margin asks for the open orders of one future or option, each by itself.

    The larger of all buys and all sells filled, alone: the rule is subadditive, so that with what
    is held it bounds every subset of fills. `position` holds the forward that they are priced from.
    """

    position: ExpiryPosition
    bought_wad: int
    sold_wad: int
    requirement_uusd: int


@dataclass(frozen=True, slots=True)
class UnderlyingMargin:
    """One underlying under portfolio margin, at the filled position; `margin` holds its scenarios.

    Losses are requirements in uusd signed by the direction that hurts (a falling price above zero),
    so that underlyings correlate. `low` and `high` are initial ones at the extremes that orders
    lead to. Perpetuals alone lose in one direction. Whatever else is held can lose both ways:
    then `is_two_way`, `loss_low_uusd` is what a rising price takes (at most zero), `loss_high_uusd`
    what a falling one does, and `loss_initial_low_uusd`, `loss_initial_high_uusd` likewise with
    orders at their worst.
    `maintenance_target_uusd` is what the set in force asks once its ramp is over.
    """

    asset: str
    preset: str
    portfolio: Portfolio
    amount_low_wad: int
    amount_high_wad: int
    margin: PortfolioMargin
    loss_uusd: int
    loss_initial_uusd: int
    loss_initial_low_uusd: int
    loss_initial_high_uusd: int
    maintenance_target_uusd: int
    is_two_way: bool = False
    loss_low_uusd: int = 0
    loss_high_uusd: int = 0
    base_low_wad: int = 0
    base_high_wad: int = 0
    order_charges: tuple[OrderCharge, ...] = ()
    equity_shift_uusd: int = 0


@dataclass(frozen=True, slots=True)
class PortfolioRequirement:
    """What portfolio margin asks of the underlyings that have a scenario set, before the tier.

    `correlation_ppm` is by `correlated_assets`; what is outside it is added in full.
    """

    maintenance_uusd: int
    initial_uusd: int
    underlyings: tuple[UnderlyingMargin, ...] = ()
    correlated_assets: tuple[str, ...] = ()
    correlation_ppm: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class UnitTerms:
    """What one whole unit of an instrument adds: to E exactly this (WAD, floored), and to MMR at
    most so much when it is held long, when it is held short (WAD, above zero).
    """

    equity_wad: int
    requirement_long_wad: int
    requirement_short_wad: int


@dataclass(frozen=True, slots=True)
class AccountMargin:
    """An account's equity against its requirements, uusd, with every factor.

    `equity_uusd` = collateral + cash + unrealised + base (+ venues). `unrealised_uusd` sums what
    perpetuals, futures and options add to equity, `base_uusd` what spot does. `equity_initial_uusd`
    counts only part of each profit and takes off what open orders may lose. `initial_uusd` is
    after the multiplier of the volatility tier. `state` is that of E / MMR. `standard` and
    `portfolio` tell how the requirement came about beside what row 13 asks of each position;
    `terms` are those of its underlyings.
    """

    cash_uusd: int
    collateral_uusd: int
    unrealised_uusd: int
    base_uusd: int
    equity_uusd: int
    equity_initial_uusd: int
    maintenance_uusd: int
    initial_uusd: int
    worst_notional_uusd: int
    state: MarginState
    liens: tuple[LienMargin, ...]
    positions: tuple[PositionMargin, ...]
    venues: VenueMargin | None = None
    mode: MarginMode = MarginMode.STANDARD
    multiplier_ppm: int = PPM
    portfolio: PortfolioRequirement | None = None
    standard: tuple[StandardUnderlying, ...] = ()
    terms: tuple[UnderlyingTerms, ...] = ()

    @property
    def excess_uusd(self) -> int:
        """Equity above the maintenance requirement (negative: below)."""
        return self.equity_uusd - self.maintenance_uusd

    @property
    def mark_equity_uusd(self) -> int:
        """Equity with every position in full at its mark, whatever the rules count of it."""
        return self.equity_uusd + sum(line.uncounted_uusd for line in self.positions)


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
