"""An explanation of a margin computed again from its own printed inputs, without a store.

Whoever received one (a query's answer, an export) finds out here whether its figures follow from
its inputs: amounts, prices, haircut factors, terms, scenario sets, correlations.
"""

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as pb
from chain.modules.scenarios.types import Underlying, parse_underlying_state
from chain.risk.correlation import compute_correlated_requirement, compute_reachable_requirement
from chain.risk.haircut import compute_asset_value_uusd, compute_haircut_ppm
from chain.risk.margin import (
    LinearTerms,
    compute_gmr_ppm,
    compute_initial_profit_uusd,
    compute_margin_state,
    compute_position_magnitude_uusd,
    compute_position_value_uusd,
    compute_requirement_uusd,
)
from chain.risk.portfolio import Portfolio, PortfolioMargin, compute_portfolio_margin
from chain.risk.ramp import compute_between
from chain.units import PPM, ceil_div, mul_ppm_ceil, mul_ppm_floor

_WAD_IN_UUSD = 10**12


class _Comparison:
    """Differences between what is printed and what follows, one text each."""

    def __init__(self) -> None:
        self.differences: list[str] = []

    def expect(self, field: str, printed: str | int, computed: int | None) -> None:
        """Note a difference unless the printed figure is the computed one."""
        text = "" if computed is None else str(computed)
        if str(printed) != text:
            self.differences.append(f"{field}: printed {printed}, its inputs give {text}")


def recompute_explanation(explanation: pb.MarginExplanation) -> list[str]:
    """Every figure that does not follow from the explanation's inputs; empty when all do.

    What positions at venues of other chains add, and what orders may lose, are inputs.
    """
    seen = _Comparison()
    for index, lien in enumerate(explanation.liens):
        _check_lien(seen, f"liens[{index}]", lien)
    linear = [
        _check_position(seen, f"positions[{index}]", line, explanation.time_s)
        for index, line in enumerate(explanation.positions)
    ]
    is_portfolio = explanation.margin_mode == accounts_pb2.MARGIN_MODE_PORTFOLIO
    if is_portfolio:
        maintenance, initial = _check_portfolio(seen, explanation, linear)
    else:
        for index, (line, asked) in enumerate(zip(explanation.positions, linear, strict=True)):
            seen.expect(f"positions[{index}].maintenance_uusd", line.maintenance_uusd, asked[0])
            seen.expect(f"positions[{index}].initial_uusd", line.initial_uusd, asked[1])
        maintenance = sum(asked[0] for asked in linear)
        initial = sum(asked[1] for asked in linear)
    cash = int(explanation.cash_uusd)
    collateral = sum(int(lien.counted_uusd) for lien in explanation.liens)
    unrealised = sum(int(line.unrealised_uusd) for line in explanation.positions)
    equity = cash + collateral + unrealised
    equity_initial = cash + sum(int(lien.counted_initial_uusd) for lien in explanation.liens)
    for line in explanation.positions:
        profit = int(line.unrealised_uusd)
        equity_initial += compute_initial_profit_uusd(profit, explanation.initial_profit_ppm)
        equity_initial -= int(line.order_loss_uusd)
    equity += int(explanation.venue_pnl_uusd)
    equity_initial += int(explanation.venue_pnl_initial_uusd)
    maintenance += int(explanation.venue_maintenance_uusd)
    initial += int(explanation.venue_initial_uusd)
    seen.expect("collateral_uusd", explanation.collateral_uusd, collateral)
    seen.expect("unrealised_uusd", explanation.unrealised_uusd, unrealised)
    seen.expect("equity_uusd", explanation.equity_uusd, equity)
    seen.expect("equity_initial_uusd", explanation.equity_initial_uusd, equity_initial)
    seen.expect("maintenance_uusd", explanation.maintenance_uusd, maintenance)
    raised = mul_ppm_ceil(initial, explanation.multiplier_ppm)
    seen.expect("initial_uusd", explanation.initial_uusd, raised)
    seen.expect("gmr_ppm", explanation.gmr_ppm, compute_gmr_ppm(equity, maintenance))
    seen.expect("state", explanation.state, compute_margin_state(equity, maintenance).value)
    return seen.differences


def _check_lien(seen: _Comparison, field: str, lien: pb.LienMargin) -> None:
    value = compute_asset_value_uusd(
        int(lien.recognized_amount), int(lien.price_wad), lien.decimals
    )
    haircut = compute_haircut_ppm(
        int(lien.market_ppm),
        int(lien.size_weight_ppm),
        int(lien.latency_ppm),
        int(lien.security_ppm),
        int(lien.staleness_ppm),
    )
    seen.expect(f"{field}.value_uusd", lien.value_uusd, value)
    seen.expect(f"{field}.haircut_ppm", lien.haircut_ppm, haircut)
    seen.expect(f"{field}.counted_uusd", lien.counted_uusd, mul_ppm_floor(value, PPM - haircut))


def _check_terms(seen: _Comparison, field: str, line: pb.PositionMargin, time_s: int) -> None:
    """Compare the rates with the volatility, horizon and ramp that they follow from."""
    terms = LinearTerms(0, 0, int(line.volatility_wad), line.delta_t_s)
    seen.expect(f"{field}.latency_initial_ppm", line.latency_initial_ppm, terms.latency_initial_ppm)
    if not line.HasField("ramp"):
        seen.expect(f"{field}.latency_ppm", line.latency_ppm, terms.latency_ppm)
        return
    ramp = line.ramp
    rates = (
        ("latency", int(ramp.latency_before_ppm), terms.latency_ppm, line.latency_ppm),
        (
            *("maintenance", ramp.maintenance_before_ppm, ramp.maintenance_after_ppm),
            line.maintenance_ppm,
        ),
    )
    seen.expect(f"{field}.ramp.latency_after_ppm", ramp.latency_after_ppm, terms.latency_ppm)
    for name, before, after, printed in rates:
        reading = compute_between(before, after, time_s, ramp.start_s, ramp.end_s)
        seen.expect(f"{field}.{name}_ppm", printed, reading)


def _check_position(
    seen: _Comparison, field: str, line: pb.PositionMargin, time_s: int
) -> tuple[int, int]:
    """Compare the position's worth; what row 13 asks for maintenance and initial margin."""
    price, decimals = int(line.price_wad), line.quantum_decimals
    size = int(line.position.size_quantums)
    value = compute_position_value_uusd(size, price, decimals)
    unrealised = value - int(line.position.cost_uusd) - int(line.funding_owed_uusd)
    seen.expect(f"{field}.value_uusd", line.value_uusd, value)
    seen.expect(f"{field}.unrealised_uusd", line.unrealised_uusd, unrealised)
    _check_terms(seen, field, line, time_s)
    held = compute_position_magnitude_uusd(size, price, decimals)
    worst = compute_position_magnitude_uusd(int(line.worst_size_quantums), price, decimals)
    return (
        compute_requirement_uusd(held, int(line.maintenance_ppm), int(line.latency_ppm)),
        compute_requirement_uusd(worst, int(line.initial_ppm), int(line.latency_initial_ppm)),
    )


def _price(line: pb.UnderlyingMargin, underlying: Underlying, amount_wad: int) -> PortfolioMargin:
    portfolio = Portfolio(
        spot_wad=int(line.spot_wad),
        perp_wad=amount_wad,
        perp_price_wad=int(line.spot_wad),
        stable_wad=int(line.stable_wad),
        spot_confidence_wad=int(line.confidence_wad),
        perp_confidence_wad=int(line.confidence_wad),
    )
    return compute_portfolio_margin(portfolio, underlying.scenario_set)


def _check_underlying(
    seen: _Comparison, line: pb.UnderlyingMargin, linear_uusd: int, time_s: int
) -> None:
    field = f"underlyings[{line.asset}]"
    rules = parse_underlying_state(line.rules)
    amount = int(line.amount_wad)
    margin = _price(line, rules.current, amount)
    for index, (row, outcome) in enumerate(zip(line.scenarios, margin.scenarios, strict=True)):
        seen.expect(f"{field}.scenarios[{index}].spot_wad", row.spot_wad, outcome.spot_wad)
        seen.expect(f"{field}.scenarios[{index}].profit_wad", row.profit_wad, outcome.profit_wad)
    seen.expect(f"{field}.worst", line.worst, margin.worst)
    for name in (
        *("min_span_wad", "static_wad", "basis_wad", "delta_charge_wad"),
        *("im_factor_wad", "confidence_charge_wad"),
    ):
        seen.expect(f"{field}.{name}", getattr(line, name), getattr(margin, name))
    target = ceil_div(margin.maintenance_requirement_wad, _WAD_IN_UUSD)
    before = linear_uusd
    if rules.previous is not None:
        earlier = _price(line, rules.previous, amount)
        before = ceil_div(earlier.maintenance_requirement_wad, _WAD_IN_UUSD)
    asked = rules.compute_ramped(before, target, time_s)
    seen.expect(f"{field}.maintenance_target_uusd", line.maintenance_target_uusd, target)
    seen.expect(f"{field}.loss_uusd", line.loss_uusd, asked if amount >= 0 else -asked)
    for name, reached in (
        ("loss_initial_uusd", amount),
        ("loss_initial_low_uusd", int(line.amount_low_wad)),
        ("loss_initial_high_uusd", int(line.amount_high_wad)),
    ):
        filled = _price(line, rules.current, reached)
        loss = ceil_div(filled.initial_requirement_wad, _WAD_IN_UUSD)
        seen.expect(f"{field}.{name}", getattr(line, name), loss if reached >= 0 else -loss)


def _check_portfolio(
    seen: _Comparison, explanation: pb.MarginExplanation, linear: list[tuple[int, int]]
) -> tuple[int, int]:
    """Compare each underlying; MMR and IMR (before the tier) that they come to."""
    held: dict[str, tuple[int, int]] = {}
    for position, asked in zip(explanation.positions, linear, strict=True):
        before = held.get(position.asset, (0, 0))
        held[position.asset] = (before[0] + asked[0], before[1] + asked[1])
    lines = {line.asset: line for line in explanation.underlyings}
    for asset, line in sorted(lines.items()):
        _check_underlying(seen, line, held[asset][0], explanation.time_s)
    matrix = [list(row.rho_ppm) for row in explanation.correlation]
    inside = [lines[asset] for asset in explanation.correlated_assets]
    maintenance = compute_correlated_requirement(matrix, [int(line.loss_uusd) for line in inside])
    initial = compute_reachable_requirement(
        matrix,
        [int(line.loss_initial_uusd) for line in inside],
        [(int(line.loss_initial_low_uusd), int(line.loss_initial_high_uusd)) for line in inside],
    )
    for asset, asked in sorted(held.items()):
        if asset in explanation.correlated_assets:
            continue
        if asset not in lines:
            maintenance, initial = maintenance + asked[0], initial + asked[1]
            continue
        line = lines[asset]
        maintenance += abs(int(line.loss_uusd))
        ends = (line.loss_initial_uusd, line.loss_initial_low_uusd, line.loss_initial_high_uusd)
        initial += max(abs(int(end)) for end in ends)
    return maintenance, initial
