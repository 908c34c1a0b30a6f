"""The tiers of a liquidation, one case an account (systems rows 38, 39).

Margin call → cancel orders → reduce → close (lock) → auction → insurance → deficit. A case moves
forward only; every tier leaves a row in the account's history, a skipped one with the reason.
"""

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, AccountId, AccountMargin
from chain.modules.liquidation import auctions, state
from chain.modules.liquidation.closing import close, record_sizes, reduce
from chain.modules.liquidation.debts import settle_debt
from chain.modules.liquidation.reductions import require_prices
from chain.modules.liquidation.tiers import advance, end_case
from chain.modules.markets.matching import cancel_orders
from chain.modules.markets.types import InstrumentKind
from chain.risk.margin import MarginState
from chain.runtime.context import Context
from chain.units import Address


def open_case(ctx: Context, account_id: AccountId, margin: AccountMargin) -> pb.Case:
    """Start watching an account: the margin call."""
    case = pb.Case(owner=account_id.owner, account=account_id.number, opened_height=ctx.height)
    advance(ctx, case, margin, pb.TIER_MARGIN_CALL, "the ratio is below 1.25: no new credit")
    return case


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
        require_prices(ctx, margin)
        _cancel(ctx, case, account, margin)
        reduce(ctx, case, account, margin)
    elif margin.state is not MarginState.MARGIN_CALL:
        require_prices(ctx, margin)
        _cancel(ctx, case, account, margin)
        _lock(ctx, case, account, margin)
        _visit_locked(ctx, case, account, margin)


def _cancel(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    count = cancel_orders(ctx, account.id, "", "liquidation")
    if count:
        reason = f"{count} resting orders cancelled"
        advance(ctx, case, margin, max(case.tier, pb.TIER_CANCEL_ORDERS), reason, count)


def _lock(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    accounts.lock_account(ctx, account.id)
    account.status = accounts.require_account(ctx, account.id).status
    case.locked_height = ctx.height
    record_sizes(case, account)
    if _has_contracts(margin):
        reason = "the ratio is below 1.00: the account is locked and its positions are closed"
        advance(ctx, case, margin, pb.TIER_CLOSE, reason)
    state.set_case(ctx, case)


def _has_contracts(margin: AccountMargin) -> bool:
    """Whether a position is left that can owe something: base coins cannot."""
    return any(
        line.position.size_quantums and line.kind is not InstrumentKind.SPOT
        for line in margin.positions
    )


def _visit_locked(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    if _has_contracts(margin):
        require_prices(ctx, margin)
        close(ctx, case, account, margin)
        return
    if account.cash_uusd >= 0:
        auctions.close_paid_auctions(ctx, account.id)
    if not state.has_open_auction(ctx, account.id):
        settle_debt(ctx, case, account, margin)
