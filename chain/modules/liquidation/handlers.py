"""Messages of liquidation: bids and resets."""

from typing import Final

from chain._pb.margin.liquidation.v1 import tx_pb2
from chain.modules.collateral import state as collateral
from chain.modules.collateral.types import validate_receiver
from chain.modules.liquidation import auctions, state
from chain.modules.liquidation.errors import InvalidBid
from chain.runtime.context import Context
from chain.runtime.module import MessageRoute
from chain.units import Address, parse_amount


def handle_bid(ctx: Context, msg: tx_pb2.MsgBid) -> tx_pb2.MsgBidResponse:
    """Buy collateral at the auction's price now; delivered on its own chain."""
    # Check
    amount = parse_amount(msg.amount)
    limit_ray = parse_amount(msg.max_price_ray, "max_price_ray")
    auction = state.require_auction(ctx, msg.auction_id)
    validate_receiver(collateral.require_route(ctx, auction.route_id), msg.receiver)
    if msg.bidder == auction.owner:
        raise InvalidBid(f"{msg.bidder} owes the debt; deposit instead of bidding")
    # Apply
    seizure, price_ray = auctions.take_bid(
        ctx, auction, Address(msg.bidder), amount, limit_ray, msg.receiver
    )
    ctx.emit(
        "auction_bid",
        {
            "auction_id": msg.auction_id,
            "bidder": msg.bidder,
            "seize_id": seizure.seize_id,
            "amount": seizure.amount,
            "owed_uusd": seizure.owed_uusd,
            "price_ray": price_ray,
        },
    )
    return tx_pb2.MsgBidResponse(
        seize_id=seizure.seize_id,
        amount=seizure.amount,
        owed_uusd=seizure.owed_uusd,
        price_ray=str(price_ray),
    )


def handle_reset_auction(
    ctx: Context, msg: tx_pb2.MsgResetAuction
) -> tx_pb2.MsgResetAuctionResponse:
    """Restart an auction that is too old or too low, for an incentive."""
    auction = state.require_auction(ctx, msg.auction_id)
    paid = auctions.reset_auction(ctx, auction, Address(msg.keeper))
    return tx_pb2.MsgResetAuctionResponse(incentive_uusd=str(paid))


MESSAGES: Final = (
    MessageRoute(tx_pb2.MsgBid, handle_bid, "bidder"),
    MessageRoute(tx_pb2.MsgResetAuction, handle_reset_auction, "keeper"),
)
