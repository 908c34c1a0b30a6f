"""A margin as its explanation prints it: every input and figure, decimals as texts.

Encoding reads no store, so that `recompute` can print what it computes and compare.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as pb
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts.types import (
    LienMargin,
    OrderCharge,
    PositionMargin,
    StandardUnderlying,
    UnderlyingMargin,
    UnderlyingTerms,
)
from chain.modules.markets.types import InstrumentKind
from chain.risk import standard
from chain.risk.margin import LinearTerms
from chain.risk.portfolio import ExpiryPosition
from chain.risk.scenarios import VolatilityShock

_SHOCKS: Final = {
    VolatilityShock.UP: scenarios_pb2.VOLATILITY_SHOCK_UP,
    VolatilityShock.NONE: scenarios_pb2.VOLATILITY_SHOCK_NONE,
    VolatilityShock.DOWN: scenarios_pb2.VOLATILITY_SHOCK_DOWN,
}


def encode_lien(line: LienMargin) -> pb.LienMargin:
    """A lien with its haircut's factors."""
    factors = line.factors
    return pb.LienMargin(
        lien=accounts_pb2.Lien(
            chain_id=line.lien.chain_id,
            denom=line.lien.denom,
            vault=line.lien.vault,
            route_id=line.lien.route_id,
            amount=str(line.amount),
        ),
        asset=factors.asset,
        recognized_amount=str(factors.recognized_amount),
        price_wad=str(line.price_wad),
        value_uusd=str(line.value.value_uusd),
        market_ppm=str(factors.market_ppm),
        size_weight_ppm=str(factors.size_weight_ppm),
        latency_ppm=str(factors.latency_ppm),
        security_ppm=str(factors.security_ppm),
        staleness_ppm=str(factors.staleness_ppm),
        haircut_ppm=str(line.value.haircut_ppm),
        counted_uusd=str(line.value.counted_uusd),
        decimals=factors.decimals,
        counted_initial_uusd=str(line.value.counted_initial_uusd),
    )


def _encode_ramp(terms: LinearTerms) -> pb.TermsRamp | None:
    ramp = terms.ramp
    if ramp is None:
        return None
    return pb.TermsRamp(
        maintenance_before_ppm=ramp.maintenance_before_ppm,
        maintenance_after_ppm=ramp.maintenance_after_ppm,
        latency_before_ppm=str(ramp.latency_before_ppm),
        latency_after_ppm=str(terms.latency_target_ppm),
        start_s=ramp.start_s,
        end_s=ramp.end_s,
    )


def _get_option_kind(*, is_call: bool) -> "markets_pb2.OptionKind":
    return markets_pb2.OPTION_KIND_CALL if is_call else markets_pb2.OPTION_KIND_PUT


def encode_position(line: PositionMargin, linear: PositionMargin) -> pb.PositionMargin:
    """A position with its part of the requirement, and as `linear` what row 13 asks of it alone."""
    contract, mark = line.contract, line.mark
    message = pb.PositionMargin(
        position=accounts_pb2.Position(
            market=line.market,
            size_quantums=str(line.position.size_quantums),
            cost_uusd=str(line.position.cost_uusd),
            funding_index_wad=str(line.position.funding_index_wad),
        ),
        price_wad=str(line.price_wad),
        value_uusd=str(line.value_uusd),
        unrealised_uusd=str(line.unrealised_uusd),
        maintenance_ppm=str(line.terms.maintenance_ppm),
        latency_ppm=str(line.terms.latency_ppm),
        maintenance_uusd=str(line.maintenance_uusd),
        initial_ppm=str(line.terms.initial_ppm),
        latency_initial_ppm=str(line.terms.latency_initial_ppm),
        initial_uusd=str(line.initial_uusd),
        worst_size_quantums=str(line.worst_size_quantums),
        order_loss_uusd=str(line.order_loss_uusd),
        asset=line.asset,
        quantum_decimals=contract.quantum_decimals,
        funding_owed_uusd=str(line.funding_owed_uusd),
        kind=cast("markets_pb2.InstrumentKind", line.kind.value),
        equity_uusd=str(line.equity_uusd),
        equity_initial_uusd=str(line.equity_initial_uusd),
        spot_wad=str(mark.spot_wad),
        expiry_time_s=contract.expiry_time_s,
        bought_quantums=str(line.bought_quantums),
        sold_quantums=str(line.sold_quantums),
        linear_maintenance_uusd=str(linear.maintenance_uusd),
        linear_initial_uusd=str(linear.initial_uusd),
        volatility_wad=str(line.terms.volatility_wad),
        delta_t_s=line.terms.delta_t_s,
        ramp=_encode_ramp(line.terms),
        volatility_initial_wad=str(line.terms.volatility_initial_wad or line.terms.volatility_wad),
    )
    if mark.forward is not None:
        message.forward_variable_wad = str(mark.forward.variable_wad)
        message.forward_fixed_wad = str(mark.forward.fixed_wad)
        message.expiry_s = mark.forward.time_s
        message.is_settled = mark.forward.is_final
    if line.kind is InstrumentKind.OPTION:
        message.strike_wad = str(contract.strike_wad)
        message.option_kind = _get_option_kind(is_call=contract.is_call)
        message.option_volatility_wad = str(mark.volatility_wad)
    return message


def encode_terms(
    terms: UnderlyingTerms, rules: scenarios_pb2.UnderlyingState | None
) -> pb.UnderlyingTerms:
    """What margin knows of an underlying, with its rules as they are stored."""
    return pb.UnderlyingTerms(
        asset=terms.asset,
        spot_wad=str(terms.spot_wad),
        is_portfolio=terms.is_portfolio,
        stable_wad=str(terms.stable_wad),
        confidence_wad=str(terms.confidence_wad),
        previous_stable_wad=str(terms.previous_stable_wad),
        rate_wad=str(terms.rate_wad),
        latency_wad=str(terms.latency_wad),
        rules=rules,
    )


def _encode_expiry(expiry: ExpiryPosition) -> pb.ExpiryPosition:
    return pb.ExpiryPosition(
        expiry_time_s=expiry.settlement_s,
        expiry_s=expiry.expiry_s,
        forward_variable_wad=str(expiry.forward_variable_wad),
        forward_fixed_wad=str(expiry.forward_fixed_wad),
        rate_wad=str(expiry.rate_wad),
        latency_wad=str(expiry.latency_wad),
        future_wad=str(expiry.future_wad),
        options=[
            pb.OptionPosition(
                strike_wad=str(option.strike_wad),
                option_kind=_get_option_kind(is_call=option.is_call),
                amount_wad=str(option.amount_wad),
                volatility_wad=str(option.volatility_wad),
            )
            for option in expiry.options
        ],
    )


def _encode_standard_expiries(
    positions: Sequence[ExpiryPosition], margins: Sequence[standard.ExpiryMargin]
) -> list[pb.StandardExpiry]:
    return [
        pb.StandardExpiry(
            position=_encode_expiry(position),
            mark_to_market_wad=str(margin.mark_to_market_wad),
            legs_initial_wad=str(margin.legs_initial_wad),
            legs_maintenance_wad=str(margin.legs_maintenance_wad),
            max_loss_initial_wad=str(margin.max_loss_initial_wad),
            max_loss_maintenance_wad=str(margin.max_loss_maintenance_wad),
        )
        for position, margin in zip(positions, margins, strict=True)
    ]


def encode_standard(line: StandardUnderlying) -> pb.StandardUnderlying:
    """An underlying under the standard rules."""
    held, reached = line.portfolio, line.portfolio_initial
    return pb.StandardUnderlying(
        asset=line.asset,
        perp_wad=str(held.perp_wad),
        base_wad=str(held.base_wad),
        expiries=_encode_standard_expiries(held.expiries, line.margin.expiries),
        perp_initial_wad=str(reached.perp_wad),
        base_initial_wad=str(reached.base_wad),
        expiries_initial=_encode_standard_expiries(reached.expiries, line.margin_initial.expiries),
        depeg_wad=str(line.margin_initial.depeg_wad),
        confidence_wad=str(line.margin_initial.confidence_wad),
        maintenance_uusd=str(line.maintenance_uusd),
        maintenance_target_uusd=str(line.maintenance_target_uusd),
        initial_uusd=str(line.initial_uusd),
    )


def _encode_charge(charge: OrderCharge) -> pb.OrderCharge:
    return pb.OrderCharge(
        position=_encode_expiry(charge.position),
        bought_wad=str(charge.bought_wad),
        sold_wad=str(charge.sold_wad),
        requirement_uusd=str(charge.requirement_uusd),
    )


def encode_underlying(
    line: UnderlyingMargin, rules: Mapping[str, scenarios_pb2.UnderlyingState | None]
) -> pb.UnderlyingMargin:
    """An underlying under portfolio margin with each scenario's result."""
    portfolio, margin = line.portfolio, line.margin
    return pb.UnderlyingMargin(
        asset=line.asset,
        amount_wad=str(portfolio.perp_wad),
        spot_wad=str(portfolio.spot_wad),
        stable_wad=str(portfolio.stable_wad),
        confidence_wad=str(portfolio.spot_confidence_wad),
        preset=line.preset,
        scenarios=[
            pb.ScenarioResult(
                spot_wad=str(row.spot_wad),
                volatility=_SHOCKS[row.volatility],
                weight_ppm=row.weight_ppm,
                profit_wad=str(row.profit_wad),
            )
            for row in margin.scenarios
        ],
        worst=margin.worst,
        min_span_wad=str(margin.min_span_wad),
        static_wad=str(margin.static_wad),
        basis_wad=str(margin.basis_wad),
        delta_charge_wad=str(margin.delta_charge_wad),
        im_factor_wad=str(margin.im_factor_wad),
        confidence_charge_wad=str(margin.confidence_charge_wad),
        loss_uusd=str(line.loss_uusd),
        loss_initial_uusd=str(line.loss_initial_uusd),
        loss_initial_low_uusd=str(line.loss_initial_low_uusd),
        loss_initial_high_uusd=str(line.loss_initial_high_uusd),
        maintenance_target_uusd=str(line.maintenance_target_uusd),
        amount_low_wad=str(line.amount_low_wad),
        amount_high_wad=str(line.amount_high_wad),
        rules=rules[line.asset],
        base_wad=str(portfolio.base_wad),
        base_low_wad=str(line.base_low_wad),
        base_high_wad=str(line.base_high_wad),
        expiries=[_encode_expiry(expiry) for expiry in portfolio.expiries],
        is_two_way=line.is_two_way,
        loss_low_uusd=str(line.loss_low_uusd),
        loss_high_uusd=str(line.loss_high_uusd),
        order_charges=[_encode_charge(charge) for charge in line.order_charges],
        equity_shift_uusd=str(line.equity_shift_uusd),
    )
