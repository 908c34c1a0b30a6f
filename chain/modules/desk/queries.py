"""Queries of a trading desk: what if, where is the edge, what does collateral cost.

Each works on a branch of the state that is dropped, and asks the same margin function that the
chain decides by; so an answer is what the chain would say. Work is bounded a query.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Final, NamedTuple, cast

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.desk.v1 import query_pb2 as pb
from chain.errors import ChainError
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import queries as accounts_queries
from chain.modules.accounts import state
from chain.modules.accounts.types import Account, AccountId, AccountMargin, parse_account_id
from chain.modules.bank import state as bank
from chain.modules.collateral import caps
from chain.modules.collateral import state as collateral
from chain.modules.desk.probing import (
    PriceProbe,
    charge_pricing,
    get_underlyings,
    is_below_requirement,
    set_price,
)
from chain.modules.markets import base, matching
from chain.modules.markets import state as markets
from chain.modules.markets.types import InstrumentKind, Side, TimeInForce
from chain.modules.oracle import state as oracle
from chain.modules.venues import state as venues
from chain.risk.margin import (
    compute_gmr_ppm,
    compute_margin_state,
)
from chain.risk.netting import HUB, compute_siloed_uusd
from chain.runtime.context import Context
from chain.runtime.errors import InvalidRequest
from chain.units import PPM, WAD, ceil_div, floor_div, parse_amount, parse_signed

STEPS_MAX: Final = 32
"""Deposits, base, moves and orders of one simulation."""
CELLS_MAX: Final = 105
"""Cells of one risk matrix."""
UNDERLYINGS_MAX: Final = 16
"""Underlyings whose liquidation prices one query looks for."""
PRICE_MOVES_PPM: Final = (-500_000, -300_000, -150_000, -50_000, 0, 50_000, 150_000, 300_000)
VOLATILITY_MOVES_PPM: Final = (-300_000, 0, 450_000)
_WAD_DECIMALS: Final = 18
_VOLATILITY_MAX_WAD: Final = 100 * WAD


class Move(NamedTuple):
    """A change of an underlying's price and volatility, signed ppm."""

    asset: str
    price_ppm: int
    volatility_ppm: int


# Reading requests


def _split(text: str, counts: Sequence[int], form: str) -> list[str]:
    parts = text[:512].split(",")
    if len(parts) not in counts:
        raise InvalidRequest(f"{text[:80]!r} must be {form}")
    return parts


def _require_count(count: int, most: int, what: str) -> None:
    if count > most:
        raise InvalidRequest(f"{count} {what}, the most of one query is {most}; ask in parts")


def _parse_move_ppm(text: str, field: str) -> int:
    change = parse_signed(text, field)
    if not -PPM < change <= 100 * PPM:
        raise InvalidRequest(f"{field} {change} ppm must lie above -{PPM}, at most {100 * PPM}")
    return change


def _parse_move(text: str) -> Move:
    asset, price, volatility = _split(text, (3,), "asset,price_ppm,volatility_ppm")
    return Move(asset, _parse_move_ppm(price, "price"), _parse_move_ppm(volatility, "volatility"))


# Changing a copy


def _apply_move(ctx: Context, move: Move) -> None:
    """Move a price and a volatility on a branch."""
    price = oracle.get_price(ctx, move.asset)
    if price is None:
        raise InvalidRequest(f"{move.asset[:32]!r} has no price to move; query the oracle's prices")
    moved = max(1, floor_div(price.price_wad * (PPM + move.price_ppm), PPM))
    set_price(ctx, move.asset, moved)
    record = oracle.get_volatility_record(ctx, move.asset)
    if record is None or move.volatility_ppm == 0:
        return
    volatility = floor_div(record.volatility_wad * (PPM + move.volatility_ppm), PPM)
    oracle.set_volatility_record(
        ctx, move.asset, replace(record, volatility_wad=min(volatility, _VOLATILITY_MAX_WAD))
    )


def _apply_deposit(ctx: Context, account_id: AccountId, text: str) -> None:
    """Add to a lien on a branch, or take from it, within what the chain allows."""
    route_id, denom, amount_text = _split(text, (3,), "route,denom,amount")
    amount = parse_signed(amount_text)
    route = collateral.require_route(ctx, route_id)
    listing = collateral.require_listing(ctx, route_id, denom)
    if amount >= 0:
        caps.validate_caps(ctx, route, listing, account_id, amount)
        collateral.credit_lien(ctx, account_id, route, denom, amount)
    else:
        collateral.debit_lien(ctx, account_id, route, denom, -amount)


def _apply_base(ctx: Context, account_id: AccountId, text: str) -> None:
    """Add to a spot position on a branch, or take from it, within what the chain allows.

    Coins for a deposit are made on the branch: who asks need not have them yet.
    """
    market_id, amount_text = _split(text, (2,), "market,amount")
    amount = parse_signed(amount_text)
    market = base.require_spot_market(ctx, market_id)
    if amount > 0:
        bank.mint(ctx, account_id.owner, market.denom, amount)
        base.deposit_base(ctx, account_id, market, amount)
    elif amount < 0:
        base.take_base(ctx, account_id, market, -amount)


def _place(ctx: Context, account_id: AccountId, text: str) -> pb.SimulatedOrder:
    """Match an order against the book on a branch; a refusal is an answer."""
    market_id, side_text, size, *rest = _split(
        text, (3, 4), "market,buy|sell,quantums or market,buy|sell,quantums,price_wad"
    )
    sides = {"buy": Side.BUY, "sell": Side.SELL}
    if side_text not in sides:
        raise InvalidRequest(f"side {side_text[:16]!r} must be buy or sell")
    price_wad = parse_amount(rest[0], "price_wad") if rest else None
    limit = TimeInForce.GOOD_TILL_CANCEL
    request = matching.OrderRequest(
        account_id=account_id,
        market=markets.require_market(ctx, market_id),
        side=sides[side_text],
        size_quantums=parse_amount(size, "size_quantums"),
        price_wad=price_wad,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL if price_wad is None else limit,
        reduce_only=False,
    )
    try:
        with ctx.branch() as child:
            placed = matching.place_order(child, request)
    except ChainError as error:
        return pb.SimulatedOrder(order=text, refusal=str(error))
    return pb.SimulatedOrder(
        order=text,
        filled_quantums=str(placed.filled_quantums),
        resting_quantums=str(placed.resting_quantums),
        fee_uusd=str(placed.fee_uusd),
        ended_because=placed.ended_because,
    )


def query_simulate(ctx: Context, request: pb.QuerySimulateRequest) -> pb.QuerySimulateResponse:
    """The margin before and after cash, deposits, base, moves and orders: none of it happens.

    Raises what the chain raises for a deposit it would refuse, InvalidRequest for a bad form.
    """
    account_id = parse_account_id(request.owner, request.number)
    steps = (request.deposits, request.base, request.moves, request.orders)
    _require_count(sum(map(len, steps)), STEPS_MAX, "deposits, base, moves and orders")
    moves = [_parse_move(text) for text in request.moves]
    child = ctx.branch()
    account = state.require_account(child, account_id)
    response = pb.QuerySimulateResponse(before=accounts_queries.explain_margin(child, account))
    account.cash_uusd += parse_signed(request.cash_uusd or "0", "cash_uusd")
    state.set_account(child, account)
    for text in request.deposits:
        _apply_deposit(child, account_id, text)
    for text in request.base:
        _apply_base(child, account_id, text)
    for move in moves:
        _apply_move(child, move)
    for text in request.orders:
        response.orders.append(_place(child, account_id, text))
    after = state.require_account(child, account_id)
    response.after.CopyFrom(accounts_queries.explain_margin(child, after))
    try:
        accounts_margin.require_withdrawable(child, after)
    except ChainError as error:
        response.withdrawal_refusal = str(error)
    return response


# Grids


def _compute_moved(ctx: Context, account: Account, moves: Sequence[Move]) -> AccountMargin:
    child = ctx.branch()
    for move in moves:
        _apply_move(child, move)
        charge_pricing(child, account, move.asset)
    return accounts_margin.compute_account_margin(child, account)


def query_risk_matrix(
    ctx: Context, request: pb.QueryRiskMatrixRequest
) -> pb.QueryRiskMatrixResponse:
    """Equity and requirement of an account over a grid of price and volatility moves."""
    account = state.require_account(ctx, parse_account_id(request.owner, request.number))
    prices = [_parse_move_ppm(text, "price move") for text in request.price_moves]
    volatilities = [_parse_move_ppm(text, "volatility move") for text in request.volatility_moves]
    prices, volatilities = prices or list(PRICE_MOVES_PPM), volatilities or [*VOLATILITY_MOVES_PPM]
    _require_count(len(prices) * len(volatilities), CELLS_MAX, "cells")
    assets = [request.asset] if request.asset else get_underlyings(ctx, account)
    before = accounts_margin.compute_account_margin(ctx, account)
    response = pb.QueryRiskMatrixResponse(assets=assets)
    excesses = []
    for price_ppm, volatility_ppm in product(prices, volatilities):
        moves = [Move(asset, price_ppm, volatility_ppm) for asset in assets]
        margin = _compute_moved(ctx, account, moves)
        gmr_ppm = compute_gmr_ppm(margin.equity_uusd, margin.maintenance_uusd)
        excesses.append(margin.equity_uusd - margin.maintenance_uusd)
        response.cells.add(
            price_move_ppm=str(price_ppm),
            volatility_move_ppm=str(volatility_ppm),
            equity_uusd=str(margin.equity_uusd),
            equity_change_uusd=str(margin.equity_uusd - before.equity_uusd),
            maintenance_uusd=str(margin.maintenance_uusd),
            mark_equity_uusd=str(margin.mark_equity_uusd),
            mark_equity_change_uusd=str(margin.mark_equity_uusd - before.mark_equity_uusd),
            gmr_ppm="" if gmr_ppm is None else str(gmr_ppm),
            state=cast(
                "accounts_pb2.MarginState",
                compute_margin_state(margin.equity_uusd, margin.maintenance_uusd).value,
            ),
        )
    response.cells[excesses.index(min(excesses))].is_worst = True
    return response


# Liquidation prices


def query_liquidation_prices(
    ctx: Context, request: pb.QueryLiquidationPricesRequest
) -> pb.QueryLiquidationPricesResponse:
    """For each underlying the nearest prices at which the account would be liquidated."""
    account = state.require_account(ctx, parse_account_id(request.owner, request.number))
    assets = get_underlyings(ctx, account)
    _require_count(len(assets), UNDERLYINGS_MAX, "underlyings")
    margin = accounts_margin.compute_account_margin(ctx, account)
    is_liquidatable = margin.equity_uusd < margin.maintenance_uusd
    response = pb.QueryLiquidationPricesResponse(is_liquidatable=is_liquidatable)
    for asset in assets:
        price = oracle.get_price(ctx, asset)
        assert price is not None
        row = response.prices.add(asset=asset, price_wad=str(price.price_wad))
        if is_liquidatable:
            continue
        probe = PriceProbe(ctx, account, asset, price.price_wad)
        row.below_wad = probe.find(is_below_requirement, is_up=False)
        row.above_wad = probe.find(is_below_requirement, is_up=True)
    return response


# Utilisation


def _compute_alone_uusd(ctx: Context, account: Account, market_id: str) -> int:
    """The maintenance requirement of one market's position alone, without venues."""
    held = {market_id: account.positions[market_id]}
    alone = Account(account.owner, account.number, 0, held, {})
    margin = accounts_margin.compute_account_margin(ctx, alone, orders=())
    abroad = margin.venues.maintenance_uusd if margin.venues else 0
    return margin.maintenance_uusd - abroad


def _add_venues(ctx: Context, silos: dict[str, list[int]], margin: AccountMargin) -> None:
    """Add to each silo what the positions at its venue would need alone."""
    for row in margin.venues.underlyings if margin.venues else ():
        for leg in row.legs:
            if leg.venue_id == HUB:
                continue
            venue = venues.require_venue(ctx, leg.venue_id)
            chain_id = collateral.require_route(ctx, venue.route_id).chain_id
            silos.setdefault(chain_id, [0, 0, 0])[2] += compute_siloed_uusd(
                [leg.position], row.terms, row.price_wad, _WAD_DECIMALS
            )


def query_utilisation(
    ctx: Context, request: pb.QueryUtilisationRequest
) -> pb.QueryUtilisationResponse:
    """What the account needs against what it has, and what it would need chain by chain."""
    account = state.require_account(ctx, parse_account_id(request.owner, request.number))
    margin = accounts_margin.compute_account_margin(ctx, account)
    silos: dict[str, list[int]] = {ctx.chain_id: [0, 0, 0]}
    for line in margin.liens:
        silo = silos.setdefault(line.lien.chain_id, [0, 0, 0])
        silo[0] += line.value.value_uusd
        silo[1] += line.value.counted_uusd
    home = silos[ctx.chain_id]
    base_uusd = sum(
        line.value_uusd for line in margin.positions if line.kind is InstrumentKind.SPOT
    )
    home[0] += max(0, account.cash_uusd) + base_uusd
    home[1] += account.cash_uusd + margin.unrealised_uusd + margin.base_uusd
    home[2] += sum(_compute_alone_uusd(ctx, account, market) for market in account.positions)
    _add_venues(ctx, silos, margin)
    gross = sum(silo[0] for silo in silos.values())
    siloed = sum(silo[2] for silo in silos.values())
    used = ceil_div(margin.maintenance_uusd * PPM, gross) if gross else None
    return pb.QueryUtilisationResponse(
        gross_collateral_uusd=str(gross),
        requirement_uusd=str(margin.maintenance_uusd),
        utilisation_ppm="" if used is None else str(used),
        siloed_requirement_uusd=str(siloed),
        siloed_shortfall_uusd=str(sum(max(0, silo[2] - silo[1]) for silo in silos.values())),
        saving_uusd=str(siloed - margin.maintenance_uusd),
        silos=[
            pb.Silo(
                chain_id=chain_id,
                gross_uusd=str(silo[0]),
                counted_uusd=str(silo[1]),
                requirement_uusd=str(silo[2]),
            )
            for chain_id, silo in sorted(silos.items())
        ],
    )
