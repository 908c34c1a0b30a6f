"""Liquidations of futures, options, base and hedges, to the end, with every identity each block."""

from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain._pb.margin.liquidation.v1 import tx_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.errors import ChainError
from chain.modules.accounts import hooks as accounts_hooks
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, AccountId, AccountStatus, MarginMode, Position
from chain.modules.bank import state as bank
from chain.modules.collateral import hooks as collateral_hooks
from chain.modules.insurance import state as insurance
from chain.modules.insurance.types import MODULE_ADDRESS as INSURANCE_ADDRESS
from chain.modules.liquidation import handlers, state
from chain.modules.liquidation import hooks as liquidation_hooks
from chain.modules.liquidation.positions import Closed, charge_fee, compute_quotes
from chain.modules.liquidation.reductions import CONTRACTS, compute_limits, compute_reductions
from chain.modules.markets import hooks as markets_hooks
from chain.modules.markets import marks
from chain.modules.markets import state as markets
from chain.modules.markets.settlement import apply_fill
from chain.modules.markets.types import InstrumentKind
from chain.modules.scenarios import state as scenarios
from chain.risk.margin import MarginState, compute_position_magnitude_uusd
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
    SELL,
    USD,
    advance,
    deliver,
    deposit,
)
from tests.modules.instruments import (
    CALL,
    ETH_DENOM,
    EXPIRY_S,
    FUTURE,
    PUT,
    SPOT,
    assert_ledger,
    build_future,
    build_option,
    build_put,
    build_spot,
    collect_sizes,
    deposit_base,
    list_market,
    trade,
)
from tests.modules.margin_network import (
    ETH,
    assert_collateral_identity,
    build_network,
    touch_client,
)

ACCOUNT = AccountId(ALICE, 0)
FAR_CALL = "ETH-CALL-2100"
SET = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", stable_asset="USDC")
STANDARD, PORTFOLIO = MarginMode.STANDARD, MarginMode.PORTFOLIO


def build_world(*, mode=STANDARD, collateral=10, insurance_usd=100_000):
    """ALICE has ETH on another chain, BOB and DAVE deep pockets; every kind of market is listed."""
    network = build_network(insurance_usd=insurance_usd)
    ctx = network.hub.ctx
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=SET))
    for market in (
        build_option(),
        build_option(FAR_CALL, 2_100),
        build_put(),
        build_future(),
        build_spot(),
    ):
        list_market(ctx, market)
    network.advance(ETH=2_000, USDC=1)
    if collateral:
        assert network.deposit(collateral * ETH).code == 0
    else:
        accounts.open_account(ctx, ACCOUNT)
    for trader in (BOB, DAVE):
        deposit(ctx, trader, 900_000)
    for trader in (ALICE, BOB, DAVE):
        bank.mint(ctx, trader, ETH_DENOM, 100 * WAD)
    account = get_account(network)
    account.margin_mode = mode
    accounts.set_account(ctx, account)
    network.hub.collect()
    return network


def get_account(network, owner=ALICE):
    return accounts.require_account(network.hub.ctx, AccountId(owner, 0))


def get_held(network, market, owner=ALICE):
    position = get_account(network, owner).positions.get(market)
    return position.size_quantums if position else 0


def get_margin(network, owner=ALICE):
    return accounts_margin.compute_account_margin(network.hub.ctx, get_account(network, owner))


def exchange(network, market, size, cents, seller=ALICE, buyer=BOB):
    trade(network.hub.ctx, seller, market, SELL, size, cents)
    trade(network.hub.ctx, buyer, market, BUY, size, cents)


def sell_straddle(network, ether=6):
    """ALICE is short calls and puts at the money; BOB is long them."""
    for market in (CALL, PUT):
        exchange(network, market, ether * ETHER, 18_500)


def assert_everything(network):
    """Coins behind cash and base, positions that net to zero, holders, supply, collateral."""
    ctx = network.hub.ctx
    assert_ledger(ctx)
    for market in markets.iterate_markets(ctx):
        sizes = collect_sizes(ctx, market).values()
        if market.kind is InstrumentKind.SPOT:
            assert all(size > 0 for size in sizes)
            assert bank.get_balance(ctx, markets.MODULE_ADDRESS, market.denom) == sum(sizes)
        elif not market.is_expired(ctx.time_ns):
            assert sum(sizes) == 0
    assert bank.find_broken_supply(ctx) is None
    assert_collateral_identity(network)


def run_block(network, seconds=1, **prices):
    """A block with the hub's hooks in its order; the identities hold and nothing failed in it."""
    advance(network.hub.ctx, seconds, **prices)
    ctx = network.hub.ctx
    network.spoke.ctx.height += 1
    network.spoke.ctx.time_ns = ctx.time_ns
    touch_client(ctx)
    touch_client(network.spoke.ctx)
    mark = len(ctx.events)
    for hooks in (accounts_hooks, markets_hooks, collateral_hooks, liquidation_hooks):
        hooks.end_block(ctx)
    failed = [event for event in ctx.events[mark:] if event.type.endswith("_failed")]
    assert failed == []
    assert_everything(network)


def run_blocks(network, count, **prices):
    for _ in range(count):
        run_block(network, **prices)


def list_tiers(network):
    return [row.tier for row in state.iterate_history(network.hub.ctx, ACCOUNT)]


def buy_auctions(network, blocks=12, **prices):
    """CAROL buys every lot at the price of the moment, and each is delivered."""
    ctx = network.hub.ctx
    for _ in range(blocks):
        for auction in list(state.iterate_active_auctions(ctx)):
            message = tx_pb2.MsgBid(
                bidder=CAROL,
                auction_id=auction.auction_id,
                amount=auction.lot_amount,
                max_price_ray=str(10**40),
                receiver=CAROL,
            )
            network.hub.collect()
            deliver(ctx, handlers.handle_bid, message)
            (packet,) = [p for p in network.hub.collect() if b"seize-" in p.data]
            network.relay(packet, network.hub, network.spoke)
            assert_everything(network)
        run_block(network, **prices)


@pytest.fixture(scope="module")
def world():
    """A network that nobody changes: branch from it."""
    return build_world()


# Quotes


def build_account(sizes, cash_usd, mode, base_milli=0):
    """An account with contracts bought at what they are worth by and by, and base coins."""
    positions = {
        market: Position(size, size * cost // ETHER) for market, size, cost in sizes if size
    }
    if base_milli:
        positions[SPOT] = Position(base_milli * 10**15)
    return Account(ALICE, 0, cash_usd * USD, positions, margin_mode=mode)


SIZES = st.tuples(*[st.integers(-20, 20).map(lambda steps: steps * ETHER // 4)] * 5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SIZES, st.integers(-20_000, 60_000), st.sampled_from([STANDARD, PORTFOLIO]), st.data())
def test_closing_all_at_the_worst_quotes_with_fees_never_bankrupts(
    world, sizes, cash_usd, mode, data
):
    ctx = world.hub.ctx.branch()
    share = data.draw(st.sampled_from([100_000, 400_000, 1_000_000]))
    market_ids = (CALL, FAR_CALL, PUT, FUTURE, MARKET)
    account = build_account(
        [(market, size, 150 * USD) for market, size in zip(market_ids, sizes, strict=True)],
        cash_usd,
        mode,
        data.draw(st.integers(0, 5_000)),
    )
    accounts.set_account(ctx, account)
    margin = accounts_margin.compute_account_margin(ctx, account, ())
    limits = compute_limits(
        {market: abs(p.size_quantums) for market, p in account.positions.items()}, share
    )
    reductions = compute_reductions(ctx, account, margin, limits, CONTRACTS)
    params = state.PARAMS.get(ctx)
    total = sum(max(0, reduction.freed_uusd) for reduction in reductions)
    left = margin.mark_equity_uusd
    for reduction in reductions:
        quotes = compute_quotes(params, margin, reduction, total)
        assert quotes.bankruptcy_uusd <= quotes.floor_uusd
        if left >= 0:
            assert quotes.floor_uusd <= reduction.value_uusd
        closed = Closed(reduction.size_quantums, quotes.floor_uusd)
        fee = charge_fee(ctx, params, account, closed, quotes.bankruptcy_uusd)
        assert 0 <= fee <= quotes.floor_uusd - quotes.bankruptcy_uusd
        left += quotes.floor_uusd - reduction.value_uusd - fee
    # A unit a position is rounding of values that are floored.
    assert left >= min(0, margin.mark_equity_uusd) - len(reductions)


# Stories


@pytest.mark.parametrize("mode", [STANDARD, PORTFOLIO])
@pytest.mark.parametrize("price", [1_000, 3_000])
def test_a_short_straddle_is_liquidated_to_the_end(mode, price):
    """Nobody bids: insurance takes both legs, the collateral is sold, the fund pays the rest."""
    network = build_world(mode=mode)
    ctx = network.hub.ctx
    sell_straddle(network, 20)
    assert get_margin(network).state is MarginState.HEALTHY
    run_blocks(network, 2, ETH=price, USDC=1)
    assert get_account(network).status is AccountStatus.LOCKED
    sizes = []
    for _ in range(16):
        sizes.append((get_held(network, CALL), get_held(network, PUT)))
        run_block(network, ETH=price, USDC=1)
    for before, after in pairwise(sizes):
        for leg in range(2):
            assert 0 <= after[leg] - before[leg] <= 2 * ETHER
    assert get_account(network).positions == {}
    fund = accounts.require_account(ctx, insurance.POSITION_ACCOUNT)
    assert {fund.positions[CALL].size_quantums, fund.positions[PUT].size_quantums} == {-20 * ETHER}
    buy_auctions(network, ETH=price, USDC=1)
    account = get_account(network)
    assert account.liens == {}
    assert account.cash_uusd == 0
    assert account.status is AccountStatus.ACTIVE
    tiers = list_tiers(network)
    assert tiers == sorted(tiers)
    for tier in (pb.TIER_MARGIN_CALL, pb.TIER_CLOSE, pb.TIER_AUCTION, pb.TIER_INSURANCE):
        assert tier in tiers
    assert insurance.get_balance(ctx) < 100_000 * USD


@pytest.mark.parametrize("mode", [STANDARD, PORTFOLIO])
def test_a_poor_fund_leaves_the_deficit_of_a_straddle(mode):
    network = build_world(mode=mode, insurance_usd=10)
    sell_straddle(network, 20)
    run_blocks(network, 16, ETH=3_500, USDC=1)
    buy_auctions(network, ETH=3_500, USDC=1)
    account = get_account(network)
    assert account.positions == {}
    assert account.liens == {}
    assert account.status is AccountStatus.LOCKED
    deficit = insurance.get_deficit(network.hub.ctx, ACCOUNT)
    assert deficit == -account.cash_uusd > 0
    assert list_tiers(network)[-1] == pb.TIER_DEFICIT


def set_ratio(network, ppm):
    """Take cash out of ALICE's account until its ratio is this; a debt when there is too little."""
    margin = get_margin(network)
    amount = margin.equity_uusd - margin.maintenance_uusd * ppm // 1_000_000
    if amount > 0:
        accounts.debit_cash(network.hub.ctx, ACCOUNT, amount, ALICE)
    else:
        accounts.credit_cash(network.hub.ctx, ACCOUNT, -amount, ALICE)


def quote(network, market, cents, size, side, **prices):
    """DAVE stands ready on one side, at new prices if there are any."""
    if prices:
        advance(network.hub.ctx, **prices)
    trade(network.hub.ctx, DAVE, market, side, size, cents)


@pytest.mark.parametrize("mode", [STANDARD, PORTFOLIO])
def test_reduce_buys_short_options_back_until_the_target_and_no_further(mode):
    network = build_world(mode=mode)
    sell_straddle(network, 20)
    set_ratio(network, 1_050_000)
    for market in (CALL, PUT):
        quote(network, market, 18_200, 100 * ETHER, SELL)
    run_blocks(network, 8, ETH=2_000, USDC=1)
    margin = get_margin(network)
    assert pb.TIER_REDUCE in list_tiers(network)
    assert get_account(network).status is AccountStatus.ACTIVE
    assert margin.equity_uusd * 100 >= margin.maintenance_uusd * 110
    assert margin.equity_uusd * 100 <= margin.maintenance_uusd * 112
    assert -40 * ETHER < get_held(network, CALL) + get_held(network, PUT) < 0


def open_spread(network, mode_ppm):
    """ALICE is short calls, and long calls at a higher strike that cap what they lose."""
    exchange(network, FAR_CALL, 20 * ETHER, 14_000, seller=BOB, buyer=ALICE)
    exchange(network, CALL, 20 * ETHER, 18_500)
    set_ratio(network, mode_ppm)
    quote(network, CALL, 18_200, 100 * ETHER, SELL)


@pytest.mark.parametrize("mode", [STANDARD, PORTFOLIO])
def test_a_hedge_outlives_what_it_hedges(mode):
    network = build_world(mode=mode)
    open_spread(network, 800_000)
    quote(network, FAR_CALL, 14_000, 100 * ETHER, BUY)
    for _ in range(24):
        assert get_held(network, FAR_CALL) >= -get_held(network, CALL)
        run_block(network, ETH=2_000, USDC=1)
    assert get_account(network).positions == {}


@pytest.mark.parametrize("mode", [STANDARD, PORTFOLIO])
def test_a_spread_is_reduced_without_ever_losing_its_hedge(mode):
    network = build_world(mode=mode)
    open_spread(network, 1_050_000)
    quote(network, FAR_CALL, 14_200, 100 * ETHER, BUY)
    for _ in range(8):
        before = get_margin(network)
        run_block(network, ETH=2_000, USDC=1)
        after = get_margin(network)
        assert after.equity_uusd * before.maintenance_uusd >= (
            before.equity_uusd * after.maintenance_uusd
        )
    assert 0 < -get_held(network, CALL) < 20 * ETHER
    hedges = -get_held(network, CALL) if mode is STANDARD else 20 * ETHER
    assert get_held(network, FAR_CALL) == hedges
    assert after.equity_uusd * 100 >= after.maintenance_uusd * 110


def test_half_of_a_spread_is_not_bought_when_the_other_half_finds_no_bid():
    """Under standard margin the short alone costs more equity than it frees: neither is closed."""
    network = build_world(mode=STANDARD)
    open_spread(network, 1_050_000)
    run_blocks(network, 5, ETH=2_000, USDC=1)
    assert get_held(network, FAR_CALL) == -get_held(network, CALL) == 20 * ETHER
    assert get_account(network).status is AccountStatus.ACTIVE
    assert get_held(network, CALL, DAVE) == 0


def test_a_future_is_closed_at_its_forward_and_not_at_the_spot():
    network = build_world()
    ctx = network.hub.ctx
    carried = scenarios_pb2.Underlying()
    carried.CopyFrom(SET)
    carried.rate_wad = str(WAD)
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=carried))
    exchange(network, FUTURE, 30 * ETHER, 216_000, seller=BOB, buyer=ALICE)
    set_ratio(network, 900_000)
    forward = get_margin(network).positions[0].price_wad
    assert forward > 2_160 * WAD
    run_blocks(network, 18, ETH=2_000, USDC=1)
    fund = accounts.require_account(ctx, insurance.POSITION_ACCOUNT)
    position = fund.positions[FUTURE]
    assert position.size_quantums == 30 * ETHER
    paid = Fraction(position.cost_uusd, 30 * USD)
    assert 2_000 < Fraction(forward, WAD) * 95 / 100 < paid < Fraction(forward, WAD)


# Base


def test_base_is_sold_for_a_debt_alone_and_at_a_discount_at_most():
    """The perpetual goes first; then as much base as the debt needs, and the rest stays."""
    network = build_world(collateral=0)
    ctx = network.hub.ctx
    deposit_base(ctx, ALICE, 10 * WAD)
    exchange(network, MARKET, 40 * ETHER, 200_000, seller=BOB, buyer=ALICE)
    quote(network, MARKET, 165_000, 100 * ETHER, BUY, ETH=1_650)
    quote(network, SPOT, 164_000, 100 * WAD, BUY)
    run_blocks(network, 30, ETH=1_650, USDC=1)
    account = get_account(network)
    assert account.status is AccountStatus.ACTIVE
    assert 0 < account.positions[SPOT].size_quantums < 10 * WAD
    assert get_held(network, SPOT, DAVE) == 10 * WAD - account.positions[SPOT].size_quantums
    margin = get_margin(network)
    debt = -account.cash_uusd
    assert debt <= 0 or margin.base_uusd * 100 >= debt * 125


@pytest.mark.parametrize("insurance_usd", [100_000, 1_000, 0])
def test_base_that_nobody_buys_goes_to_the_fund_as_far_as_it_can_pay(insurance_usd):
    network = build_world(collateral=1, insurance_usd=insurance_usd)
    ctx = network.hub.ctx
    deposit_base(ctx, ALICE, 10 * WAD)
    exchange(network, MARKET, 40 * ETHER, 200_000, seller=BOB, buyer=ALICE)
    quote(network, MARKET, 140_000, 100 * ETHER, BUY, ETH=1_500)
    run_blocks(network, 30, ETH=1_500, USDC=1)
    buy_auctions(network, ETH=1_500, USDC=1)
    account = get_account(network)
    fund = accounts.get_account(ctx, insurance.POSITION_ACCOUNT)
    taken = fund.positions[SPOT].size_quantums if fund and SPOT in fund.positions else 0
    assert get_held(network, SPOT) == 10 * WAD - taken
    if insurance_usd == 100_000:
        assert account.status is AccountStatus.ACTIVE
        assert taken > 0
        # A discount of at most the auction's bonus, never more than the mark.
        entries = insurance.iterate_entries(ctx)
        bought = insurance.pb.ENTRY_KIND_POSITION_LOSS
        paid = sum(int(entry.amount_uusd) for entry in entries if entry.kind == bought)
        assert paid < Fraction(taken, WAD) * 1_500 * USD + 1
    else:
        assert account.status is AccountStatus.LOCKED
        assert insurance.get_deficit(ctx, ACCOUNT) == -account.cash_uusd > 0
        assert account.liens == {}
    # The fund works out what it holds once somebody bids its mark.
    if taken:
        quote(network, SPOT, 150_000, 50 * WAD, BUY)
        run_blocks(network, 3, ETH=1_500, USDC=1)
        assert get_held(network, SPOT, DAVE) > 0


def test_a_base_bid_that_lacks_cash_is_cancelled_and_not_filled():
    network = build_world(collateral=0)
    ctx = network.hub.ctx
    deposit_base(ctx, ALICE, 10 * WAD)
    deposit(ctx, CAROL, 1_000)
    trade(ctx, CAROL, SPOT, BUY, WAD // 2, 181_000)
    accounts.debit_cash(ctx, AccountId(CAROL, 0), 900 * USD, CAROL)
    exchange(network, MARKET, 40 * ETHER, 200_000, seller=BOB, buyer=ALICE)
    quote(network, MARKET, 165_000, 100 * ETHER, BUY, ETH=1_650)
    run_blocks(network, 24, ETH=1_650, USDC=1)
    assert get_held(network, SPOT, CAROL) == 0
    assert get_account(network, CAROL).cash_uusd == 100 * USD
    assert markets.get_account_orders(ctx, AccountId(CAROL, 0)) == []


# Expiry in the middle


@pytest.mark.parametrize("blocks_before", range(0, 9, 2))
def test_a_market_may_expire_in_the_middle_of_a_case(blocks_before):
    """What is left settles by itself, once; the case goes on to the debt."""
    network = build_world(mode=STANDARD)
    ctx = network.hub.ctx
    sell_straddle(network, 20)
    exchange(network, MARKET, 5 * ETHER, 200_000, seller=BOB, buyer=ALICE)
    last = EXPIRY_S * NANOSECONDS - ctx.time_ns
    run_block(network, last // NANOSECONDS - 2 * blocks_before - 2, ETH=2_000, USDC=1)
    set_ratio(network, 500_000)
    for _ in range(blocks_before):
        run_block(network, 2, ETH=2_400, USDC=1)
    held = get_held(network, CALL)
    assert held == -20 * ETHER + 2 * ETHER * max(0, blocks_before - 2)
    for _ in range(26):
        run_block(network, 2, ETH=2_400, USDC=1)
    for market in (CALL, PUT):
        assert markets.get_market(ctx, market) is None
        assert get_held(network, market) == 0
    assert get_account(network).positions == {}
    fund = accounts.get_account(ctx, insurance.POSITION_ACCOUNT)
    assert fund is None or {*fund.positions} <= {MARKET}
    buy_auctions(network, ETH=2_400, USDC=1)
    assert get_account(network).status is AccountStatus.ACTIVE


def test_a_locked_account_waits_for_what_expired_and_says_so_once():
    network = build_world()
    ctx = network.hub.ctx
    params = markets.pb.Params()
    params.CopyFrom(markets.get_params(ctx))
    params.settled_per_block_max = 1
    markets.set_params(ctx, params)
    sell_straddle(network, 20)
    for number in range(1, 5):
        trader = encode_address(bytes([100 + number]) * 20)
        bank.mint(ctx, trader, "uusd", 10_000 * USD)
        deposit(ctx, trader, 10_000)
        exchange(network, CALL, ETHER, 18_500, seller=trader)
    wait_s = EXPIRY_S - ctx.time_ns // NANOSECONDS - 1
    run_block(network, wait_s, ETH=2_000, USDC=1)
    set_ratio(network, 500_000)
    run_blocks(network, 30, ETH=2_000, USDC=1)
    rows = list(state.iterate_history(ctx, ACCOUNT))
    assert [row.reason for row in rows].count("waits: the positions left expired and settle") <= 1
    assert get_account(network).positions == {}


# A gap over many accounts


@pytest.mark.parametrize("mode", [STANDARD, PORTFOLIO])
@pytest.mark.parametrize("price", [1_000, 3_000])
def test_a_gap_over_accounts_with_options_conserves_every_unit(mode, price):
    network = build_world(collateral=0)
    ctx = network.hub.ctx
    owners = [encode_address(bytes([50 + index]) * 20) for index in range(12)]
    for index, owner in enumerate(owners):
        bank.mint(ctx, owner, "uusd", 8_000 * USD)
        bank.mint(ctx, owner, ETH_DENOM, 100 * WAD)
        deposit(ctx, owner, 6_000)
        account = accounts.require_account(ctx, AccountId(owner, 0))
        account.margin_mode = mode
        accounts.set_account(ctx, account)
        if index % 3 == 0:
            deposit_base(ctx, owner, WAD)
        legs = [(CALL, 18_500), (PUT, 18_500), (FUTURE, 200_000), (MARKET, 200_000)]
        for place, (market, cents) in enumerate(legs):
            if (index >> place % 3) & 1:
                parties = {"seller": owner} if (index + place) % 2 else {"seller": BOB}
                parties["buyer"] = BOB if parties["seller"] == owner else owner
                exchange(network, market, (1 + index % 4) * ETHER, cents, **parties)
    supply = bank.get_supply(ctx, "uusd"), bank.get_supply(ctx, ETH_DENOM)
    for _ in range(30):
        run_block(network, ETH=price, USDC=1)
    assert supply == (bank.get_supply(ctx, "uusd"), bank.get_supply(ctx, ETH_DENOM))
    locked = [a for a in accounts.iterate_accounts(ctx) if a.status is AccountStatus.LOCKED]
    assert all({*account.positions} <= {SPOT} for account in locked)
    handled = {case.owner for case in state.iterate_cases(ctx)} | {
        owner for owner in owners if next(state.iterate_history(ctx, AccountId(owner, 0)), None)
    }
    assert handled
    deficits = sum(int(row.amount_uusd) for row in insurance.iterate_deficits(ctx))
    assert deficits == sum(max(0, -account.cash_uusd) for account in locked)


def test_visits_of_a_block_are_bounded_by_the_positions_they_margin(monkeypatch):
    """Who is not reached in one block is first in the next: nobody is left out."""
    network = build_world(collateral=0)
    ctx = network.hub.ctx
    owners = [encode_address(bytes([50 + index]) * 20) for index in range(6)]
    for owner in owners:
        bank.mint(ctx, owner, "uusd", 8_000 * USD)
        deposit(ctx, owner, 8_000)
        exchange(network, MARKET, 20 * ETHER, 200_000, seller=BOB, buyer=owner)
    monkeypatch.setattr(liquidation_hooks, "_WORK_MAX", 3)
    quote(network, MARKET, 170_000, 200 * ETHER, BUY, ETH=1_700)
    run_block(network, ETH=1_700, USDC=1)
    shrunk = [get_held(network, MARKET, owner) < 20 * ETHER for owner in owners]
    assert sum(shrunk) == 2
    run_blocks(network, 2, ETH=1_700, USDC=1)
    assert all(get_held(network, MARKET, owner) < 20 * ETHER for owner in owners)
    run_blocks(network, 40, ETH=1_700, USDC=1)
    assert all(get_held(network, MARKET, owner) == 0 for owner in owners)


def test_a_full_account_of_the_fund_has_a_next_one():
    """The fund's accounts stay within the lines of any account, are margined, and work out."""
    network = build_world()
    ctx = network.hub.ctx
    for market, cents in ((CALL, 18_500), (PUT, 18_500), (FAR_CALL, 14_000)):
        exchange(network, market, 4 * ETHER, cents)
    exchange(network, MARKET, 2 * ETHER, 200_000)
    params = accounts_pb2.Params()
    params.CopyFrom(accounts.get_params(ctx))
    params.positions_max = 2
    accounts.set_params(ctx, params)
    set_ratio(network, 500_000)
    run_blocks(network, 16, ETH=2_000, USDC=1)
    held = [dict(fund.positions) for fund in insurance.iterate_position_accounts(ctx)]
    assert [len(positions) for positions in held] == [2, 2]
    assert sorted({**held[0], **held[1]}) == sorted([CALL, PUT, FAR_CALL, MARKET])
    assert {p.size_quantums for each in held for p in each.values()} == {-4 * ETHER, -2 * ETHER}
    cases = [case.owner for case in state.iterate_cases(ctx)]
    assert INSURANCE_ADDRESS not in cases
    params.positions_max = 64  # DAVE quotes in four markets.
    accounts.set_params(ctx, params)
    for market, cents in ((CALL, 18_200), (PUT, 18_200), (FAR_CALL, 14_000), (MARKET, 200_000)):
        quote(network, market, cents, 50 * ETHER, SELL)
    run_blocks(network, 16, ETH=2_000, USDC=1)  # A tenth of what is left a block.
    left = [dict(fund.positions) for fund in insurance.iterate_position_accounts(ctx)]
    assert all(abs(p.size_quantums) < ETHER for each in left for p in each.values())


def give(network, market_id, size):
    """A position of ALICE's against BOB at its mark, whatever margin says."""
    ctx = network.hub.ctx
    market = markets.require_market(ctx, market_id)
    mark = marks.compute_mark(ctx, market, 2_000 * WAD)
    value = compute_position_magnitude_uusd(size, mark.price_wad, market.quantum_decimals)
    pair = [get_account(network), get_account(network, BOB)]
    buyer, seller = pair if size > 0 else reversed(pair)
    apply_fill(ctx, market, buyer, seller, abs(size), value)
    for account in pair:
        accounts.set_account(ctx, account)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=SIZES,
    path=st.lists(st.sampled_from([1_000, 1_500, 1_900, 2_100, 2_500, 3_000]), min_size=1),
    mode=st.sampled_from([STANDARD, PORTFOLIO]),
    bidder=st.booleans(),
)
@example(  # Only base is left when the debt begins: it is handed over before a tier was reached.
    sizes=(-1_750_000, -2_750_000, -5_000_000, 3_000_000, -500_000),
    path=[1_500, 1_900, 3_000, 2_500, 3_000],
    mode=STANDARD,
    bidder=True,
)
def test_any_portfolio_on_any_path_is_liquidated_without_losing_a_unit(sizes, path, mode, bidder):
    """Every block of it holds every identity, fails nothing and closes a tenth at most."""
    network = build_world(mode=mode, collateral=3)
    ctx = network.hub.ctx
    deposit_base(ctx, ALICE, 3 * WAD)
    for market, size in zip((CALL, FAR_CALL, PUT, FUTURE, MARKET), sizes, strict=True):
        if size:
            give(network, market, size)
    supply = bank.get_supply(ctx, "uusd")
    for block in range(20):
        price = path[block % len(path)]
        if bidder and block % 3 == 0:
            advance(ctx, ETH=price, USDC=1)
            with suppress(ChainError):
                quote(network, MARKET, price * 100, 5 * ETHER, BUY)
        before = {m: abs(p.size_quantums) for m, p in get_account(network).positions.items()}
        run_block(network, ETH=price, USDC=1)
        after = {m: abs(p.size_quantums) for m, p in get_account(network).positions.items()}
        for market, size in before.items():
            opening = 3 * WAD if market == SPOT else 5 * ETHER
            assert 0 <= size - after.get(market, 0) <= opening // 10
    assert bank.get_supply(ctx, "uusd") == supply
    tiers = list_tiers(network)
    ended = [place for place, tier in enumerate(tiers) if tier == pb.TIER_ENDED]
    for start, end in pairwise([-1, *ended]):
        assert tiers[start + 1 : end + 1] == sorted(tiers[start + 1 : end + 1])


def test_no_block_passes_without_a_visit_when_the_cases_fill_it_exactly(monkeypatch):
    """Round robin goes on from the first case in the same block, and visits none of them twice."""
    network = build_world(collateral=0)
    ctx = network.hub.ctx
    params = pb.Params()
    params.CopyFrom(state.PARAMS.get(ctx))
    params.cases_per_block_max = 2
    state.PARAMS.set(ctx, params)
    owners = [encode_address(bytes([50 + index]) * 20) for index in range(3)]
    for owner in owners:
        bank.mint(ctx, owner, "uusd", 8_000 * USD)
        deposit(ctx, owner, 8_000)
        exchange(network, MARKET, 20 * ETHER, 200_000, seller=BOB, buyer=owner)
    run_block(network, ETH=1_700, USDC=1)
    visited = []
    monkeypatch.setattr(
        liquidation_hooks.cases, "visit", lambda _, case: visited.append((ctx.height, case.owner))
    )
    run_blocks(network, 6, ETH=1_700, USDC=1)
    by_height = {}
    for height, owner in visited:
        by_height.setdefault(height, []).append(owner)
    assert all(len({*seen}) == 2 for seen in by_height.values())
    assert len(by_height) == 6
    assert {owner: [o for _, o in visited].count(owner) for owner in owners} == dict.fromkeys(
        owners, 4
    )
