"""The Greeks of an account by underlying: its positions as they are marked, collateral, venues."""

from collections.abc import Iterator
from typing import Final

from chain._pb.margin.desk.v1 import query_pb2 as pb
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state
from chain.modules.accounts.types import AccountMargin, PositionMargin, parse_account_id
from chain.modules.collateral import prices as collateral_prices
from chain.modules.collateral import state as collateral
from chain.modules.desk.probing import get_underlyings
from chain.modules.markets import marks
from chain.modules.markets.types import InstrumentKind
from chain.modules.oracle import state as oracle
from chain.risk.greeks import MarkedForward, MarkedLeg, MarkedOption, compute_spot_greeks
from chain.risk.margin import compute_position_value_uusd
from chain.risk.netting import HUB
from chain.runtime.context import Context
from chain.runtime.gas import RISK_CELL
from chain.units import WAD, mul_div_floor

_WAD_DECIMALS: Final = 18


def _build_leg(ctx: Context, line: PositionMargin) -> MarkedLeg:
    """A position as it is marked now."""
    contract = line.contract
    amount = line.position.size_quantums * 10 ** (_WAD_DECIMALS - contract.quantum_decimals)
    forward = line.mark.forward
    if forward is None:
        return MarkedLeg(amount)
    is_option = contract.kind is InstrumentKind.OPTION
    marked = MarkedForward(
        # An option is marked at a rounded spot, and its forward with it.
        marks.round_spot_wad(line.mark.spot_wad) if is_option else line.mark.spot_wad,
        forward.variable_wad,
        forward.fixed_wad,
        marks.get_quote_terms(ctx, line.asset).rate_wad,
        forward.time_s,
    )
    if not is_option:
        return MarkedLeg(amount, marked)
    return MarkedLeg(
        amount,
        marked,
        MarkedOption(contract.strike_wad, contract.is_call, line.mark.volatility_wad),
    )


def build_legs(ctx: Context, margin: AccountMargin, asset: str) -> Iterator[MarkedLeg]:
    """The positions of an underlying on the hub."""
    for line in margin.positions:
        if line.asset == asset and line.position.size_quantums:
            ctx.gas.consume(RISK_CELL)
            yield _build_leg(ctx, line)


def _compute_collateral_delta_wad(ctx: Context, margin: AccountMargin, asset: str) -> int:
    """What the account's liens move by as an underlying does, in its units; rounded down."""
    total = 0
    for line in margin.liens:
        if collateral_prices.get_priced_asset(ctx, line.factors.asset) != asset:
            continue
        listed = collateral.require_asset(ctx, line.factors.asset)
        quantity = collateral.compute_quantity_wad(
            line.factors.recognized_amount, line.factors.decimals
        )
        rate_wad = collateral_prices.get_exchange_rate_wad(ctx, listed)
        total += mul_div_floor(quantity, rate_wad, WAD)
    return total


def query_greeks(ctx: Context, request: pb.QueryGreeksRequest) -> pb.QueryGreeksResponse:
    """How an account moves with each underlying: positions by their marks, collateral, venues."""
    account = state.require_account(ctx, parse_account_id(request.owner, request.number))
    margin = accounts_margin.compute_account_margin(ctx, account)
    rows = {row.asset: row for row in (margin.venues.underlyings if margin.venues else ())}
    assets = {*get_underlyings(ctx, account), *rows}
    response = pb.QueryGreeksResponse()
    for asset in sorted(assets):
        price = oracle.get_price(ctx, asset)
        assert price is not None, "only what has a price is listed"
        greeks = compute_spot_greeks(build_legs(ctx, margin, asset))
        held = _compute_collateral_delta_wad(ctx, margin, asset)
        legs = rows[asset].legs if asset in rows else ()
        abroad = sum(leg.position.size for leg in legs if leg.venue_id != HUB)
        delta = greeks.delta_wad + held + abroad
        response.underlyings.add(
            asset=asset,
            price_wad=str(price.price_wad),
            delta_wad=str(greeks.delta_wad),
            gamma_wad=str(greeks.gamma_wad),
            vega_wad=str(greeks.vega_wad),
            theta_wad=str(greeks.theta_wad),
            rho_wad=str(greeks.rho_wad),
            collateral_delta_wad=str(held),
            venue_delta_wad=str(abroad),
            delta_uusd=str(compute_position_value_uusd(delta, price.price_wad, _WAD_DECIMALS)),
        )
    return response
