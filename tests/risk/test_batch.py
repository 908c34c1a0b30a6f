from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.risk.batch import AccountMatrix, compute_min_spans
from chain.risk.risk_table import LINEAR, InstrumentRow, RiskTable, compute_span

SCALE = 1 << 30
ratios = st.one_of(st.just(SCALE), st.just(0), st.integers(0, SCALE))
prices = st.integers(0, 10**9)
amounts = st.one_of(
    st.just(0),
    st.integers(-(10**6), 10**6),
    st.integers(-(10**12), 10**12),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from(((1 << 63) - 1, -(1 << 63), 1 << 63)),
)


@st.composite
def tables(draw) -> RiskTable:
    scenarios = draw(st.integers(1, 5))
    expiries = draw(st.integers(0, 3))
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        expiry = draw(st.integers(LINEAR, expiries - 1))
        rows.append(
            InstrumentRow(
                expiry,
                draw(st.sampled_from((90, 100, 110))),
                draw(st.booleans()),
                draw(prices),
                tuple(draw(prices) for _ in range(scenarios)),
                (draw(prices), draw(prices)),
                draw(st.integers(0, 10**5)),
                draw(st.integers(-(10**9), 10**9)),
            )
        )
    # One static price a strike of an expiry, as tables are built.
    static = {}
    rows = [
        replace(row, static_price=static.setdefault((row.expiry, row.strike), row.static_price))
        if row.expiry != LINEAR
        else row
        for row in rows
    ]
    return RiskTable(
        tuple(rows),
        tuple(draw(ratios) for _ in range(scenarios)),
        tuple(draw(ratios) for _ in range(expiries)),
        tuple(draw(ratios) for _ in range(expiries)),
        draw(ratios),
        draw(ratios),
        SCALE,
    )


def fill(table: RiskTable, accounts) -> AccountMatrix:
    matrix = AccountMatrix(len(table.instruments), capacity=1)
    for account in accounts:
        matrix.append(account)
    return matrix


@settings(max_examples=150, deadline=None)
@given(st.data(), tables())
def test_batched_is_alone(data, table):
    width = len(table.instruments)
    accounts = data.draw(
        st.lists(st.lists(amounts, min_size=width, max_size=width), min_size=1, max_size=6)
    )
    matrix = fill(table, accounts)
    expected = [compute_span(table, account).min_span for account in accounts]
    assert compute_min_spans(table, matrix) == expected
    # Another order, another batch: the same answer for each.
    assert compute_min_spans(table, fill(table, accounts[::-1])) == expected[::-1]


ROW = InstrumentRow(LINEAR, 0, False, 1_000, (850, 1_150), (0, 0), 20, 1_000)  # noqa: FBT003
TABLE = RiskTable((ROW,), (SCALE, SCALE), (), (), 0, 0, SCALE)


def test_range_is_exact_up_to_its_limit_and_beyond():
    for amount in (1, 1 << 40, 1 << 47, 1 << 48, 1 << 55, (1 << 63) - 1, 1 << 63, 1 << 200):
        for signed in (amount, -amount):
            expected = -amount * 170
            assert compute_min_spans(TABLE, fill(TABLE, [[signed]])) == [expected]


def test_tables_that_do_not_fit_are_computed_in_python():
    for odd in (
        replace(TABLE, ratio_scale=10**9, weights=(10**9, 10**9)),
        replace(TABLE, ratio_scale=1 << 40, weights=(1 << 40, 1 << 40)),
        replace(TABLE, weights=(SCALE, 3 * SCALE)),
        replace(TABLE, instruments=(replace(ROW, shocked_prices=(1 << 90, 5)),)),
    ):
        matrix = fill(odd, [[3], [-7]])
        assert compute_min_spans(odd, matrix) == [
            compute_span(odd, [amount]).min_span for amount in (3, -7)
        ]


def test_rows_change_in_place():
    matrix = fill(TABLE, [[1], [2], [1 << 80]])
    assert matrix.get_amounts(2) == (1 << 80,)
    matrix.set_amounts(2, [3])
    matrix.set_amounts(0, [-(1 << 70)])
    assert [matrix.get_amounts(row) for row in range(3)] == [(-(1 << 70),), (2,), (3,)]
    assert compute_min_spans(TABLE, matrix) == [-(1 << 70) * 170, -340, -510]


def test_many_chunks():
    accounts = [[index - 1_500] for index in range(3_000)]
    expected = [-abs(amount) * 170 for (amount,) in accounts]
    assert compute_min_spans(TABLE, fill(TABLE, accounts)) == expected
