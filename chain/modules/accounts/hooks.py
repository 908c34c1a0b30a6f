"""The block hook: margin states that may have changed, and the sweep of trading fees."""

from chain.modules.accounts import health, margin, state
from chain.modules.accounts.types import CASH_DENOM, AccountId
from chain.modules.auth.types import module_address
from chain.modules.bank import state as bank
from chain.modules.collateral.measurement import SharedReads
from chain.risk.margin import MarginState
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item

INSURANCE_ADDRESS = module_address("insurance")
"""Where trading fees go: the insurance module's account."""


def refresh_margin_state(
    ctx: Context, account_id: AccountId, shared: SharedReads | None = None
) -> MarginState:
    """Compute one account's state now, and record it with an event when it changed."""
    account = state.require_account(ctx, account_id)
    computed = margin.compute_account_margin(ctx, account, shared=shared)
    before, _ = state.get_margin_state(ctx, account_id)
    if computed.state is not before:
        state.set_margin_state(ctx, account_id, computed.state, ctx.height)
        ctx.emit(
            "margin_state_changed",
            {
                "owner": account_id.owner,
                "number": account_id.number,
                "from": before.name.lower(),
                "to": computed.state.name.lower(),
                "height": ctx.height,
                "equity_uusd": computed.equity_uusd,
                "maintenance_uusd": computed.maintenance_uusd,
            },
        )
    if computed.state is MarginState.HEALTHY and not account.is_at_risk:
        state.forget_at_risk(ctx, account_id)
    return computed.state


def refresh_margin_states(ctx: Context) -> None:
    """Compute the accounts whose state may have changed, the worst first, each isolated.

    At most `accounts_scanned_max` a block; the index finds again whatever is left over.
    """
    shared = SharedReads()  # A refresh writes margin states alone.
    limit = state.get_params(ctx).accounts_scanned_max
    index = health.get_index(ctx, shared)
    for account_id in index.find_candidates(ctx, limit, shared):
        attributes: dict[str, str | int] = {
            "owner": account_id.owner,
            "number": account_id.number,
        }
        with isolate_item(ctx, "margin_state_failed", attributes) as child:
            refresh_margin_state(child, account_id, shared)
    for account_id in index.get_closed():
        state.forget_at_risk(ctx, account_id)


def sweep_fees(ctx: Context) -> None:
    """Move accrued trading fees to insurance, as far as the module account holds coins."""
    held = bank.get_balance(ctx, state.MODULE_ADDRESS, CASH_DENOM)
    amount = min(state.get_accrued_fees(ctx), held)
    if amount > 0:
        bank.move(ctx, state.MODULE_ADDRESS, INSURANCE_ADDRESS, CASH_DENOM, amount)
        state.add_accrued_fees(ctx, -amount)


def end_block(ctx: Context) -> None:
    """Refresh margin states, then sweep fees."""
    refresh_margin_states(ctx)
    with isolate_item(ctx, "fee_sweep_failed", {}) as child:
        sweep_fees(child)
