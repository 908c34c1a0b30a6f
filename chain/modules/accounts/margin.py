"""The margin of an account over its liens, cash, positions and open orders (systems rows 1, 6, 9).

Other modules import this module, not its names: `from chain.modules.accounts import margin`. It
reads collateral, markets and oracle, which in turn read accounts, and only modules may be circular.
"""

from collections.abc import Sequence
from typing import Final

from chain.modules.accounts import freshness, portfolio_margin, state
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.accounts.reads import MarketReads, read_market, read_rules
from chain.modules.accounts.types import (
    Account,
    AccountMargin,
    LienKey,
    LienMargin,
    MarginMode,
    Position,
    PositionMargin,
)
from chain.modules.collateral import measurement as collateral
from chain.modules.collateral import prices as collateral_prices
from chain.modules.collateral import state as collateral_state
from chain.modules.markets import state as markets
from chain.modules.markets.types import InstrumentKind, Market, RestingOrder, Side
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.modules.venues import netting as venues_netting
from chain.risk.haircut import compute_lien_value
from chain.risk.margin import (
    MarginState,
    OrderRisk,
    compute_funding_owed_uusd,
    compute_initial_profit_uusd,
    compute_margin_state,
    compute_open_order_risk,
    compute_position_magnitude_uusd,
    compute_position_value_uusd,
    compute_requirement_uusd,
    compute_shortfall_uusd,
)
from chain.runtime.context import Context
from chain.runtime.gas import RISK_CELL
from chain.units import mul_ppm_ceil

WITHDRAWAL_RATIO: Final = (5, 4)
"""GMR that an account must have after anything leaves it."""


def compute_lien_margin(
    ctx: Context, account: Account, lien: LienKey, amount: int, shared: collateral.SharedReads
) -> LienMargin:
    """One lien at the oracle's price; worth nothing while its asset has no price."""
    factors = collateral.get_lien_haircut(ctx, account.owner, lien, amount, shared)
    price = collateral_prices.get_asset_price(ctx, factors.asset)
    price_wad = price.price_wad if price else 0
    ctx.gas.consume(RISK_CELL)
    return LienMargin(lien, amount, factors, price_wad, compute_lien_value(factors, price_wad))


def _compute_order_risks(
    market: Market, price_wad: int, orders: Sequence[RestingOrder]
) -> list[OrderRisk]:
    """The orders that can add risk; a reduce-only order is checked when it fills."""
    risks = []
    for order in orders:
        if order.market != market.id or order.reduce_only:
            continue
        notional = market.compute_notional_uusd(order.ticks, order.remaining_steps)
        size = order.remaining_steps * market.step_quantums
        # Floor for a buy, ceiling for a sell: either way against the account.
        value = (
            compute_position_value_uusd(size, price_wad, market.quantum_decimals)
            if order.side is Side.BUY
            else compute_position_magnitude_uusd(size, price_wad, market.quantum_decimals)
        )
        fee = mul_ppm_ceil(notional, market.maker_fee_ppm)
        risks.append(OrderRisk(order.side.sign * size, notional, value, fee))
    return risks


def compute_position_margin(
    ctx: Context,
    reads: MarketReads,
    position: Position,
    orders: Sequence[RestingOrder],
    profit_ppm: int,
) -> PositionMargin:
    """One market of an account at its mark; initial margin counts `profit_ppm` of a profit."""
    ctx.gas.consume(RISK_CELL)
    market = reads.market
    terms = reads.terms
    price_wad = reads.mark.price_wad
    decimals = market.quantum_decimals
    size = position.size_quantums
    funding = (
        compute_funding_owed_uusd(size, reads.funding_index_wad, position.funding_index_wad)
        if size
        else 0
    )
    value = compute_position_value_uusd(size, price_wad, decimals)
    unrealised = value - position.cost_uusd - funding
    worst = compute_open_order_risk(size, _compute_order_risks(market, price_wad, orders))
    worst_notional = compute_position_magnitude_uusd(worst.worst_size_quantums, price_wad, decimals)
    return PositionMargin(
        market=market.id,
        asset=market.asset,
        kind=market.kind,
        position=position,
        mark=reads.mark,
        price_wad=price_wad,
        value_uusd=value,
        funding_owed_uusd=funding,
        unrealised_uusd=unrealised,
        equity_uusd=unrealised,
        equity_initial_uusd=compute_initial_profit_uusd(unrealised, profit_ppm),
        terms=terms,
        maintenance_uusd=compute_requirement_uusd(
            compute_position_magnitude_uusd(size, price_wad, decimals),
            terms.maintenance_ppm,
            reads.latency_ppm,
        ),
        initial_uusd=compute_requirement_uusd(
            worst_notional, terms.initial_ppm, reads.latency_initial_ppm
        ),
        worst_size_quantums=worst.worst_size_quantums,
        worst_notional_uusd=worst_notional,
        order_loss_uusd=worst.loss_uusd,
    )


def compute_account_margin(
    ctx: Context,
    account: Account,
    orders: Sequence[RestingOrder] | None = None,
    shared: collateral.SharedReads | None = None,
) -> AccountMargin:
    """The margin of the account as given (stored or not) with its resting orders, or those given.

    Who computes several margins without a write but to accounts' margin states between passes one
    `shared` to all. Raises PriceNotUsable before the first price of a market.

    Open orders count for initial margin at their worst fill; not for maintenance, since the first
    step of any liquidation cancels them.
    """
    if orders is None:
        orders = markets.get_account_orders(ctx, account.id)
    shared = shared or collateral.SharedReads()
    liens = tuple(
        compute_lien_margin(ctx, account, lien, amount, shared)
        for lien, amount in sorted(account.liens.items())
    )
    rules = read_rules(ctx, shared)
    market_ids = sorted({*account.positions, *(order.market for order in orders)})
    positions = tuple(
        compute_position_margin(
            ctx,
            read_market(ctx, market_id, shared),
            account.positions.get(market_id) or Position(),
            orders,
            rules.initial_profit_ppm,
        )
        for market_id in market_ids
    )
    required = None
    if account.margin_mode is MarginMode.PORTFOLIO:
        required, positions = portfolio_margin.compute_requirement(ctx, positions, orders)
    collateral_uusd = sum(lien.value.counted_uusd for lien in liens)
    base = sum(line.equity_uusd for line in positions if line.kind is InstrumentKind.SPOT)
    unrealised = sum(line.equity_uusd for line in positions) - base
    equity = collateral_uusd + account.cash_uusd + unrealised + base
    equity_initial = (
        sum(lien.value.counted_initial_uusd for lien in liens)
        + account.cash_uusd
        + sum(line.equity_initial_uusd - line.order_loss_uusd for line in positions)
    )
    if required is None:
        maintenance = sum(position.maintenance_uusd for position in positions)
        initial = sum(position.initial_uusd for position in positions)
    else:
        maintenance, initial = required.maintenance_uusd, required.initial_uusd
    # A portfolio is margined as a whole: its venues net among themselves.
    own = positions if required is None else ()
    venues = venues_netting.compute_venue_margin(ctx, account.id, own, shared)
    if venues is not None:
        equity += venues.pnl_uusd
        equity_initial += venues.pnl_initial_uusd
        maintenance += venues.maintenance_uusd
        initial += venues.initial_uusd
    return AccountMargin(
        cash_uusd=account.cash_uusd,
        collateral_uusd=collateral_uusd,
        unrealised_uusd=unrealised,
        base_uusd=base,
        equity_uusd=equity,
        equity_initial_uusd=equity_initial,
        maintenance_uusd=maintenance,
        initial_uusd=mul_ppm_ceil(initial, rules.multiplier_ppm),
        worst_notional_uusd=sum(position.worst_notional_uusd for position in positions),
        state=compute_margin_state(equity, maintenance),
        liens=liens,
        positions=positions,
        venues=venues,
        mode=account.margin_mode,
        multiplier_ppm=rules.multiplier_ppm,
        portfolio=required,
    )


def find_initial_shortfall(ctx: Context, margin: AccountMargin) -> str:
    """Why the margin does not carry new risk, with numbers and remedy; empty when it does.

    Value that rests on a price too old or disputed for new risk carries none (row 45).
    """
    return _find_missing_margin(ctx, margin) or freshness.find_refusal(ctx, margin)


def _find_missing_margin(ctx: Context, margin: AccountMargin) -> str:
    if margin.equity_initial_uusd < margin.initial_uusd:
        shortfall = margin.initial_uusd - margin.equity_initial_uusd
        return (
            f"initial equity would be {margin.equity_initial_uusd} uusd, below the initial "
            f"requirement of {margin.initial_uusd}; deposit {shortfall} uusd or ask for less"
        )
    leverage = state.get_params(ctx).leverage_max
    largest = leverage * max(0, margin.equity_initial_uusd)
    if margin.worst_notional_uusd > largest:
        return (
            f"positions and orders would reach {margin.worst_notional_uusd} uusd, above {leverage} "
            f"times initial equity ({largest}); reduce the order"
        )
    return ""


def require_initial_margin(ctx: Context, margin: AccountMargin) -> None:
    """Raise InsufficientMargin unless the margin carries new risk (E_initial >= IMR, leverage)."""
    shortfall = _find_missing_margin(ctx, margin)
    if shortfall:
        raise InsufficientMargin(
            shortfall,
            equity_initial_uusd=margin.equity_initial_uusd,
            initial_uusd=margin.initial_uusd,
        )


def require_withdrawable(ctx: Context, account_after: Account) -> AccountMargin:
    """The margin after something left the account; raises InsufficientMargin or PriceNotUsable.

    Needs E_initial >= IMR, GMR >= 1.25 and prices good for withdrawals. An account with neither
    positions, orders nor debts needs no prices: nothing can be owed.
    """
    margin = compute_account_margin(ctx, account_after)
    if not margin.positions and not margin.venues and account_after.cash_uusd >= 0:
        return margin
    require_initial_margin(ctx, margin)
    missing = compute_shortfall_uusd(margin.equity_uusd, margin.maintenance_uusd, WITHDRAWAL_RATIO)
    if missing:
        raise InsufficientMargin(
            f"equity would be {margin.equity_uusd} uusd against a maintenance requirement of "
            f"{margin.maintenance_uusd}, a ratio below 1.25; deposit {missing} uusd, reduce "
            f"positions, or withdraw {missing} uusd of counted value less",
            equity_uusd=margin.equity_uusd,
            maintenance_uusd=margin.maintenance_uusd,
            missing_uusd=missing,
        )
    if margin.state is not MarginState.HEALTHY:
        raise InsufficientMargin(f"equity would be {margin.equity_uusd} uusd, below zero; deposit")
    # Prices last: who lacks margin is told how much, not to wait for a price that would not help.
    freshness.require_stable_prices(ctx, margin, Action.WITHDRAW)
    for position in margin.positions:
        require_price(ctx, position.asset, Action.WITHDRAW)
    for lien in margin.liens:
        if lien.factors.recognized_amount == 0:
            continue
        route = collateral_state.get_route(ctx, lien.lien.route_id)
        collateral_prices.require_asset_price(
            ctx,
            lien.factors.asset,
            Action.WITHDRAW,
            proof_age_ns=0 if route is None else collateral.get_proof_age_ns(ctx, route),
        )
    return margin
