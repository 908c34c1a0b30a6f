"""Sizing of liquidations: how much to reduce or seize, and the prices at which positions may go.

Signs: a size or notional below zero is short; a quote is the cash the account receives (pays when
negative). Net collateral and requirements are uusd.
"""

from dataclasses import dataclass
from math import isqrt

from chain.units import PPM, ceil_div, clamp, mul_ppm_ceil


def compute_block_limit(opening_size: int, share_ppm: int) -> int:
    """The most of a position that one block may close: a share of its opening size, at least 1."""
    return max(1, opening_size * share_ppm // PPM)


def compute_reduction_gain(
    *,
    equity_uusd: int,
    requirement_uusd: int,
    equity_after_uusd: int,
    requirement_after_uusd: int,
    target_ppm: int,
) -> int:
    """By how much a reduction lessens what the ratio lacks to its target, in uusd·ppm.

    What it lacks is MMR·target - E·PPM; below zero the reduction takes the ratio further away.
    """
    before = requirement_uusd * target_ppm - equity_uusd * PPM
    return before - (requirement_after_uusd * target_ppm - equity_after_uusd * PPM)


def compute_reduce_size(
    *, part: int, equity_uusd: int, requirement_uusd: int, target_ppm: int, gain: int
) -> int:
    """The unsigned size, at most `part`, whose closing brings GMR to the target, rounded up.

    `gain` is what closing all of the part gains, so a share x of it gains at least x of that:
    exactly for linear positions, more for what is convex. Where the fee eats what the closing
    frees, no size reaches the target and the whole part is closed.
    """
    lacking = requirement_uusd * target_ppm - equity_uusd * PPM
    if lacking <= 0:
        return 0
    if gain <= 0:
        return part
    return min(part, ceil_div(part * lacking, gain))


def compute_bonus_ppm(
    *,
    weighted_uusd: int,
    debt_uusd: int,
    bonus_max_ppm: int,
    factor_ppm: int,
    health_full_bonus_ppm: int,
) -> int:
    """The buyer's bonus, rounded up: min + (max - min)·clamp((1 - h)/(1 - h_max), 0, 1).

    h = weighted/debt; min = 1 + (max - 1)·factor.
    """
    assert debt_uusd > 0, "no debt, no bonus"
    bonus_min_ppm = PPM + mul_ppm_ceil(bonus_max_ppm - PPM, factor_ppm)
    spread_ppm = max(0, bonus_max_ppm - bonus_min_ppm)
    shortfall = debt_uusd - weighted_uusd
    # (1 - h)/(1 - h_max) = shortfall·PPM / (debt·(PPM - h_max)).
    whole = debt_uusd * max(1, PPM - health_full_bonus_ppm)
    part = clamp(shortfall * PPM, 0, whole)
    return bonus_min_ppm + ceil_div(spread_ppm * part, whole)


def compute_repay_uusd(
    *, debt_uusd: int, weighted_uusd: int, target_ppm: int, bonus_ppm: int, weight_ppm: int
) -> int:
    """The debt to repay so that health reaches the target, rounded up and within [0, debt].

    debt·(t - h)/(t - bonus·(1 - H)), with weight = 1 - H of the collateral sold. Where a sale takes
    as much health as it gives, no size reaches the target and the whole debt is due.
    """
    excess = debt_uusd * target_ppm - weighted_uusd * PPM
    if excess <= 0:
        return 0
    gain = target_ppm * PPM - bonus_ppm * weight_ppm
    if gain <= 0:
        return debt_uusd
    return min(debt_uusd, ceil_div(excess * PPM, gain))


def compute_expected_proceeds_uusd(
    *,
    value_uusd: int,
    latency_ppm: int,
    slippage_ppm: int,
    quantity_wad: int,
    daily_volume_wad: int,
) -> int:
    """q·P·(1 - L - k·√(q/ADV)), rounded down and never below zero."""
    assert daily_volume_wad > 0, "a listing has a depth figure"
    root_ppm = isqrt(quantity_wad * PPM * PPM // daily_volume_wad) + 1
    kept_ppm = PPM - latency_ppm - mul_ppm_ceil(slippage_ppm, root_ppm)
    return value_uusd * max(0, kept_ppm) // PPM


def compute_bankruptcy_quote_uusd(
    *,
    notional_delta_uusd: int,
    requirement_delta_uusd: int,
    net_collateral_uusd: int,
    requirement_uusd: int,
) -> int:
    """The quote at which a fill leaves the account exactly as bankrupt as before, share for share.

    -ΔNNV - floor(TNC·|ΔMMR| / TMMR): closing all positions at it leaves net collateral zero.
    """
    assert requirement_uusd > 0, "an account with a position has a requirement"
    share = net_collateral_uusd * abs(requirement_delta_uusd) // requirement_uusd
    return -notional_delta_uusd - share


@dataclass(frozen=True, slots=True)
class Ratio:
    """An exact rational with a positive denominator."""

    numerator: int
    denominator: int

    def floor(self) -> int:
        """Rounded toward minus infinity."""
        return self.numerator // self.denominator

    def ceil(self) -> int:
        """Rounded toward plus infinity."""
        return ceil_div(self.numerator, self.denominator)


def compute_bankruptcy_adjustment(
    *, adjustment_ppm: int, net_collateral_uusd: int, requirement_uusd: int
) -> Ratio:
    """ABR = clamp(BA·(1 - TNC/TMMR), 0, 1), exact."""
    assert requirement_uusd > 0, "an account with a position has a requirement"
    denominator = PPM * requirement_uusd
    numerator = adjustment_ppm * (requirement_uusd - net_collateral_uusd)
    return Ratio(clamp(numerator, 0, denominator), denominator)


def compute_fillable_quote(
    *,
    position_notional_uusd: int,
    position_requirement_uusd: int,
    adjustment: Ratio,
    spread_ppm: int,
) -> Ratio:
    """PNNV - ABR·SMMR·PMMR, exact: the least a liquidation asks for the whole signed position.

    Divided by the signed size it is the fillable price; for a part of the position take that part.
    """
    denominator = adjustment.denominator * PPM
    numerator = (
        position_notional_uusd * denominator
        - adjustment.numerator * spread_ppm * position_requirement_uusd
    )
    return Ratio(numerator, denominator)


def compute_insurance_delta_uusd(fill_quote_uusd: int, bankruptcy_quote_uusd: int) -> int:
    """What a fill brought above the bankruptcy quote; below zero the fund pays it."""
    return fill_quote_uusd - bankruptcy_quote_uusd


def compute_liquidation_fee_uusd(fill_quote_uusd: int, fee_ppm: int, delta_uusd: int) -> int:
    """min(⌈|fill quote|·fee⌉, delta): a fee never bankrupts; a delta at or below zero pays none."""
    return max(0, min(mul_ppm_ceil(abs(fill_quote_uusd), fee_ppm), delta_uusd))
