"""The cross-chain solvency ratio: of the whole, and of each route if its liens were lost (row 7).

Ratio = (Σ max(E, 0) + insurance) / (Σ max(MMR - E, 0) + Σ deficits). The sums run over all
accounts, so many a block; a pass that ends publishes its report. With no more accounts than a block
visits, the report is that of the block.
"""

from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, AccountId, AccountMargin
from chain.modules.collateral import state
from chain.modules.collateral.measurement import SharedReads
from chain.modules.insurance import state as insurance
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.units import PPM, Address, mul_div_floor

WHOLE: Final = ""
"""The name of the sums that leave no route out."""


def compute_ratio_ppm(numerator_uusd: int, denominator_uusd: int) -> int | None:
    """floor(numerator / denominator) in ppm, for display only; None when nothing is owed."""
    if denominator_uusd == 0:
        return None
    return mul_div_floor(numerator_uusd, PPM, denominator_uusd)


def get_ratio_terms(report: pb.SolvencyReport, sums: pb.SolvencySums) -> tuple[int, int]:
    """Numerator and denominator of a ratio: what is there, and what is missing."""
    return (
        int(sums.equity_uusd) + int(report.insurance_uusd),
        int(sums.shortfall_uusd) + int(report.deficits_uusd),
    )


def _collect_next(ctx: Context, cursor: AccountId | None, limit: int) -> list[Account]:
    """The next accounts after the cursor in key order, one more than the limit if there are."""
    found: list[Account] = []
    for account in accounts.iterate_accounts_after(ctx, cursor):
        found.append(account)
        if len(found) > limit:
            break
    return found


def add_account(
    totals: dict[str, tuple[int, int]], margin: AccountMargin, route_ids: list[str]
) -> None:
    """Add an account's equity and shortfall to the whole, and to each route without its liens."""
    counted: dict[str, int] = {}
    for line in margin.liens:
        route_id = line.lien.route_id
        counted[route_id] = counted.get(route_id, 0) + line.value.counted_uusd
    for name in (WHOLE, *route_ids):
        equity = margin.equity_uusd - counted.get(name, 0)
        equity_sum, shortfall_sum = totals.get(name, (0, 0))
        totals[name] = (
            equity_sum + max(equity, 0),
            shortfall_sum + max(margin.maintenance_uusd - equity, 0),
        )


def visit_next_accounts(ctx: Context) -> None:
    """Add the next accounts to the pass under way; publish its report when it has seen all."""
    current = state.get_solvency_pass(ctx) or pb.SolvencyPass(from_height=ctx.height)
    limit = state.get_params(ctx).solvency_accounts_max
    cursor = AccountId(Address(current.owner), current.account) if current.owner else None
    found = _collect_next(ctx, cursor, limit)
    route_ids = [route.route_id for route in state.iterate_routes(ctx)]
    totals = {
        sums.route_id: (int(sums.equity_uusd), int(sums.shortfall_uusd)) for sums in current.sums
    }
    shared = SharedReads()  # Nothing is written but the pass.
    for account in found[:limit]:
        attributes: dict[str, str | int] = {"owner": account.owner, "number": account.number}
        with isolate_item(ctx, "solvency_account_failed", attributes) as child:
            margin = accounts_margin.compute_account_margin(child, account, shared=shared)
            add_account(totals, margin, route_ids)
    sums = [
        pb.SolvencySums(route_id=name, equity_uusd=str(equity), shortfall_uusd=str(shortfall))
        for name, (equity, shortfall) in sorted(totals.items())
    ]
    count = current.accounts + len(found[:limit])
    if len(found) > limit:
        last = found[limit - 1]
        following = pb.SolvencyPass(
            owner=last.owner,
            account=last.number,
            from_height=current.from_height,
            accounts=count,
            sums=sums,
        )
        state.set_solvency_pass(ctx, following)
        return
    _publish(ctx, current.from_height, count, sums)


def _publish(ctx: Context, from_height: int, count: int, sums: list[pb.SolvencySums]) -> None:
    before = state.get_solvency_report(ctx)
    deficits = sum(int(deficit.amount_uusd) for deficit in insurance.iterate_deficits(ctx))
    report = pb.SolvencyReport(
        from_height=from_height,
        height=ctx.height,
        accounts=count,
        insurance_uusd=str(insurance.get_balance(ctx)),
        deficits_uusd=str(deficits),
        sums=sums,
    )
    were_low = [] if before is None else _get_low(before)
    for name in _get_low(report):
        if name not in were_low:
            _emit_low(ctx, report, name)
    state.set_solvency_report(ctx, report)
    state.set_solvency_pass(ctx, None)


def _get_low(report: pb.SolvencyReport) -> list[str]:
    """The routes (and the whole) whose ratio is below 1, by cross-multiplication."""
    low = []
    for sums in report.sums:
        numerator, denominator = get_ratio_terms(report, sums)
        if numerator < denominator:
            low.append(sums.route_id)
    return low


def _emit_low(ctx: Context, report: pb.SolvencyReport, name: str) -> None:
    (sums,) = (sums for sums in report.sums if sums.route_id == name)
    numerator, denominator = get_ratio_terms(report, sums)
    ctx.emit(
        "solvency_ratio_low",
        {
            "route_id": name,
            "available_uusd": numerator,
            "missing_uusd": denominator,
            "ratio_ppm": compute_ratio_ppm(numerator, denominator) or 0,
        },
    )
