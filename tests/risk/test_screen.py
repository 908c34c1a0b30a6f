from fractions import Fraction
from functools import cmp_to_key

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.margin import MarginState, compute_margin_state
from chain.risk.screen import CONSTANT_LIMIT, LINES_MAX, AccountScreen, LineFactor
from chain.units import ceil_div

states = st.sampled_from(MarginState)
constants = st.integers(-(10**13), 10**13)


@st.composite
def factors(draw):
    denominator = draw(st.sampled_from((1, 10**6, 10**18, 10**30)))
    low = draw(st.integers(0, 3 * denominator))
    return LineFactor(
        equity_low=low,
        equity_high=low + draw(st.integers(0, denominator // 100)),
        equity_denominator=denominator,
        equity_sign=draw(st.sampled_from((1, -1))),
        equity_slack=draw(st.integers(0, 5)),
        requirement_low=draw(st.integers(0, denominator // 2)),
        requirement_high=draw(st.integers(denominator // 2, denominator)),
        requirement_denominator=denominator,
        requirement_slack=draw(st.integers(0, 5)),
    )


@st.composite
def worlds(draw):
    columns = draw(st.lists(factors(), min_size=1, max_size=4))
    line = st.tuples(
        st.integers(0, len(columns) - 1),
        st.one_of(st.integers(-(10**13), 10**13), st.integers(-(10**40), 10**40)).filter(bool),
    )
    account = st.tuples(constants, states, st.lists(line, max_size=4))
    return columns, draw(st.lists(account, min_size=1, max_size=12))


def fill(accounts):
    screen = AccountScreen()
    for constant, recorded, lines in accounts:
        screen.set_row(screen.add_row(), constant, recorded, lines)
    return screen


def compute_exact_bounds(columns, constant, lines):
    """The bounds in fractions: the least and the largest equity and requirement of the factors."""
    low = high = Fraction(constant)
    least = most = Fraction(0)
    for column, amount in lines:
        factor = columns[column]
        ends = [
            abs(amount) * Fraction(value, factor.equity_denominator)
            for value in (factor.equity_low, factor.equity_high)
        ]
        if amount * factor.equity_sign < 0:
            ends = [-ends[1], -ends[0]]
        low += ends[0] - factor.equity_slack
        high += ends[1] + factor.equity_slack
        least += abs(amount) * Fraction(factor.requirement_low, factor.requirement_denominator)
        most += abs(amount) * Fraction(factor.requirement_high, factor.requirement_denominator)
        most += factor.requirement_slack
    return low, high, least, most


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_bounds_hold_whatever_the_factors_allow(world):
    columns, accounts = world
    low, high, least, most, unknown = fill(accounts).compute_bounds(columns)
    for row, (constant, _, lines) in enumerate(accounts):
        if unknown[row]:
            continue
        exact = compute_exact_bounds(columns, constant, lines)
        assert low[row] <= exact[0]
        assert high[row] >= exact[1]
        assert least[row] <= exact[2]
        assert most[row] >= exact[3]
        # Tight, too: 2^-29 of each line's size, and a unit or two.
        slack = 4 * len(lines) + sum(
            abs(amount)
            * 5
            * (Fraction(columns[column].equity_high))
            / 2**29
            / columns[column].equity_denominator
            for column, amount in lines
        )
        assert exact[0] - low[row] <= slack + 1
        assert high[row] - exact[1] <= slack + 1


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_nobody_who_may_have_changed_is_missed(world):
    columns, accounts = world
    found = {candidate.row: candidate for candidate in fill(accounts).find_candidates(columns)}
    for row, (constant, recorded, lines) in enumerate(accounts):
        low, high, least, most = compute_exact_bounds(columns, constant, lines)
        for equity, required in ((low, most), (high, least), (low, least), (high, most)):
            state = compute_margin_state(int(equity // 1), max(0, ceil_div(*_ratio(required))))
            if state is not recorded:
                assert row in found
        if row in found and found[row].is_certain:
            worst = compute_margin_state(int(low // 1), ceil_div(*_ratio(most)))
            assert worst is not recorded


def _ratio(value):
    return value.numerator, value.denominator


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(1, 5))
def test_a_limit_keeps_the_first_of_the_order_and_what_ties(world, limit):
    columns, accounts = world
    screen = fill(accounts)

    def order(candidate):
        return not candidate.is_certain, candidate.ratio >> 2

    everyone = sorted(screen.find_candidates(columns), key=order)
    limited = screen.find_candidates(columns, limit)
    if len(everyone) <= limit:
        assert sorted(limited, key=order) == everyone
    else:
        last = order(everyone[limit - 1])
        assert {c.row for c in limited} == {c.row for c in everyone if order(c) <= last}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(constants, st.integers(1, 10**12)), min_size=2, max_size=10))
def test_candidates_order_by_equity_over_requirement(figures):
    # One line that is worth nothing and requires a given amount.
    columns = [LineFactor(0, 0, 1, requirement_low=1, requirement_high=1)]
    screen = AccountScreen()
    for equity, required in figures:
        screen.set_row(screen.add_row(), equity, MarginState.HEALTHY, [(0, required)])

    def compare(a, b):
        left, right = figures[a.row][0] * figures[b.row][1], figures[b.row][0] * figures[a.row][1]
        return (left > right) - (left < right)

    found = screen.find_candidates(columns)
    ordered = sorted(found, key=lambda candidate: candidate.ratio)
    exact = sorted(found, key=cmp_to_key(compare))
    for mine, theirs in zip(ordered, exact, strict=True):
        ratios = [Fraction(*figures[candidate.row]) for candidate in (mine, theirs)]
        # Amounts above 31 bits are rounded; the order may differ by as much.
        assert abs(ratios[0] - ratios[1]) <= abs(ratios[0]) / 2**28 + Fraction(1, 2**18)


@settings(max_examples=150, deadline=None)
@given(worlds(), worlds(), st.randoms(use_true_random=False))
def test_rows_that_changed_and_went_leave_no_trace(before, after, generator):
    columns, accounts = after
    screen = fill(before[1])
    rows = list(range(len(before[1])))
    generator.shuffle(rows)
    for row in rows:
        screen.remove_row(row)
    assert len(screen) == 0
    assert not screen.find_candidates([*before[0]])
    order = []
    for constant, recorded, lines in accounts:
        row = screen.add_row()
        screen.set_row(row, constant, MarginState.BANKRUPT, lines[:1])
        screen.set_row(row, constant, recorded, lines)
        order.append(row)
    fresh = fill(accounts)
    mine = [bound[order].tolist() for bound in screen.compute_bounds(columns)]
    assert mine == [bound.tolist() for bound in fresh.compute_bounds(columns)]


def test_what_does_not_fit_is_always_a_candidate():
    columns = [LineFactor(1, 1, 1), None, LineFactor(1, 1, 1, equity_slack=1 << 50)]
    cases = [
        (CONSTANT_LIMIT, []),
        (0, [(0, 1 << 60)]),
        (0, [(0, 1)] * (LINES_MAX + 1)),
        (0, [(1, 5)]),
        (0, [(2, 5)]),
    ]
    screen = fill([(constant, MarginState.HEALTHY, lines) for constant, lines in cases])
    screen.set_row(screen.add_row(), 5, MarginState.HEALTHY, [(0, 5)])
    found = screen.find_candidates(columns)
    assert [candidate.row for candidate in found] == [0, 1, 2, 3, 4]
    assert not any(candidate.is_certain for candidate in found)


def test_a_line_without_an_amount_is_refused():
    screen = AccountScreen()
    with pytest.raises(AssertionError, match="amount"):
        screen.set_row(screen.add_row(), 0, MarginState.HEALTHY, [(0, 0)])
