"""Risk arrays and the scenario rule over them: an account is a dot product (systems row 14).

A table prices each instrument of one underlying once a scenario. What an account of given amounts
must hold then needs no option pricing. Units are the table's own: amounts in any integer quantum,
prices in any integer unit, money in their product; ratios (discounts, weights, percentages) are
ints at ratio_scale. The rule is exact in these units, whichever they are, so that one account
alone, a batch of all accounts and the calculator run the same rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chain.units import ceil_div

LINEAR: Final = -1
"""The expiry index of an instrument without option value: spot holdings, perpetuals, futures."""


@dataclass(frozen=True, slots=True)
class InstrumentRow:
    """One instrument priced under every scenario of its table.

    `shocked_prices` follow the table's scenarios; `basis_prices` are those at the basis spots, up
    and down. `static_price` is charged a unit of magnitude when the instrument is linear, a unit
    of naked short when it is an option. `dollar_delta` is delta times spot, a unit. A future is
    linear, and its moves at the basis spots count in the basis of `basis_expiry`.
    """

    expiry: int
    strike: int
    is_call: bool
    mark_price: int
    shocked_prices: tuple[int, ...]
    basis_prices: tuple[int, int]
    static_price: int
    dollar_delta: int
    basis_expiry: int = LINEAR


@dataclass(frozen=True, slots=True)
class RiskTable:
    """The instruments of one underlying, priced; the input of every account's requirement.

    `discounts` and `basis_factors` are ratios an expiry, `weights` a ratio a scenario.
    """

    instruments: tuple[InstrumentRow, ...]
    weights: tuple[int, ...]
    discounts: tuple[int, ...]
    basis_factors: tuple[int, ...]
    net_delta_ratio: int
    hedged_delta_ratio: int
    ratio_scale: int


@dataclass(frozen=True, slots=True)
class SpanResult:
    """What the scenarios take from an account, in the table's money; every loss is negative.

    `scenario_results` are weighted; `worst` indexes the least of them. `delta_charge` is the least
    requirement by deltas, positive. min_span = min(basis, worst, -delta charge) - static.
    """

    min_span: int
    basis: int
    static_charge: int
    delta_charge: int
    scenario_results: tuple[int, ...]
    worst: int
    expiry_marks: tuple[int, ...]


def compute_naked_short(call_amount: int, put_amount: int) -> int:
    """Unpaired short options of one strike, opposite signs netted first: max(0, -(call + put)).

    Two shorts add up, a short and a long net, two longs leave nothing.
    """
    return max(0, -(call_amount + put_amount))


def _compute_results(
    table: RiskTable,
    linear: Sequence[tuple[int, InstrumentRow]],
    by_expiry: Sequence[Sequence[tuple[int, InstrumentRow]]],
    marks: Sequence[int],
) -> list[int]:
    """The weighted result of each scenario; instrument by instrument, since arrays are by that."""
    scale = table.ratio_scale
    results = [0] * len(table.weights)
    for amount, row in linear:
        mark = amount * row.mark_price
        results = [
            result + amount * price - mark
            for result, price in zip(results, row.shocked_prices, strict=True)
        ]
    for legs, mark, discount in zip(by_expiry, marks, table.discounts, strict=True):
        if not legs:
            continue
        values = [0] * len(results)
        for amount, row in legs:
            values = [
                value + amount * price
                for value, price in zip(values, row.shocked_prices, strict=True)
            ]
        results = [
            result + (value * discount // scale if value > 0 else value) - mark
            for result, value in zip(results, values, strict=True)
        ]
    return [result * weight // scale for result, weight in zip(results, table.weights, strict=True)]


def _compute_basis(table: RiskTable, held: Sequence[tuple[int, InstrumentRow]]) -> int:
    """What each expiry, its future with its options, loses at the worse basis spot."""
    moves = [[0, 0] for _ in table.basis_factors]
    for amount, row in held:
        place = row.basis_expiry if row.expiry == LINEAR else row.expiry
        if place != LINEAR:
            for side in (0, 1):
                moves[place][side] += amount * (row.basis_prices[side] - row.mark_price)
    return sum(
        min(0, *sides) * factor // table.ratio_scale
        for sides, factor in zip(moves, table.basis_factors, strict=True)
    )


def compute_span(table: RiskTable, amounts: Sequence[int]) -> SpanResult:
    """The rule of row 14 on one account; amounts follow the table's instruments."""
    rows = table.instruments
    assert len(amounts) == len(rows)
    scale = table.ratio_scale
    held = [(amount, row) for amount, row in zip(amounts, rows, strict=True) if amount]
    by_expiry: list[list[tuple[int, InstrumentRow]]] = [[] for _ in table.discounts]
    linear: list[tuple[int, InstrumentRow]] = []
    for amount, row in held:
        (linear if row.expiry == LINEAR else by_expiry[row.expiry]).append((amount, row))
    marks = [sum(amount * row.mark_price for amount, row in legs) for legs in by_expiry]
    results = _compute_results(table, linear, by_expiry, marks)
    basis = _compute_basis(table, held)
    static = sum(abs(amount) * row.static_price for amount, row in linear)
    strikes: dict[tuple[int, int], list[int]] = {}
    for amount, row in held:
        if row.expiry != LINEAR:
            sides = strikes.setdefault((row.expiry, row.strike), [0, 0, row.static_price])
            sides[0 if row.is_call else 1] += amount
    for call_amount, put_amount, price in strikes.values():
        static += compute_naked_short(call_amount, put_amount) * price
    deltas = [amount * row.dollar_delta for amount, row in held]
    net, gross = abs(sum(deltas)), sum(map(abs, deltas))
    delta_charge = ceil_div(
        table.net_delta_ratio * net + table.hedged_delta_ratio * (gross - net), scale
    )
    worst = min(range(len(results)), key=results.__getitem__)
    return SpanResult(
        min(basis, results[worst], -delta_charge) - static,
        basis,
        static,
        delta_charge,
        tuple(results),
        worst,
        tuple(marks),
    )
