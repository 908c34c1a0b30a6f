"""Equity, requirements and the Global Margin Ratio under standard margin (systems rows 1, 6, 9,
13).

All money is uusd. Credit rounds down, requirements round up, states are decided by
cross-multiplication.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from chain.risk.haircut import compute_latency_premium_ppm
from chain.risk.ramp import compute_between
from chain.units import (
    PPM,
    WAD,
    ceil_div,
    clamp,
    floor_div,
    mul_div_floor,
    mul_ppm_ceil,
    mul_ppm_floor,
)

INITIAL_VOLATILITY_NUMERATOR = 5
INITIAL_VOLATILITY_DENOMINATOR = 4
"""Initial margin sees 1.25 times the volatility (row 13)."""


class MarginState(IntEnum):
    """Where an account's GMR = E / MMR stands; larger is worse. Numbers are those of the protobuf
    enum.
    """

    HEALTHY = 1
    """GMR at least 1.25."""
    MARGIN_CALL = 2
    """Below 1.25: no new credit."""
    REDUCE_ONLY = 3
    """Below 1.10."""
    LIQUIDATE = 4
    """Below 1.00."""
    BACKSTOP = 5
    """Below 2/3."""
    BANKRUPT = 6
    """Equity below zero."""


_THRESHOLDS = (
    # (state, numerator, denominator): the state holds when E·denominator < MMR·numerator.
    (MarginState.BACKSTOP, 2, 3),
    (MarginState.LIQUIDATE, 1, 1),
    (MarginState.REDUCE_ONLY, 11, 10),
    (MarginState.MARGIN_CALL, 5, 4),
)


def compute_margin_state(equity_uusd: int, maintenance_uusd: int) -> MarginState:
    """The state of an account; a requirement of zero is healthy exactly when equity is not
    negative.
    """
    assert maintenance_uusd >= 0
    if equity_uusd < 0:
        return MarginState.BANKRUPT
    for state, numerator, denominator in _THRESHOLDS:
        if equity_uusd * denominator < maintenance_uusd * numerator:
            return state
    return MarginState.HEALTHY


def compute_gmr_ppm(equity_uusd: int, maintenance_uusd: int) -> int | None:
    """floor(E / MMR) in ppm, for display only; None when the requirement is zero."""
    if maintenance_uusd == 0:
        return None
    return mul_div_floor(equity_uusd, PPM, maintenance_uusd)


@dataclass(frozen=True, slots=True)
class TermsRamp:
    """What a market asked before a change that ramps in: mmf and L by its terms of then, ppm.

    Times are in seconds. Rises reach existing positions in a straight line, falls at once.
    """

    maintenance_before_ppm: int
    maintenance_after_ppm: int
    latency_before_ppm: int
    now_s: int
    start_s: int
    end_s: int

    def compute_reading(self, before_ppm: int, after_ppm: int) -> int:
        """Where a rate is now."""
        return compute_between(before_ppm, after_ppm, self.now_s, self.start_s, self.end_s)


@dataclass(frozen=True, slots=True)
class LinearTerms:
    """What the requirement of a linear position needs to know of its market (row 13).

    `maintenance_ppm` and `initial_ppm` are mmf and imf, the latter after open-interest scaling;
    `volatility_wad` is max(sigma_measured, sigma_floor), annual; `delta_t_s` the horizon in market
    seconds. `maintenance_ppm` and `latency_ppm` are where `ramp` has brought them, when there is
    one. `volatility_initial_wad` is what new risk sees, None when it is the same.
    """

    maintenance_ppm: int
    initial_ppm: int
    volatility_wad: int
    delta_t_s: int
    ramp: TermsRamp | None = None
    volatility_initial_wad: int | None = None

    @property
    def latency_target_ppm(self) -> int:
        """L(sigma, δt), once nothing ramps in any more."""
        return compute_latency_premium_ppm(self.volatility_wad, self.delta_t_s)

    @property
    def latency_ppm(self) -> int:
        """L(sigma, δt) of the maintenance requirement now."""
        target_ppm = self.latency_target_ppm
        if self.ramp is None:
            return target_ppm
        return self.ramp.compute_reading(self.ramp.latency_before_ppm, target_ppm)

    @property
    def latency_initial_ppm(self) -> int:
        """L(1.25·sigma, δt) of the initial requirement."""
        seen_wad = self.volatility_initial_wad or self.volatility_wad
        volatility = ceil_div(
            seen_wad * INITIAL_VOLATILITY_NUMERATOR, INITIAL_VOLATILITY_DENOMINATOR
        )
        return compute_latency_premium_ppm(volatility, self.delta_t_s)


def compute_requirement_uusd(value_uusd: int, rate_ppm: int, latency_ppm: int) -> int:
    """ceil(|V|·rate) + ceil(|V|·L), the requirement of a linear position of value V (row 13)."""
    magnitude = abs(value_uusd)
    return mul_ppm_ceil(magnitude, rate_ppm) + mul_ppm_ceil(magnitude, latency_ppm)


NO_LINEAR_TERMS: Final = LinearTerms(0, 0, 0, 0)
"""Of spot and options: they are asked by underlying."""


def compute_scaled_initial_ppm(base_ppm: int, open_interest: int, lower: int, upper: int) -> int:
    """The rate base + (1 - base)·(OI - lower)/(upper - lower), clamped to [base, 1] (row 13).

    The ratio is floored to ppm and the margin ceiled. lower = upper switches scaling off.
    """
    if upper <= lower:
        return base_ppm
    ratio_ppm = mul_div_floor(open_interest - lower, PPM, upper - lower)
    return clamp(base_ppm + mul_ppm_ceil(PPM - base_ppm, ratio_ppm), base_ppm, PPM)


@dataclass(frozen=True, slots=True)
class OrderRisk:
    """One resting order against the mark: signed size in quantums and what it pays or receives.

    `notional_uusd` is size·price (positive), `value_uusd` floor for a buy and ceil for a sell of
    the size at the mark, `fee_uusd` the fee if all of it fills.
    """

    size_quantums: int
    notional_uusd: int
    value_uusd: int
    fee_uusd: int


@dataclass(frozen=True, slots=True)
class OpenOrderRisk:
    """The worst that resting orders of one market can do (row 9).

    `worst_size_quantums` is the largest magnitude the position can reach; `loss_uusd` what is lost
    against the mark and paid in fees if every order fills.
    """

    worst_size_quantums: int
    loss_uusd: int


def compute_open_order_risk(size_quantums: int, orders: Sequence[OrderRisk]) -> OpenOrderRisk:
    """An upper bound over every subset of orders that may fill.

    The requirement grows with |size|, which is largest with all buys or all sells filled; each
    order's loss counts alone, so that a good order never pays for a bad one.
    """
    if not orders:
        return OpenOrderRisk(abs(size_quantums), 0)
    bought = sum(order.size_quantums for order in orders if order.size_quantums > 0)
    sold = -sum(order.size_quantums for order in orders if order.size_quantums < 0)
    loss = 0
    for order in orders:
        if order.size_quantums > 0:
            against_mark = order.notional_uusd - order.value_uusd
        else:
            against_mark = order.value_uusd - order.notional_uusd
        loss += max(0, against_mark) + order.fee_uusd
    worst = max(abs(size_quantums), abs(size_quantums + bought), abs(size_quantums - sold))
    return OpenOrderRisk(worst, loss)


def compute_initial_profit_uusd(unrealised_uusd: int, profit_ppm: int) -> int:
    """Unrealised PnL as initial margin counts it: a share of a profit, all of a loss (row 9)."""
    if unrealised_uusd <= 0:
        return unrealised_uusd
    return mul_ppm_floor(unrealised_uusd, profit_ppm)


def compute_shortfall_uusd(equity_uusd: int, requirement_uusd: int, ratio: tuple[int, int]) -> int:
    """The least addition to equity that lifts E / requirement to numerator / denominator; 0 when
    there.
    """
    numerator, denominator = ratio
    return max(0, ceil_div(requirement_uusd * numerator, denominator) - equity_uusd)


def compute_better_deposit_uusd(equity_uusd: int, maintenance_uusd: int) -> int:
    """The least addition to equity that makes the state better by a step or more; 0 when healthy.

    Cash adds to equity exactly what it is and changes no requirement.
    """
    state = compute_margin_state(equity_uusd, maintenance_uusd)
    if state is MarginState.BANKRUPT:
        return -equity_uusd
    for left, numerator, denominator in _THRESHOLDS:
        if state is left:
            return compute_shortfall_uusd(equity_uusd, maintenance_uusd, (numerator, denominator))
    return 0


def compare_ratios(left: tuple[int, int], right: tuple[int, int]) -> int:
    """Below, at or above 0 as the first (E, MMR) is worse than, like or better than the second.

    By cross-multiplication; without a requirement an account is worse than all others when its
    equity is below zero, and better than all others otherwise.
    """
    sides = []
    for equity_uusd, maintenance_uusd in (left, right):
        sign = 0 if maintenance_uusd else (-1 if equity_uusd < 0 else 1)
        sides.append((sign, equity_uusd, maintenance_uusd))
    (left_sign, left_equity, left_asked), (right_sign, right_equity, right_asked) = sides
    if left_sign != right_sign:
        return left_sign - right_sign
    if left_sign:
        return left_equity - right_equity
    return left_equity * right_asked - right_equity * left_asked


def compute_position_value_uusd(size_quantums: int, price_wad: int, quantum_decimals: int) -> int:
    """The value floor(size·P) in uusd, signed; floored toward minus infinity, so never in the
    holder's favour.
    """
    return floor_div(size_quantums * price_wad, 10 ** (quantum_decimals + 12))


def compute_position_magnitude_uusd(
    size_quantums: int, price_wad: int, quantum_decimals: int
) -> int:
    """|size|·P in uusd rounded up: what requirements are charged on."""
    return ceil_div(abs(size_quantums) * price_wad, 10 ** (quantum_decimals + 12))


def compute_funding_owed_uusd(size_quantums: int, index_wad: int, settled_index_wad: int) -> int:
    """What the position owes since it last settled (negative: is owed), rounded up."""
    return ceil_div(size_quantums * (index_wad - settled_index_wad), WAD)
