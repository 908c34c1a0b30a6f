from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain.modules.accounts import genesis as accounts_genesis
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import AccountNotFound
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.markets import expiry, genesis, handlers, marks, state
from chain.modules.markets.errors import MarketExpired, UnknownMarket
from chain.modules.markets.settlement import apply_fill
from chain.modules.markets.types import SettlementAverage
from chain.risk.margin import MarginState
from chain.runtime.address import encode_address
from chain.units import NANOSECONDS, WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    ETHER,
    MARKET,
    NOW,
    SELL,
    USD,
    advance,
    agree,
    build_economy,
    deliver,
    get_account,
    set_step_bound,
)
from tests.modules.instruments import (
    CALL,
    EXPIRY_S,
    FUTURE,
    PUT,
    SPOT,
    WINDOW_S,
    advance_to,
    assert_ledger,
    build_future,
    build_instruments,
    build_option,
    build_put,
    end_block,
    trade,
)

OPEN_S = EXPIRY_S - WINDOW_S
SETTLED_EVENTS = ("position_settled", "order_cancelled", "market_settled")


def set_limit(ctx, limit):
    params = markets_pb2.Params()
    params.CopyFrom(state.get_params(ctx))
    params.settled_per_block_max = limit
    state.set_params(ctx, params)


def list_events(ctx, kind):
    return [dict(event.attributes) for event in ctx.events if event.type == kind]


def average_to(ctx, usd, step_s=300):
    """Blocks through the whole window at one price, up to the block at the expiry."""
    for time_s in range(OPEN_S, EXPIRY_S, step_s):
        advance_to(ctx, time_s, ETH=usd)
    advance_to(ctx, EXPIRY_S, ETH=usd)


# Price


def test_a_sample_covers_the_time_since_the_last_one_within_the_window():
    average = SettlementAverage()
    for now, price in ((90, 7), (110, 10), (140, 20), (250, 40)):
        expiry.apply_sample(average, price, start_ns=100, end_ns=200, now_ns=now)
    assert average.weighted_sum == 10 * 10 + 30 * 20 + 60 * 40
    assert (average.sampled_ns, average.sample_time_ns) == (100, 250)
    assert expiry.compute_settlement_price_wad(average, 99) == 31


def test_time_without_a_price_is_part_of_no_mean():
    average = SettlementAverage()
    for now, price in ((110, 10), (160, 0), (200, 20)):
        expiry.apply_sample(average, price, start_ns=100, end_ns=200, now_ns=now)
    assert (average.weighted_sum, average.sampled_ns) == (10 * 10 + 40 * 20, 50)


def test_the_first_price_serves_where_nothing_was_sampled():
    assert expiry.compute_settlement_price_wad(SettlementAverage(), 5) == 5
    assert expiry.compute_settlement_price_wad(SettlementAverage(), 0) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 80), st.one_of(st.just(0), st.integers(1, 2**120))), max_size=20
    )
)
def test_the_mean_is_that_of_the_prices_and_covers_no_more_than_the_window(samples):
    average, now, exact, covered = SettlementAverage(), 60, 0, 0
    last = 100
    for step, price in samples:
        now += step
        expiry.apply_sample(average, price, start_ns=100, end_ns=400, now_ns=now)
        upto = min(400, now)
        if price and upto > last:
            exact += price * (upto - last)
            covered += upto - last
        last = max(last, upto)
    assert average.sampled_ns == covered <= 300
    settled = expiry.compute_settlement_price_wad(average, 0)
    if covered:
        assert settled <= Fraction(exact, covered) < settled + 1
        prices = [price for _, price in samples if price]
        assert min(prices) <= settled <= max(prices)
    else:
        assert settled == 0


def test_a_call_is_listed_traded_and_settled_in_cash():
    ctx = build_instruments()
    trade(ctx, ALICE, CALL, SELL, 3 * ETHER, 5_000)
    trade(ctx, BOB, CALL, BUY, 2 * ETHER, 5_000)
    assert get_account(ctx, BOB).positions[CALL].cost_uusd == 100 * USD
    average_to(ctx, 2_100)
    assert_ledger(ctx)
    assert state.get_market(ctx, CALL) is None
    fee = 100 * USD * 700 // 10**6
    alice, bob = get_account(ctx, ALICE), get_account(ctx, BOB)
    assert alice.cash_uusd + bob.cash_uusd == 200_000 * USD - fee
    # Bought two at 50, paid out two times 100.
    assert bob.cash_uusd == 100_000 * USD + 2 * 100 * USD - 2 * 50 * USD - 50_000
    assert not alice.positions
    assert not bob.positions
    assert not state.get_account_orders(ctx, alice.id)
    assert list_events(ctx, "settlement_price") == [
        {
            "asset": "ETH",
            "expiry_time_s": str(EXPIRY_S),
            "price_wad": str(2_100 * WAD),
            "sampled_ns": str(WINDOW_S * NANOSECONDS),
        }
    ]
    assert [event["market"] for event in list_events(ctx, "market_settled")] == [FUTURE, CALL, PUT]
    # Perpetual and spot go on.
    assert [market.id for market in state.iterate_markets(ctx)] == [SPOT, MARKET]


def test_the_settlement_price_is_the_mean_of_the_window():
    ctx = build_instruments(build_future())
    trade(ctx, ALICE, FUTURE, SELL, ETHER, 200_000)
    trade(ctx, BOB, FUTURE, BUY, ETHER, 200_000)
    before = get_account(ctx, BOB).cash_uusd
    advance_to(ctx, OPEN_S - 10, ETH=2_000)
    advance_to(ctx, OPEN_S + WINDOW_S // 4, ETH=2_040)
    assert marks.compute_forward(ctx, state.require_market(ctx, FUTURE), 2_040 * WAD) == (
        marks.Forward(2_040 * WAD * 3 // 4, 2_040 * WAD // 4, WINDOW_S * 3 // 4 // 60 * 60)
    )
    advance_to(ctx, EXPIRY_S + 5, ETH=2_080)
    (price,) = list_events(ctx, "settlement_price")
    assert int(price["price_wad"]) == (2_040 + 3 * 2_080) * WAD // 4
    assert get_account(ctx, BOB).cash_uusd - before == 70 * USD


def test_a_price_too_old_to_liquidate_on_is_no_sample():
    ctx = build_instruments(build_future())
    advance_to(ctx, OPEN_S + 600, ETH=2_000)
    advance_to(ctx, OPEN_S + 1_700)
    assert state.get_settlement(ctx, "ETH", EXPIRY_S).sampled_ns == 600 * NANOSECONDS
    advance_to(ctx, OPEN_S + 1_750, ETH=2_050)
    average = state.get_settlement(ctx, "ETH", EXPIRY_S)
    assert average.sampled_ns == 650 * NANOSECONDS
    advance_to(ctx, EXPIRY_S + 3_600)
    (price,) = list_events(ctx, "settlement_price")
    assert int(price["price_wad"]) == (600 * 2_000 + 50 * 2_050) * WAD // 650


def test_a_price_that_still_moves_by_bounded_steps_is_a_sample():
    ctx = build_instruments(build_future())
    advance_to(ctx, OPEN_S, ETH=2_000)
    advance(ctx, 60, ETH=2_000)
    set_step_bound(ctx)
    end_block(ctx)
    assert state.get_settlement(ctx, "ETH", EXPIRY_S).sampled_ns == 60 * NANOSECONDS


def test_without_a_sample_the_first_usable_price_settles():
    ctx = build_instruments(build_option())
    trade(ctx, ALICE, CALL, SELL, ETHER, 5_000)
    trade(ctx, BOB, CALL, BUY, ETHER, 5_000)
    for time_s in (OPEN_S + 1, EXPIRY_S, EXPIRY_S + 7_200):
        advance_to(ctx, time_s)
        assert state.get_settlement(ctx, "ETH", EXPIRY_S).price_wad == 0
        assert get_account(ctx, BOB).positions
    advance_to(ctx, EXPIRY_S + 7_260, ETH=1_900)
    (price,) = list_events(ctx, "settlement_price")
    assert (price["price_wad"], price["sampled_ns"]) == (str(1_900 * WAD), "0")
    assert not get_account(ctx, BOB).positions


def test_the_final_mark_is_the_payoff():
    ctx = build_instruments(build_option(), build_put(), build_future())
    set_limit(ctx, 1)
    trade(ctx, ALICE, CALL, SELL, ETHER, 5_000)
    average_to(ctx, 2_150)
    for market_id, payoff in ((CALL, 150), (PUT, 0)):
        mark = marks.compute_mark(ctx, state.require_market(ctx, market_id), 2_500 * WAD)
        assert mark.price_wad == payoff * WAD
        assert mark.forward is not None
        assert mark.forward.is_final


# Settlement


def test_put_and_future_settle_at_their_payoffs():
    ctx = build_instruments(build_put(), build_future())
    trade(ctx, ALICE, PUT, SELL, ETHER, 9_000)
    trade(ctx, BOB, PUT, BUY, ETHER, 9_000)
    trade(ctx, BOB, FUTURE, SELL, ETHER, 200_000)
    trade(ctx, CAROL, FUTURE, BUY, ETHER, 200_000)
    cash = {owner: get_account(ctx, owner).cash_uusd for owner in (ALICE, BOB, CAROL)}
    average_to(ctx, 1_800)
    change = {owner: get_account(ctx, owner).cash_uusd - cash[owner] for owner in cash}
    assert change == {
        ALICE: (90 - 200) * USD,
        BOB: (200 - 90 + 200) * USD,
        CAROL: -200 * USD,
    }
    assert_ledger(ctx)


def test_nothing_of_a_settled_market_stays_in_the_store():
    ctx = build_instruments(build_option())
    untouched = {key for key in ctx.store.net_writes()["markets"] if b"CALL" not in key}
    trade(ctx, ALICE, CALL, SELL, 2 * ETHER, 5_000)
    trade(ctx, BOB, CALL, BUY, ETHER, 5_000)
    average_to(ctx, 2_100)
    left = {
        key
        for key, value in ctx.store.net_writes()["markets"].items()
        if value is not None and key not in untouched
    }
    # The perpetual's funding began in between.
    assert left == {b"\x02" + MARKET.encode()}
    assert CALL not in dict(accounts.iterate_funding_pools(ctx))


def test_no_order_is_taken_at_or_after_the_expiry():
    ctx = build_instruments(build_option())
    set_limit(ctx, 1)
    trade(ctx, ALICE, CALL, SELL, 2 * ETHER, 5_000)
    trade(ctx, BOB, CALL, BUY, ETHER, 5_000)
    advance_to(ctx, EXPIRY_S - 1, ETH=2_000)
    trade(ctx, BOB, CALL, SELL, ETHER, 5_100)
    advance(ctx, 1, ETH=2_000)
    for kwargs in ({}, {"reduce_only": True}, {"tif": NOW}):
        with pytest.raises(MarketExpired, match="expired"):
            trade(ctx, BOB, CALL, SELL, ETHER, 5_000, **kwargs)
    orders = state.get_account_orders(ctx, AccountId(BOB, 0))
    msg = tx_pb2.MsgCancelOrder(owner=BOB, order_id=orders[0].id)
    deliver(ctx, handlers.handle_cancel_order, msg)
    for _ in range(6):
        end_block(ctx)
        advance(ctx, 1)
    with pytest.raises(UnknownMarket):
        trade(ctx, BOB, CALL, SELL, ETHER, 5_000)


def test_a_block_settles_no_more_than_its_share():
    ctx = build_instruments(build_option(), build_put())
    set_limit(ctx, 2)
    for market in (CALL, PUT):
        trade(ctx, ALICE, market, SELL, 5 * ETHER, 9_000)
        for owner in (BOB, CAROL, DAVE):
            trade(ctx, owner, market, BUY, ETHER, 9_000)
    advance_to(ctx, OPEN_S, ETH=2_100)
    ctx.events.clear()
    advance_to(ctx, EXPIRY_S, ETH=2_100)
    blocks = 1
    while state.get_market(ctx, PUT) is not None:
        done = [event for event in ctx.events if event.type in SETTLED_EVENTS]
        assert len(done) <= 2
        assert_ledger(ctx)
        ctx.events.clear()
        advance(ctx, 1)
        end_block(ctx)
        blocks += 1
    # Each market: an order, four holders, three fills, itself.
    assert blocks == 2 * 9 // 2
    assert_ledger(ctx)


def test_orders_of_both_sides_share_the_bound():
    ctx = build_instruments(build_option())
    set_limit(ctx, 3)
    for _ in range(2):
        trade(ctx, ALICE, CALL, SELL, ETHER, 20_000)
        trade(ctx, BOB, CALL, BUY, ETHER, 5_000)
    advance(ctx, EXPIRY_S - ctx.time_s, ETH=2_000)
    ctx.events.clear()
    expiry.end_block(ctx)
    assert len(list_events(ctx, "order_cancelled")) == 3
    assert state.get_market(ctx, CALL) is not None
    expiry.end_block(ctx)
    assert len(list_events(ctx, "order_cancelled")) == 4
    assert state.get_market(ctx, CALL) is None


def test_positions_under_liquidation_settle_too():
    ctx = build_instruments(build_option())
    trade(ctx, ALICE, CALL, SELL, ETHER, 5_000)
    trade(ctx, BOB, CALL, BUY, ETHER, 5_000)
    accounts.lock_account(ctx, AccountId(ALICE, 0))
    average_to(ctx, 2_300)
    alice = get_account(ctx, ALICE)
    assert not alice.positions
    assert alice.cash_uusd == 100_000 * USD + 50 * USD - 10_000 - 300 * USD
    assert_ledger(ctx)


def test_a_holder_that_fails_is_left_and_the_others_settle(monkeypatch):
    ctx = build_instruments(build_option())
    trade(ctx, ALICE, CALL, SELL, 2 * ETHER, 5_000)
    for owner in (BOB, CAROL):
        trade(ctx, owner, CALL, BUY, ETHER, 5_000)
    get = accounts.require_account

    def fail(ctx, account_id):
        if account_id.owner == BOB:
            raise AccountNotFound("broken")
        return get(ctx, account_id)

    advance_to(ctx, OPEN_S + 1, ETH=2_100)
    advance(ctx, WINDOW_S, ETH=2_100)
    with monkeypatch.context() as patch:
        patch.setattr(accounts, "require_account", fail)
        expiry.end_block(ctx)
        (failed,) = list_events(ctx, "settlement_failed")
        assert (failed["owner"], failed["codespace"]) == (BOB, "accounts")
        assert list(state.iterate_holders(ctx, CALL)) == [AccountId(BOB, 0)]
        assert state.get_market(ctx, CALL) is not None
    assert_ledger(ctx)
    advance(ctx, 1)
    end_block(ctx)
    assert state.get_market(ctx, CALL) is None
    assert_ledger(ctx)


def export(ctx):
    return accounts_genesis.export_genesis(ctx), genesis.export_genesis(ctx)


def test_an_export_in_the_middle_goes_on_where_it_stopped():
    ctx = build_instruments(build_option(), build_future())
    set_limit(ctx, 2)
    for market, price in ((CALL, 9_000), (FUTURE, 200_000)):
        trade(ctx, ALICE, market, SELL, 5 * ETHER, price)
        for owner in (BOB, CAROL, DAVE):
            trade(ctx, owner, market, BUY, ETHER, price)
    advance_to(ctx, OPEN_S + 77, ETH=2_100)
    stop_s = {OPEN_S + 77, EXPIRY_S, EXPIRY_S + 2}
    for time_s in (OPEN_S + 77, EXPIRY_S, EXPIRY_S + 1, EXPIRY_S + 2):
        advance_to(ctx, time_s, ETH=2_150)
        if time_s not in stop_s:
            continue
        exported = export(ctx)
        fresh = build_economy()
        for store in ("accounts", "markets", "bank"):
            fresh.store.net_writes()[store].clear()
        bank.mint(
            fresh,
            accounts.MODULE_ADDRESS,
            "uusd",
            bank.get_balance(ctx, accounts.MODULE_ADDRESS, "uusd"),
        )
        fresh.height, fresh.time_ns = ctx.height, ctx.time_ns
        accounts_genesis.init_genesis(fresh, exported[0])
        genesis.init_genesis(fresh, exported[1])
        agree(fresh, ETH=2_150)
        assert export(fresh) == exported
        twin = ctx.branch()
        for _ in range(12):
            for context in (twin, fresh):
                advance(context, 1)
                expiry.end_block(context)
        assert export(fresh) == export(twin)
        assert bool(list(state.iterate_expiries(fresh))) is (time_s < EXPIRY_S)


SIZES = st.integers(-(10**7), 10**7).filter(bool)
FILLS = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 4), st.sampled_from([CALL, PUT, FUTURE]), SIZES
    ).map(lambda fill: (fill[0], (fill[0] + 1 + fill[1]) % 6, fill[2], fill[3])),
    min_size=1,
    max_size=12,
)
OWNERS = [encode_address(bytes([40 + index]) * 20) for index in range(6)]


@settings(max_examples=60, deadline=None)
@given(FILLS, st.integers(1, 5_000 * 10**6), st.integers(1, 9), st.integers(0, 10**9))
def test_expiry_creates_nothing_and_rounds_for_nobody(fills, price_micro, limit, premium):
    ctx = build_instruments(build_option(), build_put(), build_future())
    set_limit(ctx, limit)
    for owner in OWNERS:
        accounts.open_account(ctx, AccountId(owner, 0))
    for first, second, market_id, size in fills:
        pair = [get_account(ctx, OWNERS[index]) for index in (first, second)]
        buyer, seller = pair if size > 0 else reversed(pair)
        apply_fill(ctx, state.require_market(ctx, market_id), buyer, seller, abs(size), premium)
        for account in pair:
            accounts.set_account(ctx, account)
    assert_ledger(ctx)
    price_wad = price_micro * WAD // 10**6
    exact = {}
    for owner in OWNERS:
        account = get_account(ctx, owner)
        exact[owner] = account.cash_uusd
        for market_id, position in account.positions.items():
            payoff = marks.compute_payoff_wad(state.require_market(ctx, market_id), price_wad)
            value = position.size_quantums * payoff * USD // (ETHER * WAD)
            exact[owner] += value - position.cost_uusd
    ctx.time_ns = EXPIRY_S * NANOSECONDS
    state.set_settlement(ctx, "ETH", EXPIRY_S, SettlementAverage(price_wad=price_wad))
    holders = sum(1 for m in state.iterate_markets(ctx) for _ in state.iterate_holders(ctx, m.id))
    items = holders + 3
    fees = accounts.get_accrued_fees(ctx)
    for _ in range(-(-items // limit)):
        ctx.events.clear()
        expiry.end_block(ctx)
        assert sum(event.type in SETTLED_EVENTS for event in ctx.events) <= limit
        assert_ledger(ctx)
    assert not list(state.iterate_expiries(ctx))
    cash = {owner: get_account(ctx, owner).cash_uusd for owner in OWNERS}
    assert cash == exact
    gained = accounts.get_accrued_fees(ctx) - fees
    # Nobody had cash before: what all have now and the floors are nothing in sum.
    assert sum(cash.values()) + gained == 0
    assert 0 <= gained <= holders


def test_who_settles_below_zero_is_found_in_the_next_block():
    ctx = build_instruments(build_option(), usd=3_000)
    trade(ctx, ALICE, CALL, SELL, 5 * ETHER, 5_000)
    trade(ctx, BOB, CALL, BUY, 5 * ETHER, 5_000)
    # The price jumps within the last block before the expiry.
    advance_to(ctx, EXPIRY_S - WINDOW_S, ETH=2_000)
    advance(ctx, WINDOW_S, ETH=3_000)
    expiry.end_block(ctx)
    account = get_account(ctx, ALICE)
    assert account.cash_uusd < 0
    assert not account.positions
    assert accounts.get_margin_state(ctx, account.id)[0] is MarginState.HEALTHY
    advance(ctx, 1, ETH=3_000)
    end_block(ctx)
    assert accounts.get_margin_state(ctx, account.id)[0] is MarginState.BANKRUPT
    assert_ledger(ctx)
