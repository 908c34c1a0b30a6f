"""Correlation of underlyings that can lose in both directions."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.correlation import (
    CORNERS_FREE_MAX,
    compute_correlated_requirement,
    compute_reachable_requirement,
    compute_two_way_requirement,
)
from chain.units import PPM

magnitudes = st.integers(0, 10**12)


@st.composite
def books(draw, most=CORNERS_FREE_MAX + 2):
    """(matrix, losses, ends of orders, ranges): some assets lose one way, some both."""
    size = draw(st.integers(1, most))
    signs = [draw(st.sampled_from((1, -1))) for _ in range(size)]
    share = draw(st.integers(0, PPM))
    # Signs of one shared factor: rank one beside the diagonal, hence positive semi-definite.
    matrix = [
        [PPM if i == j else share * signs[i] * signs[j] for j in range(size)] for i in range(size)
    ]
    losses = [draw(st.integers(-(10**12), 10**12)) for _ in range(size)]
    ends = [(draw(st.integers(-(10**12), 10**12)),) for _ in range(size)]
    ranges = [
        draw(st.one_of(st.none(), st.tuples(magnitudes.map(lambda x: -x), magnitudes)))
        for _ in range(size)
    ]
    return matrix, losses, ends, ranges


@settings(max_examples=200, deadline=None)
@given(books(), st.data())
def test_no_direction_and_no_fill_passes_the_requirement(book, data):
    matrix, losses, ends, ranges = book
    asked = compute_two_way_requirement(matrix, losses, ends, ranges)
    chosen = [
        data.draw(st.integers(*both)) if both else data.draw(st.sampled_from((loss, *reached)))
        for loss, reached, both in zip(losses, ends, ranges, strict=True)
    ]
    # The root is rounded up to a unit on both sides.
    assert compute_correlated_requirement(matrix, chosen) <= asked + 1
    gross = sum(
        max(map(abs, both)) if both else max(abs(loss), abs(reached[0]))
        for loss, reached, both in zip(losses, ends, ranges, strict=True)
    )
    assert asked <= gross


@given(books(most=4))
def test_assets_of_one_direction_alone_are_asked_as_ever(book):
    matrix, losses, ends, _ = book
    none = [None] * len(losses)
    assert compute_two_way_requirement(matrix, losses, ends, none) == compute_reachable_requirement(
        matrix, losses, ends
    )


@settings(max_examples=50, deadline=None)
@given(books(most=CORNERS_FREE_MAX))
def test_few_ranges_are_asked_their_worst_corner_exactly(book):
    matrix, losses, _, ranges = book
    ends = [() for _ in losses]
    corners = [both or (loss,) for loss, both in zip(losses, ranges, strict=True)]
    worst = max(compute_correlated_requirement(matrix, corner) for corner in product(*corners))
    assert compute_two_way_requirement(matrix, losses, ends, ranges) == worst


@pytest.mark.parametrize(("rho_ppm", "asked"), [(PPM, 20), (0, 15), (-PPM, 20)])
def test_a_straddle_adds_to_what_moves_with_either_side(rho_ppm, asked):
    # 10 either way beside a long of 10: all of it at full correlation of either sign.
    matrix = [[PPM, rho_ppm], [rho_ppm, PPM]]
    assert compute_two_way_requirement(matrix, [10, 10], [(), ()], [(-10, 10), None]) == asked


def test_nothing_is_asked_for_nothing():
    assert compute_two_way_requirement([], [], [], []) == 0
    assert compute_two_way_requirement([[PPM]], [0], [()], [(0, 0)]) == 0
