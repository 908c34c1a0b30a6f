"""Collateral auctions: opened for a debt, bid for on the hub, delivered where the collateral is."""

from dataclasses import dataclass

from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain._pb.margin.packet.v1 import packet_pb2
from chain.modules.accounts.types import CASH_DENOM, AccountId, AccountMargin, LienMargin
from chain.modules.bank import state as bank
from chain.modules.collateral import state as collateral
from chain.modules.collateral.measurement import get_route_status, record_auction
from chain.modules.collateral.packets import send_seizure
from chain.modules.collateral.prices import get_daily_volume_wad, require_asset_price
from chain.modules.insurance import state as insurance
from chain.modules.liquidation import state
from chain.modules.liquidation.errors import AuctionClosed, PriceAboveLimit, ResetNotDue
from chain.modules.liquidation.types import MODULE_ADDRESS, build_curve
from chain.modules.oracle.types import Action
from chain.risk.auction import (
    compute_fill,
    compute_price_ray,
    compute_top_price_ray,
    compute_unit_price_ray,
    is_reset_due,
)
from chain.risk.liquidation import (
    compute_bonus_ppm,
    compute_expected_proceeds_uusd,
    compute_repay_uusd,
)
from chain.runtime.context import Context
from chain.units import PPM, RAY, Address, ceil_div, mul_ppm_ceil

_MS_NS = 1_000_000
_AUTOMATIC_RESET_TAILS = 2
"""Keepers get one more tail to earn the incentive before the block resets an auction itself."""


@dataclass(frozen=True, slots=True)
class Lot:
    """What to sell of which lien, and what to collect for it."""

    lien: LienMargin
    amount: int
    tab_uusd: int
    unit_price_ray: int


def get_unit_price_ray(ctx: Context, asset: str, decimals: int) -> int:
    """The price of an atomic unit; the raw median while the published price still moves towards it.

    Raises PriceNotUsable when the price is too old to liquidate on.
    """
    price = require_asset_price(ctx, asset, Action.LIQUIDATE)
    price_wad = price.raw_median_wad if price.step_bound_active else price.price_wad
    return compute_unit_price_ray(price_wad, decimals)


def find_lot(ctx: Context, margin: AccountMargin, debt_uusd: int) -> Lot | None:
    """The lien with the largest expected proceeds, and the size of its sale; None without any.

    Liens on a frozen route cannot be delivered and are left out; so are those worth less than dust.
    """
    params = state.PARAMS.get(ctx)
    best: tuple[int, LienMargin] | None = None
    for lien in margin.liens:
        proceeds = _compute_proceeds(ctx, lien)
        if proceeds < int(params.dust_uusd) or not is_deliverable(ctx, lien):
            continue
        if best is None or proceeds > best[0]:
            best = proceeds, lien
    return None if best is None else _compute_lot(ctx, params, margin, best[1], debt_uusd)


def is_deliverable(ctx: Context, lien: LienMargin) -> bool:
    """Whether a seizure of the lien can be ordered now: its route proves and is believed."""
    route = collateral.get_route(ctx, lien.lien.route_id)
    frozen = collateral_pb2.ROUTE_STATUS_FROZEN
    return route is not None and get_route_status(ctx, route) != frozen


def _compute_proceeds(ctx: Context, lien: LienMargin) -> int:
    asset = collateral.get_asset(ctx, lien.factors.asset)
    if asset is None:
        return 0
    return compute_expected_proceeds_uusd(
        value_uusd=lien.value.value_uusd,
        latency_ppm=lien.factors.latency_ppm,
        slippage_ppm=asset.slippage_factor_ppm,
        quantity_wad=collateral.compute_quantity_wad(lien.amount, lien.factors.decimals),
        daily_volume_wad=get_daily_volume_wad(ctx, asset),
    )


def compute_bonus(params: pb.Params, margin: AccountMargin, debt_uusd: int) -> int:
    """The buyer's bonus of a sale for a debt, ppm: collateral and base coins weigh against it."""
    return compute_bonus_ppm(
        weighted_uusd=margin.collateral_uusd + margin.base_uusd,
        debt_uusd=debt_uusd,
        bonus_max_ppm=params.bonus_max_ppm,
        factor_ppm=params.bonus_factor_ppm,
        health_full_bonus_ppm=params.bonus_health_ppm,
    )


def _compute_lot(
    ctx: Context, params: pb.Params, margin: AccountMargin, lien: LienMargin, debt_uusd: int
) -> Lot | None:
    """The sale that brings the debt's health to its target (row 43); None without room for it."""
    bonus_ppm = compute_bonus(params, margin, debt_uusd)
    repay_uusd = compute_repay_uusd(
        debt_uusd=debt_uusd,
        weighted_uusd=margin.collateral_uusd + margin.base_uusd,
        target_ppm=params.debt_target_ppm,
        bonus_ppm=bonus_ppm,
        weight_ppm=PPM - lien.value.haircut_ppm,
    )
    # A remainder below the dust floor would never be sold: take it along.
    if debt_uusd - repay_uusd < int(params.dust_uusd):
        repay_uusd = debt_uusd
    tab_uusd = repay_uusd + mul_ppm_ceil(repay_uusd, params.fee_ppm)
    under_auction = sum(int(other.tab_uusd) for other in state.iterate_active_auctions(ctx))
    room_uusd = int(params.auction_total_uusd_max) - under_auction
    tab_uusd = min(tab_uusd, room_uusd)
    unit_price_ray = get_unit_price_ray(ctx, lien.factors.asset, lien.factors.decimals)
    if tab_uusd <= 0 or unit_price_ray <= 0:
        return None
    wanted = ceil_div(mul_ppm_ceil(tab_uusd, bonus_ppm) * RAY, unit_price_ray)
    return Lot(lien, min(lien.amount, wanted), tab_uusd, unit_price_ray)


def has_no_room(ctx: Context) -> bool:
    """Whether the cap on the total under auction is reached."""
    under_auction = sum(int(other.tab_uusd) for other in state.iterate_active_auctions(ctx))
    return under_auction >= int(state.PARAMS.get(ctx).auction_total_uusd_max)


def open_auction(ctx: Context, account_id: AccountId, lot: Lot) -> pb.Auction:
    """Put a lot up for bids; the lien stays the account's until a bid takes it."""
    params = state.PARAMS.get(ctx)
    auction_id = state.get_next_auction_id(ctx)
    state.set_next_auction_id(ctx, auction_id + 1)
    top = compute_top_price_ray(lot.unit_price_ray, params.auction_buffer_ppm)
    auction = pb.Auction(
        auction_id=auction_id,
        owner=account_id.owner,
        account=account_id.number,
        route_id=lot.lien.lien.route_id,
        denom=lot.lien.lien.denom,
        asset=lot.lien.factors.asset,
        lot_amount=str(lot.amount),
        tab_uusd=str(lot.tab_uusd),
        top_price_ray=str(top),
        started_at_ns=ctx.time_ns,
        opened_height=ctx.height,
        status=pb.AUCTION_STATUS_ACTIVE,
        fee_ppm=params.fee_ppm,
    )
    state.set_auction(ctx, auction)
    ctx.emit("auction_opened", _auction_attributes(auction))
    return auction


def _auction_attributes(auction: pb.Auction) -> dict[str, str | int]:
    return {
        "auction_id": auction.auction_id,
        "owner": auction.owner,
        "account": auction.account,
        "route_id": auction.route_id,
        "denom": auction.denom,
        "lot_amount": auction.lot_amount,
        "tab_uusd": auction.tab_uusd,
        "top_price_ray": auction.top_price_ray,
    }


def get_elapsed_ms(ctx: Context, auction: pb.Auction) -> int:
    """How long the price has been falling."""
    return max(0, ctx.time_ns - auction.started_at_ns) // _MS_NS


def get_price_ray(ctx: Context, auction: pb.Auction) -> int:
    """The price of an atomic unit now; 0 when it is no longer offered."""
    curve = build_curve(state.PARAMS.get(ctx))
    return compute_price_ray(curve, int(auction.top_price_ray), get_elapsed_ms(ctx, auction))


def is_due_for_reset(ctx: Context, auction: pb.Auction) -> bool:
    """Whether the auction is too old or its price too low to take bids."""
    curve = build_curve(state.PARAMS.get(ctx))
    return is_reset_due(curve, int(auction.top_price_ray), get_elapsed_ms(ctx, auction))


def take_bid(
    ctx: Context, auction: pb.Auction, bidder: Address, wanted: int, limit_ray: int, receiver: str
) -> tuple[pb.Seizure, int]:
    """Sell a slice at the price now: escrow the bid and order the delivery; (seizure, price).

    Raises AuctionClosed, PriceAboveLimit, auction's NothingToFill and RemainderIsDust, bank's
    InsufficientFunds, and ClientNotActive when no order can be sent.
    """
    # Check
    if auction.status != pb.AUCTION_STATUS_ACTIVE:
        raise AuctionClosed(f"auction {auction.auction_id} is closed")
    if is_due_for_reset(ctx, auction):
        raise AuctionClosed(f"auction {auction.auction_id} waits for a reset; send one")
    price_ray = get_price_ray(ctx, auction)
    if price_ray > limit_ray:
        raise PriceAboveLimit(f"the price {price_ray} is above max_price_ray {limit_ray}; wait")
    # Compute
    params = state.PARAMS.get(ctx)
    fill = compute_fill(
        lot=int(auction.lot_amount),
        tab_uusd=int(auction.tab_uusd),
        price_ray=price_ray,
        wanted=wanted,
        dust_uusd=int(params.dust_uusd),
    )
    number = state.get_next_seizure_number(ctx)
    seizure = pb.Seizure(
        seize_id=f"seize-{number}",
        auction_id=auction.auction_id,
        bidder=bidder,
        receiver=receiver,
        amount=str(fill.amount),
        owed_uusd=str(fill.owed_uusd),
        status=pb.SEIZURE_STATUS_SEIZING,
        attempts=1,
        opened_height=ctx.height,
    )
    # Apply
    bank.move(ctx, bidder, MODULE_ADDRESS, CASH_DENOM, fill.owed_uusd)
    record_auction(ctx, auction.route_id, ctx.time_ns - auction.started_at_ns)
    send_seizure(
        ctx,
        seizure.seize_id,
        AccountId(Address(auction.owner), auction.account),
        collateral.require_route(ctx, auction.route_id),
        auction.denom,
        fill.amount,
        packet_pb2.SEIZE_DESTINATION_WINNER,
        receiver,
    )
    state.set_next_seizure_number(ctx, number + 1)
    state.set_seizure(ctx, seizure)
    auction.lot_amount = str(fill.lot_after)
    auction.tab_uusd = str(fill.tab_after_uusd)
    auction.pending_seizures += 1
    if fill.lot_after == 0 or fill.tab_after_uusd == 0:
        close_auction(ctx, auction)
    state.set_auction(ctx, auction)
    return seizure, price_ray


def close_auction(ctx: Context, auction: pb.Auction) -> None:
    """Take no more bids; the caller stores the auction."""
    auction.status = pb.AUCTION_STATUS_CLOSED
    ctx.emit("auction_closed", _auction_attributes(auction))


def close_paid_auctions(ctx: Context, account_id: AccountId) -> None:
    """Stop selling for a debt that was paid otherwise; deliveries under way go on."""
    for auction in list(state.iterate_open_auctions(ctx, account_id)):
        if auction.status == pb.AUCTION_STATUS_ACTIVE:
            close_auction(ctx, auction)
            state.set_auction(ctx, auction)


def reset_auction(ctx: Context, auction: pb.Auction, keeper: Address | None) -> int:
    """Start the price anew; the keeper's incentive, paid by insurance. Raises ResetNotDue."""
    if auction.status != pb.AUCTION_STATUS_ACTIVE or not is_due_for_reset(ctx, auction):
        raise ResetNotDue(f"auction {auction.auction_id} is neither too old nor too low")
    params = state.PARAMS.get(ctx)
    listing = collateral.require_listing(ctx, auction.route_id, auction.denom)
    unit_price_ray = get_unit_price_ray(ctx, auction.asset, listing.decimals)
    auction.top_price_ray = str(compute_top_price_ray(unit_price_ray, params.auction_buffer_ppm))
    auction.started_at_ns = ctx.time_ns
    auction.resets += 1
    state.set_auction(ctx, auction)
    ctx.emit("auction_reset", _auction_attributes(auction))
    # Dust is not worth a reset: without this a keeper could live on tips alone.
    if keeper is None or int(auction.tab_uusd) < int(params.dust_uusd):
        return 0
    share = int(auction.tab_uusd) * params.keeper_share_ppm // PPM
    return insurance.pay_keeper(ctx, keeper, int(params.keeper_tip_uusd or "0") + share)


def is_abandoned(ctx: Context, auction: pb.Auction) -> bool:
    """Whether no keeper has reset an auction for so long that the block does it."""
    tail_ms = state.PARAMS.get(ctx).auction_tail_ms
    return get_elapsed_ms(ctx, auction) >= _AUTOMATIC_RESET_TAILS * tail_ms
