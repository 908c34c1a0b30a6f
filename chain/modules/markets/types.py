"""Markets, orders and fills as other modules see them."""

from dataclasses import dataclass
from enum import IntEnum

from chain.units import NANOSECONDS, floor_div


class Side(IntEnum):
    """Which side of the book; the numbers are those of the protobuf enum."""

    BUY = 1
    SELL = 2

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class TimeInForce(IntEnum):
    """How long an order lives; the numbers are those of the protobuf enum."""

    GOOD_TILL_CANCEL = 1
    IMMEDIATE_OR_CANCEL = 2
    POST_ONLY = 3


class InstrumentKind(IntEnum):
    """What a market trades; the numbers are those of the protobuf enum."""

    PERPETUAL = 1
    SPOT = 2
    FUTURE = 3
    OPTION = 4


class OptionKind(IntEnum):
    """The right an option gives; the numbers are those of the protobuf enum."""

    CALL = 1
    PUT = 2


class MarketStatus(IntEnum):
    """What a market accepts; the numbers are those of the protobuf enum."""

    ACTIVE = 1
    REDUCE_ONLY = 2


@dataclass(frozen=True, slots=True)
class Market:
    """A listed market, parsed; the protobuf Market tells what each parameter means.

    Prices are counted in ticks and sizes in steps, so that a fill of n steps at p ticks is worth
    exactly n·p·`unit_uusd`: no trade rounds, and buyer and seller book one number.
    """

    id: str
    asset: str
    status: MarketStatus
    quantum_decimals: int
    tick_wad: int
    step_quantums: int
    initial_ppm: int
    maintenance_ppm: int
    volatility_floor_wad: int
    horizon_s: int
    open_interest_lower_uusd: int
    open_interest_upper_uusd: int
    open_interest_max_uusd: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    funding_ppm_max: int
    price_band_ppm: int
    kind: InstrumentKind = InstrumentKind.PERPETUAL
    expiry_time_s: int = 0
    strike_wad: int = 0
    option_kind: OptionKind = OptionKind.CALL
    denom: str = ""
    settlement_window_s: int = 0

    @property
    def is_dated(self) -> bool:
        """Whether it expires."""
        return self.kind in (InstrumentKind.FUTURE, InstrumentKind.OPTION)

    def is_expired(self, time_ns: int) -> bool:
        """Whether its expiry has come: no order may trade it any more."""
        return self.is_dated and time_ns >= self.expiry_time_s * NANOSECONDS

    @property
    def unit_uusd(self) -> int:
        """The value of one step at one tick."""
        return floor_div(self.tick_wad * self.step_quantums, 10 ** (self.quantum_decimals + 12))

    def compute_notional_uusd(self, ticks: int, steps: int) -> int:
        """The exact value of steps at ticks."""
        return ticks * steps * self.unit_uusd


@dataclass(frozen=True, slots=True)
class MarketRamp:
    """The terms of a market before a change that ramps in, block seconds."""

    maintenance_ppm: int
    volatility_floor_wad: int
    horizon_s: int
    start_s: int
    end_s: int

    def is_running(self, time_s: int) -> bool:
        """Whether the terms before the change still count."""
        return time_s < self.end_s

    def compute_floor_wad(self, after_wad: int, time_s: int) -> int:
        """The volatility floor that options are marked at: a straight way up or down, since either
        hurts somebody.
        """
        if not self.is_running(time_s):
            return after_wad
        elapsed = max(0, time_s - self.start_s)
        moved = (after_wad - self.volatility_floor_wad) * elapsed
        return self.volatility_floor_wad + floor_div(moved, self.end_s - self.start_s)


@dataclass(slots=True)
class MarketState:
    """What changes in a market: open interest and funding."""

    open_interest_quantums: int = 0
    funding_index_wad: int = 0
    funding_time_ns: int = 0
    premium_sum_ppm: int = 0
    premium_samples: int = 0
    last_price_wad: int = 0


@dataclass(slots=True)
class RestingOrder:
    """An order in the book; `id` grows with time, so it is also the time priority."""

    id: int
    market: str
    side: Side
    ticks: int
    remaining_steps: int
    size_steps: int
    reduce_only: bool


@dataclass(slots=True)
class SettlementAverage:
    """The time-weighted price average of one asset's expiry; `price_wad` is 0 until it is final.

    `weighted_sum` is of price (WAD) times nanoseconds of block time, over `sampled_ns` of them.
    """

    weighted_sum: int = 0
    sampled_ns: int = 0
    sample_time_ns: int = 0
    price_wad: int = 0
