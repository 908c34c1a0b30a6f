"""A desk's questions about accounts with options, futures and base."""

from dataclasses import replace

import pytest

from chain._pb.margin.desk.v1 import query_pb2 as pb
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.errors import ChainError
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, MarginMode
from chain.modules.bank import state as bank
from chain.modules.desk import greeks, probing, queries
from chain.modules.markets.errors import InsufficientBase, InvalidOrder, OpenInterestLimit
from chain.modules.markets.settlement import apply_fill
from chain.modules.markets.state import require_market
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.runtime.errors import InvalidRequest
from chain.units import PPM, WAD
from tests.modules.economy import ALICE, BOB, BUY, ETHER, MARKET, NOW, SELL, USD, advance, deposit
from tests.modules.instruments import (
    CALL,
    ETH_DENOM,
    EXPIRY_S,
    FUTURE,
    PUT,
    SPOT,
    WINDOW_S,
    build_future,
    build_option,
    build_put,
    build_spot,
    deposit_base,
    list_market,
    trade,
)
from tests.modules.margin_network import build_network

ACCOUNT = AccountId(ALICE, 0)
LOW_CALL, HIGH_CALL = "ETH-CALL-1960", "ETH-CALL-2040"
MODES = pytest.mark.parametrize("mode", [MarginMode.STANDARD, MarginMode.PORTFOLIO])


@pytest.fixture
def ctx():
    """A market of each kind, ETH at 2,000 carried at 10 % a year, cash and coins for two."""
    context = build_network().hub.ctx
    underlying = scenarios_pb2.Underlying(
        asset="ETH", preset="pmrm21", stable_asset="USDC", rate_wad=str(WAD // 10)
    )
    scenarios.set_underlying_state(context, scenarios_pb2.UnderlyingState(current=underlying))
    options = [build_option(LOW_CALL, 1_960), build_option(HIGH_CALL, 2_040)]
    for market in (build_option(), build_put(), build_future(), build_spot(), *options):
        list_market(context, market)
    for owner in (ALICE, BOB):
        deposit(context, owner, 500_000)
        bank.mint(context, owner, ETH_DENOM, 100 * WAD)
    context.events.clear()
    return context


def take_state(ctx):
    stores = ("accounts", "markets", "oracle", "collateral", "bank")
    return {store: list(ctx.kv(store).iterate()) for store in stores}


def exchange(ctx, market, size, cents, seller=ALICE):
    buyer = BOB if seller == ALICE else ALICE
    trade(ctx, seller, market, SELL, size, cents)
    trade(ctx, buyer, market, BUY, size, cents)


def open_book(ctx, mode):
    """ALICE: short 10 calls, long 5 puts, 3 futures, a perpetual sold, 2 ETH of base."""
    account = accounts.require_account(ctx, ACCOUNT)
    account.margin_mode = mode
    accounts.set_account(ctx, account)
    deposit_base(ctx, ALICE, 2 * WAD)
    exchange(ctx, CALL, 10 * ETHER, 19_000)
    exchange(ctx, PUT, 5 * ETHER, 18_000, seller=BOB)
    exchange(ctx, FUTURE, 3 * ETHER, 201_000, seller=BOB)
    exchange(ctx, MARKET, ETHER, 200_000)


def get_margin(ctx, owner=ALICE):
    return margin.compute_account_margin(ctx, accounts.require_account(ctx, AccountId(owner, 0)))


def compute_worth(ctx, price_wad=None, volatility_ppm=0):
    """What ALICE's account is worth at marks, when the price or the volatility is another."""
    child = ctx.branch()
    if price_wad:
        probing.set_price(child, "ETH", price_wad)
    queries._apply_move(child, queries.Move("ETH", 0, volatility_ppm))
    return get_margin(child).mark_equity_uusd


def ask_greeks(ctx):
    (row,) = greeks.query_greeks(ctx, pb.QueryGreeksRequest(owner=ALICE)).underlyings
    return row


def simulate(ctx, **fields):
    return queries.query_simulate(ctx, pb.QuerySimulateRequest(owner=ALICE, **fields))


# Greeks


@MODES
def test_greeks_are_the_slopes_of_what_the_account_is_worth(ctx, mode):
    open_book(ctx, mode)
    row = ask_greeks(ctx)
    worth = {usd: compute_worth(ctx, usd * WAD) for usd in (1_990, 2_000, 2_010)}
    slope = (worth[2_010] - worth[1_990]) / (20 * USD)
    assert int(row.delta_wad) / WAD == pytest.approx(slope, rel=1e-3)
    curve = (worth[2_010] + worth[1_990] - 2 * worth[2_000]) / (100 * USD)
    assert int(row.gamma_wad) / WAD == pytest.approx(curve, rel=1e-3)
    # The volatility moves by 1 % of 80 %.
    shaken = (compute_worth(ctx, None, 10_000) - compute_worth(ctx, None, -10_000)) / USD
    assert int(row.vega_wad) / WAD * 0.016 == pytest.approx(shaken, rel=1e-3)
    later = ctx.branch()
    later.time_ns += 3_600 * 10**9
    probing.set_price(later, "ETH", 2_000 * WAD)
    passed = (get_margin(later).mark_equity_uusd - worth[2_000]) / USD
    assert int(row.theta_wad) / WAD / (365 * 24) == pytest.approx(passed, rel=1e-2)
    dearer = ctx.branch()
    moved = scenarios_pb2.Underlying(
        asset="ETH", preset="pmrm21", stable_asset="USDC", rate_wad=str(WAD // 10 + WAD // 1_000)
    )
    scenarios.set_underlying_state(dearer, scenarios_pb2.UnderlyingState(current=moved))
    carried = (get_margin(dearer).mark_equity_uusd - worth[2_000]) / USD
    assert int(row.rho_wad) / WAD / 1_000 == pytest.approx(carried, rel=1e-2)


def test_greeks_do_not_depend_on_the_margin_mode(ctx):
    open_book(ctx, MarginMode.STANDARD)
    before = ask_greeks(ctx)
    account = accounts.require_account(ctx, ACCOUNT)
    account.margin_mode = MarginMode.PORTFOLIO
    accounts.set_account(ctx, account)
    assert ask_greeks(ctx) == before


# Simulation


def test_base_and_orders_of_every_kind_are_what_the_chain_then_does(ctx):
    for market, size, cents in (
        (CALL, 4 * ETHER, 19_000),
        (FUTURE, 2 * ETHER, 201_000),
    ):
        trade(ctx, BOB, market, SELL, size, cents)
    trade(ctx, BOB, SPOT, BUY, 3 * WAD, 200_000)
    trade(ctx, BOB, PUT, BUY, 5 * ETHER, 18_000)
    ctx.events.clear()
    before = take_state(ctx)
    orders = [
        f"{CALL},buy,{4 * ETHER},{190 * WAD}",
        f"{FUTURE},buy,{2 * ETHER}",
        f"{SPOT},sell,{2 * WAD}",
        f"{PUT},sell,{5 * ETHER}",
        f"{SPOT},sell,{9 * WAD}",
    ]
    answer = simulate(ctx, base=[f"{SPOT},{3 * WAD}"], orders=orders)
    assert take_state(ctx) == before
    assert ctx.events == []
    filled = [order.filled_quantums for order in answer.orders]
    assert filled[:4] == [str(4 * ETHER), str(2 * ETHER), str(2 * WAD), str(5 * ETHER)]
    assert "promised" in answer.orders[4].refusal
    deposit_base(ctx, ALICE, 3 * WAD)
    trade(ctx, ALICE, CALL, BUY, 4 * ETHER, 19_000)
    for market, side, size in ((FUTURE, BUY, 2 * ETHER), (SPOT, SELL, 2 * WAD)):
        trade(ctx, ALICE, market, side, size, tif=NOW)
    trade(ctx, ALICE, PUT, SELL, 5 * ETHER, tif=NOW)
    done = get_margin(ctx)
    assert answer.after.equity_uusd == str(done.equity_uusd)
    assert answer.after.maintenance_uusd == str(done.maintenance_uusd)
    assert answer.after.initial_uusd == str(done.initial_uusd)


def test_base_may_be_taken_out_of_a_simulation_and_moves_price_options_anew(ctx):
    open_book(ctx, MarginMode.PORTFOLIO)
    before = get_margin(ctx)
    less = simulate(ctx, base=[f"{SPOT},{-WAD}"]).after
    assert int(less.base_uusd) == before.base_uusd - 2_000 * USD
    moved = simulate(ctx, moves=["ETH,100000,200000"]).after
    child = ctx.branch()
    probing.set_price(child, "ETH", 2_200 * WAD)
    record = oracle.get_volatility_record(child, "ETH")
    volatility = record.volatility_wad * 12 // 10
    oracle.set_volatility_record(child, "ETH", replace(record, volatility_wad=volatility))
    expected = get_margin(child)
    assert moved.equity_uusd == str(expected.equity_uusd)
    assert moved.maintenance_uusd == str(expected.maintenance_uusd)
    assert expected.equity_uusd != before.equity_uusd


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (SPOT, InvalidRequest),
        (f"{SPOT},1,2", InvalidRequest),
        (f"{SPOT},NaN", ChainError),
        (f"{SPOT},1e5", ChainError),
        (f"{CALL},1", InvalidOrder),
        ("nothing,1", ChainError),
        (f"{SPOT},{-3 * WAD}", InsufficientBase),
        (f"{SPOT},{10**9 * WAD}", OpenInterestLimit),
        (f"{SPOT},{2**256}", ChainError),
    ],
)
def test_bad_base_is_refused(ctx, text, error):
    open_book(ctx, MarginMode.STANDARD)
    before = take_state(ctx)
    with pytest.raises(error):
        simulate(ctx, base=[text])
    assert take_state(ctx) == before


def test_base_counts_among_the_steps(ctx):
    with pytest.raises(InvalidRequest):
        simulate(ctx, base=[f"{SPOT},1"] * 33)


# The risk matrix


@MODES
def test_every_cell_prices_every_instrument_anew(ctx, mode):
    open_book(ctx, mode)
    answer = queries.query_risk_matrix(ctx, pb.QueryRiskMatrixRequest(owner=ALICE))
    now = get_margin(ctx)
    assert list(answer.assets) == ["ETH"]
    for cell in answer.cells:
        price_wad = 2_000 * WAD * (PPM + int(cell.price_move_ppm)) // PPM
        worth = compute_worth(ctx, price_wad, int(cell.volatility_move_ppm))
        assert int(cell.mark_equity_uusd) == worth
        assert int(cell.mark_equity_change_uusd) == worth - now.mark_equity_uusd
    calm, _, wild = (cell for cell in answer.cells if cell.price_move_ppm == "0")
    # Short calls weigh more than long puts: the account loses when volatility rises.
    assert int(wild.mark_equity_uusd) < now.mark_equity_uusd < int(calm.mark_equity_uusd)


# Liquidation prices


def give(ctx, owner, market_id, size, uusd):
    """A position at a price, whatever margin says."""
    market = require_market(ctx, market_id)
    pair = [accounts.require_account(ctx, AccountId(name, 0)) for name in (owner, BOB)]
    buyer, seller = pair if size > 0 else reversed(pair)
    apply_fill(ctx, market, buyer, seller, abs(size), uusd)
    for account in pair:
        accounts.set_account(ctx, account)


def set_excess(ctx, usd):
    """Pay cash in or out until equity is this far above the requirement."""
    found = get_margin(ctx)
    account = accounts.require_account(ctx, ACCOUNT)
    account.cash_uusd += usd * USD - found.excess_uusd
    accounts.set_account(ctx, account)


def ask_prices(ctx):
    request = pb.QueryLiquidationPricesRequest(owner=ALICE)
    (row,) = queries.query_liquidation_prices(ctx, request).prices
    return row


def is_below_at(ctx, price_wad):
    child = ctx.branch()
    probing.set_price(child, "ETH", price_wad)
    return probing.is_below_requirement(get_margin(child))


@MODES
def test_a_short_straddle_has_two_prices_each_exact(ctx, mode):
    account = accounts.require_account(ctx, ACCOUNT)
    account.margin_mode = mode
    accounts.set_account(ctx, account)
    for market in (CALL, PUT):
        give(ctx, ALICE, market, -20 * ETHER, 20 * 190 * USD)
    set_excess(ctx, 4_000)
    row = ask_prices(ctx)
    unit = 10**12
    below, above = int(row.below_wad), int(row.above_wad)
    assert 1_000 * WAD < below < 2_000 * WAD < above < 3_000 * WAD
    assert is_below_at(ctx, below)
    assert is_below_at(ctx, above)
    assert not is_below_at(ctx, below + unit)
    assert not is_below_at(ctx, above - unit)


def test_a_dip_at_a_strike_between_two_rungs_is_found(ctx):
    """Near its expiry a short butterfly loses at its middle strike, and nowhere else."""
    for market, size in ((LOW_CALL, -20), (CALL, 40), (HIGH_CALL, -20)):
        give(ctx, ALICE, market, size * ETHER, 0)
    advance(ctx, EXPIRY_S - WINDOW_S - 60 - ctx.time_s, ETH=1_900, USDC=1)
    account = accounts.require_account(ctx, ACCOUNT)
    probe = probing.PriceProbe(ctx, account, "ETH", 1_900 * WAD)
    level = get_margin(ctx).mark_equity_uusd - 600 * USD

    def is_low(supposed):
        return supposed.mark_equity_uusd < level

    ladder = list(probing._build_ladder(1_900 * USD, is_up=True))
    assert not any(is_low(probe.compute(rung)) for rung in ladder)
    found = int(probe.find(is_low, is_up=True))
    assert 1_960 * WAD < found < 2_000 * WAD
    assert is_low(probe.compute(found // 10**12))
    assert not is_low(probe.compute(found // 10**12 - 1))
    assert probe.find(is_low, is_up=False) == ""


# Utilisation


def test_base_is_collateral_at_home_and_options_need_their_own(ctx):
    open_book(ctx, MarginMode.STANDARD)
    found = get_margin(ctx)
    answer = queries.query_utilisation(ctx, pb.QueryUtilisationRequest(owner=ALICE))
    cash = accounts.require_account(ctx, ACCOUNT).cash_uusd
    assert int(answer.gross_collateral_uusd) == cash + 2 * 2_000 * USD
    (home,) = answer.silos
    assert int(home.counted_uusd) == found.equity_uusd
    assert int(home.requirement_uusd) >= found.maintenance_uusd
    assert int(answer.requirement_uusd) == found.maintenance_uusd
    only_calls = queries._compute_alone_uusd(ctx, accounts.require_account(ctx, ACCOUNT), CALL)
    assert only_calls > 10 * 2_000 * USD * 75_000 // PPM


@pytest.mark.parametrize(("mode", "cells"), [(MarginMode.STANDARD, 1), (MarginMode.PORTFOLIO, 22)])
def test_each_supposed_price_of_an_option_costs_gas(ctx, mode, cells):
    account = accounts.Account(ALICE, 0, margin_mode=mode)
    for market in (CALL, PUT, FUTURE, MARKET):
        account.positions[market] = accounts.Position(ETHER, 0, 0)
    gas = []
    for asset in ("ETH", "BTC"):
        before = ctx.gas.used
        probing.charge_pricing(ctx, account, asset)
        gas.append(ctx.gas.used - before)
    assert 2 * cells * 300 <= gas[0] - gas[1] < 3 * cells * 300 + 1_000
