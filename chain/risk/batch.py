"""Re-margining of many accounts at once: `risk_table.compute_span` by int64 matrices.

This is the one file of consensus code that uses numpy, and only its int64 arrays: sums, products,
shifts and comparisons of integers, the same on every machine and in every order as long as nothing
wraps. int64 wraps silently, so each account is range-checked before: with every magnitude within
its instrument's limit no intermediate reaches 2^62. An account over a limit, or a table whose
ratios do not fit, is computed by `compute_span` in Python ints. Either way gives the same answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from chain.risk.risk_table import LINEAR, InstrumentRow, RiskTable, compute_span
from chain.units import ceil_div

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
RATIO_BITS_MAX: Final = 30
"""Ratios of a table that fits are at 2^RATIO_BITS_MAX or a smaller power of two."""
_MAGNITUDE_LIMIT: Final = 1 << 58
"""What the instruments of an account may sum to; the rule adds up at most eight such sums."""
_CHUNK: Final = 1_024
_INT64_LIMIT: Final = 1 << 63


class AccountMatrix:
    """The amounts of many accounts in the instruments of one table, kept as int64.

    In blocks of instruments by accounts, as the kernel reads them. Accounts change one at a time as
    they trade. One with an amount beyond int64 is kept aside in Python ints.
    """

    def __init__(self, instruments: int, capacity: int = _CHUNK) -> None:
        count = ceil_div(max(1, capacity), _CHUNK)
        self._blocks: Matrix = np.zeros((count, instruments, _CHUNK), dtype=np.int64)
        self._large: dict[int, tuple[int, ...]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, amounts: Sequence[int]) -> int:
        """Add an account; its row number."""
        if self._count == len(self._blocks) * _CHUNK:
            self._blocks = np.concatenate((self._blocks, np.zeros_like(self._blocks)))
        self._count += 1
        self.set_amounts(self._count - 1, amounts)
        return self._count - 1

    def set_amounts(self, row: int, amounts: Sequence[int]) -> None:
        """Replace an account's amounts."""
        assert 0 <= row < self._count, f"row {row} of {self._count}"
        assert len(amounts) == self._blocks.shape[1], "one amount an instrument"
        block, place = divmod(row, _CHUNK)
        if any(abs(amount) >= _INT64_LIMIT for amount in amounts):
            self._large[row] = tuple(amounts)
            self._blocks[block, :, place] = 0
        else:
            self._large.pop(row, None)
            self._blocks[block, :, place] = amounts

    def get_amounts(self, row: int) -> tuple[int, ...]:
        """An account's amounts as Python ints."""
        assert 0 <= row < self._count, f"row {row} of {self._count}"
        block, place = divmod(row, _CHUNK)
        return self._large.get(row) or tuple(self._blocks[block, :, place].tolist())

    def iterate_blocks(self) -> Iterator[tuple[int, Matrix]]:
        """(first row, instruments by accounts) of each block; those kept aside read zero."""
        for block, start in enumerate(range(0, self._count, _CHUNK)):
            yield start, self._blocks[block, :, : self._count - start]

    @property
    def bytes_held(self) -> int:
        """Bytes of all blocks."""
        return self._blocks.nbytes

    @property
    def large_rows(self) -> list[int]:
        """The rows kept aside, ascending."""
        return sorted(self._large)


@dataclass(frozen=True)
class _Expiry:
    columns: "slice | Matrix"
    marks: Matrix
    shocked: Matrix
    basis: Matrix
    discount: int
    basis_factor: int
    futures: "slice | Matrix"
    future_moves: Matrix


class _Kernel:
    """A table as matrices: built once a table, applied to every chunk of accounts."""

    def __init__(self, table: RiskTable) -> None:
        self.table = table
        self.bits = table.ratio_scale.bit_length() - 1
        self.mask = table.ratio_scale - 1
        rows = table.instruments
        linear = [index for index, row in enumerate(rows) if row.expiry == LINEAR]
        self.linear = _select(linear)
        self.linear_moves = _transpose(
            [[price - rows[i].mark_price for price in rows[i].shocked_prices] for i in linear],
            len(table.weights),
        )
        self.linear_static = np.array([rows[i].static_price for i in linear], dtype=np.int64)
        self.expiries = [self._build_expiry(index) for index in range(len(table.discounts))]
        self.dollar_deltas = np.array([row.dollar_delta for row in rows], dtype=np.int64)
        self.weights = np.array(table.weights, dtype=np.int64)
        # Written again by each chunk: new pages for every step cost more than the step.
        self._workspace = np.empty((3, len(table.weights), _CHUNK), dtype=np.int64)
        self._magnitudes = np.empty((len(rows), _CHUNK), dtype=np.int64)
        self._build_strikes()

    def _build_expiry(self, expiry: int) -> _Expiry:
        rows = self.table.instruments
        columns = [index for index, row in enumerate(rows) if row.expiry == expiry]
        futures = [
            index
            for index, row in enumerate(rows)
            if row.expiry == LINEAR and row.basis_expiry == expiry
        ]
        return _Expiry(
            _select(columns),
            np.array([rows[i].mark_price for i in columns], dtype=np.int64),
            _transpose([list(rows[i].shocked_prices) for i in columns], len(self.table.weights)),
            _transpose([list(rows[i].basis_prices) for i in columns], 2),
            self.table.discounts[expiry],
            self.table.basis_factors[expiry],
            _select(futures),
            _transpose(
                [[price - rows[i].mark_price for price in rows[i].basis_prices] for i in futures],
                2,
            ),
        )

    def _build_strikes(self) -> None:
        """The options of each strike: a short is naked as far as their sum is below zero."""
        found: dict[tuple[int, int], list[int]] = {}
        for index, row in enumerate(self.table.instruments):
            if row.expiry != LINEAR and row.static_price:
                found.setdefault((row.expiry, row.strike), []).append(index)
        rows = self.table.instruments
        groups = list(found.values())
        widest = max(map(len, groups), default=0)
        # layers[k]: the strikes with a k-th option; sorted so that they are the first ones.
        groups.sort(key=len, reverse=True)
        self.strike_layers = [
            np.array([group[k] for group in groups if len(group) > k], dtype=np.int64)
            for k in range(widest)
        ]
        self.strike_prices = np.array(
            [rows[group[0]].static_price for group in groups], dtype=np.int64
        )

    def multiply_ratio(self, values: Matrix, ratio: int | Matrix, scratch: Matrix) -> Matrix:
        """floor(values·ratio / scale) for ratios of at most one, in place, without leaving int64.

        `scratch` has the shape of the values and is overwritten.
        """
        high = np.right_shift(values, self.bits, out=scratch)
        high *= ratio
        values &= self.mask
        values *= ratio
        values >>= self.bits
        values += high
        return values

    def compute_min_spans(self, amounts: Matrix) -> Matrix:
        """min_span of each account of a chunk, given as instruments by accounts.

        Accounts stand along the contiguous axis, so that every step runs over long rows.
        """
        count = amounts.shape[1]
        results, values, positive = self._workspace[:, :, :count]
        np.einsum("kj,jn->kn", self.linear_moves, amounts[self.linear], out=results)
        basis = np.zeros(count, dtype=np.int64)
        marks = np.zeros(count, dtype=np.int64)
        for expiry in self.expiries:
            held = amounts[expiry.columns]
            mark = np.einsum("j,jn->n", expiry.marks, held)
            np.einsum("kj,jn->kn", expiry.shocked, held, out=values)
            if expiry.discount < self.table.ratio_scale:
                np.maximum(values, 0, out=positive)
                values -= positive
                results += values
                results += self.multiply_ratio(positive, expiry.discount, values)
            else:
                results += values
            marks += mark
            if expiry.basis_factor:
                sides = np.einsum("kj,jn->kn", expiry.basis, held)
                if expiry.future_moves.size:
                    sides += np.einsum("kj,jn->kn", expiry.future_moves, amounts[expiry.futures])
                moves = sides.min(axis=0)
                moves -= mark
                np.minimum(moves, 0, out=moves)
                basis += self.multiply_ratio(moves, expiry.basis_factor, np.empty_like(moves))
        results -= marks
        if (self.weights < self.table.ratio_scale).any():
            self.multiply_ratio(results, self.weights[:, None], values)
        least: Matrix = np.minimum(results.min(axis=0), basis)
        magnitudes = np.abs(amounts, out=self._magnitudes[:, :count])
        if self.table.net_delta_ratio or self.table.hedged_delta_ratio:
            np.minimum(least, -self._compute_delta_charges(amounts, magnitudes), out=least)
        else:
            np.minimum(least, 0, out=least)
        least -= self._compute_static_charges(amounts, magnitudes)
        return least

    def _compute_delta_charges(self, amounts: Matrix, magnitudes: Matrix) -> Matrix:
        table = self.table
        net = np.abs(np.einsum("j,jn->n", self.dollar_deltas, amounts))
        gross = np.einsum("j,jn->n", np.abs(self.dollar_deltas), magnitudes)
        # The exact ceiling of a sum of two products: high parts, then the low ones together.
        hedged = gross - net
        low = (net & self.mask) * table.net_delta_ratio
        low += (hedged & self.mask) * table.hedged_delta_ratio
        high = (net >> self.bits) * table.net_delta_ratio
        high += (hedged >> self.bits) * table.hedged_delta_ratio
        charges: Matrix = high - (-low >> self.bits)
        return charges

    def _compute_static_charges(self, amounts: Matrix, magnitudes: Matrix) -> Matrix:
        charges: Matrix = np.einsum("j,jn->n", self.linear_static, magnitudes[self.linear])
        if self.strike_layers:
            first, *others = self.strike_layers
            net = amounts[first]
            for layer in others:
                net[: len(layer)] += amounts[layer]
            np.minimum(net, 0, out=net)
            charges -= np.einsum("j,jn->n", self.strike_prices, net)
        return charges


def _select(columns: list[int]) -> slice | Matrix:
    """An index of columns: a slice, which copies nothing, when they stand together."""
    if columns and columns == list(range(columns[0], columns[-1] + 1)):
        return slice(columns[0], columns[-1] + 1)
    return np.array(columns, dtype=np.int64)


def _transpose(prices: list[list[int]], width: int) -> Matrix:
    """Instruments by scenarios as scenarios by instruments, contiguous."""
    matrix = np.array(prices, dtype=np.int64).reshape(len(prices), width)
    return np.ascontiguousarray(matrix.T)


def _get_largest_price(row: InstrumentRow) -> int:
    prices = (row.mark_price, *row.shocked_prices, *row.basis_prices)
    return max(abs(price) for price in (*prices, row.static_price, row.dollar_delta))


def _compute_limits(table: RiskTable) -> list[int] | None:
    """The magnitude below which each instrument's amounts cannot overflow; None: none can fit."""
    scale = table.ratio_scale
    ratios = (*table.weights, *table.discounts, *table.basis_factors)
    deltas = (table.net_delta_ratio, table.hedged_delta_ratio)
    if scale & (scale - 1) or scale > 1 << RATIO_BITS_MAX:
        return None
    if any(not 0 <= ratio <= scale for ratio in (*ratios, *deltas)):
        return None
    if not table.instruments or any(
        _get_largest_price(row) >= _MAGNITUDE_LIMIT for row in table.instruments
    ):
        return None
    share = _MAGNITUDE_LIMIT // len(table.instruments)
    return [share // max(1, _get_largest_price(row)) for row in table.instruments]


def compute_min_spans(table: RiskTable, accounts: AccountMatrix) -> list[int]:
    """min_span of every account in the table's money, as `compute_span` gives it one by one."""
    limits = _compute_limits(table)
    count = len(accounts)
    if limits is None:
        return [compute_span(table, accounts.get_amounts(i)).min_span for i in range(count)]
    bounds = np.array(limits, dtype=np.int64)
    kernel = _Kernel(table)
    spans = np.empty(count, dtype=np.int64)
    alone = accounts.large_rows
    for start, block in accounts.iterate_blocks():
        amounts = block
        # abs() of the least int64 is itself, negative: compare both ends instead.
        if (block.max(axis=1) > bounds).any() or (block.min(axis=1) < -bounds).any():
            limits_of_rows = bounds[:, None]
            wide = np.flatnonzero(
                ((block > limits_of_rows) | (block < -limits_of_rows)).any(axis=0)
            )
            alone += [start + int(index) for index in wide]
            amounts = block.copy()
            amounts[:, wide] = 0
        spans[start : start + amounts.shape[1]] = kernel.compute_min_spans(amounts)
    result: list[int] = spans.tolist()
    for index in alone:
        result[index] = compute_span(table, accounts.get_amounts(index)).min_span
    return result
