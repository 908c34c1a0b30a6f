"""`marginchaind risk`: the margin engine as a calculator, for people without a chain.

It runs the functions that the chain runs (`chain.risk`), at the full precision of WAD figures.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chain.cli.risk_documents import (
    DAY_S,
    InvalidDocument,
    format_wad,
    parse_decimal_wad,
    read_document,
    read_portfolio,
    read_portfolios,
    read_scenarios,
)
from chain.cli.session import Output, get_session
from chain.risk.black76 import (
    EXPIRY_S_LIMIT,
    RATE_WAD_LIMIT,
    InvalidOption,
    compute_black76,
    compute_black_scholes,
    validate_option,
)
from chain.risk.haircut import (
    HaircutFactors,
    compute_latency_premium_ppm,
    compute_lien_value,
    compute_size_weight_ppm,
)
from chain.risk.margin import compute_gmr_ppm, compute_margin_state
from chain.risk.portfolio import (
    INPUT_VOLATILITY_WAD_LIMIT,
    Portfolio,
    compute_portfolio_greeks,
    compute_portfolio_margin,
)
from chain.risk.scenarios import (
    PARAMETER_NAMES,
    PRESETS,
    ScenarioSet,
    replace_parameter,
    validate_scenario_set,
)
from chain.risk.standard import (
    STANDARD_PARAMETER_NAMES,
    StandardParameters,
    compute_standard_margin,
    replace_standard_parameter,
)
from chain.units import PPM, UUSD, WAD

STANDARD: Final = "standard"
PRESET_NAMES: Final = (*sorted(PRESETS), STANDARD)
WAD_PER_PPM: Final = WAD // PPM

app = typer.Typer(
    help="Calculate margin, haircuts and option values without a chain.", no_args_is_help=True
)

PortfolioArgument = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="JSON portfolio.")
]
PresetOption = Annotated[str, typer.Option(help=f"One of {', '.join(PRESET_NAMES)}.")]
ParametersOption = Annotated[
    list[str] | None, typer.Option("--param", help="name=value; may stand several times.")
]
ScenariosOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="JSON rows to use instead of the preset's."),
]


def _split_parameter(text: str) -> tuple[str, int]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InvalidDocument(f"--param {text}: must be name=value")
    return name, parse_decimal_wad(value, f"--param {name}")


def _build_scenario_set(
    preset: str, parameters: Sequence[str], scenarios: Path | None
) -> ScenarioSet:
    if preset not in PRESETS:
        raise InvalidDocument(f"--preset {preset}: must be one of {', '.join(PRESET_NAMES)}")
    chosen = PRESETS[preset]
    for text in parameters:
        name, value = _split_parameter(text)
        if f"{name}_s" in PARAMETER_NAMES:
            if value % WAD:
                raise InvalidDocument(f"--param {name}: must be whole seconds")
            chosen = replace_parameter(chosen, f"{name}_s", value // WAD)
        else:
            chosen = replace_parameter(chosen, f"{name}_wad", value)
    if scenarios is not None:
        chosen = read_scenarios(read_document(scenarios), chosen)
    validate_scenario_set(chosen)
    return chosen


def _build_standard_parameters(parameters: Sequence[str]) -> StandardParameters:
    chosen = StandardParameters()
    for text in parameters:
        name, value = _split_parameter(text)
        chosen = replace_standard_parameter(chosen, f"{name}_wad", value)
    return chosen


def _format_percent(value_wad: int) -> str:
    return format_wad(value_wad * 100) + " %"


def _describe_scenario(spot_wad: int, volatility: str, weight_ppm: int) -> dict[str, Any]:
    return {
        "spot_shock": _format_percent(spot_wad - WAD),
        "vol": volatility,
        "weight": _format_percent(weight_ppm * WAD_PER_PPM),
    }


def _describe_ratio(worth_wad: int, requirement_wad: int) -> dict[str, Any]:
    gmr_ppm = compute_gmr_ppm(worth_wad, requirement_wad)
    return {
        "equity": format_wad(worth_wad),
        "gmr": "" if gmr_ppm is None else format_wad(gmr_ppm * WAD_PER_PPM),
        "state": compute_margin_state(worth_wad, requirement_wad).name.lower(),
    }


def _describe_greeks(portfolios: Sequence[Portfolio]) -> list[dict[str, str]]:
    described = []
    for portfolio in portfolios:
        greeks = compute_portfolio_greeks(portfolio)
        described.append(
            {
                "delta": format_wad(greeks.delta_wad),
                "gamma": format_wad(greeks.gamma_wad),
                "vega": format_wad(greeks.vega_wad),
                "theta": format_wad(greeks.theta_wad),
                "rho": format_wad(greeks.rho_wad),
            }
        )
    return described


def _describe_portfolio_margin(portfolio: Portfolio, chosen: ScenarioSet) -> dict[str, Any]:
    margin = compute_portfolio_margin(portfolio, chosen)
    worst = margin.scenarios[margin.worst]
    worth = margin.mark_to_market_wad + portfolio.cash_wad
    return {
        "preset": chosen.name,
        "initial_margin": format_wad(margin.initial_wad),
        "maintenance_margin": format_wad(margin.maintenance_wad),
        "mark_to_market": format_wad(margin.mark_to_market_wad),
        "cash": format_wad(portfolio.cash_wad),
        "initial_requirement": format_wad(margin.initial_requirement_wad),
        "maintenance_requirement": format_wad(margin.maintenance_requirement_wad),
        **_describe_ratio(worth, margin.maintenance_requirement_wad),
        "min_span": format_wad(margin.min_span_wad),
        "worst_scenario": {
            "index": margin.worst,
            **_describe_scenario(worst.spot_wad, worst.volatility.value, worst.weight_ppm),
            "pnl": format_wad(worst.profit_wad),
        },
        "basis": format_wad(margin.basis_wad),
        "static": format_wad(margin.static_wad),
        "delta_charge": format_wad(margin.delta_charge_wad),
        "confidence_charge": format_wad(margin.confidence_charge_wad),
        "im_factor": format_wad(margin.im_factor_wad),
        "expiry_marks": [format_wad(mark) for mark in margin.expiry_marks_wad],
        "greeks": _describe_greeks([portfolio])[0],
    }


def _describe_standard_margin(
    portfolios: Sequence[Portfolio], parameters: StandardParameters
) -> dict[str, Any]:
    margin = compute_standard_margin(portfolios, parameters)
    cash = sum(portfolio.cash_wad for portfolio in portfolios)
    worth = cash + sum(part.base_wad + part.perp_profit_wad for part in margin.underlyings)
    return {
        "preset": STANDARD,
        "initial_margin": format_wad(margin.initial_wad),
        "maintenance_margin": format_wad(margin.maintenance_wad),
        "mark_to_market": format_wad(margin.mark_to_market_wad),
        "cash": format_wad(cash),
        "initial_requirement": format_wad(worth - margin.initial_wad),
        "maintenance_requirement": format_wad(margin.maintenance_requirement_wad),
        **_describe_ratio(worth, margin.maintenance_requirement_wad),
        "underlyings": [
            {
                "initial": format_wad(part.initial_wad),
                "maintenance": format_wad(part.maintenance_wad),
                "expiries_initial": format_wad(sum(e.initial_wad for e in part.expiries)),
                "expiries_maintenance": format_wad(sum(e.maintenance_wad for e in part.expiries)),
                "perp_initial": format_wad(part.perp_initial_wad),
                "perp_maintenance": format_wad(part.perp_maintenance_wad),
                "perp_pnl": format_wad(part.perp_profit_wad),
                "base": format_wad(part.base_wad),
                "depeg": format_wad(part.depeg_wad),
                "confidence": format_wad(part.confidence_wad),
                **greeks,
            }
            for part, greeks in zip(margin.underlyings, _describe_greeks(portfolios), strict=True)
        ],
    }


@app.command(name="margin")
def show_margin(
    ctx: typer.Context,
    portfolio: PortfolioArgument,
    preset: PresetOption = "pmrm21",
    parameters: ParametersOption = None,
    scenarios: ScenariosOption = None,
) -> None:
    """Print initial and maintenance margin, mark to market, worst scenario and Greeks."""
    session = get_session(ctx)
    document = read_document(portfolio)
    if preset == STANDARD:
        if scenarios is not None:
            raise InvalidDocument("--scenarios: standard margin has no scenarios")
        chosen = _build_standard_parameters(parameters or ())
        described = _describe_standard_margin(read_portfolios(document), chosen)
        if session.output is Output.TEXT:
            # A table would be wider than any screen: one line a figure instead.
            parts = described["underlyings"]
            described["underlyings"] = {str(index): part for index, part in enumerate(parts)}
    else:
        described = _describe_portfolio_margin(
            read_portfolio(document), _build_scenario_set(preset, parameters or (), scenarios)
        )
    session.show(described)


@app.command(name="scenarios")
def show_scenarios(
    ctx: typer.Context,
    portfolio: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="JSON portfolio.")
    ] = None,
    preset: PresetOption = "pmrm21",
    parameters: ParametersOption = None,
    scenarios: ScenariosOption = None,
) -> None:
    """Print the rows and parameters of a scenario set, or a portfolio's profit in each row."""
    if preset == STANDARD:
        if scenarios is not None or portfolio is not None:
            raise InvalidDocument("--preset standard: standard margin has no scenarios")
        standard = _build_standard_parameters(parameters or ())
        shown = {
            name.removesuffix("_wad"): format_wad(getattr(standard, name))
            for name in STANDARD_PARAMETER_NAMES
        }
        get_session(ctx).show({"preset": STANDARD, "parameters": shown})
        return
    chosen = _build_scenario_set(preset, parameters or (), scenarios)
    rows = [
        {"index": index, **_describe_scenario(row.spot_wad, row.volatility.value, row.weight_ppm)}
        for index, row in enumerate(chosen.scenarios)
    ]
    document: dict[str, Any] = {"preset": chosen.name, "scenarios": rows}
    if portfolio is None:
        document["parameters"] = {
            name.removesuffix("_wad").removesuffix("_s"): (
                str(getattr(chosen.parameters, name))
                if name.endswith("_s")
                else format_wad(getattr(chosen.parameters, name))
            )
            for name in PARAMETER_NAMES
        }
    else:
        held = read_portfolio(read_document(portfolio))
        margin = compute_portfolio_margin(held, chosen)
        for index, (row, outcome) in enumerate(zip(rows, margin.scenarios, strict=True)):
            row["pnl"] = format_wad(outcome.profit_wad)
            row["worst"] = "worst" if index == margin.worst else ""
    get_session(ctx).show(document)


def _read_duration(days: str | None, seconds: int | None) -> int:
    if (days is None) == (seconds is None):
        raise InvalidDocument("--days or --seconds: give one of them")
    if days is None:
        assert seconds is not None
        return seconds
    duration_wad = parse_decimal_wad(days, "--days") * DAY_S
    if duration_wad % WAD:
        raise InvalidDocument("--days: must be whole seconds")
    return duration_wad // WAD


@app.command(name="option")
def show_option(
    ctx: typer.Context,
    *,
    strike: Annotated[str, typer.Option(help="Strike, USD.")],
    vol: Annotated[str, typer.Option(help="Annual volatility; 0.7 is 70 %.")],
    kind: Annotated[str, typer.Option(help="call or put.")],
    forward: Annotated[str | None, typer.Option(help="Forward: Black-76.")] = None,
    spot: Annotated[str | None, typer.Option(help="Spot: Black-Scholes.")] = None,
    days: Annotated[str | None, typer.Option(help="Days to expiry.")] = None,
    seconds: Annotated[int | None, typer.Option(help="Seconds to expiry.")] = None,
    rate: Annotated[str, typer.Option(help="Annual rate; 0.05 is 5 %.")] = "0",
    dividend_yield: Annotated[str, typer.Option("--yield", help="Annual yield of the spot.")] = "0",
) -> None:
    """Print price and Greeks of one European option."""
    if kind not in {"call", "put"}:
        raise InvalidDocument("--kind: must be call or put")
    if (forward is None) == (spot is None):
        raise InvalidDocument("--forward or --spot: give one of them")
    underlying_text = forward if spot is None else spot
    assert underlying_text is not None
    underlying = parse_decimal_wad(underlying_text, "--forward" if spot is None else "--spot")
    if underlying == 0:
        name = "--forward" if spot is None else "--spot"
        raise InvalidOption(f"{name}: must be above zero")
    strike_wad, vol_wad = parse_decimal_wad(strike, "--strike"), parse_decimal_wad(vol, "--vol")
    duration = _read_duration(days, seconds)
    rate_wad = parse_decimal_wad(rate, "--rate")
    yield_wad = parse_decimal_wad(dividend_yield, "--yield")
    for name, figure in (("--rate", rate_wad), ("--yield", yield_wad)):
        if abs(figure) > RATE_WAD_LIMIT:
            raise InvalidOption(f"{name}: must lie within ±{format_wad(RATE_WAD_LIMIT)}")
    if spot is None and yield_wad:
        raise InvalidDocument("--yield: a forward has none")
    validate_option(underlying, strike_wad, vol_wad, duration)
    if spot is None:
        value = compute_black76(
            underlying, strike_wad, vol_wad, duration, is_call=kind == "call", rate_wad=rate_wad
        )
    else:
        value = compute_black_scholes(
            underlying,
            strike_wad,
            vol_wad,
            duration,
            is_call=kind == "call",
            rate_wad=rate_wad,
            yield_wad=yield_wad,
        )
    get_session(ctx).show(
        {
            "model": "black76" if spot is None else "black_scholes",
            "price": format_wad(value.price_wad),
            "delta": format_wad(value.delta_wad),
            "gamma": format_wad(value.gamma_wad),
            "vega": format_wad(value.vega_wad),
            "theta": format_wad(value.theta_wad),
            "rho": format_wad(value.rho_wad),
        }
    )


@app.command(name="haircut")
def show_haircut(
    ctx: typer.Context,
    *,
    amount: Annotated[str, typer.Option(help="Whole units of the asset.")],
    price: Annotated[str, typer.Option(help="USD a whole unit.")],
    market: Annotated[str, typer.Option(help="Market haircut; 0.15 is 15 %.")] = "0",
    vol: Annotated[str, typer.Option(help="Annual volatility for the latency premium.")] = "0",
    seconds: Annotated[int, typer.Option(min=0, help="delta t of the route, seconds.")] = 0,
    security: Annotated[str, typer.Option(help="Security haircut of the route.")] = "0",
    staleness: Annotated[str, typer.Option(help="Staleness haircut.")] = "0",
    size_factor: Annotated[str, typer.Option("--imf", help="Size factor imf.")] = "0",
    owner_amount: Annotated[
        str | None, typer.Option(help="All the owner has in the asset; default: the amount.")
    ] = None,
) -> None:
    """Print the haircut of one piece of collateral, each factor, and what counts of its value."""
    figures = {
        name: parse_decimal_wad(text, f"--{name}")
        for name, text in {
            "amount": amount,
            "price": price,
            "market": market,
            "vol": vol,
            "security": security,
            "staleness": staleness,
            "imf": size_factor,
            "owner-amount": amount if owner_amount is None else owner_amount,
        }.items()
    }
    for name, value in figures.items():
        if not 0 <= value < 10**40:
            raise InvalidDocument(f"--{name}: must lie within [0, 1e22)")
    if figures["price"] == 0:
        raise InvalidDocument("--price: must be above zero")
    if figures["vol"] >= INPUT_VOLATILITY_WAD_LIMIT:
        limit = format_wad(INPUT_VOLATILITY_WAD_LIMIT)
        raise InvalidDocument(f"--vol: must lie within [0, {limit})")
    if seconds >= EXPIRY_S_LIMIT:
        raise InvalidDocument(f"--seconds: must lie within [0, {EXPIRY_S_LIMIT})")
    latency = compute_latency_premium_ppm(figures["vol"], seconds)
    weight = compute_size_weight_ppm(figures["imf"], figures["owner-amount"], 18, 0, 0)
    # Haircuts round up to a ppm: never in the user's favour.
    market_ppm, security_ppm, staleness_ppm = (
        -(-figures[name] // WAD_PER_PPM) for name in ("market", "security", "staleness")
    )
    lien = compute_lien_value(
        HaircutFactors(
            "", 18, figures["amount"], market_ppm, weight, latency, security_ppm, staleness_ppm
        ),
        figures["price"],
    )
    usd = WAD // UUSD
    get_session(ctx).show(
        {
            "value": format_wad(lien.value_uusd * usd),
            "counted": format_wad(lien.counted_uusd * usd),
            "haircut_ppm": lien.haircut_ppm,
            "market_ppm": market_ppm,
            "size_weight_ppm": weight,
            "latency_ppm": latency,
            "security_ppm": security_ppm,
            "staleness_ppm": staleness_ppm,
        }
    )
