"""Messages of the markets."""

from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain.modules.accounts.errors import AccountLocked
from chain.modules.accounts.state import require_account
from chain.modules.accounts.types import AccountId, AccountStatus, parse_account_id
from chain.modules.council import state as council
from chain.modules.markets import state
from chain.modules.markets.base import deposit_base, require_spot_market, withdraw_base
from chain.modules.markets.errors import (
    InvalidMarket,
    InvalidOrder,
    OrderNotFound,
)
from chain.modules.markets.genesis import validate_market
from chain.modules.markets.listing import build_option_series, validate_beside, validate_term
from chain.modules.markets.matching import (
    OrderRequest,
    PlacedOrder,
    cancel_order,
    cancel_orders,
    place_order,
)
from chain.modules.markets.ramps import start_ramp
from chain.modules.markets.types import Market, Side, TimeInForce
from chain.runtime.context import Context
from chain.units import floor_div, parse_amount

_FIXED_BY_POSITIONS = (
    *("asset", "quantum_decimals", "tick_wad", "step_quantums"),
    *("kind", "expiry_time_s", "strike_wad", "option_kind", "denom", "settlement_window_s"),
)
"""Fields that give stored sizes, costs and book keys their meaning; they never change."""


def parse_order(ctx: Context, msg: tx_pb2.MsgPlaceOrder) -> OrderRequest:
    """The order that a message asks; raises InvalidOrder, UnknownMarket, InvalidAmount."""
    if msg.side not in (markets_pb2.SIDE_BUY, markets_pb2.SIDE_SELL):
        raise InvalidOrder(f"side {msg.side} must be buy (1) or sell (2)")
    if msg.time_in_force not in (
        markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL,
        markets_pb2.TIME_IN_FORCE_IMMEDIATE_OR_CANCEL,
        markets_pb2.TIME_IN_FORCE_POST_ONLY,
    ):
        raise InvalidOrder(
            f"time_in_force {msg.time_in_force} must be good-till-cancel (1), "
            f"immediate-or-cancel (2) or post-only (3)"
        )
    return OrderRequest(
        account_id=parse_account_id(msg.owner, msg.number),
        market=state.require_market(ctx, msg.market),
        side=Side(msg.side),
        size_quantums=parse_amount(msg.size_quantums, "size_quantums"),
        price_wad=parse_amount(msg.price_wad, "price_wad") if msg.price_wad else None,
        time_in_force=TimeInForce(msg.time_in_force),
        reduce_only=msg.reduce_only,
    )


def encode_placed(market: Market, placed: PlacedOrder) -> tx_pb2.MsgPlaceOrderResponse:
    """What became of an order, as its owner is told."""
    average = ""
    if placed.filled_quantums:
        scale = 10 ** (market.quantum_decimals + 12)
        average = str(floor_div(placed.notional_uusd * scale, placed.filled_quantums))
    return tx_pb2.MsgPlaceOrderResponse(
        order_id=placed.order_id,
        filled_quantums=str(placed.filled_quantums),
        resting_quantums=str(placed.resting_quantums),
        average_price_wad=average,
        fee_uusd=str(placed.fee_uusd),
        ended_because=placed.ended_because,
    )


def handle_place_order(ctx: Context, msg: tx_pb2.MsgPlaceOrder) -> tx_pb2.MsgPlaceOrderResponse:
    """Match an order and rest what is left of it."""
    request = parse_order(ctx, msg)
    return encode_placed(request.market, place_order(ctx, request))


def _require_unlocked(ctx: Context, account_id: AccountId) -> None:
    if require_account(ctx, account_id).status is AccountStatus.LOCKED:
        raise AccountLocked(
            f"account {account_id.number} of {account_id.owner} is under liquidation; its orders "
            f"are cancelled by it"
        )


def handle_cancel_order(ctx: Context, msg: tx_pb2.MsgCancelOrder) -> tx_pb2.MsgCancelOrderResponse:
    """Cancel one resting order of the signer's account; raises OrderNotFound."""
    account_id = parse_account_id(msg.owner, msg.number)
    _require_unlocked(ctx, account_id)
    for order in state.get_account_orders(ctx, account_id):
        if order.id == msg.order_id:
            cancel_order(ctx, account_id, order, "owner")
            return tx_pb2.MsgCancelOrderResponse()
    raise OrderNotFound(
        f"order {msg.order_id} is not a resting order of account {account_id.number} of "
        f"{account_id.owner}; it may have filled or been cancelled"
    )


def handle_cancel_all(ctx: Context, msg: tx_pb2.MsgCancelAll) -> tx_pb2.MsgCancelAllResponse:
    """Cancel all resting orders of the signer's account, or those of one market."""
    account_id = parse_account_id(msg.owner, msg.number)
    if msg.market:
        state.require_market(ctx, msg.market)
    _require_unlocked(ctx, account_id)
    return tx_pb2.MsgCancelAllResponse(
        cancelled=cancel_orders(ctx, account_id, msg.market, "owner")
    )


def _list_market(ctx: Context, message: markets_pb2.Market) -> None:
    """List one market; raises InvalidMarket, InvalidAmount."""
    validate_market(ctx, message)
    if state.get_market(ctx, message.id) is not None:
        raise InvalidMarket(f"market {message.id} is listed already; send MsgUpdateMarket")
    market = state.decode_market(message)
    validate_term(ctx, market)
    validate_beside(ctx, market)
    state.set_market(ctx, message)
    ctx.emit("market_listed", {"market": market.id, "asset": market.asset})


def _require_room(ctx: Context, added: int) -> None:
    markets_max = state.get_params(ctx).markets_max
    listed = sum(1 for _ in state.iterate_markets(ctx))
    if listed + added > markets_max:
        raise InvalidMarket(
            f"there are {listed} markets, and {markets_max} are the most allowed; wait until some "
            f"expire or raise markets_max"
        )


def handle_list_market(ctx: Context, msg: tx_pb2.MsgListMarket) -> tx_pb2.MsgListMarketResponse:
    """List a new market; only the council's authority may."""
    council.require_authority(ctx, msg.authority)
    _require_room(ctx, 1)
    _list_market(ctx, msg.market)
    return tx_pb2.MsgListMarketResponse()


def handle_list_option_series(
    ctx: Context, msg: tx_pb2.MsgListOptionSeries
) -> tx_pb2.MsgListOptionSeriesResponse:
    """List an option market for each strike and kind, all or none; only the council may."""
    council.require_authority(ctx, msg.authority)
    series = build_option_series(msg.template, msg.strikes_wad, msg.kinds)
    _require_room(ctx, len(series))
    for market in series:
        _list_market(ctx, market)
    return tx_pb2.MsgListOptionSeriesResponse(markets=[market.id for market in series])


def handle_update_market(
    ctx: Context, msg: tx_pb2.MsgUpdateMarket
) -> tx_pb2.MsgUpdateMarketResponse:
    """Change a market's parameters, except those that positions and orders are counted in."""
    council.require_authority(ctx, msg.authority)
    market = state.require_market(ctx, msg.market.id)
    validate_market(ctx, msg.market)
    changed = state.decode_market(msg.market)
    for field in _FIXED_BY_POSITIONS:
        before, after = getattr(market, field), getattr(changed, field)
        if before != after:
            raise InvalidMarket(
                f"{field} of {market.id} is {before} for good, positions are counted in it; list "
                f"a new market instead of changing it to {after}"
            )
    end_s = start_ramp(ctx, market, changed)
    state.set_market(ctx, msg.market)
    ctx.emit("market_updated", {"market": market.id, "ramp_end_s": end_s})
    return tx_pb2.MsgUpdateMarketResponse()


def handle_deposit_base(ctx: Context, msg: tx_pb2.MsgDepositBase) -> tx_pb2.MsgDepositBaseResponse:
    """Turn coins of the owner's bank balance into a spot position."""
    account_id = parse_account_id(msg.owner, msg.number)
    market = require_spot_market(ctx, msg.market)
    deposit_base(ctx, account_id, market, parse_amount(msg.amount))
    return tx_pb2.MsgDepositBaseResponse()


def handle_withdraw_base(
    ctx: Context, msg: tx_pb2.MsgWithdrawBase
) -> tx_pb2.MsgWithdrawBaseResponse:
    """Turn a spot position into coins of the owner's bank balance."""
    account_id = parse_account_id(msg.owner, msg.number)
    market = require_spot_market(ctx, msg.market)
    withdraw_base(ctx, account_id, market, parse_amount(msg.amount))
    return tx_pb2.MsgWithdrawBaseResponse()


def handle_update_params(
    ctx: Context, msg: tx_pb2.MsgUpdateParams
) -> tx_pb2.MsgUpdateParamsResponse:
    """Replace the parameters; only the council's authority may."""
    council.require_authority(ctx, msg.authority)
    state.set_params(ctx, msg.params)
    ctx.emit("markets_params_updated", {})
    return tx_pb2.MsgUpdateParamsResponse()
