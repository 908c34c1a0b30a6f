"""The margin of an account over its liens, cash, positions and open orders (systems rows 1, 6, 9).

Other modules import this module, not its names: `from chain.modules.accounts import margin`. It
reads collateral, markets and oracle, which in turn read accounts, and only modules may be circular.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chain.modules.accounts import freshness, portfolio_margin, standard_margin, state
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.accounts.reads import MarketReads, read_market, read_rules, read_underlying
from chain.modules.accounts.requirement import (
    RequirementInputs,
    attribute,
    compute_requirement,
    count_base_uusd,
    count_option_uusd,
)
from chain.modules.accounts.types import (
    Account,
    AccountMargin,
    Contract,
    LienKey,
    LienMargin,
    MarginMode,
    Position,
    PositionMargin,
    UnderlyingTerms,
    UnitTerms,
)
from chain.modules.collateral import measurement as collateral
from chain.modules.collateral import prices as collateral_prices
from chain.modules.collateral import state as collateral_state
from chain.modules.markets import state as markets
from chain.modules.markets.marks import Mark
from chain.modules.markets.types import InstrumentKind, Market, OptionKind, RestingOrder, Side
from chain.modules.oracle import state as oracle
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.modules.venues import netting as venues_netting
from chain.risk.haircut import compute_lien_value
from chain.risk.margin import (
    NO_LINEAR_TERMS,
    LinearTerms,
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
from chain.risk.netting import VenueMargin
from chain.risk.portfolio import LATENCY_WAD_MAX
from chain.runtime.context import Context
from chain.runtime.gas import RISK_CELL
from chain.units import PPM, WAD, floor_div, mul_ppm_ceil

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
    unit_uusd = market.unit_uusd
    for order in orders:
        if order.market != market.id or order.reduce_only:
            continue
        notional = order.ticks * order.remaining_steps * unit_uusd
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


@dataclass(slots=True)
class _Draft:
    """What every kind of position starts from."""

    position: Position
    mark: Mark
    value_uusd: int
    risks: Sequence[OrderRisk]
    terms: UnderlyingTerms
    profit_ppm: int

    def build(
        self,
        market: Market,
        *,
        equity_uusd: int,
        equity_initial_uusd: int,
        worst_size_quantums: int,
        order_loss_uusd: int,
        unrealised_uusd: int = 0,
        funding_owed_uusd: int = 0,
        worst_notional_uusd: int = 0,
        terms: LinearTerms = NO_LINEAR_TERMS,
        maintenance_uusd: int = 0,
        initial_uusd: int = 0,
    ) -> PositionMargin:
        """The position with what its kind made of it."""
        return PositionMargin(
            market=market.id,
            asset=market.asset,
            kind=market.kind,
            contract=Contract(
                market.kind,
                market.quantum_decimals,
                market.expiry_time_s,
                market.strike_wad,
                market.option_kind is OptionKind.CALL and market.kind is InstrumentKind.OPTION,
            ),
            position=self.position,
            mark=self.mark,
            price_wad=self.mark.price_wad,
            value_uusd=self.value_uusd,
            funding_owed_uusd=funding_owed_uusd,
            unrealised_uusd=unrealised_uusd,
            equity_uusd=equity_uusd,
            equity_initial_uusd=equity_initial_uusd,
            terms=terms,
            maintenance_uusd=maintenance_uusd,
            initial_uusd=initial_uusd,
            worst_size_quantums=worst_size_quantums,
            worst_notional_uusd=worst_notional_uusd,
            order_loss_uusd=order_loss_uusd,
            bought_quantums=sum([max(0, risk.size_quantums) for risk in self.risks]),
            sold_quantums=sum([max(0, -risk.size_quantums) for risk in self.risks]),
        )


def _compute_linear(reads: MarketReads, draft: _Draft) -> PositionMargin:
    """A perpetual or future by row 13: worth its value less cost and funding."""
    market = reads.market
    size, decimals = draft.position.size_quantums, market.quantum_decimals
    index = reads.funding_index_wad
    funding = (
        compute_funding_owed_uusd(size, index, draft.position.funding_index_wad) if size else 0
    )
    unrealised = draft.value_uusd - draft.position.cost_uusd - funding
    price_wad = draft.mark.price_wad
    terms = reads.terms
    worst = compute_open_order_risk(size, draft.risks)
    worst_notional = compute_position_magnitude_uusd(worst.worst_size_quantums, price_wad, decimals)
    held = compute_position_magnitude_uusd(size, price_wad, decimals)
    maintenance = compute_requirement_uusd(held, terms.maintenance_ppm, reads.latency_ppm)
    initial = compute_requirement_uusd(worst_notional, terms.initial_ppm, reads.latency_initial_ppm)
    return draft.build(
        market,
        funding_owed_uusd=funding,
        unrealised_uusd=unrealised,
        equity_uusd=unrealised,
        equity_initial_uusd=compute_initial_profit_uusd(unrealised, draft.profit_ppm),
        terms=terms,
        # The settlement price moves no more: what has settled has no risk.
        maintenance_uusd=0 if draft.mark.is_settled else maintenance,
        initial_uusd=0 if draft.mark.is_settled else initial,
        worst_size_quantums=worst.worst_size_quantums,
        worst_notional_uusd=worst_notional,
        order_loss_uusd=worst.loss_uusd,
    )


def _compute_option(market: Market, draft: _Draft) -> PositionMargin:
    """An option: its premium is a cost, its value counts under portfolio margin or once settled.

    Under the standard rules a short's value is in the requirement and a long's counts nowhere: a
    buy that fills loses its premium and fee, a sell its fee.
    """
    size, decimals = draft.position.size_quantums, market.quantum_decimals
    risks = draft.risks
    worst = compute_open_order_risk(size, risks)
    equity, initial = count_option_uusd(
        draft.terms,
        draft.value_uusd,
        draft.position.cost_uusd,
        draft.profit_ppm,
        is_settled=draft.mark.is_settled,
    )
    loss = worst.loss_uusd
    if not (draft.terms.is_portfolio or draft.mark.is_settled):
        loss = sum(
            risk.fee_uusd + (risk.notional_uusd if risk.size_quantums > 0 else 0) for risk in risks
        )
    longest = size + sum(risk.size_quantums for risk in risks if risk.size_quantums > 0)
    shortest = size + sum(risk.size_quantums for risk in risks if risk.size_quantums < 0)
    return draft.build(
        market,
        unrealised_uusd=draft.value_uusd - draft.position.cost_uusd,
        equity_uusd=equity,
        equity_initial_uusd=initial,
        worst_size_quantums=worst.worst_size_quantums,
        # A long risks its premium, a short moves with the spot.
        worst_notional_uusd=max(
            compute_position_magnitude_uusd(max(0, longest), draft.mark.price_wad, decimals),
            compute_position_magnitude_uusd(min(0, shortest), draft.mark.spot_wad, decimals),
        ),
        order_loss_uusd=loss,
    )


def _compute_spot(ctx: Context, market: Market, draft: _Draft) -> PositionMargin:
    """The asset itself: it counts at the base factor, or in the stable under portfolio margin.

    It is paid for, so it adds no leverage. An order loses what it pays over what it brings, by the
    same count.
    """
    equity, initial = count_base_uusd(draft.terms, draft.value_uusd, ctx.time_s)
    worst = compute_open_order_risk(draft.position.size_quantums, draft.risks)
    loss = 0
    for risk in draft.risks:
        # A sale rounds what it takes away up: parts of a sum may count for one uusd less each.
        brought = risk.value_uusd if risk.size_quantums > 0 else -risk.value_uusd
        _, counted = count_base_uusd(draft.terms, brought, ctx.time_s)
        paid = risk.notional_uusd if risk.size_quantums > 0 else -risk.notional_uusd
        loss += max(0, paid - counted) + risk.fee_uusd
    return draft.build(
        market,
        equity_uusd=equity,
        equity_initial_uusd=initial,
        worst_size_quantums=worst.worst_size_quantums,
        order_loss_uusd=loss,
    )


def compute_position_margin(
    ctx: Context,
    reads: MarketReads,
    position: Position,
    orders: Sequence[RestingOrder],
    terms: UnderlyingTerms,
    profit_ppm: int,
) -> PositionMargin:
    """One market of an account at its mark; initial margin counts `profit_ppm` of a profit.

    `terms` are those of its underlying under the account's margin mode.
    """
    ctx.gas.consume(RISK_CELL)
    market = reads.market
    draft = _Draft(
        position=position,
        mark=reads.mark,
        value_uusd=compute_position_value_uusd(
            position.size_quantums, reads.mark.price_wad, market.quantum_decimals
        ),
        risks=_compute_order_risks(market, reads.mark.price_wad, orders),
        terms=terms,
        profit_ppm=profit_ppm,
    )
    if market.kind is InstrumentKind.SPOT:
        return _compute_spot(ctx, market, draft)
    if market.kind is InstrumentKind.OPTION:
        return _compute_option(market, draft)
    return _compute_linear(reads, draft)


def _compute_positions(
    ctx: Context,
    account: Account,
    orders: Sequence[RestingOrder],
    shared: collateral.SharedReads,
) -> tuple[dict[str, UnderlyingTerms], tuple[PositionMargin, ...]]:
    """Every market with a position or order, ascending, and the terms of their underlyings.

    Raises PriceNotUsable before the first price of what is not spot.
    """
    is_portfolio = account.margin_mode is MarginMode.PORTFOLIO
    profit_ppm = read_rules(ctx, shared).initial_profit_ppm
    terms: dict[str, UnderlyingTerms] = {}
    lines = []
    for market_id in sorted({*account.positions, *(order.market for order in orders)}):
        reads = read_market(ctx, market_id, shared)
        asset = reads.market.asset
        if asset not in terms:
            terms[asset] = read_underlying(ctx, reads, shared, is_portfolio=is_portfolio)
        position = account.positions.get(market_id) or Position()
        lines.append(
            compute_position_margin(ctx, reads, position, orders, terms[asset], profit_ppm)
        )
    _set_latencies(ctx, account, terms, lines, shared)
    return terms, tuple(lines)


def _set_latencies(
    ctx: Context,
    account: Account,
    terms: dict[str, UnderlyingTerms],
    lines: Sequence[PositionMargin],
    shared: collateral.SharedReads,
) -> None:
    """Let the discount of option value see the account's slowest route (row 4)."""
    for line in lines:
        known = terms[line.asset]
        if line.kind is not InstrumentKind.OPTION or not known.is_portfolio or known.latency_wad:
            continue
        latency_ppm = collateral.get_account_latency_ppm(
            ctx, account, oracle.get_volatility_wad(ctx, line.asset), shared
        )
        latency_wad = min(latency_ppm * floor_div(WAD, PPM), LATENCY_WAD_MAX)
        terms[line.asset] = known._replace(latency_wad=latency_wad)


def compute_account_margin(
    ctx: Context,
    account: Account,
    orders: Sequence[RestingOrder] | None = None,
    shared: collateral.SharedReads | None = None,
) -> AccountMargin:
    """The margin of the account as given (stored or not) with its resting orders, or those given.

    Who computes several margins without a write but to accounts' margin states between passes one
    `shared` to all. Raises PriceNotUsable before the first price of a market that is not spot.

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
    terms, lines = _compute_positions(ctx, account, orders, shared)
    required = compute_requirement(_build_inputs(ctx, account.margin_mode, terms), lines)
    multiplier_ppm = read_rules(ctx, shared).multiplier_ppm
    collateral_uusd = sum(lien.value.counted_uusd for lien in liens)
    base = sum(line.equity_uusd for line in lines if line.kind is InstrumentKind.SPOT)
    unrealised = sum(line.equity_uusd for line in lines) - base
    equity = collateral_uusd + account.cash_uusd + unrealised + base
    equity_initial = (
        sum(lien.value.counted_initial_uusd for lien in liens)
        + account.cash_uusd
        + sum(line.equity_initial_uusd - line.order_loss_uusd for line in lines)
    )
    maintenance, initial = required.maintenance_uusd, required.initial_uusd
    venues = _compute_venues(ctx, account, lines, shared)
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
        initial_uusd=mul_ppm_ceil(initial, multiplier_ppm),
        worst_notional_uusd=sum(line.worst_notional_uusd for line in lines),
        state=compute_margin_state(equity, maintenance),
        liens=liens,
        positions=lines,
        venues=venues,
        mode=account.margin_mode,
        multiplier_ppm=multiplier_ppm,
        portfolio=required.portfolio,
        standard=required.standard,
        terms=tuple(terms[asset] for asset in sorted(terms)),
    )


def _compute_venues(
    ctx: Context,
    account: Account,
    lines: Sequence[PositionMargin],
    shared: collateral.SharedReads,
) -> VenueMargin | None:
    """What positions at venues add; of the hub's those that row 13 asks net with them.

    A portfolio is margined as a whole: its venues net among themselves.
    """
    own = lines if account.margin_mode is MarginMode.STANDARD else ()
    return venues_netting.compute_venue_margin(ctx, account.id, own, shared)


def _build_inputs(
    ctx: Context, mode: MarginMode, terms: Mapping[str, UnderlyingTerms]
) -> RequirementInputs:
    assets = [asset for asset, known in terms.items() if known.is_portfolio]
    correlation = portfolio_margin.get_correlation(ctx, assets)
    return RequirementInputs(mode, terms, correlation, ctx.time_s, ctx.gas.consume)


def attribute_requirements(ctx: Context, margin: AccountMargin) -> AccountMargin:
    """The margin with each position's part of the requirement, in both modes and for every kind.

    A part is what MMR, and IMR before the tier, fall by without the position and its orders; never
    below zero, as for what hedges the rest. Each costs a requirement: for who must choose among
    positions or show them, not for a check.
    """
    inputs = _build_inputs(ctx, margin.mode, {terms.asset: terms for terms in margin.terms})
    return replace(margin, positions=attribute(inputs, margin.positions))


def compute_unit_terms(ctx: Context, reads: MarketReads, mode: MarginMode) -> UnitTerms:
    """What a whole unit of a market adds to E, and at most to MMR, under a mode.

    Costs and funding come on top. The requirements bound every account: netting, hedges and
    correlation only take from their sum.
    """
    market, mark = reads.market, reads.mark
    if reads.spot_wad == 0 or mark.is_settled:
        return UnitTerms(mark.price_wad, 0, 0)
    terms = portfolio_margin.get_terms(
        ctx,
        market.asset,
        reads.spot_wad,
        reads.confidence_wad,
        is_portfolio=mode is MarginMode.PORTFOLIO,
    )
    if market.kind is InstrumentKind.OPTION and not terms.is_portfolio:
        return UnitTerms(0, 0, standard_margin.compute_short_bound_wad(terms, market, mark))
    equity = mark.price_wad
    if market.kind is InstrumentKind.SPOT:
        if not terms.is_portfolio:
            return UnitTerms(
                standard_margin.compute_base_value_uusd(terms, equity, ctx.time_s), 0, 0
            )
        equity = floor_div(equity * WAD, terms.stable_wad)
    linear = 0
    if market.kind in (InstrumentKind.PERPETUAL, InstrumentKind.FUTURE):
        linear = mul_ppm_ceil(mark.price_wad, reads.terms.maintenance_ppm + reads.latency_ppm)
    if not terms.is_portfolio:
        return UnitTerms(equity, linear, linear)
    long, short = portfolio_margin.compute_unit_bounds_wad(ctx, market, mark, terms)
    return UnitTerms(equity, max(linear, long), max(linear, short))


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


def is_paid_for(margin: AccountMargin) -> bool:
    """Whether the account has neither positions but spot, nor orders for others, nor venues."""
    is_spot = all(line.kind is InstrumentKind.SPOT for line in margin.positions)
    return is_spot and not margin.venues


def require_withdrawable(ctx: Context, account_after: Account) -> AccountMargin:
    """The margin after something left the account; raises InsufficientMargin or PriceNotUsable.

    Needs E_initial >= IMR, GMR >= 1.25 and prices good for withdrawals. An account with neither
    positions but spot, orders for others nor debts needs no prices: nothing can be owed.
    """
    margin = compute_account_margin(ctx, account_after)
    if is_paid_for(margin) and account_after.cash_uusd >= 0:
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
