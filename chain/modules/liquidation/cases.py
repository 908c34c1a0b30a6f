"""The tiers of a liquidation, one case an account (systems rows 38, 39).

Margin call → cancel orders → reduce → close (lock) → auction → insurance → deficit. A case moves
forward only; every tier leaves a row in the account's history, a skipped one with the reason.
"""

from typing import Final

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, AccountId, AccountMargin, PositionMargin
from chain.modules.collateral.prices import require_asset_price
from chain.modules.insurance import state as insurance
from chain.modules.insurance.types import POSITION_ACCOUNT
from chain.modules.liquidation import auctions, state
from chain.modules.liquidation.positions import (
    Closed,
    charge_fee,
    close_on_book,
    compute_quotes,
    hand_over,
)
from chain.modules.markets import state as markets
from chain.modules.markets.matching import cancel_orders
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.risk.liquidation import compute_block_limit, compute_reduce_size
from chain.risk.margin import MarginState
from chain.risk.waterfall import Layer, compute_allocation
from chain.runtime.context import Context
from chain.units import PPM, Address

_SKIPPED: Final = {
    pb.TIER_CANCEL_ORDERS: "does not apply: no order rests",
    pb.TIER_REDUCE: "does not apply: the ratio is below 1.00, or 1.10 and above",
    pb.TIER_CLOSE: "does not apply: no position to close, or the ratio is 1.00 and above",
    pb.TIER_AUCTION: "does not apply: no debt, or nothing left that could be sold",
    pb.TIER_INSURANCE: "does not apply: no debt remains",
    pb.TIER_DEFICIT: "does not apply: no deficit remains",
}


def open_case(ctx: Context, account_id: AccountId, margin: AccountMargin) -> pb.Case:
    """Start watching an account: the margin call."""
    case = pb.Case(owner=account_id.owner, account=account_id.number, opened_height=ctx.height)
    advance(ctx, case, margin, pb.TIER_MARGIN_CALL, "the ratio is below 1.25: no new credit")
    return case


def advance(
    ctx: Context, case: pb.Case, margin: AccountMargin, tier: pb.Tier, reason: str, amount: int = 0
) -> None:
    """Record a tier, and every tier passed over on the way with why it did not apply."""
    for skipped, why in _SKIPPED.items():
        if case.tier < skipped < tier:
            _record(ctx, case, margin, skipped, why, 0)
    case.tier = tier
    case.waits_for = ""
    _record(ctx, case, margin, tier, reason, amount)
    state.set_case(ctx, case)


def _record(
    ctx: Context, case: pb.Case, margin: AccountMargin, tier: pb.Tier, reason: str, amount: int
) -> None:
    row = pb.HistoryRow(
        height=ctx.height,
        time_ns=ctx.time_ns,
        tier=tier,
        reason=reason,
        equity_uusd=str(margin.equity_uusd),
        requirement_uusd=str(margin.maintenance_uusd),
        amount=str(amount),
    )
    state.add_history(ctx, AccountId(Address(case.owner), case.account), row)
    ctx.emit(
        "liquidation_tier",
        {
            "owner": case.owner,
            "account": case.account,
            "tier": pb.Tier.Name(tier).removeprefix("TIER_").lower(),
            "reason": reason,
            "equity_uusd": margin.equity_uusd,
            "requirement_uusd": margin.maintenance_uusd,
            "amount": amount,
        },
    )


def visit(ctx: Context, case: pb.Case) -> None:
    """One block's step of a case; raises PriceNotUsable when prices are too old to act on."""
    account_id = AccountId(Address(case.owner), case.account)
    account = accounts.require_account(ctx, account_id)
    margin = accounts_margin.compute_account_margin(ctx, account)
    if case.locked_height:
        _visit_locked(ctx, case, account, margin)
    elif margin.state is MarginState.HEALTHY:
        end_case(ctx, case, margin, "the ratio is 1.25 or above again")
    elif margin.state is MarginState.REDUCE_ONLY:
        _require_prices(ctx, margin)
        _cancel(ctx, case, account, margin)
        _reduce(ctx, case, account, margin)
    elif margin.state is not MarginState.MARGIN_CALL:
        _require_prices(ctx, margin)
        _cancel(ctx, case, account, margin)
        _lock(ctx, case, account, margin)
        _visit_locked(ctx, case, account, margin)


def _require_prices(ctx: Context, margin: AccountMargin) -> None:
    """Raises PriceNotUsable when a price behind the ratio is too old to liquidate on."""
    for position in margin.positions:
        require_price(ctx, position.asset, Action.LIQUIDATE)
    for lien in margin.liens:
        if lien.factors.asset:
            require_asset_price(ctx, lien.factors.asset, Action.LIQUIDATE)


def _cancel(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    count = cancel_orders(ctx, account.id, "", "liquidation")
    if count:
        reason = f"{count} resting orders cancelled"
        advance(ctx, case, margin, max(case.tier, pb.TIER_CANCEL_ORDERS), reason, count)


def _record_sizes(case: pb.Case, account: Account) -> None:
    """Remember the sizes of which each block may close a share."""
    known = {size.market: size for size in case.sizes}
    for market, position in sorted(account.positions.items()):
        size = known.get(market)
        if size is None:
            case.sizes.add(market=market, size_quantums=str(abs(position.size_quantums)))
        elif int(size.size_quantums) < abs(position.size_quantums):
            size.size_quantums = str(abs(position.size_quantums))


def _reduce(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    """Close within the block's limit what brings the ratio to its target."""
    params = state.PARAMS.get(ctx)
    _record_sizes(case, account)
    if case.tier < pb.TIER_REDUCE:
        reason = f"the ratio is below 1.10: reduce to {params.target_gmr_ppm} ppm"
        advance(ctx, case, margin, pb.TIER_REDUCE, reason)
    sizes = {size.market: int(size.size_quantums) for size in case.sizes}
    for position in margin.positions:
        if position.position.size_quantums == 0:
            continue
        wanted = compute_reduce_size(
            size=position.position.size_quantums,
            notional_uusd=position.value_uusd,
            position_requirement_uusd=position.maintenance_uusd,
            equity_uusd=margin.equity_uusd,
            requirement_uusd=margin.maintenance_uusd,
            target_ppm=params.target_gmr_ppm,
            fee_ppm=params.fee_ppm,
            limit=compute_block_limit(sizes[position.market], params.reduce_share_ppm),
        )
        if wanted:
            _close_part(ctx, params, account, margin, position, wanted)
            break  # The next position is judged on the ratio after this one, in the next block.
    state.set_case(ctx, case)


def _close_part(
    ctx: Context,
    params: pb.Params,
    account: Account,
    margin: AccountMargin,
    position: PositionMargin,
    size: int,
) -> Closed:
    """Close a size on the book and charge the fee."""
    quotes = compute_quotes(params, margin, position)
    total = abs(position.position.size_quantums)
    market = markets.require_market(ctx, position.market)
    closed = close_on_book(ctx, account, market, size, quotes.floor_uusd)
    if closed.size_quantums:
        part = quotes.bankruptcy_uusd * closed.size_quantums // total
        charge_fee(ctx, params, account, closed, part)
    return closed


def _lock(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    accounts.lock_account(ctx, account.id)
    account.status = accounts.require_account(ctx, account.id).status
    case.locked_height = ctx.height
    _record_sizes(case, account)
    if account.positions:
        reason = "the ratio is below 1.00: the account is locked and its positions are closed"
        advance(ctx, case, margin, pb.TIER_CLOSE, reason)
    state.set_case(ctx, case)


def _visit_locked(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    if account.positions:
        _require_prices(ctx, margin)
        _close(ctx, case, account, margin)
        return
    if account.cash_uusd >= 0:
        auctions.close_paid_auctions(ctx, account.id)
    if not state.has_open_auction(ctx, account.id):
        _settle_debt(ctx, case, account, margin)


def _close(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    """Close a share of every position; after some blocks without a fill insurance takes it over."""
    params = state.PARAMS.get(ctx)
    _record_sizes(case, account)
    sizes = {size.market: size for size in case.sizes}
    for position in margin.positions:
        if position.position.size_quantums == 0:
            continue
        opening = sizes[position.market]
        limit = compute_block_limit(int(opening.size_quantums), params.reduce_share_ppm)
        closed = _close_part(ctx, params, account, margin, position, limit)
        opening.idle_blocks = 0 if closed.size_quantums else opening.idle_blocks + 1
        if opening.idle_blocks < params.handover_blocks or position.market not in account.positions:
            continue
        # Idle stays at its bound: the rest follows block by block unless the book comes back.
        opening.idle_blocks = params.handover_blocks
        market = markets.require_market(ctx, position.market)
        quotes = compute_quotes(params, margin, position)
        taken = hand_over(ctx, account, market, limit, quotes)
        _record(
            ctx,
            case,
            margin,
            pb.TIER_CLOSE,
            f"no fill within the limit: insurance takes {taken.size_quantums} of {market.id}",
            taken.quote_uusd,
        )
    state.set_case(ctx, case)


def _settle_debt(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    """Sell collateral until the debt is paid or safe; then insurance; then record the deficit."""
    params = state.PARAMS.get(ctx)
    debt = max(0, -account.cash_uusd)
    if debt == 0:
        _release(ctx, case, account, margin, "the debt is paid")
        return
    if margin.collateral_uusd * PPM >= debt * params.debt_target_ppm:
        _release(ctx, case, account, margin, "the collateral covers the debt with its margin")
        return
    _require_prices(ctx, margin)
    lot = auctions.find_lot(ctx, margin, debt)
    if lot is not None:
        auction = auctions.open_auction(ctx, account.id, lot)
        reason = f"auction {auction.auction_id} of {lot.amount} {auction.denom}"
        advance(ctx, case, margin, max(case.tier, pb.TIER_AUCTION), reason, lot.tab_uusd)
        return
    blocked = _find_blocked(ctx, margin)
    if blocked:
        if case.waits_for != blocked:
            _record(ctx, case, margin, pb.TIER_AUCTION, blocked, debt)
            case.waits_for = blocked
            state.set_case(ctx, case)
        return
    _cover(ctx, case, account, margin, debt)


def _get_dust(ctx: Context) -> int:
    return int(state.PARAMS.get(ctx).dust_uusd)


def _find_blocked(ctx: Context, margin: AccountMargin) -> str:
    """Why collateral worth selling cannot be sold now; empty when there is none."""
    dust = _get_dust(ctx)
    for lien in margin.liens:
        if lien.value.value_uusd < dust:
            continue
        if not auctions.is_deliverable(ctx, lien):
            return (
                f"waits: route {lien.lien.route_id} is frozen, its collateral cannot be delivered"
            )
    if auctions.has_no_room(ctx):
        return "waits: the cap on the total under auction is reached"
    return ""


def _cover(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin, debt: int) -> None:
    """The waterfall below the account's own collateral, in order: insurance, then the deficit."""
    layers = (Layer("account", 0), Layer("insurance", insurance.get_payable(ctx)))
    allocation = compute_allocation(debt, layers)
    draw = allocation.draws[-1].amount_uusd
    if case.tier == pb.TIER_DEFICIT and draw < min(debt, _get_dust(ctx)):
        return  # The fund refills by small fees; a payment of each would fill the history.
    if draw:
        paid = insurance.cover_account(ctx, account.id, draw)
        assert paid == draw, "the layer's capacity is what the fund may pay"
        reason = "the fund pays of the debt what it may"
        if case.tier < pb.TIER_INSURANCE:
            advance(ctx, case, margin, pb.TIER_INSURANCE, reason, paid)
        else:
            _record(ctx, case, margin, pb.TIER_INSURANCE, reason, paid)
    insurance.set_deficit(ctx, account.id, allocation.uncovered_uusd)
    if allocation.uncovered_uusd == 0:
        settled = accounts.require_account(ctx, account.id)
        _release(ctx, case, settled, margin, "insurance paid the rest of the debt")
    elif case.tier < pb.TIER_DEFICIT:
        reason = "the fund may not pay the rest now; the account stays locked"
        advance(ctx, case, margin, pb.TIER_DEFICIT, reason, allocation.uncovered_uusd)


def _release(
    ctx: Context, case: pb.Case, account: Account, margin: AccountMargin, reason: str
) -> None:
    insurance.set_deficit(ctx, account.id, 0)
    accounts.unlock_account(ctx, account.id)
    end_case(ctx, case, margin, reason)


def end_case(ctx: Context, case: pb.Case, margin: AccountMargin, reason: str) -> None:
    """Close a case; the tiers below the last one reached did not apply."""
    advance(ctx, case, margin, pb.TIER_ENDED, reason)
    state.delete_case(ctx, AccountId(Address(case.owner), case.account))


def work_out_positions(ctx: Context) -> None:
    """Sell what insurance took over, a share a block, at the mark or better; settle its result."""
    insurance.settle_positions(ctx)
    account = accounts.get_account(ctx, POSITION_ACCOUNT)
    if account is None or not account.positions:
        return
    params = state.PARAMS.get(ctx)
    margin = accounts_margin.compute_account_margin(ctx, account)
    for position in margin.positions:
        market = markets.require_market(ctx, position.market)
        size = abs(position.position.size_quantums)
        limit = compute_block_limit(size, params.reduce_share_ppm)
        close_on_book(ctx, account, market, limit, position.value_uusd)
