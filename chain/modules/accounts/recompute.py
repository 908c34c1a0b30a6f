"""An explanation of a margin computed again from its own printed inputs, without a store.

Whoever received one (a query's answer, an export) finds out here whether its figures follow from
its inputs: amounts, prices, forwards, haircut factors, terms, scenario sets, correlations. What
positions are asked is computed by the functions that margin accounts, and printed as they are.
"""

from collections.abc import Mapping, Sequence

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as pb
from chain._pb.margin.markets.v1 import markets_pb2
from chain.modules.accounts.explanation import encode_standard, encode_underlying
from chain.modules.accounts.portfolio_margin import Correlation
from chain.modules.accounts.requirement import (
    RequirementInputs,
    attribute,
    compute_requirement,
    count_base_uusd,
    count_option_uusd,
)
from chain.modules.accounts.types import (
    Contract,
    MarginMode,
    Position,
    PositionMargin,
    UnderlyingTerms,
)
from chain.modules.markets.marks import Forward, Mark
from chain.modules.markets.types import InstrumentKind
from chain.modules.scenarios.types import parse_underlying_state
from chain.risk.haircut import compute_asset_value_uusd, compute_haircut_ppm
from chain.risk.margin import (
    NO_LINEAR_TERMS,
    LinearTerms,
    compute_gmr_ppm,
    compute_initial_profit_uusd,
    compute_margin_state,
    compute_position_magnitude_uusd,
    compute_position_value_uusd,
    compute_requirement_uusd,
)
from chain.risk.portfolio import compute_option_price_wad
from chain.risk.ramp import compute_between
from chain.units import PPM, mul_ppm_ceil, mul_ppm_floor


class _Comparison:
    """Differences between what is printed and what follows, one text each."""

    def __init__(self) -> None:
        self.differences: list[str] = []

    def expect(self, field: str, printed: str | int, computed: int | None) -> None:
        """Note a difference unless the printed figure is the computed one."""
        text = "" if computed is None else str(computed)
        if str(printed) != text:
            self.differences.append(f"{field}: printed {printed}, its inputs give {text}")

    def expect_message(self, field: str, printed: Message, computed: Message) -> None:
        """Note each field in which two messages of one type differ, down to their figures."""
        pending = [(field, printed, computed)]
        while pending:
            path, left, right = pending.pop()
            if left == right:
                continue
            for descriptor in left.DESCRIPTOR.fields:
                name = f"{path}.{descriptor.name}"
                ours, theirs = getattr(left, descriptor.name), getattr(right, descriptor.name)
                if ours == theirs:
                    continue
                if not descriptor.is_repeated:
                    ours, theirs = [ours], [theirs]
                elif len(ours) != len(theirs):
                    self.expect(f"number of {name}", len(ours), len(theirs))
                    continue
                for index, pair in enumerate(zip(ours, theirs, strict=True)):
                    place = f"{name}[{index}]" if descriptor.is_repeated else name
                    if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
                        pending.append((place, *pair))
                    elif pair[0] != pair[1]:
                        self.expect(place, *pair)


def recompute_explanation(explanation: pb.MarginExplanation) -> list[str]:
    """Every figure that does not follow from the explanation's inputs; empty when all do.

    What positions at venues of other chains add, and what orders may lose, are inputs.
    """
    seen = _Comparison()
    for index, lien in enumerate(explanation.liens):
        _check_lien(seen, f"liens[{index}]", lien)
    terms = {line.asset: _parse_terms(line) for line in explanation.terms}
    lines = [
        _check_position(seen, f"positions[{index}]", line, explanation, terms)
        for index, line in enumerate(explanation.positions)
    ]
    maintenance, initial = _check_requirement(seen, explanation, terms, lines)
    collateral = sum(int(lien.counted_uusd) for lien in explanation.liens)
    base = sum(line.equity_uusd for line in lines if line.kind is InstrumentKind.SPOT)
    unrealised = sum(line.equity_uusd for line in lines) - base
    cash = int(explanation.cash_uusd)
    equity = cash + collateral + unrealised + base + int(explanation.venue_pnl_uusd)
    equity_initial = cash + sum(int(lien.counted_initial_uusd) for lien in explanation.liens)
    equity_initial += sum(line.equity_initial_uusd - line.order_loss_uusd for line in lines)
    equity_initial += int(explanation.venue_pnl_initial_uusd)
    maintenance += int(explanation.venue_maintenance_uusd)
    initial += int(explanation.venue_initial_uusd)
    seen.expect("collateral_uusd", explanation.collateral_uusd, collateral)
    seen.expect("unrealised_uusd", explanation.unrealised_uusd, unrealised)
    seen.expect("base_uusd", explanation.base_uusd, base)
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
    terms = LinearTerms(
        *(0, 0, int(line.volatility_wad), line.delta_t_s),
        volatility_initial_wad=int(line.volatility_initial_wad),
    )
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


def _parse_terms(line: pb.UnderlyingTerms) -> UnderlyingTerms:
    return UnderlyingTerms(
        asset=line.asset,
        spot_wad=int(line.spot_wad),
        rules=parse_underlying_state(line.rules) if line.HasField("rules") else None,
        is_portfolio=line.is_portfolio,
        stable_wad=int(line.stable_wad),
        confidence_wad=int(line.confidence_wad),
        previous_stable_wad=int(line.previous_stable_wad),
        rate_wad=int(line.rate_wad),
        latency_wad=int(line.latency_wad),
    )


def _parse_mark(line: pb.PositionMargin) -> Mark:
    forward = None
    if line.forward_variable_wad:
        forward = Forward(
            int(line.forward_variable_wad),
            int(line.forward_fixed_wad),
            line.expiry_s,
            line.is_settled,
        )
    volatility = int(line.option_volatility_wad or "0")
    return Mark(int(line.price_wad), int(line.spot_wad), forward, volatility)


def _compute_price_wad(mark: Mark, contract: Contract) -> int:
    """What a unit is marked at: the spot, the forward, Black-76 on it, or what has settled."""
    if mark.forward is None:
        return mark.spot_wad
    forward_wad = mark.forward.price_wad
    if contract.kind is InstrumentKind.FUTURE:
        return forward_wad
    if mark.forward.is_final:
        gain = forward_wad - contract.strike_wad
        return max(0, gain if contract.is_call else -gain)
    return compute_option_price_wad(
        forward_wad,
        contract.strike_wad,
        mark.volatility_wad,
        mark.forward.time_s,
        contract.is_call,
    )


def _check_linear(seen: _Comparison, field: str, line: pb.PositionMargin) -> tuple[int, int]:
    """Compare what row 13 asks of a position by itself: (maintenance, initial)."""
    kind = InstrumentKind(line.kind)
    asked = (0, 0)
    if kind in (InstrumentKind.PERPETUAL, InstrumentKind.FUTURE) and not line.is_settled:
        price, decimals = int(line.price_wad), line.quantum_decimals
        size = int(line.position.size_quantums)
        held = compute_position_magnitude_uusd(size, price, decimals)
        worst = compute_position_magnitude_uusd(int(line.worst_size_quantums), price, decimals)
        asked = (
            compute_requirement_uusd(held, int(line.maintenance_ppm), int(line.latency_ppm)),
            compute_requirement_uusd(worst, int(line.initial_ppm), int(line.latency_initial_ppm)),
        )
    seen.expect(f"{field}.linear_maintenance_uusd", line.linear_maintenance_uusd, asked[0])
    seen.expect(f"{field}.linear_initial_uusd", line.linear_initial_uusd, asked[1])
    return asked


def _count_equity(
    line: pb.PositionMargin,
    terms: UnderlyingTerms,
    explanation: pb.MarginExplanation,
    value_uusd: int,
) -> tuple[int, int, int]:
    """(unrealised, what it adds to E, to E_initial) of a position of this value."""
    cost, profit_ppm = int(line.position.cost_uusd), explanation.initial_profit_ppm
    if line.kind == markets_pb2.INSTRUMENT_KIND_SPOT:
        return 0, *count_base_uusd(terms, value_uusd, explanation.time_s)
    unrealised = value_uusd - cost - int(line.funding_owed_uusd)
    if line.kind == markets_pb2.INSTRUMENT_KIND_OPTION:
        return unrealised, *count_option_uusd(
            terms, value_uusd, cost, profit_ppm, is_settled=line.is_settled
        )
    return unrealised, unrealised, compute_initial_profit_uusd(unrealised, profit_ppm)


def _check_position(
    seen: _Comparison,
    field: str,
    line: pb.PositionMargin,
    explanation: pb.MarginExplanation,
    terms: Mapping[str, UnderlyingTerms],
) -> PositionMargin:
    """Compare the position's mark and worth; the position as its inputs make it."""
    contract = Contract(
        InstrumentKind(line.kind),
        line.quantum_decimals,
        line.expiry_time_s,
        int(line.strike_wad or "0"),
        line.option_kind == markets_pb2.OPTION_KIND_CALL,
    )
    mark = _parse_mark(line)
    known = terms[line.asset]
    price, decimals = int(line.price_wad), line.quantum_decimals
    size, bought, sold = (
        int(text)
        for text in (line.position.size_quantums, line.bought_quantums, line.sold_quantums)
    )
    value = compute_position_value_uusd(size, price, decimals)
    unrealised, equity, equity_initial = _count_equity(line, known, explanation, value)
    seen.expect(f"{field}.spot_wad", line.spot_wad, known.spot_wad)
    seen.expect(f"{field}.price_wad", line.price_wad, _compute_price_wad(mark, contract))
    seen.expect(f"{field}.value_uusd", line.value_uusd, value)
    seen.expect(f"{field}.unrealised_uusd", line.unrealised_uusd, unrealised)
    seen.expect(f"{field}.equity_uusd", line.equity_uusd, equity)
    seen.expect(f"{field}.equity_initial_uusd", line.equity_initial_uusd, equity_initial)
    worst = max(abs(size), abs(size + bought), abs(size - sold))
    seen.expect(f"{field}.worst_size_quantums", line.worst_size_quantums, worst)
    _check_terms(seen, field, line, explanation.time_s)
    maintenance, initial = _check_linear(seen, field, line)
    return PositionMargin(
        market=line.position.market,
        asset=line.asset,
        kind=contract.kind,
        contract=contract,
        position=Position(size, int(line.position.cost_uusd)),
        mark=mark,
        price_wad=price,
        value_uusd=value,
        funding_owed_uusd=int(line.funding_owed_uusd),
        unrealised_uusd=unrealised,
        equity_uusd=equity,
        equity_initial_uusd=equity_initial,
        terms=NO_LINEAR_TERMS,
        maintenance_uusd=maintenance,
        initial_uusd=initial,
        worst_size_quantums=worst,
        worst_notional_uusd=0,
        order_loss_uusd=int(line.order_loss_uusd),
        bought_quantums=bought,
        sold_quantums=sold,
    )


def _spend_nothing(amount: int) -> None:
    """There is no gas meter here."""
    del amount


def _check_requirement(
    seen: _Comparison,
    explanation: pb.MarginExplanation,
    terms: Mapping[str, UnderlyingTerms],
    lines: Sequence[PositionMargin],
) -> tuple[int, int]:
    """Compare each underlying and each position's part; MMR and IMR before venues and the tier."""
    is_portfolio = explanation.margin_mode == accounts_pb2.MARGIN_MODE_PORTFOLIO
    correlation = Correlation(
        tuple(explanation.correlated_assets),
        tuple(tuple(row.rho_ppm) for row in explanation.correlation),
    )
    inputs = RequirementInputs(
        MarginMode.PORTFOLIO if is_portfolio else MarginMode.STANDARD,
        terms,
        correlation,
        explanation.time_s,
        _spend_nothing,
    )
    required = compute_requirement(inputs, lines)
    rules = {line.asset: line.rules for line in explanation.terms if line.HasField("rules")}
    found = pb.MarginExplanation(
        standard=[encode_standard(row) for row in required.standard],
        underlyings=[
            encode_underlying(row, rules)
            for row in (required.portfolio.underlyings if required.portfolio else ())
        ],
    )
    for name in ("standard", "underlyings"):
        printed = {row.asset: row for row in getattr(explanation, name)}
        computed = {row.asset: row for row in getattr(found, name)}
        for asset in sorted({*printed, *computed}):
            if asset in printed and asset in computed:
                seen.expect_message(f"{name}[{asset}]", printed[asset], computed[asset])
            else:
                seen.expect(f"number of {name}[{asset}]", asset in printed, asset in computed)
    for index, (line, part) in enumerate(
        zip(explanation.positions, attribute(inputs, lines), strict=True)
    ):
        field = f"positions[{index}]"
        seen.expect(f"{field}.maintenance_uusd", line.maintenance_uusd, part.maintenance_uusd)
        seen.expect(f"{field}.initial_uusd", line.initial_uusd, part.initial_uusd)
    return required.maintenance_uusd, required.initial_uusd
