"""What an account's positions and orders ask, from what was read of them: no store is needed here.

The same functions margin an account at work and compute an explanation again (`recompute`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chain.modules.accounts import portfolio_margin, standard_margin
from chain.modules.accounts.exposures import collect_exposures
from chain.modules.accounts.portfolio_margin import Correlation
from chain.modules.accounts.types import (
    MarginMode,
    PortfolioRequirement,
    PositionMargin,
    StandardUnderlying,
    UnderlyingMargin,
    UnderlyingTerms,
)
from chain.modules.markets.types import InstrumentKind
from chain.risk.margin import compute_initial_profit_uusd
from chain.runtime.gas import Spend
from chain.units import WAD, floor_div


@dataclass(frozen=True, slots=True)
class Requirement:
    """MMR and IMR of positions and orders before the volatility tier, and how they came about."""

    maintenance_uusd: int
    initial_uusd: int
    portfolio: PortfolioRequirement | None
    standard: tuple[StandardUnderlying, ...]


@dataclass(frozen=True, slots=True)
class RequirementInputs:
    """All that a requirement depends on besides the positions; `spend` takes its gas."""

    mode: MarginMode
    terms: Mapping[str, UnderlyingTerms]
    correlation: Correlation
    time_s: int
    spend: Spend


@dataclass(slots=True)
class _Piece:
    """What one underlying is asked: by rules 13 and 15, or by its scenario set."""

    maintenance_uusd: int = 0
    initial_uusd: int = 0
    standard: StandardUnderlying | None = None
    priced: UnderlyingMargin | None = None


def compute_requirement(inputs: RequirementInputs, lines: Sequence[PositionMargin]) -> Requirement:
    """Rows 13 and 15 of underlyings under the standard rules, rows 14 and 16 of the others."""
    return _compose(inputs, _compute_pieces(inputs, lines))


def _compute_pieces(
    inputs: RequirementInputs, lines: Sequence[PositionMargin]
) -> dict[str, _Piece]:
    """What each underlying is asked by itself."""
    pieces: dict[str, _Piece] = {}
    linear, others = _split(inputs.terms, lines)
    for line in linear:
        piece = pieces.setdefault(line.asset, _Piece())
        piece.maintenance_uusd += line.maintenance_uusd
        piece.initial_uusd += line.initial_uusd
    for asset, exposure in collect_exposures(others, inputs.terms).items():
        if exposure.terms.spot_wad == 0:
            continue
        if exposure.terms.is_portfolio:
            shift = compute_equity_shift_uusd(exposure.terms, others, inputs.time_s)
            priced = portfolio_margin.compute_underlying(
                exposure, shift, inputs.time_s, inputs.spend
            )
            pieces[asset] = _Piece(priced=priced)
            continue
        row = standard_margin.compute_underlying(exposure, inputs.time_s, inputs.spend)
        pieces[asset] = _Piece(
            exposure.linear_maintenance_uusd + (row.maintenance_uusd if row else 0),
            exposure.linear_initial_uusd + (row.initial_uusd if row else 0),
            row,
        )
    return pieces


def _compose(inputs: RequirementInputs, pieces: Mapping[str, _Piece]) -> Requirement:
    """The pieces of all underlyings together, whatever their order."""
    maintenance = sum(piece.maintenance_uusd for piece in pieces.values())
    initial = sum(piece.initial_uusd for piece in pieces.values())
    portfolio = None
    if inputs.mode is MarginMode.PORTFOLIO:
        priced = {asset: piece.priced for asset, piece in pieces.items() if piece.priced}
        portfolio = portfolio_margin.compose(inputs.correlation, priced)
        maintenance += portfolio.maintenance_uusd
        initial += portfolio.initial_uusd
    standard = [pieces[asset].standard for asset in sorted(pieces)]
    return Requirement(
        maintenance, initial, portfolio, tuple(row for row in standard if row is not None)
    )


def _split(
    terms: Mapping[str, UnderlyingTerms], lines: Sequence[PositionMargin]
) -> tuple[list[PositionMargin], list[PositionMargin]]:
    """(the lines of underlyings that are asked row 13 alone, all others)."""
    by_rule = {
        asset: known.is_portfolio or standard_margin.is_charged(known)
        for asset, known in terms.items()
    }
    for line in lines:
        if line.kind is InstrumentKind.OPTION:
            by_rule[line.asset] = True
    return (
        [line for line in lines if not by_rule[line.asset]],
        [line for line in lines if by_rule[line.asset]],
    )


def compute_equity_shift_uusd(
    terms: UnderlyingTerms, lines: Sequence[PositionMargin], time_s: int
) -> int:
    """How much more an underlying adds to E under portfolio margin than by the rules before it.

    Needed while its first set ramps in, else 0.
    """
    rules = terms.rules
    if rules is None or rules.previous is not None or not rules.is_ramping(time_s):
        return 0
    factor = standard_margin.get_previous_parameters(terms).base_factor_wad
    shift = 0
    for line in lines:
        if line.asset != terms.asset or line.is_settled:
            continue
        if line.kind is InstrumentKind.OPTION:
            shift += line.value_uusd
        elif line.kind is InstrumentKind.SPOT:
            shift += line.equity_uusd - floor_div(line.value_uusd * factor, WAD)
    return shift


def attribute(
    inputs: RequirementInputs, lines: Sequence[PositionMargin]
) -> tuple[PositionMargin, ...]:
    """The lines with each one's part: what MMR and IMR fall by without it, at least 0."""
    pieces = _compute_pieces(inputs, lines)
    whole = _compose(inputs, pieces)
    parts = []
    for line in lines:
        beside = [one for one in lines if one.asset == line.asset and one.market != line.market]
        others = {asset: piece for asset, piece in pieces.items() if asset != line.asset}
        rest = _compose(inputs, others | _compute_pieces(inputs, beside))
        parts.append(
            replace(
                line,
                maintenance_uusd=max(0, whole.maintenance_uusd - rest.maintenance_uusd),
                initial_uusd=max(0, whole.initial_uusd - rest.initial_uusd),
            )
        )
    return tuple(parts)


def count_base_uusd(terms: UnderlyingTerms, value_uusd: int, time_s: int) -> tuple[int, int]:
    """What spot of a value counts for (E, E_initial)."""
    if terms.is_portfolio:
        counted = floor_div(value_uusd * WAD, terms.stable_wad)
        return counted, counted
    return (
        standard_margin.compute_base_value_uusd(terms, value_uusd, time_s),
        standard_margin.compute_initial_base_value_uusd(terms, value_uusd),
    )


def count_option_uusd(
    terms: UnderlyingTerms, value_uusd: int, cost_uusd: int, profit_ppm: int, *, is_settled: bool
) -> tuple[int, int]:
    """What an option adds to (E, E_initial): its value too, unless the requirement has it."""
    if not (terms.is_portfolio or is_settled):
        return -cost_uusd, -cost_uusd
    unrealised = value_uusd - cost_uusd
    return unrealised, compute_initial_profit_uusd(unrealised, profit_ppm)
