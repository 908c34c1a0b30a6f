from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.risk.netting import (
    NettingTerms,
    VenuePosition,
    compute_netting,
    compute_netting_share_ppm,
    compute_siloed_uusd,
)
from chain.units import PPM, UUSD, WAD

TERMS = NettingTerms(maintenance_ppm=50_000, basis_ppm=10_000, fresh_s=60, stale_s=120)
LONG = VenuePosition(10 * 10**8, latency_ppm=3_311, report_age_s=5, staleness_ppm=0)
SHORT = replace(LONG, size=-8 * 10**8)
PRICE = 50_000 * WAD

venues = st.builds(
    VenuePosition,
    st.integers(-(10**12), 10**12),
    st.integers(0, 100_000),
    st.integers(0, 200),
    st.integers(0, PPM),
)


def test_sample():
    result = compute_netting([LONG, SHORT], TERMS, PRICE, 8)
    assert result.requirement_uusd == 13_000 * UUSD
    assert (result.net, result.hedged) == (2 * 10**8, 16 * 10**8)
    assert compute_siloed_uusd([LONG, SHORT], TERMS, PRICE, 8) == 45_000 * UUSD


def test_slower_leg_sets_the_basis_charge():
    slow = replace(SHORT, latency_ppm=20_000)
    result = compute_netting([LONG, slow], TERMS, PRICE, 8)
    assert result.basis_ppm == 20_000
    assert result.requirement_uusd == (5_000 + 16_000) * UUSD


@pytest.mark.parametrize(
    ("age_s", "staleness_ppm", "share_ppm"),
    [
        (0, 0, PPM),
        (60, 0, PPM),
        (90, 0, 500_000),
        (120, 0, 0),
        (500, 0, 0),
        (0, PPM, 0),
        (0, 250_000, 750_000),
        (90, 500_000, 250_000),
    ],
)
def test_netting_ramps_out_with_age_and_off_normal(age_s, staleness_ppm, share_ppm):
    position = replace(SHORT, report_age_s=age_s, staleness_ppm=staleness_ppm)
    assert compute_netting_share_ppm(position, TERMS) == share_ppm


def test_what_may_not_net_stands_alone():
    result = compute_netting([LONG, replace(SHORT, staleness_ppm=PPM)], TERMS, PRICE, 8)
    assert result.hedged == 0
    assert result.requirement_uusd == 45_000 * UUSD


@given(st.lists(venues, max_size=6))
def test_netting_never_asks_more_than_gross_and_ageing_never_less(positions):
    netted = compute_netting(positions, TERMS, PRICE, 8).requirement_uusd
    # One rounding up against one a venue.
    assert netted <= compute_siloed_uusd(positions, TERMS, PRICE, 8) + 2
    older = [replace(p, report_age_s=10**6) for p in positions]
    assert compute_netting(older, TERMS, PRICE, 8).requirement_uusd >= netted - 1
