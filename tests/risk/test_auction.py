import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from chain.risk.auction import (
    Curve,
    CurveKind,
    NothingToFill,
    RemainderIsDust,
    compute_fill,
    compute_owed_uusd,
    compute_price_ray,
    compute_ray_power,
    compute_top_price_ray,
    compute_unit_price_ray,
    is_reset_due,
)
from chain.units import RAY, WAD

STAIRS = Curve(CurveKind.STAIRS, 3_600_000, 300_000, cut_ray=99 * RAY // 100, step_ms=30_000)
LINEAR = Curve(CurveKind.LINEAR, 3_600_000, 300_000)
USD = 10**6


def test_the_power_is_rounded_down_once():
    assert compute_ray_power(99 * RAY // 100, 0) == RAY
    assert compute_ray_power(99 * RAY // 100, 2) == 9_801 * RAY // 10_000
    assert compute_ray_power(RAY // 3, 3) == (RAY // 3) ** 3 // RAY**2


@given(st.integers(0, RAY), st.integers(0, 50))
def test_the_power_never_rises(base, exponent):
    assert compute_ray_power(base, exponent + 1) <= compute_ray_power(base, exponent) <= RAY


def test_prices_of_an_atomic_unit():
    # 2,000 USD an ether: 2e9 uusd over 1e18 wei.
    assert compute_unit_price_ray(2_000 * WAD, 18) == 2 * 10**9 * RAY // 10**18
    assert compute_unit_price_ray(WAD, 6) == RAY
    assert compute_top_price_ray(RAY, 1_250_000) == 125 * RAY // 100
    assert compute_top_price_ray(1, 1_250_000) == 2


def test_stairs_fall_by_steps():
    top = 1_000 * RAY
    assert compute_price_ray(STAIRS, top, 0) == top
    assert compute_price_ray(STAIRS, top, 29_999) == top
    assert compute_price_ray(STAIRS, top, 30_000) == 990 * RAY
    assert compute_price_ray(STAIRS, top, 60_000) == 980_100 * RAY // 1_000
    assert compute_price_ray(STAIRS, top, 3_600_000) == 0


def test_the_line_falls_to_zero_at_its_tail():
    assert compute_price_ray(LINEAR, 1_000 * RAY, 900_000) == 750 * RAY
    assert compute_price_ray(LINEAR, 10, 1) == 9
    assert compute_price_ray(LINEAR, 1_000 * RAY, 3_600_000) == 0


def test_a_reset_is_due_when_too_old_or_too_low():
    assert not is_reset_due(LINEAR, RAY, 2_520_000)
    assert is_reset_due(LINEAR, RAY, 2_520_001)
    assert is_reset_due(STAIRS, RAY, 3_600_000)


def test_a_slice_owes_its_price_rounded_up():
    fill = compute_fill(lot=100, tab_uusd=1_000 * USD, price_ray=RAY // 3, wanted=10, dust_uusd=0)
    assert (fill.amount, fill.owed_uusd) == (10, 4)


def test_never_more_than_the_tab():
    fill = compute_fill(lot=100, tab_uusd=70, price_ray=3 * RAY, wanted=100, dust_uusd=0)
    assert (fill.amount, fill.owed_uusd, fill.lot_after, fill.tab_after_uusd) == (23, 70, 77, 0)


def test_a_remainder_that_would_be_dust_shrinks_the_slice():
    fill = compute_fill(lot=100, tab_uusd=100, price_ray=RAY, wanted=95, dust_uusd=20)
    assert (fill.amount, fill.owed_uusd, fill.tab_after_uusd) == (80, 80, 20)


@pytest.mark.parametrize("tab", [20, 19])
def test_dust_is_taken_whole_or_not_at_all(tab):
    with pytest.raises(RemainderIsDust):
        compute_fill(lot=100, tab_uusd=tab, price_ray=RAY, wanted=5, dust_uusd=20)
    whole = compute_fill(lot=100, tab_uusd=tab, price_ray=RAY, wanted=100, dust_uusd=20)
    assert whole.tab_after_uusd == 0


def test_the_last_of_a_lot_may_leave_any_tab():
    fill = compute_fill(lot=5, tab_uusd=20, price_ray=RAY, wanted=5, dust_uusd=20)
    assert (fill.lot_after, fill.tab_after_uusd) == (0, 15)


@pytest.mark.parametrize(("wanted", "price"), [(0, RAY), (-1, RAY), (5, 0), (1, 100 * RAY)])
def test_nothing_to_fill(wanted, price):
    with pytest.raises(NothingToFill):
        compute_fill(lot=100, tab_uusd=50, price_ray=price, wanted=wanted, dust_uusd=0)


@given(
    lot=st.integers(1, 10**24),
    tab=st.integers(1, 10**15),
    price=st.integers(1, 10**6 * RAY),
    wanted=st.integers(1, 10**24),
    dust=st.integers(0, 10**9),
)
def test_a_fill_conserves_lot_and_tab_and_is_never_below_the_price(lot, tab, price, wanted, dust):
    try:
        fill = compute_fill(lot=lot, tab_uusd=tab, price_ray=price, wanted=wanted, dust_uusd=dust)
    except (NothingToFill, RemainderIsDust):
        reject()
        raise
    assert fill.amount + fill.lot_after == lot
    assert fill.owed_uusd + fill.tab_after_uusd == tab
    assert 0 < fill.amount <= wanted
    assert fill.owed_uusd * RAY >= fill.amount * price
    assert fill.owed_uusd >= compute_owed_uusd(fill.amount, price)
    assert fill.lot_after == 0 or fill.tab_after_uusd == 0 or fill.tab_after_uusd >= min(dust, tab)
