"""The bounds of market parameters, and the markets' part of the genesis file."""

from typing import cast

from chain._pb.margin.markets.v1 import markets_pb2 as pb
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import CASH_DENOM, NUMBER_MAX, AccountId
from chain.modules.bank import state as bank
from chain.modules.markets import state
from chain.modules.markets.errors import InvalidMarket
from chain.modules.markets.listing import validate_beside
from chain.modules.markets.params import build_default_params
from chain.modules.markets.state import Expiry
from chain.modules.markets.types import InstrumentKind, MarketState, RestingOrder, Side
from chain.modules.oracle import state as oracle
from chain.runtime.address import decode_address
from chain.runtime.coins import is_denom
from chain.runtime.context import Context
from chain.units import (
    NANOSECONDS,
    PPM,
    WAD,
    Address,
    floor_div,
    parse_amount,
    parse_nonnegative,
    parse_signed,
)

ID_BYTES_MAX = 32
MONEY_LIMIT = 10**30
"""Caps and open interest in uusd are below it."""
VOLATILITY_MAX_WAD = 100 * WAD
EXPIRY_STEP_S = 60
"""Expiries lie on whole minutes."""
WINDOW_S_MIN = 60
WINDOW_S_MAX = 86_400
PRICE_LIMIT = 1 << 120
"""Strikes in WAD are below it."""


def build_default_genesis() -> pb.GenesisState:
    """Default parameters, no markets."""
    return pb.GenesisState(params=build_default_params(), next_order_id=1, next_fill_id=1)


def _require(value: int, low: int, high: int, field: str) -> None:
    if not low <= value <= high:
        raise InvalidMarket(f"{field} {value} must lie within [{low}, {high}]")


def validate_market(ctx: Context, market: pb.Market) -> None:
    """Raise InvalidMarket (or InvalidAmount) at the first bound that is broken.

    Tick and step must make the value of one step at one tick a whole number of uusd: fills are
    exact.
    """
    words = market.id.split("-")
    if not all(word.isascii() and word.isalnum() and word == word.upper() for word in words):
        raise InvalidMarket(f"market id {market.id[:40]!r} must be as ETH-USD")
    _require(len(market.id), 1, ID_BYTES_MAX, "length of the market id")
    if oracle.get_rules(ctx).get_asset(market.asset) is None:
        raise InvalidMarket(f"the oracle does not price asset {market.asset[:40]!r}; add it first")
    if market.status not in (pb.MARKET_STATUS_ACTIVE, pb.MARKET_STATUS_REDUCE_ONLY):
        raise InvalidMarket(f"status {market.status} must be active (1) or reduce-only (2)")
    _require(market.quantum_decimals, 0, 18, "quantum_decimals")
    tick = parse_amount(market.tick_wad, "tick_wad")
    step = parse_amount(market.step_quantums, "step_quantums")
    _require(tick, 1, 10**30, "tick_wad")
    _require(step, 1, 10**30, "step_quantums")
    unit = 10 ** (market.quantum_decimals + 12)
    if tick * step % unit:
        raise InvalidMarket(
            f"tick_wad {tick} times step_quantums {step} must be a multiple of {unit}, so that "
            f"every fill is a whole number of uusd; raise the tick or the step"
        )
    _require(market.maintenance_ppm, 1, PPM, "maintenance_ppm")
    _require(market.initial_ppm, floor_div(market.maintenance_ppm * 5, 4), PPM, "initial_ppm")
    floor = parse_nonnegative(market.volatility_floor_wad, "volatility_floor_wad")
    _require(floor, 0, VOLATILITY_MAX_WAD, "volatility_floor_wad")
    _require(market.horizon_s, 1, 604_800, "horizon_s")
    lower = parse_nonnegative(market.open_interest_lower_uusd, "open_interest_lower_uusd")
    upper = parse_nonnegative(market.open_interest_upper_uusd, "open_interest_upper_uusd")
    largest = parse_nonnegative(market.open_interest_max_uusd, "open_interest_max_uusd")
    _require(largest, 0, MONEY_LIMIT, "open_interest_max_uusd")
    _require(upper, lower, MONEY_LIMIT, "open_interest_upper_uusd")
    _validate_kind(market)
    for field, value in (
        ("maker_fee_ppm", market.maker_fee_ppm),
        ("taker_fee_ppm", market.taker_fee_ppm),
        ("funding_ppm_max", market.funding_ppm_max),
    ):
        _require(value, 0, floor_div(PPM, 20), field)
    _require(market.price_band_ppm, 1, floor_div(PPM, 2), "price_band_ppm")


_KIND_FIELDS = ("expiry_time_s", "strike_wad", "option_kind", "denom", "settlement_window_s")
_FIELDS_OF_KIND = {
    pb.INSTRUMENT_KIND_PERPETUAL: (),
    pb.INSTRUMENT_KIND_SPOT: ("denom",),
    pb.INSTRUMENT_KIND_FUTURE: ("expiry_time_s", "settlement_window_s"),
    pb.INSTRUMENT_KIND_OPTION: (
        *("expiry_time_s", "strike_wad", "option_kind", "settlement_window_s"),
    ),
}


def _validate_kind(market: pb.Market) -> None:
    """Raise InvalidMarket unless the market has what its kind needs, and nothing else."""
    needed = _FIELDS_OF_KIND.get(market.kind)
    if needed is None:
        raise InvalidMarket(
            f"kind {market.kind} must be perpetual (1), spot (2), future (3) or option (4)"
        )
    for field in _KIND_FIELDS:
        if getattr(market, field) and field not in needed:
            raise InvalidMarket(
                f"{field} must be empty: a market of kind {pb.InstrumentKind.Name(market.kind)} "
                f"has none"
            )
    if market.kind != pb.INSTRUMENT_KIND_PERPETUAL:
        _require(market.funding_ppm_max, 0, 0, "funding_ppm_max of a market without funding")
    if "denom" in needed and (not is_denom(market.denom) or market.denom == CASH_DENOM):
        raise InvalidMarket(
            f"denom {market.denom[:130]!r} must be a bank denom, and not the {CASH_DENOM} of cash"
        )
    if "expiry_time_s" in needed:
        if market.expiry_time_s <= 0 or market.expiry_time_s % EXPIRY_STEP_S:
            raise InvalidMarket(
                f"expiry_time_s {market.expiry_time_s} must be a positive multiple of "
                f"{EXPIRY_STEP_S}: whole minutes"
            )
        _require(market.settlement_window_s, WINDOW_S_MIN, WINDOW_S_MAX, "settlement_window_s")
    if "strike_wad" in needed:
        strike = parse_amount(market.strike_wad, "strike_wad")
        _require(strike, 1, PRICE_LIMIT - 1, "strike_wad")
        if market.option_kind not in (pb.OPTION_KIND_CALL, pb.OPTION_KIND_PUT):
            raise InvalidMarket(f"option_kind {market.option_kind} must be call (1) or put (2)")


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Store parameters, markets, orders and fills; raises InvalidMarket."""
    state.set_params(ctx, genesis.params)
    _require(len(genesis.markets), 0, genesis.params.markets_max, "number of markets")
    for market in genesis.markets:
        validate_market(ctx, market)
        if state.get_market(ctx, market.id) is not None:
            raise InvalidMarket(f"market {market.id} is there twice")
        validate_beside(ctx, state.decode_market(market))
        state.set_market(ctx, market)
    for ramp in genesis.ramps:
        _init_ramp(ctx, ramp)
    for message in genesis.states:
        state.require_market(ctx, message.market)
        market_state = MarketState(
            open_interest_quantums=parse_nonnegative(message.open_interest_quantums),
            funding_index_wad=parse_signed(message.funding_index_wad, "funding_index_wad"),
            funding_time_ns=message.funding_time_ns,
            premium_sum_ppm=parse_signed(message.premium_sum_ppm, "premium_sum_ppm"),
            premium_samples=message.premium_samples,
            last_price_wad=parse_nonnegative(message.last_price_wad, "last_price_wad"),
        )
        state.set_market_state(ctx, message.market, market_state)
    for settlement in genesis.settlements:
        _init_settlement(ctx, settlement)
    previous = 0
    for order in genesis.orders:
        _require(order.id, previous + 1, genesis.next_order_id - 1, "order id")
        previous = order.id
        _init_order(ctx, order)
    state.set_next_order_id(ctx, max(1, genesis.next_order_id))
    for fill in genesis.fills:
        state.add_fill(ctx, fill, genesis.params.fills_kept)
    state.set_next_fill_id(ctx, max(1, genesis.next_fill_id))

    _init_positions(ctx)


def _init_ramp(ctx: Context, ramp: pb.MarketRamp) -> None:
    market = state.require_market(ctx, ramp.market)
    if not 0 < ramp.start_s < ramp.end_s:
        raise InvalidMarket(
            f"the ramp of {market.id} from {ramp.start_s} to {ramp.end_s} s must end after it "
            f"starts"
        )
    parse_nonnegative(ramp.volatility_floor_wad, "volatility_floor_wad")
    state.set_ramp(ctx, ramp)


def _init_settlement(ctx: Context, settlement: pb.SettlementAverage) -> None:
    expiry = Expiry(settlement.expiry_time_s, settlement.asset)
    _require(settlement.expiry_time_s, 0, (1 << 62) - 1, "expiry_time_s of a settlement")
    if next(state.iterate_expiry_markets(ctx, expiry), None) is None:
        raise InvalidMarket(
            f"a settlement of {expiry.asset[:40]!r} at {expiry.time_s} has no market to settle"
        )
    parse_nonnegative(settlement.weighted_sum, "weighted_sum")
    parse_nonnegative(settlement.price_wad, "price_wad")
    _require(settlement.sampled_ns, 0, WINDOW_S_MAX * NANOSECONDS, "sampled_ns")
    _require(settlement.sample_time_ns, 0, (1 << 63) - 1, "sample_time_ns")
    state.set_settlement(ctx, expiry.asset, expiry.time_s, state.decode_settlement(settlement))


def _init_positions(ctx: Context) -> None:
    """Find the holders of what expires, and check what is held of spot; accounts come before."""
    held: dict[str, int] = {}
    for account in accounts.iterate_accounts(ctx):
        for market_id, position in account.positions.items():
            market = state.require_market(ctx, market_id)
            if market.is_dated:
                state.set_holder(ctx, market_id, account.id, is_holding=True)
            if market.kind is not InstrumentKind.SPOT:
                continue
            if position.size_quantums < 0 or position.cost_uusd:
                raise InvalidMarket(f"a position in {market_id} must be positive and cost nothing")
            held[market.denom] = held.get(market.denom, 0) + position.size_quantums
    for market in state.iterate_markets_of_kind(ctx, InstrumentKind.SPOT):
        coins = bank.get_balance(ctx, state.MODULE_ADDRESS, market.denom)
        if coins != held.get(market.denom, 0):
            raise InvalidMarket(
                f"the module account {state.MODULE_ADDRESS} holds {coins} {market.denom} and the "
                f"positions in {market.id} come to {held.get(market.denom, 0)}; correct the bank "
                f"balance"
            )


def _init_order(ctx: Context, order: pb.Order) -> None:
    market = state.require_market(ctx, order.market)
    _require(order.number, 0, NUMBER_MAX, "account number")
    if order.side not in (pb.SIDE_BUY, pb.SIDE_SELL):
        raise InvalidMarket(f"side {order.side} of order {order.id} must be buy (1) or sell (2)")
    decode_address(order.owner, "owner")
    ticks, ticks_rest = divmod(parse_amount(order.price_wad, "price_wad"), market.tick_wad)
    step = market.step_quantums
    size, size_rest = divmod(parse_amount(order.size_quantums, "size_quantums"), step)
    left, left_rest = divmod(parse_amount(order.remaining_quantums, "remaining_quantums"), step)
    if ticks_rest or size_rest or left_rest or left > size:
        raise InvalidMarket(f"order {order.id} is off the tick or step of {market.id}")
    _require(ticks, 1, state.TICKS_LIMIT, "price in ticks")
    _require(size, 1, state.STEPS_LIMIT, "size in steps")
    state.insert_order(
        ctx,
        AccountId(Address(order.owner), order.number),
        RestingOrder(
            id=order.id,
            market=order.market,
            side=Side(order.side),
            ticks=ticks,
            remaining_steps=left,
            size_steps=size,
            reduce_only=order.reduce_only,
        ),
    )


def encode_order(ctx: Context, account_id: AccountId, order: RestingOrder) -> pb.Order:
    """A resting order as queries and the genesis file show it."""
    market = state.require_market(ctx, order.market)
    return pb.Order(
        id=order.id,
        market=order.market,
        owner=account_id.owner,
        number=account_id.number,
        side=cast("pb.Side", order.side.value),
        price_wad=str(order.ticks * market.tick_wad),
        size_quantums=str(order.size_steps * market.step_quantums),
        remaining_quantums=str(order.remaining_steps * market.step_quantums),
        reduce_only=order.reduce_only,
    )


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The module's state as a genesis file holds it."""
    resting = sorted(state.iterate_all_orders(ctx), key=lambda pair: pair[1].id)
    orders = [encode_order(ctx, account_id, order) for account_id, order in resting]
    return pb.GenesisState(
        params=state.get_params(ctx),
        markets=list(state.iterate_market_messages(ctx)),
        states=list(state.iterate_market_states(ctx)),
        orders=orders,
        next_order_id=state.get_next_order_id(ctx),
        fills=list(state.iterate_fills(ctx)),
        next_fill_id=state.get_next_fill_id(ctx),
        settlements=list(state.iterate_settlements(ctx)),
        ramps=list(state.iterate_ramps(ctx)),
    )
