"""Block hook of liquidation: open cases, take each one step, mind the auctions; bounded work."""

from itertools import islice

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.insurance import state as insurance
from chain.modules.insurance.types import MODULE_ADDRESS as INSURANCE_ADDRESS
from chain.modules.insurance.types import POSITION_ACCOUNT
from chain.modules.liquidation import auctions, cases, closing, state
from chain.modules.liquidation.reductions import REDUCTIONS_MAX
from chain.risk.margin import MarginState
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.units import Address

_WORST_FIRST = (
    MarginState.BANKRUPT,
    MarginState.BACKSTOP,
    MarginState.LIQUIDATE,
    MarginState.REDUCE_ONLY,
    MarginState.MARGIN_CALL,
)


_FAILED = "liquidation_failed"
_SEARCHED_MAX = 500
"""Accounts of each margin state that a block looks at for those without a case."""
_WORK_MAX = 5_000
"""Positions that the visits of one block may margin, the last visit's over it."""


def _name(account_id: AccountId) -> dict[str, str | int]:
    return {"owner": account_id.owner, "account": account_id.number}


def end_block(ctx: Context) -> None:
    """Everything of one block, each item in a branch of its own."""
    insurance.record_swept_fees(ctx)
    with isolate_item(ctx, _FAILED, _name(POSITION_ACCOUNT)) as child:
        closing.work_out_positions(child)
    _open_cases(ctx)
    _visit_cases(ctx)
    _reset_abandoned(ctx)


def _open_cases(ctx: Context) -> None:
    """A case for every account seen below 1.25 that has none, the worst first."""
    limit = state.PARAMS.get(ctx).openings_per_block_max
    found: list[AccountId] = []
    for margin_state in _WORST_FIRST:
        if len(found) < limit:
            found += _find_without_case(ctx, margin_state, limit - len(found))
    for account_id in found:
        with isolate_item(ctx, _FAILED, _name(account_id)) as child:
            account = accounts.require_account(child, account_id)
            margin = accounts_margin.compute_account_margin(child, account)
            if margin.state is not MarginState.HEALTHY:
                cases.open_case(child, account_id, margin)


def _find_without_case(ctx: Context, margin_state: MarginState, limit: int) -> list[AccountId]:
    """Accounts of a state without a case, at most `limit`, from where the last search stopped.

    However many wait in the state with a case, those behind them are reached.
    """
    after = state.get_opening_cursor(ctx, margin_state)
    found: list[AccountId] = []
    seen = 0
    last = after
    for last in islice(accounts.iterate_in_state(ctx, margin_state, after), _SEARCHED_MAX):
        seen += 1
        if last.owner != INSURANCE_ADDRESS and state.get_case(ctx, last) is None:
            found.append(last)
            if len(found) == limit:
                break
    is_end = seen < _SEARCHED_MAX and len(found) < limit
    if not is_end or after is not None:
        state.set_opening_cursor(ctx, margin_state, None if is_end else last)
    return found


def _measure(ctx: Context, account_id: AccountId) -> int:
    """The work of a visit: its margin, and one for each position whose closing is weighed."""
    account = accounts.get_account(ctx, account_id)
    count = len(account.positions) if account else 0
    return count * (1 + min(count, REDUCTIONS_MAX))


def _find_next_cases(ctx: Context, limit: int) -> list[pb.Case]:
    """The cases behind the one visited last, and on from the first: none twice."""
    cursor = state.get_cursor(ctx)
    found = list(islice(state.iterate_cases(ctx, cursor), limit))
    if cursor is not None:
        for case in islice(state.iterate_cases(ctx), limit - len(found)):
            if AccountId(Address(case.owner), case.account) > cursor:
                break
            found.append(case)
    return found


def _visit_cases(ctx: Context) -> None:
    """One step for each of the next cases, round robin, within the block's work."""
    work_left = _WORK_MAX
    for case in _find_next_cases(ctx, state.PARAMS.get(ctx).cases_per_block_max):
        if work_left <= 0:
            return
        account_id = AccountId(Address(case.owner), case.account)
        work_left -= _measure(ctx, account_id)
        with isolate_item(ctx, _FAILED, _name(account_id)) as child:
            cases.visit(child, case)
        state.set_cursor(ctx, account_id)


def _reset_abandoned(ctx: Context) -> None:
    """Reset auctions that no keeper has reset; the oldest first, as many as cases in a block."""
    limit = state.PARAMS.get(ctx).cases_per_block_max
    for auction in list(islice(state.iterate_active_auctions(ctx), limit)):
        if not auctions.is_abandoned(ctx, auction):
            continue
        with isolate_item(ctx, _FAILED, {"auction_id": auction.auction_id}) as child:
            auctions.reset_auction(child, auction, None)
