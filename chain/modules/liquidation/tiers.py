"""A case's way through the tiers, and the account's history of it."""

from typing import Final

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts.types import AccountId, AccountMargin
from chain.modules.liquidation import state
from chain.runtime.context import Context
from chain.units import Address

_SKIPPED: Final = {
    pb.TIER_CANCEL_ORDERS: "does not apply: no order rests",
    pb.TIER_REDUCE: "does not apply: the ratio is below 1.00, or 1.10 and above",
    pb.TIER_CLOSE: "does not apply: no position to close, or the ratio is 1.00 and above",
    pb.TIER_AUCTION: "does not apply: no debt, or nothing left that could be sold",
    pb.TIER_INSURANCE: "does not apply: no debt remains",
    pb.TIER_DEFICIT: "does not apply: no deficit remains",
}


def advance(
    ctx: Context, case: pb.Case, margin: AccountMargin, tier: pb.Tier, reason: str, amount: int = 0
) -> None:
    """Record a tier, and every tier passed over on the way with why it did not apply."""
    for skipped, why in _SKIPPED.items():
        if case.tier < skipped < tier:
            record(ctx, case, margin, skipped, why, 0)
    case.tier = tier
    case.waits_for = ""
    record(ctx, case, margin, tier, reason, amount)
    state.set_case(ctx, case)


def record(
    ctx: Context, case: pb.Case, margin: AccountMargin, tier: pb.Tier, reason: str, amount: int
) -> None:
    """Add a row to the account's history and tell the world."""
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


def wait(
    ctx: Context, case: pb.Case, margin: AccountMargin, tier: pb.Tier, reason: str, amount: int
) -> None:
    """Record why a case waits, once."""
    if case.waits_for != reason:
        record(ctx, case, margin, tier, reason, amount)
        case.waits_for = reason
        state.set_case(ctx, case)


def end_case(ctx: Context, case: pb.Case, margin: AccountMargin, reason: str) -> None:
    """Close a case; the tiers below the last one reached did not apply."""
    advance(ctx, case, margin, pb.TIER_ENDED, reason)
    state.delete_case(ctx, AccountId(Address(case.owner), case.account))
