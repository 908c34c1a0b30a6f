"""Which accounts may have changed their margin state, found without computing every account.

An index in memory mirrors the accounts at risk as lines of `chain.risk.screen`, and derives from
the store alone: it is built from the store at first, then follows the keys that each block wrote.
Whatever it cannot follow (a restart, a block that ran twice, a listing that changed) makes it build
itself anew, with the same answer. What is found is computed exactly by `margin`, so the screen
decides the order of that work and never a state.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import zip_longest
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from chain.errors import ChainError
from chain.modules.accounts import margin, state
from chain.modules.accounts.reads import MarketReads, read_market
from chain.modules.accounts.types import (
    Account,
    AccountId,
    LienKey,
    MarginMode,
    UnitTerms,
    encode_account_id,
)
from chain.modules.collateral import measurement as collateral
from chain.modules.collateral import prices as collateral_prices
from chain.modules.collateral.measurement import SharedReads
from chain.modules.markets.types import InstrumentKind
from chain.risk.haircut import HaircutFactors, compute_haircut_ppm, compute_size_weight_ppm
from chain.risk.margin import MarginState
from chain.risk.screen import AccountScreen, LineFactor
from chain.runtime.context import Context
from chain.runtime.store import Branch, StateReader
from chain.units import PPM, WAD, Address, ceil_div, floor_div

_BUCKET_BITS: Final = 10
"""Owners' quantities that agree in their first bits share a column."""
_EXACT_SLACK: Final = 4
"""More roundings of one uusd than the exact rule makes on a line."""
LINES_PER_ACCOUNT: Final = 8
"""A block's work is bounded in accounts and in lines: this many for each account it may compute."""
_UNIT_FUZZ_WAD: Final = 4
"""More roundings of 1e-18 than a unit's terms are computed with."""


class _Column(NamedTuple):
    """What lines of one factor have in common: a market and side, or a lien and a bucket.

    A bucket holds the owners' quantities within [mantissa·2^shift, (mantissa + 1)·2^shift).
    """

    market: str
    mode: MarginMode = MarginMode.STANDARD
    is_short: bool = False
    lien: LienKey | None = None
    mantissa: int = 0
    shift: int = 0


class _Listing(NamedTuple):
    """What of a lien's listing the index has built upon."""

    asset: str
    decimals: int
    denoms: tuple[tuple[str, str, int], ...]


class HealthIndex:
    """The accounts at risk of one committed state as a screen; see `find_candidates`."""

    def __init__(self) -> None:
        self._height = -1
        self._outermost: Branch | None = None
        self._clear()

    def _clear(self) -> None:
        self._screen = AccountScreen()
        self._rows: dict[AccountId, int] = {}
        self._ids: dict[int, AccountId] = {}
        self._numbers: dict[Address, dict[int, None]] = {}
        self._columns: dict[_Column, int] = {}
        self._listings: dict[LienKey, _Listing] = {}
        self._idle: dict[AccountId, None] = {}  # Listed, without position or debt.

    def __len__(self) -> int:
        return len(self._rows)

    def follow(self, ctx: Context, shared: SharedReads) -> None:
        """Bring the index to the state that a block's context sees."""
        outermost, written = ctx.store.find_written(state.STORE)
        height, self._height = self._height, -1  # A failure on the way leaves it to be rebuilt.
        is_next = height >= 0 and height + 1 == ctx.height
        is_same = outermost is self._outermost and height == ctx.height
        if not (is_next or is_same) or self._has_listing_changed(ctx, shared):
            self._rebuild(ctx, shared)
        else:
            if self._outermost is not None and is_next:
                # What the last block wrote after the index had followed it.
                written += self._outermost.find_written(state.STORE)[1]
            self._reload(ctx, written, shared)
        self._outermost = outermost
        self._height = ctx.height

    def find_candidates(self, ctx: Context, limit: int, shared: SharedReads) -> list[AccountId]:
        """The accounts to compute, at most `limit`: those that have certainly changed state first,
        then by the ratio of equity to requirement, the worst first, then by id.

        When there are more, up to half of the work goes to uncertain ones in turns: accounts that
        hedge stay uncertain however often they are computed, and would keep all others waiting.
        Accounts of many lines count as several: together they have LINES_PER_ACCOUNT times the
        limit, unless the first alone has more.
        """
        factors = [self._build_factor(ctx, column, shared) for column in self._columns]
        first, turned = self._choose(factors, limit, ctx.height)
        lines_max = limit * LINES_PER_ACCOUNT
        lines = sum(map(self._count_lines, first + turned))
        if lines <= lines_max:
            return first + turned
        fewer = max(1, floor_div(limit * lines_max, lines))
        first, turned = self._choose(factors, fewer, ctx.height)
        # Either kind leads every other block, so that neither is cut away for good.
        pair = (first, turned) if ctx.height % 2 else (turned, first)
        return self._cut(
            [account_id for both in zip_longest(*pair) for account_id in both if account_id],
            lines_max,
        )

    def _choose(
        self, factors: Sequence[LineFactor | None], limit: int, turn: int
    ) -> tuple[list[AccountId], list[AccountId]]:
        """The first in order and those that have their turn, together at most the limit."""
        found = self._screen.find_candidates(factors, limit, turn)
        ordered = sorted(
            (not candidate.is_certain, candidate.ratio, self._ids[candidate.row])
            for candidate in found
            if not candidate.is_turn
        )
        turned = sorted(self._ids[candidate.row] for candidate in found if candidate.is_turn)
        first = [account_id for _, _, account_id in ordered[: max(0, limit - len(turned))]]
        return first, turned

    def _count_lines(self, account_id: AccountId) -> int:
        return max(1, self._screen.get_line_count(self._rows[account_id]))

    def _cut(self, account_ids: Sequence[AccountId], lines_max: int) -> list[AccountId]:
        """As many of the first as have the lines together, at least one."""
        kept: list[AccountId] = []
        left = lines_max
        for account_id in account_ids:
            left -= self._count_lines(account_id)
            if kept and left < 0:
                break
            kept.append(account_id)
        return kept

    def get_closed(self) -> list[AccountId]:
        """Accounts that are listed without position or debt and recorded healthy, ascending."""
        return sorted(
            account_id
            for account_id in self._idle
            if self._screen.get_recorded(self._rows[account_id]) is MarginState.HEALTHY
        )

    def _has_listing_changed(self, ctx: Context, shared: SharedReads) -> bool:
        return any(
            _get_listing(ctx, lien, shared)[1] != listing
            for lien, listing in self._listings.items()
        )

    def _rebuild(self, ctx: Context, shared: SharedReads) -> None:
        self._clear()
        for account_id in state.iterate_at_risk(ctx, None):
            self._load(ctx, account_id, shared)

    def _reload(self, ctx: Context, written: Iterable[bytes], shared: SharedReads) -> None:
        """Read again each account that was written, and the owner's others, whose size it moves.

        Of an account whose recorded state alone was written only that state is read.
        """
        owners: dict[Address, None] = {}
        touched: dict[AccountId, None] = {}
        judged: dict[AccountId, None] = {}
        for key in written:
            account_id = state.find_account_of_key(key)
            if account_id is None:
                continue
            if state.is_margin_state_key(key):
                judged[account_id] = None
            else:
                touched[account_id] = None
                owners[account_id.owner] = None
        for owner in owners:
            for number in self._numbers.get(owner, ()):
                touched[AccountId(owner, number)] = None
        for account_id in touched:
            self._load(ctx, account_id, shared)
        for account_id in judged:
            row = self._rows.get(account_id)
            if row is not None and account_id not in touched:
                self._screen.set_recorded(row, state.get_margin_state(ctx, account_id)[0])

    def _load(self, ctx: Context, account_id: AccountId, shared: SharedReads) -> None:
        row = self._rows.get(account_id)
        self._idle.pop(account_id, None)
        if not state.is_listed_at_risk(ctx, account_id):
            if row is not None:
                self._screen.remove_row(row)
                del self._rows[account_id], self._ids[row]
                del self._numbers[account_id.owner][account_id.number]
            return
        if row is None:
            row = self._rows[account_id] = self._screen.add_row(_compute_key(account_id))
            self._ids[row] = account_id
            self._numbers.setdefault(account_id.owner, {})[account_id.number] = None
        account = state.require_account(ctx, account_id)
        recorded, _ = state.get_margin_state(ctx, account_id)
        if not account.is_at_risk:
            self._idle[account_id] = None
        constant = account.cash_uusd + sum(
            floor_div(p.size_quantums * p.funding_index_wad, WAD) - p.cost_uusd
            for p in account.positions.values()
        )
        self._screen.set_row(row, constant, recorded, self._build_lines(ctx, account, shared))

    def _build_lines(
        self, ctx: Context, account: Account, shared: SharedReads
    ) -> list[tuple[int, int]]:
        lines = []
        for market, position in sorted(account.positions.items()):
            size = position.size_quantums
            if size:
                column = _Column(market, account.margin_mode, size < 0)
                lines.append((self._get_column(column), size))
        for lien, amount in sorted(account.liens.items()):
            _, listing = _get_listing(ctx, lien, shared)
            self._listings[lien] = listing
            if not listing.asset or not amount:
                continue
            quantity = (
                shared.get_owner_quantity_wad(ctx, listing.asset, account.owner)
                if listing.asset in shared.denoms
                else 0
            )
            shift = max(0, quantity.bit_length() - _BUCKET_BITS)
            column = _Column("", lien=lien, mantissa=quantity >> shift, shift=shift)
            lines.append((self._get_column(column), amount))
        return lines

    def _get_column(self, column: _Column) -> int:
        return self._columns.setdefault(column, len(self._columns))

    def _build_factor(
        self, ctx: Context, column: _Column, shared: SharedReads
    ) -> LineFactor | None:
        if column.lien is None:
            return _build_position_factor(ctx, column, shared)
        return _build_lien_factor(ctx, column, shared)


def _compute_key(account_id: AccountId) -> int:
    """62 bits that are an account's own on every node."""
    return int.from_bytes(sha256(encode_account_id(account_id)).digest()[:8], "big") >> 2


def _get_listing(
    ctx: Context, lien: LienKey, shared: SharedReads
) -> tuple[HaircutFactors, _Listing]:
    """A lien's factors for an amount of PPM and no size, and what the index keeps of them."""
    factors = collateral.get_lien_haircut(ctx, Address(""), lien, PPM, shared)
    denoms: Sequence[tuple[str, str, int]] = shared.denoms.get(factors.asset, ())
    return factors, _Listing(factors.asset, factors.decimals, tuple(denoms))


def _build_position_factor(ctx: Context, column: _Column, shared: SharedReads) -> LineFactor | None:
    """A quantum's worth less its funding index; None while the market has no usable price.

    What a quantum asks is exact for perpetuals and futures under the standard rules alone: any
    other may be hedged away, and asks at most what it does by itself.
    """
    try:
        reads = read_market(ctx, column.market, shared)
        unit = _get_unit_terms(ctx, reads, column.mode, shared)
    except ChainError:
        return None
    market = reads.market
    is_linear = market.kind in (InstrumentKind.PERPETUAL, InstrumentKind.FUTURE)
    scale = 10 ** (market.quantum_decimals + 12)
    worth = unit.equity_wad * WAD - (reads.funding_index_wad * scale if is_linear else 0)
    fuzz = _UNIT_FUZZ_WAD * WAD if market.kind is InstrumentKind.SPOT else 0
    most = unit.requirement_short_wad if column.is_short else unit.requirement_long_wad
    is_exact = is_linear and column.mode is MarginMode.STANDARD
    return LineFactor(
        equity_low=abs(worth),
        equity_high=abs(worth) + fuzz,
        equity_denominator=scale * WAD,
        equity_sign=-1 if worth < 0 else 1,
        equity_slack=_EXACT_SLACK,
        requirement_low=max(0, most - _UNIT_FUZZ_WAD) if is_exact else 0,
        requirement_high=most + _UNIT_FUZZ_WAD if most else 0,
        requirement_denominator=scale,
        # A linear requirement is asked of a value that is rounded up.
        requirement_slack=_EXACT_SLACK
        + (ceil_div(most, max(1, reads.mark.price_wad)) if is_linear else 0),
    )


def _get_unit_terms(
    ctx: Context, reads: MarketReads, mode: MarginMode, shared: SharedReads
) -> UnitTerms:
    """What a unit of a market adds, computed once for longs and shorts."""
    key = reads.market.id, mode.value
    found = shared.unit_terms.get(key)
    if found is None:
        found = shared.unit_terms[key] = margin.compute_unit_terms(ctx, reads, mode)
    return found


def _build_lien_factor(ctx: Context, column: _Column, shared: SharedReads) -> LineFactor | None:
    """What an atomic unit counts, between the largest and the least quantity of the bucket."""
    assert column.lien is not None
    factors, _ = _get_listing(ctx, column.lien, shared)
    price = collateral_prices.get_asset_price(ctx, factors.asset)
    price_wad = price.price_wad if price else 0
    valued = shared.assets.get(factors.asset)
    kept = []
    for quantity_wad in ((column.mantissa + 1) << column.shift, column.mantissa << column.shift):
        weight_ppm = factors.size_weight_ppm
        if valued is not None:
            terms = valued.terms
            weight_ppm = compute_size_weight_ppm(
                *(terms.size_factor_wad, quantity_wad, 18),
                *(terms.scale_start_wad, valued.quantity_wad),
            )
        haircut = compute_haircut_ppm(
            factors.market_ppm,
            weight_ppm,
            factors.latency_ppm,
            factors.security_ppm,
            factors.staleness_ppm,
        )
        kept.append(PPM - haircut)
    unit = price_wad * factors.recognized_amount
    scale = 10 ** (factors.decimals + 12)
    return LineFactor(
        equity_low=unit * kept[0],
        equity_high=unit * kept[1],
        equity_denominator=scale * PPM * PPM,
        equity_slack=_EXACT_SLACK + ceil_div(price_wad, scale),
    )


_INDEXES: Final[WeakKeyDictionary[StateReader, HealthIndex]] = WeakKeyDictionary()
"""One index for each committed state that this process executes blocks on."""


def get_index(ctx: Context, shared: SharedReads) -> HealthIndex:
    """The index of the context's committed state, brought to what the context sees."""
    index = _INDEXES.setdefault(ctx.store.base, HealthIndex())
    index.follow(ctx, shared)
    return index
