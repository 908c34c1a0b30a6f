"""Closing positions: reduce, close, hand over to insurance, and sell what it holds."""

from collections.abc import Sequence
from contextlib import suppress

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts.types import Account, AccountMargin
from chain.modules.insurance import state as insurance
from chain.modules.liquidation import state
from chain.modules.liquidation.positions import (
    Closed,
    PartQuotes,
    charge_fee,
    close_on_book,
    compute_quotes,
    hand_over,
)
from chain.modules.liquidation.reductions import (
    CONTRACTS,
    REDUCTIONS_MAX,
    Reduction,
    compute_joint_reductions,
    compute_limits,
    compute_reductions,
    is_closable,
)
from chain.modules.liquidation.tiers import advance, record, wait
from chain.modules.markets import marks
from chain.modules.markets import state as markets
from chain.modules.markets.types import InstrumentKind, Market
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.risk.liquidation import (
    compute_block_limit,
    compute_reduce_size,
    compute_reduction_gain,
)
from chain.risk.margin import compute_position_value_uusd
from chain.runtime.context import Context
from chain.units import PPM, ceil_div, mul_ppm_ceil


def record_sizes(case: pb.Case, account: Account) -> None:
    """Remember the sizes of which each block may close a share."""
    known = {size.market: size for size in case.sizes}
    for market, position in sorted(account.positions.items()):
        size = known.get(market)
        if size is None:
            case.sizes.add(market=market, size_quantums=str(abs(position.size_quantums)))
        elif int(size.size_quantums) < abs(position.size_quantums):
            size.size_quantums = str(abs(position.size_quantums))


def get_limits(params: pb.Params, case: pb.Case) -> dict[str, int]:
    """The most of each market's position that one block may close."""
    sizes = {size.market: int(size.size_quantums) for size in case.sizes}
    return compute_limits(sizes, params.reduce_share_ppm)


def _compute_gain(params: pb.Params, margin: AccountMargin, reduction: Reduction) -> int:
    """What a reduction gains towards the target ratio, its fee paid; uusd·ppm."""
    fee = mul_ppm_ceil(abs(reduction.value_uusd), params.fee_ppm)
    return compute_reduction_gain(
        equity_uusd=margin.equity_uusd,
        requirement_uusd=margin.maintenance_uusd,
        equity_after_uusd=reduction.equity_uusd - fee,
        requirement_after_uusd=reduction.maintenance_uusd,
        target_ppm=params.target_gmr_ppm,
    )


def reduce(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    """Close within the block's limit what brings the ratio to its target, the best part first.

    Hedges stay: without them more would be asked. Base goes last, it owes nothing. One position a
    block: the next is judged on the ratio after it. Where positions hedge each other so that none
    helps alone, a share of all is closed at once or none.
    """
    params = state.PARAMS.get(ctx)
    record_sizes(case, account)
    if case.tier < pb.TIER_REDUCE:
        reason = f"the ratio is below 1.10: reduce to {params.target_gmr_ppm} ppm"
        advance(ctx, case, margin, pb.TIER_REDUCE, reason)
    limits = get_limits(params, case)
    reductions = compute_reductions(ctx, account, margin, limits, tuple(InstrumentKind))
    freeing = [reduction for reduction in reductions if reduction.freed_uusd > 0]
    if freeing:
        _reduce_one(ctx, params, account, margin, freeing)
    elif reductions:
        contracts = [part for part in reductions if part.position.kind in CONTRACTS]
        _reduce_together(ctx, params, account, margin, contracts)
    state.set_case(ctx, case)


def _reduce_one(
    ctx: Context,
    params: pb.Params,
    account: Account,
    margin: AccountMargin,
    reductions: Sequence[Reduction],
) -> None:
    """Close of the best part that the book takes what reaches the target."""
    ranked = [(_compute_gain(params, margin, reduction), reduction) for reduction in reductions]
    ranked.sort(
        key=lambda pair: (
            pair[1].position.kind is InstrumentKind.SPOT,
            -pair[0],
            pair[1].position.market,
        )
    )
    total = sum(reduction.freed_uusd for reduction in reductions)
    for gain, reduction in ranked:
        wanted = _compute_wanted(params, margin, reduction.size_quantums, gain)
        quotes = compute_quotes(params, margin, reduction, total)
        if wanted and _close_part(ctx, params, account, reduction, quotes, wanted).size_quantums:
            return


def _compute_wanted(params: pb.Params, margin: AccountMargin, part: int, gain: int) -> int:
    return compute_reduce_size(
        part=part,
        equity_uusd=margin.equity_uusd,
        requirement_uusd=margin.maintenance_uusd,
        target_ppm=params.target_gmr_ppm,
        gain=gain,
    )


class _NothingGainedError(Exception):
    """Drops the branch of a joint reduction of which the book took the wrong half."""


def _reduce_together(
    ctx: Context,
    params: pb.Params,
    account: Account,
    margin: AccountMargin,
    reductions: Sequence[Reduction],
) -> None:
    """Close a share of all parts at once; kept only if the ratio is nearer to its target after."""
    joint = compute_joint_reductions(ctx, account, margin, reductions)
    fees = sum(mul_ppm_ceil(abs(part.value_uusd), params.fee_ppm) for part in joint)
    gain = compute_reduction_gain(
        equity_uusd=margin.equity_uusd,
        requirement_uusd=margin.maintenance_uusd,
        equity_after_uusd=joint[0].equity_uusd - fees,
        requirement_after_uusd=joint[0].maintenance_uusd,
        target_ppm=params.target_gmr_ppm,
    )
    share_ppm = _compute_wanted(params, margin, PPM, gain)
    total = sum(part.freed_uusd for part in joint)
    copy = account.copy()
    with suppress(_NothingGainedError), ctx.branch() as child:
        for part in joint:
            quotes = compute_quotes(params, margin, part, total)
            size = mul_ppm_ceil(part.size_quantums, share_ppm)
            if size:
                _close_part(child, params, copy, part, quotes, size)
        after = accounts_margin.compute_account_margin(child, copy, ())
        if after.equity_uusd * margin.maintenance_uusd <= (
            margin.equity_uusd * after.maintenance_uusd
        ):
            raise _NothingGainedError


def _close_part(
    ctx: Context,
    params: pb.Params,
    account: Account,
    reduction: Reduction,
    quotes: PartQuotes,
    size: int,
) -> Closed:
    """Close at most a size of a part on the book, at the part's quotes, and charge the fee."""
    part = reduction.size_quantums
    market = markets.require_market(ctx, reduction.position.market)
    floor = ceil_div(quotes.floor_uusd * size, part)
    closed = close_on_book(ctx, account, market, size, floor)
    if closed.size_quantums:
        bankruptcy = ceil_div(quotes.bankruptcy_uusd * closed.size_quantums, part)
        charge_fee(ctx, params, account, closed, bankruptcy)
    return closed


def close(ctx: Context, case: pb.Case, account: Account, margin: AccountMargin) -> None:
    """Close a share of every position; after some blocks without a fill insurance takes it over.

    Hedges wait while other positions free margin: they would leave the rest without cover. Base
    stays, it is sold for a debt alone; what expired settles by itself.
    """
    params = state.PARAMS.get(ctx)
    record_sizes(case, account)
    limits = get_limits(params, case)
    reductions = compute_reductions(ctx, account, margin, limits, CONTRACTS)
    parts = [reduction for reduction in reductions if reduction.freed_uusd > 0]
    if reductions and not parts:
        parts = compute_joint_reductions(ctx, account, margin, reductions)
    total = sum(reduction.freed_uusd for reduction in parts)
    for reduction in parts:
        quotes = compute_quotes(params, margin, reduction, total)
        if close_or_count(ctx, params, case, account, reduction, quotes):
            take_over(ctx, case, account, margin, reduction, quotes.handover_uusd)
    if not reductions:
        wait(ctx, case, margin, pb.TIER_CLOSE, "waits: the positions left expired and settle", 0)
    state.set_case(ctx, case)


def close_or_count(
    ctx: Context,
    params: pb.Params,
    case: pb.Case,
    account: Account,
    reduction: Reduction,
    quotes: PartQuotes,
) -> bool:
    """Close a part on the book; whether insurance is to take it, after enough blocks without."""
    opening = next(size for size in case.sizes if size.market == reduction.position.market)
    closed = _close_part(ctx, params, account, reduction, quotes, reduction.size_quantums)
    # Idle stays at its bound: the rest follows block by block unless the book comes back.
    idle_blocks = min(opening.idle_blocks + 1, params.handover_blocks)
    opening.idle_blocks = 0 if closed.size_quantums else idle_blocks
    return opening.idle_blocks >= params.handover_blocks


def take_over(
    ctx: Context,
    case: pb.Case,
    account: Account,
    margin: AccountMargin,
    reduction: Reduction,
    quote_uusd: int,
) -> Closed:
    """Hand a part to insurance and record it."""
    market = markets.require_market(ctx, reduction.position.market)
    taken = hand_over(ctx, account, market, reduction.size_quantums, quote_uusd)
    if taken.size_quantums:
        reason = f"no fill within the limit: insurance takes {taken.size_quantums} of {market.id}"
        # Base of an account without contracts is sold before its case has come to this tier.
        tell = advance if case.tier < pb.TIER_CLOSE else record
        tell(ctx, case, margin, max(case.tier, pb.TIER_CLOSE), reason, taken.quote_uusd)
    return taken


def work_out_positions(ctx: Context) -> None:
    """Sell what insurance took over, a share a block, at the mark or better; settle its result.

    A fixed number of its positions a block, in turns: it may hold some of every market.
    """
    insurance.settle_positions(ctx)
    held = {account.number: account for account in insurance.iterate_position_accounts(ctx)}
    places = [
        (number, market_id)
        for number, account in held.items()
        for market_id in sorted(account.positions)
    ]
    start = ctx.height * REDUCTIONS_MAX % max(1, len(places))
    for number, market_id in (places[start:] + places[:start])[:REDUCTIONS_MAX]:
        _sell_at_mark(ctx, held[number], markets.require_market(ctx, market_id))


def _sell_at_mark(ctx: Context, account: Account, market: Market) -> None:
    """Close a share of a position on the book at its mark or better."""
    if not is_closable(ctx, market):
        return
    held = account.positions[market.id].size_quantums
    size = compute_block_limit(abs(held), state.PARAMS.get(ctx).reduce_share_ppm)
    spot_wad = require_price(ctx, market.asset, Action.REDUCE).price_wad
    mark_wad = marks.compute_mark(ctx, market, spot_wad).price_wad
    part = size if held > 0 else -size
    value = compute_position_value_uusd(part, mark_wad, market.quantum_decimals)
    close_on_book(ctx, account, market, size, value)
