"""The debt of an account without positions: base, collateral, insurance, then the deficit."""

from dataclasses import replace

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, AccountMargin
from chain.modules.insurance import state as insurance
from chain.modules.liquidation import auctions, state
from chain.modules.liquidation.closing import (
    close_or_count,
    get_limits,
    record_sizes,
    take_over,
)
from chain.modules.liquidation.positions import PartQuotes
from chain.modules.liquidation.reductions import (
    compute_part_value_uusd,
    compute_reductions,
    require_prices,
)
from chain.modules.liquidation.tiers import advance, end_case, record, wait
from chain.modules.markets.types import InstrumentKind
from chain.risk.waterfall import Layer, compute_allocation
from chain.runtime.context import Context
from chain.units import PPM, ceil_div, mul_ppm_ceil


def settle_debt(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    """Sell base and collateral until the debt is paid or safe; then insurance; then the deficit."""
    params = state.PARAMS.get(ctx)
    debt = max(0, -account.cash_uusd)
    if debt == 0:
        _release(ctx, case, account, margin, "the debt is paid")
        return
    if _covers_debt(params, margin, debt):
        _release(ctx, case, account, margin, "the collateral covers the debt with its margin")
        return
    require_prices(ctx, margin)
    if _sell_base(ctx, case, account, margin, debt):
        return
    lot = auctions.find_lot(ctx, margin, debt)
    if lot is not None:
        auction = auctions.open_auction(ctx, account.id, lot)
        reason = f"auction {auction.auction_id} of {lot.amount} {auction.denom}"
        advance(ctx, case, margin, max(case.tier, pb.TIER_AUCTION), reason, lot.tab_uusd)
        return
    blocked = _find_blocked(ctx, margin)
    if blocked:
        wait(ctx, case, margin, pb.TIER_AUCTION, blocked, debt)
        return
    _cover(ctx, case, account, margin, debt)


def _covers_debt(params: pb.Params, margin: AccountMargin, debt: int) -> bool:
    """Whether what is left outweighs a debt by the target, and what is asked of base as well."""
    required = margin.maintenance_uusd
    if margin.venues is not None:
        required -= margin.venues.maintenance_uusd  # Positions that no liquidation here closes.
    weighted = margin.collateral_uusd + margin.base_uusd
    return (
        weighted * PPM >= debt * params.debt_target_ppm
        and margin.equity_uusd * PPM >= required * params.debt_target_ppm
    )


def _sell_base(
    ctx: Context, case: pb.Case, account: Account, margin: AccountMargin, debt: int
) -> bool:
    """Sell base coins for a debt, a share a block, at no worse than the discount of an auction.

    Base is on the hub, so it goes before collateral elsewhere. Whether to come back next block;
    False when there is none worth selling, or neither the book nor the fund takes it now.
    """
    params = state.PARAMS.get(ctx)
    record_sizes(case, account)
    limits = get_limits(params, case)
    bonus_ppm = auctions.compute_bonus(params, margin, debt)
    wanted_uusd = mul_ppm_ceil(debt, bonus_ppm)
    is_sold = False
    for part in compute_reductions(ctx, account, margin, limits, (InstrumentKind.SPOT,)):
        line = part.position
        if is_sold or line.value_uusd < _get_dust(ctx):
            continue
        wanted = ceil_div(line.position.size_quantums * wanted_uusd, line.value_uusd)
        size = min(part.size_quantums, wanted)
        value = compute_part_value_uusd(line, size)
        floor = ceil_div(value * PPM, bonus_ppm)
        wanted_part = replace(part, size_quantums=size, value_uusd=value)
        quotes = PartQuotes(floor, floor, floor)
        is_sold = (
            not close_or_count(ctx, params, case, account, wanted_part, quotes)
            or take_over(ctx, case, account, margin, wanted_part, floor).size_quantums > 0
        )
    state.set_case(ctx, case)
    return is_sold


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
            record(ctx, case, margin, pb.TIER_INSURANCE, reason, paid)
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
