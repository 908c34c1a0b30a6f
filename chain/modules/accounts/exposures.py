"""What an account holds in each underlying, instrument by instrument, and how far orders reach.

Perpetuals of an underlying are one amount whatever their market, spot another; futures and options
stand in their expiry. What has settled for good is worth a constant and is left out: it has no
risk.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chain.modules.accounts.types import PositionMargin, UnderlyingTerms
from chain.modules.markets.marks import Forward
from chain.modules.markets.types import InstrumentKind
from chain.risk.black76 import PRICE_WAD_LIMIT
from chain.risk.portfolio import ExpiryPosition, OptionPosition, Portfolio
from chain.units import clamp, floor_div


@dataclass(frozen=True, slots=True)
class Reach:
    """A signed amount of whole units (WAD): now, with all sells filled, with all buys filled."""

    now: int = 0
    low: int = 0
    high: int = 0

    def __add__(self, other: "Reach") -> "Reach":
        return Reach(self.now + other.now, self.low + other.low, self.high + other.high)

    @property
    def ends(self) -> tuple[int, ...]:
        """The amounts to try, without repetition; the one held first."""
        return tuple(dict.fromkeys((self.now, self.low, self.high)))


@dataclass(frozen=True, slots=True)
class OptionExposure:
    """One option of an expiry."""

    strike_wad: int
    is_call: bool
    volatility_wad: int
    reach: Reach


@dataclass(frozen=True, slots=True)
class ExpiryExposure:
    """The future and options of one expiry; options ascend by strike, then puts before calls."""

    settlement_s: int
    forward: Forward
    future: Reach = Reach()
    options: tuple[OptionExposure, ...] = ()


@dataclass(slots=True)
class Exposure:
    """All of one underlying; the linear figures are what row 13 asks of perpetuals and futures."""

    terms: UnderlyingTerms
    perp: Reach = field(default_factory=Reach)
    base: Reach = field(default_factory=Reach)
    expiries: tuple[ExpiryExposure, ...] = ()
    linear_maintenance_uusd: int = 0
    linear_initial_uusd: int = 0

    @property
    def is_perpetual_only(self) -> bool:
        """Whether its loss has one direction alone, that of the net perpetual."""
        return not self.expiries and self.base == Reach()

    @property
    def has_options(self) -> bool:
        """Whether it holds options or has orders for them."""
        return any(expiry.options for expiry in self.expiries)


def _compute_reach(line: PositionMargin) -> Reach:
    scale: int = 10 ** (18 - line.contract.quantum_decimals)
    held = line.position.size_quantums * scale
    return Reach(held, held - line.sold_quantums * scale, held + line.bought_quantums * scale)


def _add_dated(expiries: dict[int, ExpiryExposure], line: PositionMargin, reach: Reach) -> None:
    forward, contract = line.mark.forward, line.contract
    assert forward is not None, "a dated market is marked from its forward"
    settlement_s = contract.expiry_time_s
    expiry = expiries.get(settlement_s)
    if line.kind is InstrumentKind.FUTURE:
        before = expiry or ExpiryExposure(settlement_s, forward)
        expiries[settlement_s] = replace(before, future=before.future + reach)
        return
    known = expiry.options if expiry is not None else ()
    options = {(option.strike_wad, option.is_call): option for option in known}
    key = (contract.strike_wad, contract.is_call)
    held = options.get(key, OptionExposure(*key, line.mark.volatility_wad, Reach()))
    volatility = max(held.volatility_wad, line.mark.volatility_wad)
    options[key] = OptionExposure(*key, volatility, held.reach + reach)
    # Options are marked at a rounded spot; the future beside them follows their forward.
    expiries[settlement_s] = ExpiryExposure(
        settlement_s,
        forward,
        expiry.future if expiry else Reach(),
        tuple(options[key] for key in sorted(options)),
    )


def collect_exposures(
    lines: Sequence[PositionMargin], terms: Mapping[str, UnderlyingTerms]
) -> dict[str, Exposure]:
    """The exposures of an account by asset, ascending; lines in any order give the same."""
    exposures: dict[str, Exposure] = {}
    expiries: dict[str, dict[int, ExpiryExposure]] = {}
    for line in sorted(lines, key=lambda line: (line.asset, line.market)):
        exposure = exposures.setdefault(line.asset, Exposure(terms[line.asset]))
        exposure.linear_maintenance_uusd += line.maintenance_uusd
        exposure.linear_initial_uusd += line.initial_uusd
        if line.is_settled:
            continue
        reach = _compute_reach(line)
        if line.kind is InstrumentKind.PERPETUAL:
            exposure.perp += reach
        elif line.kind is InstrumentKind.SPOT:
            exposure.base += reach
        else:
            _add_dated(expiries.setdefault(line.asset, {}), line, reach)
    for asset, dated in expiries.items():
        exposures[asset].expiries = tuple(dated[key] for key in sorted(dated))
    return exposures


def build_expiry(
    terms: UnderlyingTerms,
    expiry: ExpiryExposure,
    future_wad: int,
    options: Sequence[OptionPosition],
) -> ExpiryPosition:
    """An expiry with amounts, as the risk engine takes it."""
    forward = expiry.forward
    # A price so low that the forward rounds to nothing is the least there is; one beyond what the
    # engine takes is the most.
    variable = clamp(
        forward.variable_wad, 1 - min(1, forward.fixed_wad), floor_div(PRICE_WAD_LIMIT, 128)
    )
    return ExpiryPosition(
        expiry_s=forward.time_s,
        forward_variable_wad=variable,
        rate_wad=terms.rate_wad,
        options=tuple(options),
        forward_fixed_wad=forward.fixed_wad,
        latency_wad=terms.latency_wad if options else 0,
        future_wad=future_wad,
        settlement_s=expiry.settlement_s,
    )


def build_portfolio(
    terms: UnderlyingTerms,
    perp_wad: int,
    base_wad: int,
    expiries: Sequence[ExpiryPosition],
    stable_wad: int | None = None,
) -> Portfolio:
    """Amounts of an underlying as the risk engine takes them; money is counted elsewhere."""
    return Portfolio(
        spot_wad=terms.spot_wad,
        base_wad=base_wad,
        perp_wad=perp_wad,
        perp_price_wad=terms.spot_wad,
        stable_wad=terms.stable_wad if stable_wad is None else stable_wad,
        spot_confidence_wad=terms.confidence_wad,
        perp_confidence_wad=terms.confidence_wad,
        expiries=tuple(expiries),
    )


def build_expiries(
    exposure: Exposure,
    choose_future: Callable[[Reach], int],
    choose_option: Callable[[Reach], int],
    *,
    keep_zero: bool = False,
) -> tuple[ExpiryPosition, ...]:
    """The expiries with the amounts that are chosen; options of none are kept when asked for."""
    found = []
    for expiry in exposure.expiries:
        amounts = [(option, choose_option(option.reach)) for option in expiry.options]
        options = [
            OptionPosition(option.strike_wad, option.is_call, amount, option.volatility_wad)
            for option, amount in amounts
            if amount or keep_zero
        ]
        future = choose_future(expiry.future)
        if future or options:
            found.append(build_expiry(exposure.terms, expiry, future, options))
    return tuple(found)


def choose_now(reach: Reach) -> int:
    """What is held."""
    return reach.now


def choose_low(reach: Reach) -> int:
    """What is held once every sell has filled."""
    return reach.low


def choose_largest(reach: Reach) -> int:
    """The largest magnitude that orders lead to."""
    return max(reach.ends, key=abs)
