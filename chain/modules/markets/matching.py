"""Price-time matching with margin: how an order meets the book and what may rest in it (row 33).

An order is checked against the price band around the mark, then fills best price first, oldest
first, at the resting order's price. Before each fill the taker's margin after it is checked, and
the maker's. A maker that fails is cancelled and matching goes on; a taker that fails before its
first fill is refused whole, after it stops there. An order that reaches one of its own owner's is
refused whole. In a spot market sellers give what they hold and buyers pay what they have.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from chain._pb.margin.markets.v1 import markets_pb2 as pb
from chain.errors import ChainError
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import (
    AccountLocked,
    InsufficientCash,
    InsufficientMargin,
    TooManyLines,
)
from chain.modules.accounts.types import Account, AccountId, AccountMargin, AccountStatus
from chain.modules.collateral.measurement import SharedReads
from chain.modules.markets import state
from chain.modules.markets.errors import (
    InsufficientBase,
    InvalidOrder,
    MarketExpired,
    NoLiquidity,
    OpenInterestLimit,
    PostOnlyWouldTrade,
    PriceOutOfBand,
    ReduceOnly,
    SelfTrade,
    TooManyOrders,
)
from chain.modules.markets.marks import Mark, compute_mark, compute_notional_price_wad
from chain.modules.markets.settlement import apply_fill, compute_open_interest_change
from chain.modules.markets.types import (
    InstrumentKind,
    Market,
    MarketStatus,
    RestingOrder,
    Side,
    TimeInForce,
)
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.risk.margin import MarginState, compute_position_value_uusd
from chain.runtime.context import Context
from chain.units import PPM, ceil_div, floor_div, mul_ppm_ceil

_BAND_OF: Final = {False: "around the mark", True: "of the spot price around the mark"}
_SURRENDER_PPM_MAX: Final = 200_000
"""What of a value an account below its maintenance requirement may lose by closing it."""
ENDED_FILLED: Final = ""
ENDED_MARGIN: Final = "margin"
ENDED_BALANCE: Final = "balance"
ENDED_BOOK: Final = "nothing left within the limit"
ENDED_FILLS: Final = "fills of one order"
ENDED_POSITION: Final = "position closed"
ENDED_OPEN_INTEREST: Final = "open interest limit"


@dataclass(slots=True)
class OrderRequest:
    """An order as its owner asks it; `price_wad` None is a market order."""

    account_id: AccountId
    market: Market
    side: Side
    size_quantums: int
    price_wad: int | None
    time_in_force: TimeInForce
    reduce_only: bool


@dataclass(slots=True)
class _Taker:
    """The incoming order while it matches."""

    request: OrderRequest
    account: Account
    order_id: int
    limit_ticks: int
    mark: Mark
    remaining_steps: int
    filled_steps: int = 0
    notional_uusd: int = 0
    fee_uusd: int = 0
    fills: int = 0
    ended: str = ENDED_FILLED
    orders: list[RestingOrder] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Fill:
    """One possible fill against a resting order, at that order's price."""

    order: RestingOrder
    steps: int
    notional_uusd: int
    maker_fee_uusd: int
    taker_fee_uusd: int


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """What became of an order."""

    order_id: int
    filled_quantums: int
    resting_quantums: int
    notional_uusd: int
    fee_uusd: int
    ended_because: str


def compute_band(market: Market, mark: Mark) -> tuple[int, int]:
    """The lowest and highest limit price in ticks around the mark, inclusive.

    The band of an option is as wide as its underlying's would be, and a tick at least: a share of
    a premium near nothing would leave no price to trade at.
    """
    scale = PPM * market.tick_wad
    center = mark.price_wad * PPM
    if market.kind is InstrumentKind.OPTION:
        width = max(mark.spot_wad * market.price_band_ppm, scale)
    else:
        width = mark.price_wad * market.price_band_ppm
    return max(1, ceil_div(center - width, scale)), max(1, floor_div(center + width, scale))


def _compute_limit(request: OrderRequest, mark: Mark) -> int:
    """The limit in ticks; raises InvalidOrder off the tick and PriceOutOfBand."""
    market = request.market
    low, high = compute_band(market, mark)
    if request.price_wad is None:
        return high if request.side is Side.BUY else low
    ticks, rest = divmod(request.price_wad, market.tick_wad)
    if rest:
        raise InvalidOrder(
            f"price_wad {request.price_wad} is not a multiple of the tick {market.tick_wad}"
        )
    if not low <= ticks <= high:
        raise PriceOutOfBand(
            f"price_wad {request.price_wad} must lie within {low * market.tick_wad} and "
            f"{high * market.tick_wad}, {market.price_band_ppm} ppm "
            f"{_BAND_OF[market.kind is InstrumentKind.OPTION]}"
        )
    return ticks


def _validate_request(ctx: Context, request: OrderRequest, account: Account) -> None:
    """Everything that refuses an order before the book is looked at."""
    market = request.market
    if account.status is AccountStatus.LOCKED:
        raise AccountLocked(
            f"account {account.number} of {account.owner} is under liquidation; only deposits are "
            f"taken until it ends"
        )
    if market.is_expired(ctx.time_ns):
        raise MarketExpired(
            f"{market.id} expired at {market.expiry_time_s} and settles now; nothing is left to do"
        )
    steps, rest = divmod(request.size_quantums, market.step_quantums)
    if rest or not 0 < steps < state.STEPS_LIMIT:
        raise InvalidOrder(
            f"size {request.size_quantums} must be a positive multiple of the step "
            f"{market.step_quantums} of {market.id}"
        )
    is_taker_only = request.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL
    if request.price_wad is None and not is_taker_only:
        raise InvalidOrder("an order without a price is a market order: use immediate-or-cancel")
    if request.reduce_only:
        _validate_reduction(request, account)
        return
    if market.status is MarketStatus.REDUCE_ONLY:
        raise ReduceOnly(f"{market.id} takes orders with reduce_only alone")
    recorded, _ = accounts.get_margin_state(ctx, account.id)
    if recorded >= MarginState.REDUCE_ONLY:
        raise ReduceOnly(
            f"the account is in state {recorded.name.lower()} (GMR below 1.10); set reduce_only, "
            f"or deposit until the ratio recovers"
        )


def require_line(
    ctx: Context, account: Account, orders: Sequence[RestingOrder], market_id: str
) -> None:
    """Raise TooManyLines when the account would open one market too many."""
    market_ids = sorted({*account.positions, *(order.market for order in orders)})
    positions_max = accounts.get_params(ctx).positions_max
    if market_id not in market_ids and len(market_ids) >= positions_max:
        raise TooManyLines(
            f"the account has positions or orders in {len(market_ids)} markets, the most allowed; "
            f"close one or use another account"
        )


def compute_free_base(account: Account, orders: Sequence[RestingOrder], market: Market) -> int:
    """What of a spot position no resting sell has promised, quantums; negative when oversold."""
    position = account.positions.get(market.id)
    promised = sum(
        order.remaining_steps * market.step_quantums
        for order in orders
        if order.market == market.id and order.side is Side.SELL and not order.reduce_only
    )
    return (position.size_quantums if position else 0) - promised


def _require_free_base(request: OrderRequest, taker: _Taker) -> None:
    """Raise InsufficientBase when a spot sell promises what is not held, or is promised already."""
    if request.side is Side.BUY or request.reduce_only:
        return  # A reducing sell fills only what is held.
    free = compute_free_base(taker.account, taker.orders, request.market)
    if request.size_quantums > free:
        raise InsufficientBase(
            f"the sell of {request.size_quantums} quantums needs them in the account, and "
            f"{max(0, free)} are held that no resting sell of {request.market.id} has promised; "
            f"deposit base, cancel orders or sell less"
        )


def _validate_reduction(request: OrderRequest, account: Account) -> None:
    position = account.positions.get(request.market.id)
    size = position.size_quantums if position else 0
    if size * request.side.sign >= 0:
        raise ReduceOnly(
            f"a reduce-only {request.side.name.lower()} needs a position on the other side in "
            f"{request.market.id}; the position is {size} quantums"
        )


def place_order(ctx: Context, request: OrderRequest) -> PlacedOrder:
    """Match an order and rest what may rest; raises ChainError with nothing written otherwise.

    The caller runs it in a branch: a refusal after some work leaves that branch dirty.
    """
    account = accounts.require_account(ctx, request.account_id)
    _validate_request(ctx, request, account)
    action = Action.REDUCE if request.reduce_only else Action.OPEN_RISK
    price_wad = require_price(ctx, request.market.asset, action).price_wad
    mark = compute_mark(ctx, request.market, price_wad)
    taker = _Taker(
        request=request,
        account=account,
        order_id=state.take_order_id(ctx),
        limit_ticks=_compute_limit(request, mark),
        mark=mark,
        remaining_steps=floor_div(request.size_quantums, request.market.step_quantums),
        orders=state.get_account_orders(ctx, request.account_id),
    )
    require_line(ctx, account, taker.orders, request.market.id)
    if request.market.kind is InstrumentKind.SPOT:
        _require_free_base(request, taker)
    if request.time_in_force is TimeInForce.POST_ONLY:
        _refuse_crossing(ctx, taker)
    else:
        _match(ctx, taker)
    if taker.filled_steps:
        accounts.set_account(ctx, taker.account)
    rested_steps = _rest(ctx, taker)
    step = request.market.step_quantums
    return PlacedOrder(
        order_id=taker.order_id,
        filled_quantums=taker.filled_steps * step,
        resting_quantums=rested_steps * step,
        notional_uusd=taker.notional_uusd,
        fee_uusd=taker.fee_uusd,
        ended_because=taker.ended,
    )


def _crosses(taker: _Taker, best_ticks: int | None) -> bool:
    if best_ticks is None:
        return False
    if taker.request.side is Side.BUY:
        return best_ticks <= taker.limit_ticks
    return best_ticks >= taker.limit_ticks


def _get_best_opposite(ctx: Context, taker: _Taker) -> int | None:
    return state.get_best_ticks(ctx, taker.request.market.id, taker.request.side.opposite)


def _refuse_crossing(ctx: Context, taker: _Taker) -> None:
    best = _get_best_opposite(ctx, taker)
    if _crosses(taker, best):
        assert best is not None
        raise PostOnlyWouldTrade(
            f"a resting order at {best * taker.request.market.tick_wad} would fill it; choose a "
            f"price that does not cross"
        )


def _match(ctx: Context, taker: _Taker) -> None:
    """Fill against the other side until the order, the book, margin or the work bound ends it."""
    request = taker.request
    attempts_max = state.get_params(ctx).fills_max
    attempts = 0
    while taker.remaining_steps and not taker.ended:
        entry = state.get_best_entry(ctx, request.market.id, request.side.opposite)
        if entry is None or not _crosses(taker, entry.ticks):
            break
        if attempts >= attempts_max:
            taker.ended = ENDED_FILLS
            break
        attempts += 1
        if entry.account_id.owner == request.account_id.owner:
            raise SelfTrade(
                f"order {entry.order_id} of the same owner rests at "
                f"{entry.ticks * request.market.tick_wad}; cancel it or choose another price"
            )
        _fill_entry(ctx, taker, entry)
    if taker.remaining_steps and not taker.ended and not taker.filled_steps:
        if request.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL:
            raise NoLiquidity(
                f"nothing rests within {taker.limit_ticks * request.market.tick_wad} on the other "
                f"side of {request.market.id}; use a limit order or another price"
            )
    elif taker.remaining_steps and not taker.ended:
        taker.ended = ENDED_BOOK if request.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL else ""


def _compute_reducible_steps(market: Market, account: Account, side: Side) -> int:
    """How many whole steps of the account's position an order on this side can close."""
    position = account.positions.get(market.id)
    size = position.size_quantums if position else 0
    return floor_div(abs(size), market.step_quantums) if size * side.sign < 0 else 0


def find_surrender(market: Market, before: AccountMargin, after: AccountMargin) -> str:
    """Why an account below maintenance may not close at such a price; empty when it may.

    Equity need not count an option (standard margin), or its requirement is all that it is worth
    (portfolio margin): such an account could give it away without lowering its excess, and leave
    insurance a debt that the option would have paid. A tick of loss is always allowed.
    """
    if before.excess_uusd >= 0:
        return ""
    sizes = [
        sum(abs(line.position.size_quantums) for line in side.positions if line.market == market.id)
        for side in (before, after)
    ]
    closed = sizes[0] - sizes[1]
    value = sum(abs(line.value_uusd) for line in before.positions if line.market == market.id)
    allowed = ceil_div(value * closed * _SURRENDER_PPM_MAX, max(1, sizes[0]) * PPM)
    allowed += market.compute_notional_uusd(1, ceil_div(closed, market.step_quantums))
    lost = before.mark_equity_uusd - after.mark_equity_uusd
    if lost <= allowed:
        return ""
    return (
        f"the account is below its maintenance requirement and would give away {lost} uusd of what "
        f"{closed} quantums of {market.id} are worth, above {allowed}; use a price nearer to the "
        f"mark"
    )


def _find_refusal(
    ctx: Context,
    market: Market,
    before: Account,
    after: Account,
    orders: list[RestingOrder],
    shared: SharedReads,
    *,
    is_reduction: bool,
) -> str:
    """Why the account may not make the fill; empty when it may.

    Either the margin after it carries new risk, or the fill reduces the position and does not
    lower the excess of equity over the maintenance requirement: no way out for value.
    """
    margin_after = accounts_margin.compute_account_margin(ctx, after, orders, shared)
    shortfall = accounts_margin.find_initial_shortfall(ctx, margin_after)
    if not shortfall or not is_reduction:
        return shortfall
    margin_before = accounts_margin.compute_account_margin(ctx, before, orders, shared)
    if margin_after.excess_uusd >= margin_before.excess_uusd:
        return find_surrender(market, margin_before, margin_after)
    return (
        f"the fill would lower equity above maintenance from {margin_before.excess_uusd} to "
        f"{margin_after.excess_uusd} uusd; use a price nearer to the oracle's"
    )


def _fill_entry(ctx: Context, taker: _Taker, entry: state.BookEntry) -> None:
    """One fill, or the cancellation of the maker, or the taker's end."""
    request, market = taker.request, taker.request.market
    maker = accounts.require_account(ctx, entry.account_id)
    maker_orders = state.get_account_orders(ctx, entry.account_id)
    order = next(other for other in maker_orders if other.id == entry.order_id)
    steps = min(taker.remaining_steps, entry.remaining_steps)
    if order.reduce_only:
        steps = min(steps, _compute_reducible_steps(market, maker, order.side))
    if steps == 0 or maker.status is AccountStatus.LOCKED:
        cancel_order(ctx, entry.account_id, order, "reduce-only" if steps == 0 else "locked")
        return
    if request.reduce_only:
        steps = min(steps, _compute_reducible_steps(market, taker.account, request.side))
        if steps == 0:
            taker.ended = ENDED_POSITION
            return
    notional = market.compute_notional_uusd(entry.ticks, steps)
    fill = _Fill(
        order=order,
        steps=steps,
        notional_uusd=notional,
        maker_fee_uusd=mul_ppm_ceil(notional, market.maker_fee_ppm),
        taker_fee_uusd=mul_ppm_ceil(notional, market.taker_fee_ppm),
    )
    _settle_fill(ctx, taker, fill, maker)


class _FillRefused(Exception):
    """Drops the branch of a fill that one of its sides cannot carry."""

    def __init__(self, reason: str, *, is_taker: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_taker = is_taker


def _apply_pair(
    ctx: Context, taker: _Taker, fill: _Fill, maker: Account
) -> tuple[Account, Account]:
    """Book a fill and check both sides after it: (taker, maker) after; raises _FillRefused."""
    request, market, order = taker.request, taker.request.market, fill.order
    taker_after, maker_after = taker.account.copy(), maker.copy()
    is_buy = request.side is Side.BUY
    apply_fill(
        ctx,
        market,
        taker_after if is_buy else maker_after,
        maker_after if is_buy else taker_after,
        fill.steps * market.step_quantums,
        fill.notional_uusd,
        buyer_fee_uusd=fill.taker_fee_uusd if is_buy else fill.maker_fee_uusd,
        seller_fee_uusd=fill.maker_fee_uusd if is_buy else fill.taker_fee_uusd,
    )
    state.reduce_order(ctx, maker.id, order.id, fill.steps)
    sides = (
        (True, taker.account, taker_after, taker.orders, request.side),
        (False, maker, maker_after, state.get_account_orders(ctx, maker.id), order.side),
    )
    shared = SharedReads()  # The fill is booked: nothing is written between the two checks.
    for is_taker, before, after, orders, side in sides:
        is_reduction = fill.steps <= _compute_reducible_steps(market, before, side)
        reason = _find_refusal(
            ctx, market, before, after, orders, shared, is_reduction=is_reduction
        )
        if reason:
            raise _FillRefused(reason, is_taker=is_taker)
    return taker_after, maker_after


def _find_spot_refusal(
    market: Market, before: Account, fill: _Fill, side: Side, fee_uusd: int
) -> str:
    """Why an account cannot give what a spot fill takes of it; empty when it can."""
    if side is Side.SELL:
        position = before.positions.get(market.id)
        held = position.size_quantums if position else 0
        size = fill.steps * market.step_quantums
        if size <= held:
            return ""
        return f"the sell of {size} quantums of {market.id} finds {held} held; deposit base"
    cost = fill.notional_uusd + fee_uusd
    if cost <= before.cash_uusd:
        return ""
    return (
        f"the buy costs {cost} uusd and the account has {before.cash_uusd} of cash; deposit "
        f"{cost - before.cash_uusd} uusd or buy less"
    )


def _is_backed(ctx: Context, taker: _Taker, fill: _Fill, maker: Account) -> bool:
    """Whether both sides have what a spot fill takes; else ends the taker or cancels the maker."""
    market, side = taker.request.market, taker.request.side
    reason = _find_spot_refusal(market, taker.account, fill, side, fill.taker_fee_uusd)
    if reason:
        error = InsufficientBase if side is Side.SELL else InsufficientCash
        _end_taker(taker, error(reason), ENDED_BALANCE)
        return False
    if _find_spot_refusal(market, maker, fill, side.opposite, fill.maker_fee_uusd):
        cancel_order(ctx, maker.id, fill.order, ENDED_BALANCE)
        return False
    return True


def _settle_fill(ctx: Context, taker: _Taker, fill: _Fill, maker: Account) -> None:
    """Keep a fill that both sides carry; else cancel the maker's order or end the taker."""
    reason = _find_open_interest_refusal(ctx, taker, maker, fill)
    if reason:
        _end_taker(taker, OpenInterestLimit(reason), ENDED_OPEN_INTEREST)
        return
    if taker.request.market.kind is InstrumentKind.SPOT and not _is_backed(ctx, taker, fill, maker):
        return
    try:
        with ctx.branch() as child:
            taker.account, maker_after = _apply_pair(child, taker, fill, maker)
            accounts.set_account(child, maker_after)
    except _FillRefused as refused:
        if refused.is_taker:
            _end_taker(taker, InsufficientMargin(refused.reason), ENDED_MARGIN)
        else:
            cancel_order(ctx, maker.id, fill.order, "margin")
        return
    taker.remaining_steps -= fill.steps
    taker.filled_steps += fill.steps
    taker.notional_uusd += fill.notional_uusd
    taker.fee_uusd += fill.taker_fee_uusd
    _record_fill(ctx, taker, fill, maker.id)


def _end_taker(taker: _Taker, error: ChainError, reason: str) -> None:
    """Stop the incoming order after its fills so far; raises the error when it had none."""
    if not taker.filled_steps:
        raise error
    taker.ended = reason


def _find_open_interest_refusal(ctx: Context, taker: _Taker, maker: Account, fill: _Fill) -> str:
    market = taker.request.market
    delta = taker.request.side.sign * fill.steps * market.step_quantums
    change = compute_open_interest_change(taker.account, market.id, delta)
    change += compute_open_interest_change(maker, market.id, -delta)
    if change <= 0:
        return ""
    after = state.get_market_state(ctx, market.id).open_interest_quantums + change
    price_wad = compute_notional_price_wad(market, taker.mark)
    value = compute_position_value_uusd(after, price_wad, market.quantum_decimals)
    if value <= market.open_interest_max_uusd:
        return ""
    return (
        f"open interest of {market.id} would reach {value} uusd, above its cap of "
        f"{market.open_interest_max_uusd}; trade less or wait for positions to close"
    )


def _record_fill(ctx: Context, taker: _Taker, fill: _Fill, maker_id: AccountId) -> None:
    """Keep the fill among the recent ones and tell the world."""
    request, market = taker.request, taker.request.market
    fill_id = state.get_next_fill_id(ctx)
    state.set_next_fill_id(ctx, fill_id + 1)
    price_wad = fill.order.ticks * market.tick_wad
    record = pb.Fill(
        id=fill_id,
        market=market.id,
        maker_order_id=fill.order.id,
        maker_owner=maker_id.owner,
        maker_number=maker_id.number,
        taker_owner=request.account_id.owner,
        taker_number=request.account_id.number,
        taker_side=cast("pb.Side", request.side.value),
        price_wad=str(price_wad),
        size_quantums=str(fill.steps * market.step_quantums),
        notional_uusd=str(fill.notional_uusd),
        maker_fee_uusd=str(fill.maker_fee_uusd),
        taker_fee_uusd=str(fill.taker_fee_uusd),
        height=ctx.height,
    )
    state.add_fill(ctx, record, state.get_params(ctx).fills_kept)
    market_state = state.get_market_state(ctx, market.id)
    market_state.last_price_wad = price_wad
    state.set_market_state(ctx, market.id, market_state)
    ctx.emit(
        "order_filled",
        {
            "fill_id": fill_id,
            "market": market.id,
            "maker_owner": maker_id.owner,
            "maker_order_id": fill.order.id,
            "taker_owner": request.account_id.owner,
            "taker_order_id": taker.order_id,
            "taker_side": request.side.name.lower(),
            "price_wad": price_wad,
            "size_quantums": record.size_quantums,
            "notional_uusd": fill.notional_uusd,
        },
    )


def _find_cash_refusal(ctx: Context, taker: _Taker, order: RestingOrder) -> str:
    """Why cash does not pay all resting spot buys with this one; empty when it does."""
    promised = 0
    for resting in (*taker.orders, order):
        market = state.require_market(ctx, resting.market)
        if market.kind is InstrumentKind.SPOT and resting.side is Side.BUY:
            notional = market.compute_notional_uusd(resting.ticks, resting.remaining_steps)
            promised += notional + mul_ppm_ceil(notional, market.maker_fee_ppm)
    if promised <= taker.account.cash_uusd:
        return ""
    return (
        f"resting spot buys would cost {promised} uusd and the account has "
        f"{taker.account.cash_uusd} of cash; deposit or cancel orders"
    )


def _rest(ctx: Context, taker: _Taker) -> int:
    """Put what is left into the book when it may; the steps that rest."""
    request = taker.request
    if not taker.remaining_steps or taker.ended:
        return 0
    if request.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL:
        return 0
    orders_max = state.get_params(ctx).orders_max
    if len(taker.orders) >= orders_max:
        _end_taker(
            taker,
            TooManyOrders(
                f"the account has {len(taker.orders)} resting orders, the most allowed; cancel one"
            ),
            "too many orders",
        )
        return 0
    order = RestingOrder(
        id=taker.order_id,
        market=request.market.id,
        side=request.side,
        ticks=taker.limit_ticks,
        remaining_steps=taker.remaining_steps,
        size_steps=floor_div(request.size_quantums, request.market.step_quantums),
        reduce_only=request.reduce_only,
    )
    if request.market.kind is InstrumentKind.SPOT and order.side is Side.BUY:
        reason = _find_cash_refusal(ctx, taker, order)
        if reason:
            _end_taker(taker, InsufficientCash(reason), ENDED_BALANCE)
            return 0
    if not order.reduce_only:
        margin = accounts_margin.compute_account_margin(ctx, taker.account, [*taker.orders, order])
        shortfall = accounts_margin.find_initial_shortfall(ctx, margin)
        if shortfall:
            _end_taker(taker, InsufficientMargin(shortfall), ENDED_MARGIN)
            return 0
    state.insert_order(ctx, request.account_id, order)
    ctx.emit(
        "order_placed",
        {
            "order_id": order.id,
            "market": order.market,
            "owner": request.account_id.owner,
            "number": request.account_id.number,
            "side": order.side.name.lower(),
            "price_wad": order.ticks * request.market.tick_wad,
            "size_quantums": order.remaining_steps * request.market.step_quantums,
        },
    )
    return order.remaining_steps


def cancel_order(ctx: Context, account_id: AccountId, order: RestingOrder, reason: str) -> None:
    """Take a resting order out of the book and say why."""
    state.remove_order(ctx, account_id, order)
    _emit_cancelled(ctx, account_id, order, reason)


def cancel_orders(ctx: Context, account_id: AccountId, market_id: str, reason: str) -> int:
    """Cancel all resting orders of an account, of one market unless it is ""; their number."""
    orders = [
        order
        for order in state.get_account_orders(ctx, account_id)
        if market_id in ("", order.market)
    ]
    if orders:
        state.remove_orders(ctx, account_id, orders)
    for order in orders:
        _emit_cancelled(ctx, account_id, order, reason)
    return len(orders)


def _emit_cancelled(ctx: Context, account_id: AccountId, order: RestingOrder, reason: str) -> None:
    ctx.emit(
        "order_cancelled",
        {
            "order_id": order.id,
            "market": order.market,
            "owner": account_id.owner,
            "number": account_id.number,
            "reason": reason,
        },
    )
