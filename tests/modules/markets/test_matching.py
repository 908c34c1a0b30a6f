import pytest

from chain._pb.margin.markets.v1 import query_pb2, tx_pb2
from chain.errors import ChainError
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import (
    AccountLocked,
    AccountNotFound,
    InsufficientMargin,
    TooManyLines,
)
from chain.modules.accounts.types import AccountId
from chain.modules.markets import queries, state
from chain.modules.markets.errors import (
    InvalidOrder,
    NoLiquidity,
    OpenInterestLimit,
    OrderNotFound,
    PostOnlyWouldTrade,
    PriceOutOfBand,
    ReduceOnly,
    SelfTrade,
    TooManyOrders,
    UnknownMarket,
)
from chain.modules.markets.handlers import (
    handle_cancel_all,
    handle_cancel_order,
    handle_place_order,
)
from chain.modules.markets.types import Side
from chain.modules.oracle.errors import PriceNotUsable
from chain.risk.margin import MarginState
from chain.units import InvalidAmount
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    ETHER,
    MARKET,
    NOW,
    POST,
    SELL,
    USD,
    advance,
    assert_identities,
    build_economy,
    build_market,
    deliver,
    deposit,
    get_account,
    order,
    place,
    set_step_bound,
)


@pytest.fixture
def ctx():
    context = build_economy()
    for trader in (ALICE, BOB, CAROL):
        deposit(context, trader, 100_000)
    return context


def snapshot(ctx):
    return {store: dict(writes) for store, writes in ctx.store.net_writes().items()}


def assert_refused(ctx, error, *args, **kwargs):
    before, events = snapshot(ctx), list(ctx.events)
    with pytest.raises(error) as caught:
        place(ctx, *args, **kwargs)
    assert caught.value.detail
    assert snapshot(ctx) == before
    assert ctx.events == events
    return caught.value


def get_book(ctx, depth=100):
    return queries.query_order_book(
        ctx, query_pb2.QueryOrderBookRequest(market=MARKET, depth=depth)
    )


def test_best_price_then_oldest_fills_first_at_the_resting_price(ctx):
    first = place(ctx, ALICE, SELL, ETHER, 200_100)
    second = place(ctx, BOB, SELL, ETHER, 200_000)
    third = place(ctx, ALICE, SELL, ETHER, 200_000)
    result = place(ctx, CAROL, BUY, 2 * ETHER + ETHER // 2, 200_200)
    assert result.filled_quantums == str(2 * ETHER + ETHER // 2)
    fills = queries.query_fills(ctx, query_pb2.QueryFillsRequest(market=MARKET)).fills
    assert [fill.maker_order_id for fill in reversed(fills)] == [
        second.order_id,
        third.order_id,
        first.order_id,
    ]
    assert [fill.price_wad[:4] for fill in reversed(fills)] == ["2000", "2000", "2001"]
    assert get_account(ctx, CAROL).positions[MARKET].cost_uusd == 2_000_000_000 * 2 + 1_000_500_000
    assert_identities(ctx)


def test_rest_of_a_limit_order_stays_in_the_book(ctx):
    place(ctx, ALICE, SELL, ETHER, 200_000)
    result = place(ctx, BOB, BUY, 3 * ETHER, 200_000)
    assert (result.filled_quantums, result.resting_quantums) == (str(ETHER), str(2 * ETHER))
    book = get_book(ctx)
    assert not book.asks
    assert [(level.size_quantums, level.orders) for level in book.bids] == [(str(2 * ETHER), 1)]
    assert_identities(ctx)


def test_fees_go_to_the_fee_account(ctx):
    place(ctx, ALICE, SELL, ETHER, 200_000)
    result = place(ctx, BOB, BUY, ETHER, tif=NOW)
    assert result.fee_uusd == str(1 * USD)
    assert accounts.get_accrued_fees(ctx) == 1 * USD + 400_000
    assert get_account(ctx, BOB).cash_uusd == 100_000 * USD - 1 * USD
    assert_identities(ctx)


def test_market_order_takes_what_is_there(ctx):
    place(ctx, ALICE, SELL, ETHER, 200_000)
    result = place(ctx, BOB, BUY, 2 * ETHER, tif=NOW)
    assert result.filled_quantums == str(ETHER)
    assert result.resting_quantums == "0"
    assert result.ended_because == "nothing left within the limit"
    assert not get_book(ctx).bids


def test_book_levels_keep_the_best_after_every_removal(ctx):
    ids = [place(ctx, ALICE, BUY, ETHER, 199_000 + index).order_id for index in range(4)]
    for expected, order_id in ((199_003, ids[3]), (199_002, ids[2])):
        assert state.get_best_ticks(ctx, MARKET, Side.BUY) == expected
        msg = tx_pb2.MsgCancelOrder(owner=ALICE, order_id=order_id)
        deliver(ctx, handle_cancel_order, msg)
    assert state.get_best_ticks(ctx, MARKET, Side.BUY) == 199_001
    deliver(ctx, handle_cancel_all, tx_pb2.MsgCancelAll(owner=ALICE))
    assert state.get_best_ticks(ctx, MARKET, Side.BUY) is None
    assert not list(state.iterate_book(ctx, MARKET, Side.BUY))
    assert not state.get_account_orders(ctx, AccountId(ALICE, 0))


def test_reduce_only_closes_and_never_flips(ctx):
    place(ctx, ALICE, SELL, 2 * ETHER, 200_000)
    place(ctx, BOB, BUY, 2 * ETHER, tif=NOW)
    place(ctx, CAROL, BUY, 5 * ETHER, 200_000)
    result = place(ctx, BOB, SELL, 5 * ETHER, tif=NOW, reduce_only=True)
    assert result.filled_quantums == str(2 * ETHER)
    assert result.ended_because == "position closed"
    assert MARKET not in get_account(ctx, BOB).positions
    assert_identities(ctx)


def test_resting_reduce_only_order_is_cancelled_when_the_position_is_gone(ctx):
    place(ctx, ALICE, SELL, ETHER, 200_000)
    place(ctx, BOB, BUY, ETHER, tif=NOW)
    place(ctx, BOB, SELL, ETHER, 200_500, reduce_only=True)
    place(ctx, CAROL, BUY, ETHER, 200_000)
    place(ctx, BOB, SELL, ETHER, tif=NOW)
    ctx.events.clear()
    assert_identities(ctx)
    place(ctx, CAROL, BUY, ETHER, 200_500)
    cancelled = [event for event in ctx.events if event.type == "order_cancelled"]
    assert dict(cancelled[0].attributes)["reason"] == "reduce-only"
    assert not get_book(ctx).asks


def test_maker_without_margin_is_cancelled_and_matching_goes_on(ctx):
    deposit(ctx, DAVE, 450)
    place(ctx, DAVE, SELL, 2 * ETHER, 200_000)
    place(ctx, ALICE, SELL, 2 * ETHER, 200_100)
    # Cash lost elsewhere leaves the maker unable to carry its order.
    account = get_account(ctx, DAVE)
    accounts.debit_cash(ctx, account.id, 400 * USD, DAVE)
    result = place(ctx, BOB, BUY, 2 * ETHER, 200_200)
    assert result.filled_quantums == str(2 * ETHER)
    assert MARKET not in get_account(ctx, DAVE).positions
    reasons = [
        dict(event.attributes)["reason"] for event in ctx.events if event.type == "order_cancelled"
    ]
    assert reasons == ["margin"]
    assert_identities(ctx)


def test_taker_stops_where_its_margin_ends(ctx):
    deposit(ctx, DAVE, 450)
    for _ in range(4):
        place(ctx, ALICE, SELL, ETHER, 200_000)
    result = place(ctx, DAVE, BUY, 4 * ETHER, tif=NOW)
    assert result.ended_because == "margin"
    assert 0 < int(result.filled_quantums) < 4 * ETHER
    after = margin.compute_account_margin(ctx, get_account(ctx, DAVE))
    assert after.equity_initial_uusd >= after.initial_uusd
    assert_identities(ctx)


def test_open_orders_count_at_their_worst(ctx):
    deposit(ctx, DAVE, 450)
    place(ctx, DAVE, BUY, ETHER, 200_000)
    place(ctx, DAVE, SELL, ETHER, 200_100)
    refusal = assert_refused(ctx, InsufficientMargin, DAVE, BUY, 5 * ETHER, 200_000)
    assert "deposit" in refusal.detail


def test_work_of_one_order_is_bounded(ctx):
    params = state.get_params(ctx).__class__()
    params.CopyFrom(state.get_params(ctx))
    params.fills_max = 3
    state.set_params(ctx, params)
    for _ in range(5):
        place(ctx, ALICE, SELL, ETHER, 200_000)
    result = place(ctx, BOB, BUY, 5 * ETHER, 200_000)
    assert result.filled_quantums == str(3 * ETHER)
    assert (result.resting_quantums, result.ended_because) == ("0", "fills of one order")


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        (UnknownMarket, {"market": "BTC-USD"}),
        (InvalidOrder, {"side": 0}),
        (InvalidOrder, {"side": 7}),
        (InvalidOrder, {"time_in_force": 0}),
        (InvalidOrder, {"price_wad": ""}),
        (InvalidOrder, {"price_wad": str(2_000 * 10**18 + 1)}),
        (InvalidOrder, {"size_quantums": "999"}),
        (InvalidOrder, {"size_quantums": str(10**60)}),
        (InvalidAmount, {"size_quantums": "0"}),
        (InvalidAmount, {"size_quantums": "-1000"}),
        (InvalidAmount, {"size_quantums": "1e3"}),
        (InvalidAmount, {"size_quantums": str(2**256)}),
        (InvalidAmount, {"price_wad": "0"}),
        (InvalidAmount, {"price_wad": "-1"}),
        (PriceOutOfBand, {"price_wad": str(10**16)}),
        (PriceOutOfBand, {"price_wad": str(2_201 * 10**18)}),
        (AccountNotFound, {"number": 5}),
        (ChainError, {"number": 128}),
        (ChainError, {"owner": "nobody"}),
    ],
)
def test_bad_order_is_refused_and_leaves_nothing(ctx, error, changes):
    msg = order(ALICE, BUY, ETHER, 200_000)
    for field, value in changes.items():
        setattr(msg, field, value)
    before = snapshot(ctx)
    with pytest.raises(error) as caught:
        deliver(ctx, handle_place_order, msg)
    assert caught.value.detail
    assert snapshot(ctx) == before


def test_order_beyond_margin_is_refused(ctx):
    deposit(ctx, DAVE, 100)
    assert_refused(ctx, InsufficientMargin, DAVE, BUY, 10 * ETHER, 200_000)


def test_self_trade_is_refused_over_sub_accounts(ctx):
    deposit(ctx, ALICE, 1_000, number=1)
    place(ctx, ALICE, SELL, ETHER // 10, 200_000)
    assert_refused(ctx, SelfTrade, ALICE, BUY, ETHER // 10, 200_000, number=1)


def test_post_only_never_trades(ctx):
    place(ctx, ALICE, SELL, ETHER, 200_000)
    assert_refused(ctx, PostOnlyWouldTrade, BOB, BUY, ETHER, 200_000, tif=POST)
    assert place(ctx, BOB, BUY, ETHER, 199_999, tif=POST).resting_quantums == str(ETHER)


def test_market_order_in_an_empty_book(ctx):
    assert_refused(ctx, NoLiquidity, BOB, BUY, ETHER, tif=NOW)


def test_reduce_only_without_a_position(ctx):
    assert_refused(ctx, ReduceOnly, BOB, SELL, ETHER, 200_000, reduce_only=True)


def test_reduce_only_state_takes_no_new_risk(ctx):
    accounts.set_margin_state(ctx, AccountId(BOB, 0), MarginState.REDUCE_ONLY, 1)
    assert_refused(ctx, ReduceOnly, BOB, BUY, ETHER, 200_000)


def test_reduce_only_market(ctx):
    state.set_market(ctx, build_market(status=2))
    assert_refused(ctx, ReduceOnly, BOB, BUY, ETHER, 200_000)


def test_locked_account(ctx):
    accounts.lock_account(ctx, AccountId(BOB, 0))
    assert_refused(ctx, AccountLocked, BOB, BUY, ETHER, 200_000)


def test_orders_of_an_account_are_bounded(ctx):
    for index in range(50):
        place(ctx, ALICE, BUY, 1_000, 199_000 + index)
    assert_refused(ctx, TooManyOrders, ALICE, BUY, 1_000, 199_000)


def test_markets_of_an_account_are_bounded(ctx):
    params = accounts.get_params(ctx).__class__()
    params.CopyFrom(accounts.get_params(ctx))
    params.positions_max = 1
    accounts.set_params(ctx, params)
    state.set_market(ctx, build_market(id="ETH2-USD"))
    place(ctx, ALICE, BUY, ETHER, 199_000)
    msg = order(ALICE, BUY, ETHER, 199_000)
    msg.market = "ETH2-USD"
    with pytest.raises(TooManyLines):
        deliver(ctx, handle_place_order, msg)
    place(ctx, ALICE, BUY, ETHER, 199_000)


def test_open_interest_cap():
    ctx = build_economy(market=build_market(open_interest_max_uusd=str(3_000 * USD)))
    for trader in (ALICE, BOB):
        deposit(ctx, trader, 100_000)
    place(ctx, ALICE, SELL, 2 * ETHER, 200_000)
    assert_refused(ctx, OpenInterestLimit, BOB, BUY, 2 * ETHER, 200_000)
    assert place(ctx, BOB, BUY, ETHER, 200_000).filled_quantums == str(ETHER)


def test_stale_price_may_reduce_never_add(ctx):
    place(ctx, ALICE, SELL, ETHER, 200_000)
    place(ctx, BOB, BUY, ETHER, tif=NOW)
    place(ctx, CAROL, BUY, ETHER, 200_000)
    advance(ctx, 31)
    assert_refused(ctx, PriceNotUsable, CAROL, BUY, ETHER, 200_000)
    assert place(ctx, BOB, SELL, ETHER, tif=NOW, reduce_only=True).filled_quantums == str(ETHER)


def test_moving_price_takes_no_new_risk(ctx):
    set_step_bound(ctx)
    assert_refused(ctx, PriceNotUsable, BOB, BUY, ETHER, 200_000)


def test_reduction_at_a_give_away_price_is_refused_below_initial_margin(ctx):
    deposit(ctx, DAVE, 450)
    place(ctx, ALICE, SELL, 2 * ETHER, 200_000)
    place(ctx, DAVE, BUY, 2 * ETHER, tif=NOW)
    advance(ctx, 1, ETH=1_900, USDC=1)
    assert margin.find_initial_shortfall(
        ctx, margin.compute_account_margin(ctx, get_account(ctx, DAVE))
    )
    place(ctx, CAROL, BUY, 2 * ETHER, 172_000)
    assert_refused(ctx, InsufficientMargin, DAVE, SELL, 2 * ETHER, tif=NOW, reduce_only=True)
    place(ctx, CAROL, BUY, 2 * ETHER, 189_900)
    result = place(ctx, DAVE, SELL, 2 * ETHER, 189_900, reduce_only=True)
    assert result.filled_quantums == str(2 * ETHER)
    assert_identities(ctx)


@pytest.mark.parametrize("owner", [BOB, ALICE])
def test_cancel_of_what_is_not_there_or_somebody_elses(ctx, owner):
    placed = place(ctx, ALICE, BUY, ETHER, 199_000)
    wrong = placed.order_id if owner == BOB else placed.order_id + 1
    with pytest.raises(OrderNotFound):
        deliver(ctx, handle_cancel_order, tx_pb2.MsgCancelOrder(owner=owner, order_id=wrong))
    assert len(state.get_account_orders(ctx, AccountId(ALICE, 0))) == 1


def test_simulation_tells_margin_before_and_after_and_writes_nothing(ctx):
    place(ctx, ALICE, SELL, ETHER, 200_000)
    before = snapshot(ctx)
    answer = queries.query_simulate_order(
        ctx, query_pb2.QuerySimulateOrderRequest(order=order(BOB, BUY, ETHER, tif=NOW))
    )
    assert answer.result.filled_quantums == str(ETHER)
    assert answer.before.maintenance_uusd == "0"
    assert int(answer.after.maintenance_uusd) > 100 * USD
    assert not answer.refusal
    refused = queries.query_simulate_order(
        ctx, query_pb2.QuerySimulateOrderRequest(order=order(BOB, SELL, 10_000 * ETHER, 200_100))
    )
    assert "insufficient margin" in refused.refusal
    assert snapshot(ctx) == before
