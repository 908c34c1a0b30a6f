from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from chain.risk.liquidation import (
    Ratio,
    compute_bankruptcy_adjustment,
    compute_bankruptcy_quote_uusd,
    compute_block_limit,
    compute_bonus_ppm,
    compute_expected_proceeds_uusd,
    compute_fillable_quote,
    compute_insurance_delta_uusd,
    compute_liquidation_fee_uusd,
    compute_reduce_size,
    compute_reduction_gain,
    compute_repay_uusd,
)
from chain.units import PPM, WAD

MONEY = st.integers(1, 10**15)


def reduce_size(**changes):
    """A position of 1,000 that asks 100, all of it closed at the mark for a fee."""
    fields = {
        "part": 1_000,
        "equity_uusd": 99,
        "requirement_uusd": 100,
        "requirement_freed": 100,
        "equity_change": 0,
        "target_ppm": 1_100_000,
    }
    case = {**fields, **changes}
    gain = compute_reduction_gain(
        equity_uusd=case["equity_uusd"],
        requirement_uusd=case["requirement_uusd"],
        equity_after_uusd=case["equity_uusd"] + case.pop("equity_change"),
        requirement_after_uusd=case["requirement_uusd"] - case.pop("requirement_freed"),
        target_ppm=case["target_ppm"],
    )
    return compute_reduce_size(**case, gain=gain)


def test_reduce_to_the_target():
    assert reduce_size() == 100
    assert reduce_size(part=30, requirement_freed=3) == 30
    assert reduce_size(equity_uusd=110) == 0
    assert reduce_size(equity_uusd=-5) == 1_000
    # A fee of 1 % of 1,000 costs a share x of the position 10·x: 11 / (110 - 10) of it.
    assert reduce_size(equity_change=-10) == 110
    # It eats what the closing frees: no size reaches the target.
    assert reduce_size(equity_change=-110) == 1_000
    # A short option closed at its mark of 50 takes that from equity, and 50 + 20 of what is asked.
    assert reduce_size(equity_change=-50, requirement_freed=70) == 408
    # Base sold brings what its factor did not count.
    assert reduce_size(equity_change=20, requirement_freed=0) == 550


@given(MONEY, MONEY, st.integers(1, 10**9), st.integers(-(10**15), 10**15))
def test_the_reduction_reaches_the_target_and_no_unit_less_does(equity, requirement, size, change):
    found = reduce_size(
        part=size,
        equity_uusd=equity,
        requirement_uusd=requirement,
        requirement_freed=requirement,
        equity_change=change,
    )

    def gmr_reached(closed):
        rest = Fraction(requirement * (size - closed), size)
        return (equity + Fraction(change * closed, size)) * PPM >= rest * 1_100_000

    assert gmr_reached(found) or found == size
    assert found == 0 or not gmr_reached(found - 1)


def test_a_block_closes_a_share_but_at_least_one():
    assert compute_block_limit(1_000, 100_000) == 100
    assert compute_block_limit(3, 100_000) == 1


def bonus(weighted, debt=100):
    return compute_bonus_ppm(
        weighted_uusd=weighted,
        debt_uusd=debt,
        bonus_max_ppm=1_100_000,
        factor_ppm=500_000,
        health_full_bonus_ppm=900_000,
    )


def test_the_bonus_grows_from_its_least_at_health_one_to_its_most():
    assert bonus(100) == bonus(150) == 1_050_000
    assert bonus(95) == 1_075_000
    assert bonus(90) == bonus(10) == bonus(-50) == 1_100_000


def test_the_seizure_in_closed_form():
    # debt 100, h 0.95, t 1.25, bonus 1.05, weight 0.8: 100·0.30/(1.25 - 0.84) = 73.17…
    assert (
        compute_repay_uusd(
            debt_uusd=100_000_000,
            weighted_uusd=95_000_000,
            target_ppm=1_250_000,
            bonus_ppm=1_050_000,
            weight_ppm=800_000,
        )
        == 73_170_732
    )


def test_a_sale_that_cannot_help_repays_everything():
    fields = {"debt_uusd": 100, "weighted_uusd": 90, "bonus_ppm": 1_100_000, "weight_ppm": PPM}
    assert compute_repay_uusd(target_ppm=1_050_000, **fields) == 100
    assert compute_repay_uusd(target_ppm=1_050_000, **{**fields, "weighted_uusd": 105}) == 0


@given(MONEY, MONEY, st.integers(0, 900_000))
def test_after_the_repayment_health_is_at_the_target_or_all_is_repaid(debt, weighted, weight):
    target, bonus_ppm = 1_250_000, 1_100_000
    repay = compute_repay_uusd(
        debt_uusd=debt,
        weighted_uusd=weighted,
        target_ppm=target,
        bonus_ppm=bonus_ppm,
        weight_ppm=weight,
    )
    assert 0 <= repay <= debt
    if 0 < repay < debt:
        weighted_after = weighted - Fraction(repay * bonus_ppm * weight, PPM * PPM)
        assert weighted_after * PPM >= (debt - repay) * target


def test_expected_proceeds_fall_with_size_and_latency():
    fields = {"value_uusd": 10**9, "slippage_ppm": 100_000, "daily_volume_wad": 100 * WAD}
    small = compute_expected_proceeds_uusd(latency_ppm=0, quantity_wad=WAD, **fields)
    assert small == 10**9 * (PPM - 10_001) // PPM
    large = compute_expected_proceeds_uusd(latency_ppm=0, quantity_wad=4 * WAD, **fields)
    late = compute_expected_proceeds_uusd(latency_ppm=50_000, quantity_wad=WAD, **fields)
    assert large < small
    assert late == small - 50_000_000
    assert compute_expected_proceeds_uusd(latency_ppm=PPM, quantity_wad=WAD, **fields) == 0


def bankruptcy(notional_delta, requirement_delta, net_collateral, requirement):
    return compute_bankruptcy_quote_uusd(
        notional_delta_uusd=notional_delta,
        requirement_delta_uusd=requirement_delta,
        net_collateral_uusd=net_collateral,
        requirement_uusd=requirement,
    )


def test_bankruptcy_quotes_long_short_and_under_water():
    assert bankruptcy(-1_000, -50, 30, 50) == 970
    assert bankruptcy(1_000, -50, 30, 50) == -1_030
    assert bankruptcy(-1_000, -50, -30, 50) == 1_030
    # Half the position takes half the collateral, floored.
    assert bankruptcy(-500, -25, 31, 50) == 485


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**12), st.integers(-(10**12), 10**12))
def test_closing_all_at_bankruptcy_leaves_nothing(notional, requirement, net_collateral):
    quote = bankruptcy(-notional, -requirement, net_collateral, requirement)
    assert net_collateral - notional + quote == 0


def test_the_adjustment_is_clamped_and_exact():
    def adjust(net_collateral):
        ratio = compute_bankruptcy_adjustment(
            adjustment_ppm=PPM, net_collateral_uusd=net_collateral, requirement_uusd=300
        )
        return Fraction(ratio.numerator, ratio.denominator)

    assert adjust(400) == 0
    assert adjust(100) == Fraction(2, 3)
    assert adjust(-1) == 1


def test_the_fillable_quote_is_a_discount_for_longs_and_a_markup_for_shorts():
    fields = {
        "position_requirement_uusd": 50,
        "adjustment": Ratio(1, 3),
        "spread_ppm": 1_500_000,
    }
    assert compute_fillable_quote(position_notional_uusd=1_000, **fields).floor() == 975
    assert compute_fillable_quote(position_notional_uusd=-1_000, **fields).ceil() == -1_025


def test_a_fee_never_bankrupts_and_a_loss_pays_none():
    delta = compute_insurance_delta_uusd(990, 970)
    assert compute_liquidation_fee_uusd(990, 15_000, delta) == 15
    assert compute_liquidation_fee_uusd(990, 15_000, 4) == 4
    assert compute_liquidation_fee_uusd(-990, 15_000, 0) == 0
    assert compute_liquidation_fee_uusd(990, 15_000, -7) == 0
