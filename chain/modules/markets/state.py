"""The markets store: the only place that knows its keys.

A book entry lies under market, side, price and id, so that iterating a side meets the best price
first and the oldest order first within a price: bid prices are stored complemented. An account's
resting orders are one record, so that a margin check reads them at once.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple, cast

from chain._pb.margin.markets.v1 import markets_pb2 as pb
from chain.modules.accounts.types import AccountId, decode_account_id, encode_account_id
from chain.modules.auth.types import module_address
from chain.modules.markets.errors import UnknownMarket
from chain.modules.markets.params import build_default_params, validate_params
from chain.modules.markets.types import (
    InstrumentKind,
    Market,
    MarketRamp,
    MarketState,
    MarketStatus,
    OptionKind,
    RestingOrder,
    SettlementAverage,
    Side,
)
from chain.modules.params import state as params_state
from chain.runtime.context import Context
from chain.runtime.store import prefix_end
from chain.units import Address

STORE: Final = "markets"
PARAMS: Final = params_state.declare_params(STORE, pb.Params, build_default_params, validate_params)
MODULE_NAME: Final = "markets"
MODULE_ADDRESS: Final = module_address(MODULE_NAME)
"""The module account that holds the coins behind all spot positions."""
TICKS_LIMIT: Final = 1 << 63
STEPS_LIMIT: Final = 1 << 63
_MARKET: Final = b"\x01"
_STATE: Final = b"\x02"
_BOOK: Final = b"\x03"
_ACCOUNT_ORDERS: Final = b"\x04"
_BEST: Final = b"\x05"
_NEXT_ORDER: Final = b"\x06"
_FILL: Final = b"\x07"
_NEXT_FILL: Final = b"\x08"
_SETTLEMENT: Final = b"\x09"
_KIND: Final = b"\x0a"
_EXPIRY: Final = b"\x0b"
_HOLDER: Final = b"\x0c"
_RAMP: Final = b"\x0d"
_PRESENT: Final = b"\x01"
_STRIKE_BYTES: Final = 16
_U64_MAX: Final = (1 << 64) - 1
_SIDES: Final = {side.value: side for side in Side}


class Expiry(NamedTuple):
    """Which futures and options settle together; orders by time, then asset."""

    time_s: int
    asset: str


class BookEntry(NamedTuple):
    """Whose order rests at a place in the book."""

    ticks: int
    order_id: int
    account_id: AccountId
    remaining_steps: int


# Parameters and markets


def get_params(ctx: Context) -> pb.Params:
    """The governed parameters, shared: nobody may change the message."""
    return PARAMS.get(ctx)


def set_params(ctx: Context, params: pb.Params) -> None:
    """Store parameters; raises what their bounds raise."""
    PARAMS.set(ctx, params)


def decode_market(message: pb.Market) -> Market:
    """The market that a validated protobuf describes."""
    return Market(
        id=message.id,
        asset=message.asset,
        status=MarketStatus(message.status),
        quantum_decimals=message.quantum_decimals,
        tick_wad=int(message.tick_wad),
        step_quantums=int(message.step_quantums),
        initial_ppm=message.initial_ppm,
        maintenance_ppm=message.maintenance_ppm,
        volatility_floor_wad=int(message.volatility_floor_wad or "0"),
        horizon_s=message.horizon_s,
        open_interest_lower_uusd=int(message.open_interest_lower_uusd or "0"),
        open_interest_upper_uusd=int(message.open_interest_upper_uusd or "0"),
        open_interest_max_uusd=int(message.open_interest_max_uusd or "0"),
        maker_fee_ppm=message.maker_fee_ppm,
        taker_fee_ppm=message.taker_fee_ppm,
        funding_ppm_max=message.funding_ppm_max,
        price_band_ppm=message.price_band_ppm,
        kind=InstrumentKind(message.kind),
        expiry_time_s=message.expiry_time_s,
        strike_wad=int(message.strike_wad or "0"),
        option_kind=OptionKind(message.option_kind or OptionKind.CALL),
        denom=message.denom,
        settlement_window_s=message.settlement_window_s,
    )


@lru_cache(maxsize=4_096)
def _parse_market(encoded: bytes) -> Market:
    return decode_market(pb.Market.FromString(encoded))


def get_market(ctx: Context, market_id: str) -> Market | None:
    """The market, or None."""
    value = ctx.kv(STORE).get(_MARKET + market_id.encode())
    return _parse_market(value) if value else None


def require_market(ctx: Context, market_id: str) -> Market:
    """The market; raises UnknownMarket."""
    market = get_market(ctx, market_id)
    if market is None:
        raise UnknownMarket(f"market {market_id[:40]!r} is not listed; query Markets for those are")
    return market


def set_market(ctx: Context, market: pb.Market) -> None:
    """Store a validated market, and find it by kind and by expiry."""
    kv = ctx.kv(STORE)
    encoded = market.SerializeToString(deterministic=True)
    kv.set(_MARKET + market.id.encode(), encoded)
    listed = _parse_market(encoded)
    kv.set(_kind_key(listed.kind, listed.id), _PRESENT)
    if listed.is_dated:
        kv.set(_terms_key(listed), listed.id.encode())


def delete_market(ctx: Context, market: Market) -> None:
    """Forget a market and its state; no order, fill or position of it may be left."""
    kv = ctx.kv(STORE)
    kv.delete(_MARKET + market.id.encode())
    kv.delete(_STATE + market.id.encode())
    kv.delete(_RAMP + market.id.encode())
    kv.delete(_kind_key(market.kind, market.id))
    if market.is_dated:
        kv.delete(_terms_key(market))


def _kind_key(kind: InstrumentKind, market_id: str) -> bytes:
    return _KIND + bytes((kind,)) + market_id.encode()


def _expiry_prefix(expiry: Expiry) -> bytes:
    return _EXPIRY + expiry.time_s.to_bytes(8, "big") + expiry.asset.encode() + b"\x00"


def _terms_key(market: Market) -> bytes:
    """All terms of a dated market: no two markets have the same."""
    prefix = _expiry_prefix(Expiry(market.expiry_time_s, market.asset))
    strike = market.strike_wad.to_bytes(_STRIKE_BYTES, "big")
    return prefix + bytes((market.kind, market.option_kind)) + strike


def iterate_market_messages(ctx: Context) -> Iterator[pb.Market]:
    """All markets as protobuf, in order of id."""
    for _, value in ctx.kv(STORE).iterate(_MARKET):
        yield pb.Market.FromString(value)


def iterate_markets(ctx: Context) -> Iterator[Market]:
    """All markets in order of id."""
    for _, value in ctx.kv(STORE).iterate(_MARKET):
        yield _parse_market(value)


def iterate_markets_of_kind(ctx: Context, kind: InstrumentKind) -> Iterator[Market]:
    """The markets of one kind in order of id."""
    prefix = _KIND + bytes((kind,))
    for key, _ in ctx.kv(STORE).iterate(prefix):
        yield require_market(ctx, key[len(prefix) :].decode())


def find_market_of_terms(ctx: Context, market: Market) -> str | None:
    """The id of the listed market with the terms of a dated market, if there is one."""
    value = ctx.kv(STORE).get(_terms_key(market))
    return value.decode() if value else None


def iterate_expiry_markets(ctx: Context, expiry: Expiry) -> Iterator[Market]:
    """The markets of one asset and expiry: the future, then calls and puts by strike."""
    for _, value in ctx.kv(STORE).iterate(_expiry_prefix(expiry)):
        yield require_market(ctx, value.decode())


def iterate_expiries(ctx: Context, time_s_max: int | None = None) -> Iterator[Expiry]:
    """The expiries that have markets, up to a time unless it is None: one seek an expiry."""
    start = _EXPIRY
    end = _HOLDER if time_s_max is None else _EXPIRY + (time_s_max + 1).to_bytes(8, "big")
    while True:
        first = next(ctx.kv(STORE).iterate_range(start, end), None)
        if first is None:
            return
        key = first[0]
        expiry = Expiry(int.from_bytes(key[1:9], "big"), key[9 : key.index(0, 9)].decode())
        yield expiry
        start = _expiry_prefix(expiry)[:-1] + b"\x01"


# Terms on their way


@lru_cache(maxsize=1_024)
def _parse_ramp(encoded: bytes) -> MarketRamp:
    message = pb.MarketRamp.FromString(encoded)
    return MarketRamp(
        maintenance_ppm=message.maintenance_ppm,
        volatility_floor_wad=int(message.volatility_floor_wad or "0"),
        horizon_s=message.horizon_s,
        start_s=message.start_s,
        end_s=message.end_s,
    )


def get_running_ramp(ctx: Context, market_id: str) -> MarketRamp | None:
    """The terms that a market had before its last change, while that ramps in."""
    value = ctx.kv(STORE).get(_RAMP + market_id.encode())
    ramp = _parse_ramp(value) if value else None
    return ramp if ramp is not None and ramp.is_running(ctx.time_s) else None


def set_ramp(ctx: Context, ramp: pb.MarketRamp) -> None:
    """Store a market's terms before its last change."""
    key = _RAMP + ramp.market.encode()
    ctx.kv(STORE).set(key, ramp.SerializeToString(deterministic=True))


def iterate_ramps(ctx: Context) -> Iterator[pb.MarketRamp]:
    """The last change of every market that had one, in order of id."""
    for _, value in ctx.kv(STORE).iterate(_RAMP):
        yield pb.MarketRamp.FromString(value)


# Holders of positions in markets that expire


def _holder_prefix(market_id: str) -> bytes:
    return _HOLDER + market_id.encode() + b"\x00"


def set_holder(ctx: Context, market_id: str, account_id: AccountId, *, is_holding: bool) -> None:
    """Record whether an account has a position in a market that expires."""
    key = _holder_prefix(market_id) + encode_account_id(account_id)
    if is_holding:
        ctx.kv(STORE).set(key, _PRESENT)
    else:
        ctx.kv(STORE).delete(key)


def iterate_holders(ctx: Context, market_id: str) -> Iterator[AccountId]:
    """The accounts with a position in a market that expires, in their order."""
    prefix = _holder_prefix(market_id)
    for key, _ in ctx.kv(STORE).iterate(prefix):
        yield decode_account_id(key[len(prefix) :])


def get_market_state(ctx: Context, market_id: str) -> MarketState:
    """Open interest and funding of a market."""
    value = ctx.kv(STORE).get(_STATE + market_id.encode())
    if value is None:
        return MarketState()
    message = pb.MarketState.FromString(value)
    return MarketState(
        open_interest_quantums=int(message.open_interest_quantums or "0"),
        funding_index_wad=int(message.funding_index_wad or "0"),
        funding_time_ns=message.funding_time_ns,
        premium_sum_ppm=int(message.premium_sum_ppm or "0"),
        premium_samples=message.premium_samples,
        last_price_wad=int(message.last_price_wad or "0"),
    )


def encode_market_state(market_id: str, market_state: MarketState) -> pb.MarketState:
    """The state as its protobuf, without the best prices, which the book itself tells."""
    return pb.MarketState(
        market=market_id,
        open_interest_quantums=str(market_state.open_interest_quantums),
        funding_index_wad=str(market_state.funding_index_wad),
        funding_time_ns=market_state.funding_time_ns,
        premium_sum_ppm=str(market_state.premium_sum_ppm),
        premium_samples=market_state.premium_samples,
        last_price_wad=str(market_state.last_price_wad),
    )


def set_market_state(ctx: Context, market_id: str, market_state: MarketState) -> None:
    """Store open interest and funding of a market."""
    encoded = encode_market_state(market_id, market_state).SerializeToString(deterministic=True)
    ctx.kv(STORE).set(_STATE + market_id.encode(), encoded)


def iterate_market_states(ctx: Context) -> Iterator[pb.MarketState]:
    """The states of the markets that have been touched, in order of id."""
    for _, value in ctx.kv(STORE).iterate(_STATE):
        yield pb.MarketState.FromString(value)


# Settlement averages


def _settlement_key(asset: str, expiry_time_s: int) -> bytes:
    return _SETTLEMENT + expiry_time_s.to_bytes(8, "big") + asset.encode()


@lru_cache(maxsize=1_024)
def _parse_settlement(encoded: bytes) -> pb.SettlementAverage:
    return pb.SettlementAverage.FromString(encoded)


def decode_settlement(message: pb.SettlementAverage) -> SettlementAverage:
    """The average that a protobuf describes."""
    return SettlementAverage(
        weighted_sum=int(message.weighted_sum or "0"),
        sampled_ns=message.sampled_ns,
        sample_time_ns=message.sample_time_ns,
        price_wad=int(message.price_wad or "0"),
    )


def get_settlement(ctx: Context, asset: str, expiry_time_s: int) -> SettlementAverage:
    """The average of an asset's expiry; empty before its window opens."""
    value = ctx.kv(STORE).get(_settlement_key(asset, expiry_time_s))
    return decode_settlement(_parse_settlement(value)) if value else SettlementAverage()


def set_settlement(
    ctx: Context, asset: str, expiry_time_s: int, average: SettlementAverage
) -> None:
    """Store an average."""
    message = pb.SettlementAverage(
        asset=asset,
        expiry_time_s=expiry_time_s,
        weighted_sum=str(average.weighted_sum),
        sampled_ns=average.sampled_ns,
        sample_time_ns=average.sample_time_ns,
        price_wad=str(average.price_wad) if average.price_wad else "",
    )
    key = _settlement_key(asset, expiry_time_s)
    ctx.kv(STORE).set(key, message.SerializeToString(deterministic=True))


def delete_settlement(ctx: Context, asset: str, expiry_time_s: int) -> None:
    """Forget an average whose markets are all closed."""
    ctx.kv(STORE).delete(_settlement_key(asset, expiry_time_s))


def iterate_settlements(ctx: Context) -> Iterator[pb.SettlementAverage]:
    """All averages in order of expiry, then asset."""
    for _, value in ctx.kv(STORE).iterate(_SETTLEMENT):
        yield pb.SettlementAverage.FromString(value)


# Order book


def _side_prefix(market_id: str, side: Side) -> bytes:
    return _BOOK + market_id.encode() + b"\x00" + bytes((side,))


def _book_key(market_id: str, side: Side, ticks: int, order_id: int) -> bytes:
    price = _U64_MAX - ticks if side is Side.BUY else ticks
    return _side_prefix(market_id, side) + price.to_bytes(8, "big") + order_id.to_bytes(8, "big")


def _best_key(market_id: str, side: Side) -> bytes:
    return _BEST + market_id.encode() + b"\x00" + bytes((side,))


def get_best_ticks(ctx: Context, market_id: str, side: Side) -> int | None:
    """The best price of a side in ticks; None when it is empty."""
    value = ctx.kv(STORE).get(_best_key(market_id, side))
    return int.from_bytes(value[:8], "big") if value else None


def get_best_entry(ctx: Context, market_id: str, side: Side) -> BookEntry | None:
    """The order that fills next on a side, without iterating; None when it is empty."""
    value = ctx.kv(STORE).get(_best_key(market_id, side))
    if value is None:
        return None
    ticks, order_id = int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big")
    encoded = ctx.kv(STORE).get(_book_key(market_id, side, ticks, order_id))
    assert encoded is not None, f"order {order_id} leads {market_id} and is not in its book"
    entry = pb.BookEntry.FromString(encoded)
    return BookEntry(
        ticks, order_id, AccountId(Address(entry.owner), entry.number), entry.remaining_steps
    )


def _set_best(ctx: Context, market_id: str, side: Side, ticks: int, order_id: int) -> None:
    value = ticks.to_bytes(8, "big") + order_id.to_bytes(8, "big")
    ctx.kv(STORE).set(_best_key(market_id, side), value)


def is_better(side: Side, ticks: int, other_ticks: int) -> bool:
    """Whether a price of this side is strictly ahead of another in the queue."""
    return ticks > other_ticks if side is Side.BUY else ticks < other_ticks


def iterate_book(ctx: Context, market_id: str, side: Side) -> Iterator[BookEntry]:
    """The side's orders, best price first and oldest first within a price; bound at the call."""
    return _iterate_side(ctx, market_id, side, _side_prefix(market_id, side))


def _iterate_side(ctx: Context, market_id: str, side: Side, start: bytes) -> Iterator[BookEntry]:
    prefix = _side_prefix(market_id, side)
    place = len(prefix)
    for key, value in ctx.kv(STORE).iterate_range(start, prefix_end(prefix)):
        price = int.from_bytes(key[place : place + 8], "big")
        entry = pb.BookEntry.FromString(value)
        yield BookEntry(
            ticks=_U64_MAX - price if side is Side.BUY else price,
            order_id=int.from_bytes(key[place + 8 :], "big"),
            account_id=AccountId(Address(entry.owner), entry.number),
            remaining_steps=entry.remaining_steps,
        )


def _set_entry(ctx: Context, account_id: AccountId, order: RestingOrder) -> None:
    entry = pb.BookEntry(
        owner=account_id.owner, number=account_id.number, remaining_steps=order.remaining_steps
    )
    key = _book_key(order.market, order.side, order.ticks, order.id)
    ctx.kv(STORE).set(key, entry.SerializeToString(deterministic=True))


def insert_order(ctx: Context, account_id: AccountId, order: RestingOrder) -> None:
    """Rest an order in the book and in its account's record; the caller checked every limit."""
    _set_entry(ctx, account_id, order)
    kv = ctx.kv(STORE)
    key = _account_key(account_id)
    # Encodings of a repeated field join to the encoding of all: nothing is decoded to append.
    added = pb.AccountOrders(orders=[_encode_order(order)]).SerializeToString(deterministic=True)
    kv.set(key, (kv.get(key) or b"") + added)
    best = get_best_ticks(ctx, order.market, order.side)
    if best is None or is_better(order.side, order.ticks, best):
        _set_best(ctx, order.market, order.side, order.ticks, order.id)


def remove_order(ctx: Context, account_id: AccountId, order: RestingOrder) -> None:
    """Take an order out of the book and its account's record."""
    remove_orders(ctx, account_id, [order])


def remove_orders(ctx: Context, account_id: AccountId, removed: list[RestingOrder]) -> None:
    """Take several orders of one account out at once."""
    ids = [order.id for order in removed]
    message = _get_orders_message(ctx, account_id)
    kept = [order for order in message.orders if order.id not in ids]
    _set_orders_message(ctx, account_id, pb.AccountOrders(orders=kept))
    for order in removed:
        _remove_entry(ctx, order)


def _remove_entry(ctx: Context, order: RestingOrder) -> None:
    kv = ctx.kv(STORE)
    kv.delete(_book_key(order.market, order.side, order.ticks, order.id))
    best = kv.get(_best_key(order.market, order.side))
    if best is None or best[8:] != order.id.to_bytes(8, "big"):
        return
    # From behind the removed entry: who starts at the side's front steps over every entry that
    # this block has taken out already.
    start = _book_key(order.market, order.side, order.ticks, order.id)
    first = next(_iterate_side(ctx, order.market, order.side, start), None)
    if first is None:
        kv.delete(_best_key(order.market, order.side))
    else:
        _set_best(ctx, order.market, order.side, first.ticks, first.order_id)


def reduce_order(ctx: Context, account_id: AccountId, order_id: int, steps: int) -> RestingOrder:
    """Take filled steps off a resting order, removing it when nothing is left; the order after."""
    message = _get_orders_message(ctx, account_id)
    stored = next(other for other in message.orders if other.id == order_id)
    assert steps <= stored.remaining_steps
    stored.remaining_steps -= steps
    order = _decode_order(stored)
    if order.remaining_steps == 0:
        remove_order(ctx, account_id, order)
    else:
        _set_orders_message(ctx, account_id, message)
        _set_entry(ctx, account_id, order)
    return order


def _account_key(account_id: AccountId) -> bytes:
    return _ACCOUNT_ORDERS + encode_account_id(account_id)


def _decode_order(message: pb.RestingOrder) -> RestingOrder:
    return RestingOrder(
        id=message.id,
        market=message.market,
        side=_SIDES[message.side],
        ticks=message.ticks,
        remaining_steps=message.remaining_steps,
        size_steps=message.size_steps,
        reduce_only=message.reduce_only,
    )


def _encode_order(order: RestingOrder) -> pb.RestingOrder:
    return pb.RestingOrder(
        id=order.id,
        market=order.market,
        side=cast("pb.Side", order.side.value),
        ticks=order.ticks,
        remaining_steps=order.remaining_steps,
        size_steps=order.size_steps,
        reduce_only=order.reduce_only,
    )


def _get_orders_message(ctx: Context, account_id: AccountId) -> pb.AccountOrders:
    value = ctx.kv(STORE).get(_account_key(account_id))
    return pb.AccountOrders.FromString(value) if value else pb.AccountOrders()


def _set_orders_message(ctx: Context, account_id: AccountId, message: pb.AccountOrders) -> None:
    kv = ctx.kv(STORE)
    if message.orders:
        kv.set(_account_key(account_id), message.SerializeToString(deterministic=True))
    else:
        kv.delete(_account_key(account_id))


def get_account_orders(ctx: Context, account_id: AccountId) -> list[RestingOrder]:
    """The account's resting orders in order of id."""
    return [_decode_order(order) for order in _get_orders_message(ctx, account_id).orders]


def iterate_all_orders(ctx: Context) -> Iterator[tuple[AccountId, RestingOrder]]:
    """All resting orders with their accounts, in order of account."""
    for key, _ in ctx.kv(STORE).iterate(_ACCOUNT_ORDERS):
        account_id = decode_account_id(key[1:])
        for order in get_account_orders(ctx, account_id):
            yield account_id, order


# Counters and fills


def get_next_order_id(ctx: Context) -> int:
    """The id of the next order; the first is 1."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_ORDER) or b"\x01", "big")


def set_next_order_id(ctx: Context, order_id: int) -> None:
    """Set the id of the next order."""
    ctx.kv(STORE).set(_NEXT_ORDER, order_id.to_bytes(8, "big"))


def take_order_id(ctx: Context) -> int:
    """A fresh order id."""
    order_id = get_next_order_id(ctx)
    set_next_order_id(ctx, order_id + 1)
    return order_id


def get_next_fill_id(ctx: Context) -> int:
    """The id of the next fill; the first is 1."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_FILL) or b"\x01", "big")


def set_next_fill_id(ctx: Context, fill_id: int) -> None:
    """Set the id of the next fill."""
    ctx.kv(STORE).set(_NEXT_FILL, fill_id.to_bytes(8, "big"))


def _fill_key(slot: int, market_id: str) -> bytes:
    return _FILL + market_id.encode() + b"\x00" + slot.to_bytes(4, "big")


def add_fill(ctx: Context, fill: pb.Fill, kept: int) -> None:
    """Record a fill in the ring of its market's recent ones, over the oldest."""
    slot = fill.id % max(1, kept)
    ctx.kv(STORE).set(_fill_key(slot, fill.market), fill.SerializeToString(deterministic=True))


def get_fills(ctx: Context, market_id: str) -> list[pb.Fill]:
    """The market's recent fills, newest first; their number is bounded by the parameters."""
    prefix = _FILL + market_id.encode() + b"\x00"
    fills = [pb.Fill.FromString(value) for _, value in ctx.kv(STORE).iterate(prefix)]
    return sorted(fills, key=lambda fill: fill.id, reverse=True)


def delete_fills(ctx: Context, market_id: str, limit: int) -> int:
    """Forget at most `limit` fills of a market; how many."""
    prefix = _FILL + market_id.encode() + b"\x00"
    keys = [key for key, _ in islice(ctx.kv(STORE).iterate(prefix), limit)]
    for key in keys:
        ctx.kv(STORE).delete(key)
    return len(keys)


def iterate_fills(ctx: Context) -> Iterator[pb.Fill]:
    """All kept fills, by market."""
    for _, value in ctx.kv(STORE).iterate(_FILL):
        yield pb.Fill.FromString(value)
