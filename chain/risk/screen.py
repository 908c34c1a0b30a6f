"""A screen over all accounts at risk: who may have changed state, by int64 bounds alone.

The exact margin of an account costs the better part of a millisecond; these bounds cost some tens
of nanoseconds. An account is lines (a signed amount of a position or lien) in columns, and a column
has one factor a block: what a unit adds to equity and to the requirement. Amounts and factors are
kept as 31-bit mantissas with exponents, rounded outward, so that a product fits in int64 and the
true equity and requirement lie within the bounds. Sums beyond the range are not computed: such an
account is always a candidate. Like `batch`, only int64 arrays: sums, products, shifts and
comparisons of integers, the same on every machine and in every order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from chain.risk.margin import MarginState

Row = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool]]
_MANTISSA_BITS: Final = 31
_LINE_LIMIT: Final = 1 << 48
"""The most uusd of one line: 256 of them and the constant stay below 2^58."""
CONSTANT_LIMIT: Final = 1 << 57
"""The magnitude below which an account's constant must lie."""
LINES_MAX: Final = 256
_SLACK_LIMIT: Final = 1 << 40
_FRACTION_BITS: Final = 20
_QUOTIENT_LIMIT: Final = 1 << 40
_CHUNK: Final = 1 << 15
_NO_RATIO: Final = 1 << 62
_TURN_FACTOR: Final = 0x9E37_79B9_7F4A_7C15
"""The golden ratio in 64 bits: its multiples spread over the range, turn by turn."""


@dataclass(frozen=True, slots=True)
class LineFactor:
    """What one unit of a column's amounts is worth, as rationals over positive denominators, uusd.

    `equity_low <= |equity| <= equity_high` over `equity_denominator`, with the sign of
    `equity_sign`; the requirement lies between its two figures likewise. `equity_slack` and
    `requirement_slack` are what the roundings of the exact rule may add or take, in whole uusd a
    line.
    """

    equity_low: int
    equity_high: int
    equity_denominator: int
    equity_sign: int = 1
    equity_slack: int = 0
    requirement_low: int = 0
    requirement_high: int = 0
    requirement_denominator: int = 1
    requirement_slack: int = 0


class Candidate(NamedTuple):
    """An account whose state may not be the recorded one.

    `is_certain`: the bounds prove that it changed. `ratio` is the lower bound of E / MMR,
    floored at 20 binary places; candidates order by it, the worst first. `is_turn`: uncertain, and
    it is its turn whatever its ratio.
    """

    row: int
    is_certain: bool
    ratio: int
    is_turn: bool = False


def _round_mantissa(numerator: int, denominator: int, *, is_up: bool) -> tuple[int, int]:
    """(m, g) with m·2^g next to the rational, m at most 2^31; not above it, or not below it."""
    if numerator == 0:
        return 0, 0
    exponent = numerator.bit_length() - denominator.bit_length() - _MANTISSA_BITS + 1
    if exponent < 0:
        numerator <<= -exponent
    else:
        denominator <<= exponent
    return (-(-numerator // denominator) if is_up else numerator // denominator), exponent


class _FactorTable:
    """The factors of all columns as int64 rows."""

    def __init__(self, factors: Sequence[LineFactor | None]) -> None:
        rows = []
        for factor in factors:
            if factor is None or max(factor.equity_slack, factor.requirement_slack) > _SLACK_LIMIT:
                rows.append((*(0,) * 11, 1))
                continue
            low, low_exponent = _round_mantissa(
                factor.equity_low, factor.equity_denominator, is_up=False
            )
            high, high_exponent = _round_mantissa(
                factor.equity_high, factor.equity_denominator, is_up=True
            )
            least, least_exponent = _round_mantissa(
                factor.requirement_low, factor.requirement_denominator, is_up=False
            )
            most, most_exponent = _round_mantissa(
                factor.requirement_high, factor.requirement_denominator, is_up=True
            )
            rows.append(
                (
                    *(low, _clamp_exponent(low_exponent), high, _clamp_exponent(high_exponent)),
                    *(factor.equity_sign, factor.equity_slack),
                    *(least, _clamp_exponent(least_exponent), most, _clamp_exponent(most_exponent)),
                    factor.requirement_slack,
                    0,
                )
            )
        matrix = np.array(rows, dtype=np.int64).reshape(len(rows), 12).T
        self.low, self.low_exponent, self.high, self.high_exponent = matrix[:4]
        self.sign, self.slack, self.least, self.least_exponent = matrix[4:8]
        self.most, self.most_exponent, self.requirement_slack, self.is_missing = matrix[8:]


def _clamp_exponent(exponent: int) -> int:
    return max(-(1 << 20), min(1 << 20, exponent))


def _scale(product: Row, exponent: Row, *, is_up: bool) -> tuple[Row, Mask]:
    """product·2^exponent, floored or ceiled, and whether it is beyond the range."""
    right = np.clip(-exponent, 0, 62)
    left = np.clip(exponent, 0, 62)
    scaled = -(-product >> right) if is_up else product >> right
    is_wide = scaled > (_LINE_LIMIT >> left)
    scaled[is_wide] = 0
    scaled <<= np.where(is_wide, 0, left)
    return scaled, is_wide


class AccountScreen:
    """All accounts at risk as lines of int64; rows change one at a time as accounts do."""

    def __init__(self) -> None:
        self._constants: Row = np.zeros(64, dtype=np.int64)
        self._states: Row = np.zeros(64, dtype=np.int64)  # 0: no account
        self._is_wide: Row = np.zeros(64, dtype=np.int64)
        self._free_rows: list[int] = []
        self._row_count = 0
        self._keys: Row = np.zeros(len(self._constants), dtype=np.int64)
        self._lines: Row = np.zeros((5, 256), dtype=np.int64)
        self._free_lines: list[int] = []
        self._line_count = 0
        self._slots: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def bytes_held(self) -> int:
        """Bytes of all arrays."""
        arrays = (self._constants, self._states, self._is_wide, self._keys, self._lines)
        return sum(array.nbytes for array in arrays)

    def add_row(self, key: int = 0) -> int:
        """A row for a new account; `key`, 62 bits of its own, decides when it has its turn."""
        if self._free_rows:
            row = self._free_rows.pop()
        else:
            row = self._row_count
            self._row_count += 1
            if row == len(self._constants):
                self._constants, self._states, self._is_wide = (
                    np.concatenate((array, np.zeros_like(array)))
                    for array in (self._constants, self._states, self._is_wide)
                )
                self._keys = np.concatenate((self._keys, np.zeros_like(self._keys)))
        self._keys[row] = key
        self._slots[row] = []
        return row

    def remove_row(self, row: int) -> None:
        """Forget an account."""
        self.set_row(row, 0, MarginState.HEALTHY, ())
        del self._slots[row]
        self._states[row] = 0
        self._free_rows.append(row)

    def set_row(
        self,
        row: int,
        constant_uusd: int,
        recorded: MarginState,
        lines: Sequence[tuple[int, int]],
    ) -> None:
        """Replace an account: what no price moves, its recorded state, its (column, amount)."""
        slots = self._slots[row]
        wide = abs(constant_uusd) >= CONSTANT_LIMIT or len(lines) > LINES_MAX
        kept = () if wide else lines
        self._constants[row] = 0 if wide else constant_uusd
        self._states[row] = recorded.value
        self._is_wide[row] = wide
        while len(slots) > len(kept):
            slot = slots.pop()
            self._lines[:, slot] = 0
            self._free_lines.append(slot)
        while len(slots) < len(kept):
            slots.append(self._take_line())
        for slot, (column, amount) in zip(slots, kept, strict=True):
            assert amount, "a line has an amount"
            magnitude = abs(amount)
            exponent = max(0, magnitude.bit_length() - _MANTISSA_BITS)
            mantissa = magnitude >> exponent
            self._lines[:, slot] = (row, column, mantissa, exponent, -1 if amount < 0 else 1)

    def get_line_count(self, row: int) -> int:
        """The lines of an account; the most there are for one that is not screened by its lines."""
        return LINES_MAX if self._is_wide[row] else len(self._slots[row])

    def get_recorded(self, row: int) -> MarginState:
        """The recorded state of an account."""
        return MarginState(int(self._states[row]))

    def set_recorded(self, row: int, recorded: MarginState) -> None:
        """Replace the recorded state of an account alone."""
        self._states[row] = recorded.value

    def _take_line(self) -> int:
        if self._free_lines:
            return self._free_lines.pop()
        slot = self._line_count
        self._line_count += 1
        if slot == self._lines.shape[1]:
            self._lines = np.concatenate((self._lines, np.zeros_like(self._lines)), axis=1)
        return slot

    def compute_bounds(
        self, factors: Sequence[LineFactor | None]
    ) -> tuple[Row, Row, Row, Row, Row]:
        """(E low, E high, MMR low, MMR high, whether not computed) of every row, uusd.

        A column without a factor makes its accounts not computed.
        """
        count = self._row_count
        low, high = self._constants[:count].copy(), self._constants[:count].copy()
        least, most = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        unknown = self._is_wide[:count].copy()
        table = _FactorTable(factors)
        for start in range(0, self._line_count, _CHUNK):
            lines = self._lines[:, start : min(start + _CHUNK, self._line_count)]
            if self._free_lines:
                lines = lines[:, lines[2] > 0]
            _add_lines(table, lines, (low, high, least, most, unknown))
        return low, high, least, most, unknown

    def find_candidates(
        self,
        factors: Sequence[LineFactor | None],
        limit: int | None = None,
        turn: int | None = None,
    ) -> list[Candidate]:
        """The accounts whose state may differ from the recorded one.

        With a limit at least the first `limit` of the order (certain ones first, then by ratio),
        with all that tie with the last of them; in no order. With a turn half as many
        uncertain ones are taken whatever their ratio, others each turn: bounds that stay wide
        starve nobody.
        """
        low, high, least, most, unknown = self.compute_bounds(factors)
        recorded = self._states[: self._row_count]
        worst, best = _classify(low, most), _classify(high, least)
        moved = (worst != recorded) | (best != recorded) | (unknown != 0)
        rows = np.flatnonzero(moved & (recorded != 0))
        certain = (worst == best)[rows] & (unknown[rows] == 0)
        ratios = _compute_ratios(low[rows], most[rows])
        ratios[unknown[rows] != 0] = -_NO_RATIO
        if limit is not None and len(rows) > limit:
            # Uncertain ones stand behind all certain ones: two bits of rank above the ratio.
            ranks = np.where(certain, ratios >> 2, (ratios >> 2) + (1 << 61))
            kept = ranks <= np.partition(ranks, limit - 1)[limit - 1]
            turned: Mask = rows < 0
            if turn is not None:
                turned = self._choose_turned(rows, ~certain, limit, turn)
            kept |= turned
            rows, certain, ratios, turned = rows[kept], certain[kept], ratios[kept], turned[kept]
        else:
            turned = rows < 0
        return [
            Candidate(row, bool(is_certain), ratio, bool(is_turn))
            for row, is_certain, ratio, is_turn in zip(
                rows.tolist(), certain.tolist(), ratios.tolist(), turned.tolist(), strict=True
            )
        ]

    def _choose_turned(self, rows: Row, uncertain: Mask, limit: int, turn: int) -> Mask:
        """The uncertain ones that have their turn: half the limit, at the limit of one every other
        turn.
        """
        count = min((limit + turn % 2) // 2, int(uncertain.sum()))
        chosen = rows < 0
        if count:
            places = np.flatnonzero(uncertain)
            # The keys nearest to a point of the range, which is another each turn.
            point = (turn * _TURN_FACTOR & ((1 << 64) - 1)) >> 2
            order = self._keys[rows[places]] ^ point
            chosen[places[order <= np.partition(order, count - 1)[count - 1]]] = True
        return chosen


def _add_lines(table: _FactorTable, lines: Row, sums: tuple[Row, Row, Row, Row, Row]) -> None:
    """Add the bounds of some lines to the sums of their accounts."""
    low, high, least, most, unknown = sums
    rows, columns, mantissas, exponents, signs = lines
    over = mantissas + (exponents > 0)
    floor, wide_low = _scale(
        mantissas * table.low[columns], exponents + table.low_exponent[columns], is_up=False
    )
    ceiling, wide_high = _scale(
        over * table.high[columns], exponents + table.high_exponent[columns], is_up=True
    )
    slack = table.slack[columns]
    floor -= slack
    ceiling += slack
    is_positive = signs * table.sign[columns] > 0
    np.add.at(low, rows, np.where(is_positive, floor, -ceiling))
    np.add.at(high, rows, np.where(is_positive, ceiling, -floor))
    floor, wide_least = _scale(
        mantissas * table.least[columns], exponents + table.least_exponent[columns], is_up=False
    )
    ceiling, wide_most = _scale(
        over * table.most[columns], exponents + table.most_exponent[columns], is_up=True
    )
    ceiling += table.requirement_slack[columns]
    np.add.at(least, rows, floor)
    np.add.at(most, rows, ceiling)
    is_unknown = wide_low | wide_high | wide_least | wide_most
    is_unknown |= table.is_missing[columns] != 0
    if is_unknown.any():
        unknown[rows[is_unknown]] = 1


def _classify(equity: Row, requirement: Row) -> Row:
    """`margin.compute_margin_state` of every row; magnitudes below 2^59 cannot wrap."""
    states = np.full(len(equity), MarginState.HEALTHY.value, dtype=np.int64)
    for state, numerator, denominator in (
        (MarginState.MARGIN_CALL, 5, 4),
        (MarginState.REDUCE_ONLY, 11, 10),
        (MarginState.LIQUIDATE, 1, 1),
        (MarginState.BACKSTOP, 2, 3),
    ):
        states[equity * denominator < requirement * numerator] = state.value
    states[equity < 0] = MarginState.BANKRUPT.value
    return states


def _compute_ratios(equity: Row, requirement: Row) -> Row:
    """floor(E·2^20 / MMR) by long division, clamped; without a requirement by the sign of E."""
    divisor = np.maximum(requirement, 1)
    quotient = equity // divisor
    rest = equity - quotient * divisor
    ratios: Row = np.clip(quotient, -_QUOTIENT_LIMIT, _QUOTIENT_LIMIT)
    for _ in range(_FRACTION_BITS // 4):
        rest <<= 4
        digit = rest // divisor
        rest -= digit * divisor
        ratios = (ratios << 4) + digit
    without = np.where(equity < 0, -_NO_RATIO + 1, _NO_RATIO - 1)
    return np.where(requirement > 0, ratios, without)
