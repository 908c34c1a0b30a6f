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


def test_two_ceilings_never_pass_that_of_the_whole():
    # Net and hedged are worth one and a half and half of a uusd: 2 and 1, of 2 in all.
    terms = replace(TERMS, maintenance_ppm=PPM, basis_ppm=PPM)
    legs = [VenuePosition(7, 0, 0, 0), VenuePosition(-1, 0, 0, 0)]
    result = compute_netting(legs, terms, WAD // 4, 6)
    assert (result.net, result.hedged, result.requirement_uusd) == (6, 2, 2)


@given(st.lists(venues, max_size=6), st.integers(1, 10**24), st.integers(0, 18))
def test_netting_never_asks_more_than_gross_and_ageing_never_less(positions, price, decimals):
    netted = compute_netting(positions, TERMS, price, decimals).requirement_uusd
    assert netted <= compute_siloed_uusd(positions, TERMS, price, decimals)
    older = [replace(p, report_age_s=10**6) for p in positions]
    assert compute_netting(older, TERMS, price, decimals).requirement_uusd >= netted
