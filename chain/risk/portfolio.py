"""Portfolio margin of one underlying: inputs, bounds and the whole rule (systems rows 4 and 14).

Every figure is WAD: amounts in whole units, money in USD. Prices are priced to the WAD, products
are exact, and money is floored once, so requirements round up and values down.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chain.errors import ChainError
from chain.risk.black76 import (
    EXPIRY_S_LIMIT,
    PRICE_WAD_LIMIT,
    RATE_WAD_LIMIT,
    compute_black76,
    compute_black76_price_wad,
)
from chain.risk.fixed_point import SCALE
from chain.risk.risk_table import LINEAR, InstrumentRow, RiskTable, SpanResult, compute_span
from chain.risk.scenarios import (
    PortfolioParameters,
    ScenarioSet,
    VolatilityShock,
    compute_option_discount,
    compute_volatility_factors_wad,
)
from chain.units import PPM, WAD, YEAR_S, ceil_div, floor_div

LINES_MAX: Final = 128
"""Options of a portfolio."""
AMOUNT_WAD_LIMIT: Final = 10**18 * WAD
"""Amounts are below it in magnitude."""
CASH_WAD_LIMIT: Final = 10**24 * WAD
"""Cash and profit are below it in magnitude."""
INPUT_VOLATILITY_WAD_LIMIT: Final = 20 * WAD
"""An input volatility is above zero and below 2,000 %."""
LATENCY_WAD_MAX: Final = 10 * WAD
PRICES_CACHED: Final = 16_384
"""Options whose prices are kept; what falls out is priced again, to the same figure."""


class InvalidPortfolio(ChainError):
    """A portfolio with a field outside its bounds, an instrument twice, or too many lines."""

    codespace = "risk"
    code = 6
    summary = "invalid portfolio"


@dataclass(frozen=True, slots=True)
class OptionPosition:
    """A signed amount of one European option of an expiry."""

    strike_wad: int
    is_call: bool
    amount_wad: int
    volatility_wad: int


@dataclass(frozen=True, slots=True)
class ExpiryPosition:
    """The options and futures of one expiry and its market: forward F = variable·s + fixed, rate,
    confidences.

    `forward_fixed_wad` is the part of the settlement average already set; `latency_wad` the
    latency premium of the route that secures the options (0 on the hub). `settlement_s` tells
    apart two expiries that are equally far once their time is rounded.
    """

    expiry_s: int
    forward_variable_wad: int
    rate_wad: int
    options: tuple[OptionPosition, ...]
    forward_fixed_wad: int = 0
    forward_confidence_wad: int = WAD
    rate_confidence_wad: int = WAD
    volatility_confidence_wad: int = WAD
    latency_wad: int = 0
    future_wad: int = 0
    settlement_s: int = 0


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Everything an account holds in one underlying, with its market; `cash_wad` may be negative.

    `perp_profit_wad` is unrealised profit and funding, of futures too. `perp_price_wad` is needed
    with a perp.
    """

    spot_wad: int
    cash_wad: int = 0
    base_wad: int = 0
    perp_wad: int = 0
    perp_price_wad: int = 0
    perp_profit_wad: int = 0
    stable_wad: int = WAD
    spot_confidence_wad: int = WAD
    perp_confidence_wad: int = WAD
    expiries: tuple[ExpiryPosition, ...] = ()


@dataclass(frozen=True, slots=True)
class ScenarioOutcome:
    """One scenario's weighted profit or loss, floored."""

    spot_wad: int
    volatility: VolatilityShock
    weight_ppm: int
    profit_wad: int


@dataclass(frozen=True, slots=True)
class PortfolioMargin:
    """Requirement and worth of a portfolio, WAD.

    `initial_wad` and `maintenance_wad` are signed: below zero the account lacks that much. MMR of
    row 6 is `maintenance_requirement_wad`, IMR `initial_requirement_wad`; the larger of what the
    scenarios with the spot up, and those with it down, ask alone.
    """

    initial_wad: int
    maintenance_wad: int
    initial_requirement_wad: int
    maintenance_requirement_wad: int
    mark_to_market_wad: int
    min_span_wad: int
    basis_wad: int
    static_wad: int
    delta_charge_wad: int
    confidence_charge_wad: int
    im_factor_wad: int
    expiry_marks_wad: tuple[int, ...]
    scenario_set: ScenarioSet
    profits: tuple[int, ...]
    worst: int
    up: "DirectionRequirement"
    down: "DirectionRequirement"

    @property
    def scenarios(self) -> tuple[ScenarioOutcome, ...]:
        """Each scenario with its result; `profits` are the results at 1e-36, exact."""
        return tuple(
            ScenarioOutcome(row.spot_wad, row.volatility, row.weight_ppm, floor_div(profit, WAD))
            for row, profit in zip(self.scenario_set.scenarios, self.profits, strict=True)
        )


@dataclass(frozen=True, slots=True)
class DirectionRequirement:
    """What the scenarios of one direction of the spot ask, with every charge, WAD.

    Scenarios that leave the spot where it is belong to both.
    """

    initial_wad: int
    maintenance_wad: int


@dataclass(frozen=True, slots=True)
class PortfolioGreeks:
    """Sums over a portfolio, WAD: delta and gamma to each forward, vega and rho per 1.00, theta a
    year.

    Delta counts base, perpetual and future as one each; of a forward only the variable part moves.
    """

    delta_wad: int
    gamma_wad: int
    vega_wad: int
    theta_wad: int
    rho_wad: int


def validate_portfolio(portfolio: Portfolio) -> None:
    """Raise InvalidPortfolio, naming the field, unless every figure lies in its bounds."""
    _require("spot", portfolio.spot_wad, 1, PRICE_WAD_LIMIT - 1)
    _require("stable_price", portfolio.stable_wad, WAD // 100, 100 * WAD)
    _require("base", portfolio.base_wad, 0, AMOUNT_WAD_LIMIT - 1)
    _require("perp", portfolio.perp_wad, 1 - AMOUNT_WAD_LIMIT, AMOUNT_WAD_LIMIT - 1)
    least_price = 1 if portfolio.perp_wad else 0
    _require("perp_price", portfolio.perp_price_wad, least_price, PRICE_WAD_LIMIT - 1)
    for name, value in (("cash", portfolio.cash_wad), ("perp_pnl", portfolio.perp_profit_wad)):
        _require(name, value, 1 - CASH_WAD_LIMIT, CASH_WAD_LIMIT - 1)
    _require("spot_confidence", portfolio.spot_confidence_wad, 0, WAD)
    _require("perp_confidence", portfolio.perp_confidence_wad, 0, WAD)
    lines = sum(len(expiry.options) for expiry in portfolio.expiries)
    if lines > LINES_MAX:
        raise InvalidPortfolio(f"expiries: {lines} options, at most {LINES_MAX}")
    if len(portfolio.expiries) > LINES_MAX:
        raise InvalidPortfolio(f"expiries: {len(portfolio.expiries)} of them, at most {LINES_MAX}")
    seen: dict[tuple[int, int], int] = {}
    for index, expiry in enumerate(portfolio.expiries):
        field = f"expiries[{index}]"
        when = (expiry.expiry_s, expiry.settlement_s)
        if when in seen:
            raise InvalidPortfolio(
                f"{field}.seconds: {expiry.expiry_s} is that of expiries[{seen[when]}]; "
                "give one expiry once"
            )
        seen[when] = index
        _validate_expiry(expiry, field)


def _validate_expiry(expiry: ExpiryPosition, field: str) -> None:
    _require(f"{field}.seconds", expiry.expiry_s, 0, EXPIRY_S_LIMIT - 1)
    _require(f"{field}.forward_variable", expiry.forward_variable_wad, 0, PRICE_WAD_LIMIT // 128)
    _require(f"{field}.forward_fixed", expiry.forward_fixed_wad, 0, PRICE_WAD_LIMIT // 128)
    if expiry.forward_variable_wad + expiry.forward_fixed_wad == 0:
        raise InvalidPortfolio(f"{field}.forward_variable: a forward must be above zero")
    _require(f"{field}.rate", expiry.rate_wad, -RATE_WAD_LIMIT, RATE_WAD_LIMIT)
    _require(f"{field}.forward_confidence", expiry.forward_confidence_wad, 0, WAD)
    _require(f"{field}.rate_confidence", expiry.rate_confidence_wad, 0, WAD)
    _require(f"{field}.vol_confidence", expiry.volatility_confidence_wad, 0, WAD)
    _require(f"{field}.latency", expiry.latency_wad, 0, LATENCY_WAD_MAX)
    _require(f"{field}.future", expiry.future_wad, 1 - AMOUNT_WAD_LIMIT, AMOUNT_WAD_LIMIT - 1)
    seen: dict[tuple[int, bool], int] = {}
    for index, option in enumerate(expiry.options):
        leg = f"{field}.options[{index}]"
        _require(f"{leg}.strike", option.strike_wad, 1, PRICE_WAD_LIMIT - 1)
        _require(f"{leg}.amount", option.amount_wad, 1 - AMOUNT_WAD_LIMIT, AMOUNT_WAD_LIMIT - 1)
        _require(f"{leg}.vol", option.volatility_wad, 1, INPUT_VOLATILITY_WAD_LIMIT - 1)
        key = (option.strike_wad, option.is_call)
        if key in seen:
            raise InvalidPortfolio(
                f"{leg}.strike: {option.strike_wad} is that of options[{seen[key]}] of the same "
                "kind; add their amounts"
            )
        seen[key] = index


def _require(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidPortfolio(f"{field}: {value} must lie within [{low}, {high}] (1e-18)")


@dataclass(frozen=True, slots=True)
class ExpiryMarket:
    """What all instruments of one expiry share, as the key of their risk arrays."""

    expiry_s: int
    forward_variable_wad: int
    forward_fixed_wad: int

    def compute_forward_wad(self, spot_factor_wad: int) -> int:
        """F = variable·s + fixed, floored."""
        return self.forward_variable_wad * spot_factor_wad // WAD + self.forward_fixed_wad


@dataclass(frozen=True, slots=True, eq=False)
class ScenarioPricer:
    """A scenario set as the key of its risk arrays: equal to itself alone, so compared at once."""

    scenario_set: ScenarioSet


@lru_cache(maxsize=256)
def get_scenario_pricer(scenario_set: ScenarioSet) -> ScenarioPricer:
    """The pricer of a set; equal sets share one while it is kept."""
    return ScenarioPricer(scenario_set)


@lru_cache(maxsize=4 * PRICES_CACHED)
def compute_option_price_wad(
    forward_wad: int,
    strike_wad: int,
    volatility_wad: int,
    expiry_s: int,
    is_call: bool,  # noqa: FBT001 - a cached function takes its key by position
) -> int:
    """An option's mark, `black76.compute_black76_price_wad`, kept for the next account."""
    return compute_black76_price_wad(
        forward_wad, strike_wad, volatility_wad, expiry_s, is_call=is_call
    )


@lru_cache(maxsize=PRICES_CACHED)
def compute_option_prices_wad(
    market: ExpiryMarket,
    strike_wad: int,
    volatility_wad: int,
    is_call: bool,  # noqa: FBT001 - a cached function takes its key by position
    pricer: ScenarioPricer,
) -> tuple[int, tuple[int, ...], tuple[int, int]]:
    """One option's mark, its price under each scenario, and those at the basis spots up and down.

    Each distinct (spot, volatility) is priced once: the risk array of all accounts that hold it.
    """
    scenario_set = pricer.scenario_set
    parameters = scenario_set.parameters
    up_wad, down_wad = compute_volatility_factors_wad(parameters, market.expiry_s)
    factors = {
        VolatilityShock.UP: up_wad,
        VolatilityShock.NONE: WAD,
        VolatilityShock.DOWN: down_wad,
    }
    mark = compute_option_price_wad(
        market.compute_forward_wad(WAD), strike_wad, volatility_wad, market.expiry_s, is_call
    )
    priced: dict[tuple[int, int], int] = {(WAD, WAD): mark}

    def price(spot_factor_wad: int, volatility_factor_wad: int) -> int:
        key = (spot_factor_wad, volatility_factor_wad)
        if key not in priced:
            priced[key] = compute_black76_price_wad(
                market.compute_forward_wad(spot_factor_wad),
                strike_wad,
                volatility_wad * volatility_factor_wad // WAD,
                market.expiry_s,
                is_call=is_call,
            )
        return priced[key]

    shocked = tuple(price(row.spot_wad, factors[row.volatility]) for row in scenario_set.scenarios)
    basis = (price(parameters.basis_up_wad, WAD), price(parameters.basis_down_wad, WAD))
    return mark, shocked, basis


def _build_option_row(
    expiry: ExpiryPosition,
    expiry_index: int,
    option: OptionPosition,
    pricer: ScenarioPricer,
    spot_wad: int,
) -> InstrumentRow:
    market = ExpiryMarket(expiry.expiry_s, expiry.forward_variable_wad, expiry.forward_fixed_wad)
    mark, shocked, basis = compute_option_prices_wad(
        market, option.strike_wad, option.volatility_wad, option.is_call, pricer
    )
    parameters = pricer.scenario_set.parameters
    dollar_delta = 0
    if parameters.net_delta_pct_wad or parameters.hedged_delta_pct_wad:
        dollar_delta = compute_option_delta_wad(expiry, option) * spot_wad // WAD
    static = ceil_div(parameters.opt_pct_wad * spot_wad, WAD)
    return InstrumentRow(
        expiry_index,
        option.strike_wad,
        option.is_call,
        mark,
        shocked,
        basis,
        static,
        dollar_delta,
    )


def compute_option_delta_wad(expiry: ExpiryPosition, option: OptionPosition) -> int:
    """The undiscounted Black-76 delta times the share of the forward that still moves."""
    forward = expiry.forward_variable_wad + expiry.forward_fixed_wad
    value = compute_black76(
        forward,
        option.strike_wad,
        option.volatility_wad,
        expiry.expiry_s,
        is_call=option.is_call,
    )
    return value.delta_wad * expiry.forward_variable_wad // forward


def _build_linear_row(
    price_wad: int, pct_wad: int, spot_wad: int, scenario_set: ScenarioSet
) -> InstrumentRow:
    shocked = tuple(price_wad * row.spot_wad // WAD for row in scenario_set.scenarios)
    static = ceil_div(pct_wad * spot_wad, WAD)
    return InstrumentRow(LINEAR, 0, False, price_wad, shocked, (0, 0), static, spot_wad)  # noqa: FBT003


def _build_future_row(
    expiry: ExpiryPosition, expiry_index: int, spot_wad: int, scenario_set: ScenarioSet
) -> InstrumentRow:
    """A future moves with the variable part of its forward and is charged as a perpetual is."""
    parameters = scenario_set.parameters
    market = ExpiryMarket(expiry.expiry_s, expiry.forward_variable_wad, expiry.forward_fixed_wad)
    mark = market.compute_forward_wad(WAD)
    return InstrumentRow(
        LINEAR,
        0,
        False,  # noqa: FBT003
        mark,
        tuple(market.compute_forward_wad(row.spot_wad) for row in scenario_set.scenarios),
        (
            market.compute_forward_wad(parameters.basis_up_wad),
            market.compute_forward_wad(parameters.basis_down_wad),
        ),
        ceil_div(parameters.perp_pct_wad * spot_wad, WAD),
        expiry.forward_variable_wad * spot_wad // mark,
        expiry_index,
    )


@lru_cache(maxsize=256)
def compute_weights(scenario_set: ScenarioSet, ratio_scale: int) -> tuple[int, ...]:
    """The weight of each scenario at ratio_scale, floored."""
    return tuple(row.weight_ppm * ratio_scale // PPM for row in scenario_set.scenarios)


def build_risk_table(
    portfolio: Portfolio,
    scenario_set: ScenarioSet,
    ratio_scale: int = SCALE,
    *,
    held_only: bool = False,
) -> tuple[RiskTable, tuple[int, ...]]:
    """The portfolio's instruments as a table in WAD, and its amounts: base, perp, then the options
    and the future of each expiry. Base and perp of no amount are left out when `held_only`.
    """
    parameters = scenario_set.parameters
    spot = portfolio.spot_wad
    rows, amounts = [], []
    for amount, price, pct in (
        (portfolio.base_wad, spot * WAD // portfolio.stable_wad, parameters.base_pct_wad),
        (portfolio.perp_wad, portfolio.perp_price_wad, parameters.perp_pct_wad),
    ):
        if amount or not held_only:
            rows.append(_build_linear_row(price, pct, spot, scenario_set))
            amounts.append(amount)
    pricer = get_scenario_pricer(scenario_set) if portfolio.expiries else None
    for index, expiry in enumerate(portfolio.expiries):
        for option in expiry.options:
            assert pricer is not None
            rows.append(_build_option_row(expiry, index, option, pricer, spot))
            amounts.append(option.amount_wad)
        if expiry.future_wad:
            rows.append(_build_future_row(expiry, index, spot, scenario_set))
            amounts.append(expiry.future_wad)
    table = RiskTable(
        tuple(rows),
        compute_weights(scenario_set, ratio_scale),
        tuple(
            compute_option_discount(
                parameters, expiry.rate_wad, expiry.latency_wad, expiry.expiry_s, ratio_scale
            )
            for expiry in portfolio.expiries
        ),
        tuple(
            ceil_div(
                (parameters.basis_add_wad * YEAR_S + parameters.basis_mult_wad * expiry.expiry_s)
                * ratio_scale,
                WAD * YEAR_S,
            )
            for expiry in portfolio.expiries
        ),
        ceil_div(parameters.net_delta_pct_wad * ratio_scale, WAD),
        ceil_div(parameters.hedged_delta_pct_wad * ratio_scale, WAD),
        ratio_scale,
    )
    return table, tuple(amounts)


def compute_confidence_charge_wad(portfolio: Portfolio, parameters: PortfolioParameters) -> int:
    """The sum of (1 - c)·conf_margin·n·S over legs with c under the threshold, rounded up."""
    spot_confidence = portfolio.spot_confidence_wad
    if portfolio.perp_wad:
        spot_confidence = min(spot_confidence, portfolio.perp_confidence_wad)
    legs = [(abs(portfolio.perp_wad) + portfolio.base_wad, spot_confidence)]
    for expiry in portfolio.expiries:
        confidence = min(
            spot_confidence,
            expiry.forward_confidence_wad,
            expiry.rate_confidence_wad,
            expiry.volatility_confidence_wad,
        )
        held = abs(expiry.future_wad) + sum(abs(option.amount_wad) for option in expiry.options)
        legs.append((held, confidence))
    exact = sum(
        (WAD - confidence) * parameters.conf_margin_wad * amount * portfolio.spot_wad
        for amount, confidence in legs
        if confidence < parameters.conf_threshold_wad
    )
    return ceil_div(exact, WAD**3)


def compute_im_factor_wad(parameters: PortfolioParameters, stable_wad: int) -> int:
    """im_factor + (peg_threshold - stable)·peg_factor while the stable is below, rounded up."""
    shortfall = max(0, parameters.peg_threshold_wad - stable_wad)
    return parameters.im_factor_wad + ceil_div(shortfall * parameters.peg_factor_wad, WAD)


def compute_portfolio_margin(portfolio: Portfolio, scenario_set: ScenarioSet) -> PortfolioMargin:
    """The whole of row 14 on one portfolio; raises InvalidPortfolio for inputs out of bounds."""
    validate_portfolio(portfolio)
    table, amounts = build_risk_table(portfolio, scenario_set, held_only=True)
    span = compute_span(table, amounts)
    return _compose_margin(portfolio, scenario_set, span)


def _compose_margin(
    portfolio: Portfolio, scenario_set: ScenarioSet, span: SpanResult
) -> PortfolioMargin:
    parameters = scenario_set.parameters
    min_span = floor_div(span.min_span, WAD)
    im_factor = compute_im_factor_wad(parameters, portfolio.stable_wad)
    confidence_charge = compute_confidence_charge_wad(portfolio, parameters)

    def require(span_wad: int) -> DirectionRequirement:
        return DirectionRequirement(
            ceil_div(-span_wad * im_factor, WAD) + confidence_charge,
            ceil_div(-span_wad * parameters.mm_factor_wad, WAD),
        )

    least = min(span.basis, -span.delta_charge)
    up = down = least
    for row, profit in zip(scenario_set.scenarios, span.scenario_results, strict=True):
        if row.spot_wad >= WAD and profit < up:
            up = profit
        if row.spot_wad <= WAD and profit < down:
            down = profit
    up_required = require(floor_div(up - span.static_charge, WAD))
    down_required = require(floor_div(down - span.static_charge, WAD))
    # Every scenario belongs to a direction: the larger requirement is that of all of them.
    whole = up_required if up <= down else down_required
    base_value = portfolio.base_wad * portfolio.spot_wad // portfolio.stable_wad
    options_value = floor_div(sum(span.expiry_marks), WAD)
    mark_to_market = portfolio.perp_profit_wad + base_value + options_value
    worth = mark_to_market + portfolio.cash_wad
    return PortfolioMargin(
        initial_wad=worth - whole.initial_wad,
        maintenance_wad=worth - whole.maintenance_wad,
        initial_requirement_wad=whole.initial_wad,
        maintenance_requirement_wad=whole.maintenance_wad,
        mark_to_market_wad=mark_to_market,
        min_span_wad=min_span,
        basis_wad=floor_div(span.basis, WAD),
        static_wad=ceil_div(span.static_charge, WAD),
        delta_charge_wad=ceil_div(span.delta_charge, WAD),
        confidence_charge_wad=confidence_charge,
        im_factor_wad=im_factor,
        expiry_marks_wad=tuple(floor_div(mark, WAD) for mark in span.expiry_marks),
        scenario_set=scenario_set,
        profits=span.scenario_results,
        worst=span.worst,
        up=up_required,
        down=down_required,
    )


def compute_portfolio_greeks(portfolio: Portfolio) -> PortfolioGreeks:
    """The Greeks of every leg summed, each sum floored once."""
    delta = (portfolio.base_wad + portfolio.perp_wad) * WAD
    gamma = vega = theta = rho = 0
    for expiry in portfolio.expiries:
        forward = expiry.forward_variable_wad + expiry.forward_fixed_wad
        variable = expiry.forward_variable_wad
        delta += expiry.future_wad * WAD * variable // forward
        for option in expiry.options:
            value = compute_black76(
                forward,
                option.strike_wad,
                option.volatility_wad,
                expiry.expiry_s,
                is_call=option.is_call,
            )
            amount = option.amount_wad
            # The settled part of an average does not move.
            delta += amount * value.delta_wad * variable // forward
            gamma += amount * value.gamma_wad * variable * variable // forward**2
            vega += amount * value.vega_wad
            theta += amount * value.theta_wad
            rho += amount * value.rho_wad
    return PortfolioGreeks(*(floor_div(total, WAD) for total in (delta, gamma, vega, theta, rho)))
