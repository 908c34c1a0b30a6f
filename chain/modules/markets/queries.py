"""Queries of the markets."""

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.markets.v1 import query_pb2 as pb
from chain.errors import ChainError
from chain.modules.accounts import queries as account_queries
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import parse_account_id
from chain.modules.markets import marks, state
from chain.modules.markets.genesis import encode_order
from chain.modules.markets.handlers import encode_placed, parse_order
from chain.modules.markets.matching import place_order
from chain.modules.markets.types import Market, Side
from chain.modules.oracle import state as oracle
from chain.runtime.context import Context
from chain.units import floor_div

DEPTH_DEFAULT = 20
DEPTH_MAX = 100
BOOK_ORDERS_MAX = 2_000
"""Orders looked at for one side of a book query."""
FILLS_DEFAULT = 50
FILLS_MAX = 200


def query_markets(ctx: Context, request: pb.QueryMarketsRequest) -> pb.QueryMarketsResponse:
    """Markets with their states and marks in order of id, all or those of an asset or kind."""
    response = pb.QueryMarketsResponse()
    for listed in state.iterate_market_messages(ctx):
        if request.asset not in ("", listed.asset) or request.kind not in (0, listed.kind):
            continue
        market = state.require_market(ctx, listed.id)
        message = state.encode_market_state(market.id, state.get_market_state(ctx, market.id))
        bid = state.get_best_ticks(ctx, market.id, Side.BUY)
        ask = state.get_best_ticks(ctx, market.id, Side.SELL)
        message.best_bid_wad = str(bid * market.tick_wad) if bid is not None else ""
        message.best_ask_wad = str(ask * market.tick_wad) if ask is not None else ""
        response.markets.append(listed)
        response.states.append(message)
        response.marks.append(_build_mark(ctx, market))
    shown = {market.id for market in response.markets}
    for ramp in state.iterate_ramps(ctx):
        if ramp.market in shown and ctx.time_s < ramp.end_s:
            response.ramps.append(ramp)
    return response


def _build_mark(ctx: Context, market: Market) -> pb.MarketMark:
    price = oracle.get_price(ctx, market.asset)
    if price is None:
        return pb.MarketMark(market=market.id)
    mark = marks.compute_mark(ctx, market, price.price_wad)
    message = pb.MarketMark(
        market=market.id, mark_wad=str(mark.price_wad), spot_wad=str(mark.spot_wad)
    )
    if mark.forward is not None:
        message.forward_wad = str(mark.forward.price_wad)
        message.forward_fixed_wad = str(mark.forward.fixed_wad)
        message.time_to_expiry_s = mark.forward.time_s
        message.is_final = mark.forward.is_final
    if mark.volatility_wad:
        message.volatility_wad = str(mark.volatility_wad)
    return message


def query_settlements(
    ctx: Context, request: pb.QuerySettlementsRequest
) -> pb.QuerySettlementsResponse:
    """How far each expiry with markets is: its window, its average so far, its price."""
    response = pb.QuerySettlementsResponse()
    for expiry in state.iterate_expiries(ctx):
        if request.asset not in ("", expiry.asset):
            continue
        listed = list(state.iterate_expiry_markets(ctx, expiry))
        average = state.get_settlement(ctx, expiry.asset, expiry.time_s)
        mean = floor_div(average.weighted_sum, average.sampled_ns) if average.sampled_ns else 0
        response.settlements.append(
            pb.Settlement(
                asset=expiry.asset,
                expiry_time_s=expiry.time_s,
                window_start_time_ns=marks.compute_window_start_ns(ctx, listed[0]),
                window_ns=marks.compute_window_ns(ctx, listed[0].settlement_window_s),
                sampled_ns=average.sampled_ns,
                average_wad=str(mean) if mean else "",
                price_wad=str(average.price_wad) if average.price_wad else "",
                markets=len(listed),
            )
        )
    return response


def _collect_levels(ctx: Context, market_id: str, side: Side, depth: int) -> list[pb.BookLevel]:
    market = state.require_market(ctx, market_id)
    # [ticks, steps, orders] of each level
    levels: list[list[int]] = []
    for seen, entry in enumerate(state.iterate_book(ctx, market_id, side)):
        if seen >= BOOK_ORDERS_MAX:
            break
        if not levels or levels[-1][0] != entry.ticks:
            if len(levels) == depth:
                break
            levels.append([entry.ticks, 0, 0])
        levels[-1][1] += entry.remaining_steps
        levels[-1][2] += 1
    return [
        pb.BookLevel(
            price_wad=str(ticks * market.tick_wad),
            size_quantums=str(steps * market.step_quantums),
            orders=orders,
        )
        for ticks, steps, orders in levels
    ]


def query_order_book(ctx: Context, request: pb.QueryOrderBookRequest) -> pb.QueryOrderBookResponse:
    """The best levels of both sides; raises UnknownMarket."""
    depth = min(request.depth or DEPTH_DEFAULT, DEPTH_MAX)
    return pb.QueryOrderBookResponse(
        bids=_collect_levels(ctx, request.market, Side.BUY, depth),
        asks=_collect_levels(ctx, request.market, Side.SELL, depth),
    )


def query_orders(ctx: Context, request: pb.QueryOrdersRequest) -> pb.QueryOrdersResponse:
    """An account's resting orders in order of id."""
    account_id = parse_account_id(request.owner, request.number)
    orders = state.get_account_orders(ctx, account_id)
    return pb.QueryOrdersResponse(orders=[encode_order(ctx, account_id, order) for order in orders])


def query_fills(ctx: Context, request: pb.QueryFillsRequest) -> pb.QueryFillsResponse:
    """A market's recent fills, newest first; raises UnknownMarket."""
    state.require_market(ctx, request.market)
    limit = min(request.limit or FILLS_DEFAULT, FILLS_MAX)
    return pb.QueryFillsResponse(fills=state.get_fills(ctx, request.market)[:limit])


def query_positions(ctx: Context, request: pb.QueryPositionsRequest) -> pb.QueryPositionsResponse:
    """An account's positions, all or one market's; empty for an account never opened."""
    account = accounts.get_account(ctx, parse_account_id(request.owner, request.number))
    positions = accounts.encode_account(account).positions if account else []
    kept: list[accounts_pb2.Position] = [
        position for position in positions if request.market in ("", position.market)
    ]
    return pb.QueryPositionsResponse(positions=kept)


def query_simulate_order(
    ctx: Context, request: pb.QuerySimulateOrderRequest
) -> pb.QuerySimulateOrderResponse:
    """What an order would do and the margin before and after; a refusal is part of the answer."""
    account_id = parse_account_id(request.order.owner, request.order.number)
    before = account_queries.explain_margin(ctx, accounts.require_account(ctx, account_id))
    response = pb.QuerySimulateOrderResponse(before=before)
    # A branch over the queried height that is never committed.
    trial = Context(
        chain_id=ctx.chain_id,
        height=ctx.height,
        time_ns=ctx.time_ns,
        store=ctx.store.branch(),
        mode=ctx.mode,
        gas=ctx.gas,
    )
    try:
        order = parse_order(trial, request.order)
        response.result.CopyFrom(encode_placed(order.market, place_order(trial, order)))
    except ChainError as error:
        response.refusal = str(error)
        return response
    after = account_queries.explain_margin(trial, accounts.require_account(trial, account_id))
    response.after.CopyFrom(after)
    return response


def query_params(ctx: Context, request: pb.QueryParamsRequest) -> pb.QueryParamsResponse:
    """The governed parameters."""
    del request
    return pb.QueryParamsResponse(params=state.get_params(ctx))
