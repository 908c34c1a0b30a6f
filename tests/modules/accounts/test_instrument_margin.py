"""The margin of spot, futures and options beside perpetuals, in both modes."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts import margin
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.accounts.reads import read_market
from chain.modules.accounts.types import MarginMode, Position
from chain.modules.collateral.measurement import SharedReads
from chain.modules.markets import state as markets
from chain.modules.markets.types import InstrumentKind, RestingOrder, SettlementAverage, Side
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.risk import portfolio as risk_portfolio
from chain.units import PPM, WAD, ceil_div, floor_div
from tests.modules.accounts.mixed_portfolios import (
    MONTH_S,
    PRESETS,
    build_mixed_economy,
    compute,
    get_market_ids,
    holdings,
)
from tests.modules.economy import ALICE, BOB, ETHER, USD, deposit, get_account
from tests.modules.instruments import build_instruments, deposit_base, withdraw_base

STANDARD, PORTFOLIO = MarginMode.STANDARD, MarginMode.PORTFOLIO
MODES = [STANDARD, PORTFOLIO]
CALL, PUT, NEAR = "ETH-C2000X1", "ETH-P2000X1", "ETH-F1"


@pytest.fixture
def ctx():
    return build_mixed_economy()


def get_line(result, market):
    return next(line for line in result.positions if line.market == market)


def order(market, side, price, units, number=1):
    """An order for thousandths of a unit of a market of six decimals, the price in cents."""
    return RestingOrder(number, market, side, price, units, units, reduce_only=False)


# Equity by kind


def test_a_future_is_worth_its_forward_less_its_cost(ctx):
    held = {NEAR: Position(3 * ETHER, 5_000 * USD)}
    for mode in MODES:
        result = compute(ctx, held, mode=mode)
        line = get_line(result, NEAR)
        assert line.kind is InstrumentKind.FUTURE
        assert line.equity_uusd == line.unrealised_uusd == 1_000 * USD
        assert line.equity_initial_uusd == 800 * USD
        assert result.unrealised_uusd == 1_000 * USD
        assert result.base_uusd == 0


def test_an_option_counts_its_cost_under_standard_and_its_value_under_portfolio_margin(ctx):
    held = {CALL: Position(2 * ETHER, 100 * USD)}
    standard, portfolio = (compute(ctx, held, mode=mode) for mode in MODES)
    line = get_line(standard, CALL)
    assert line.equity_uusd == line.equity_initial_uusd == -100 * USD
    assert standard.maintenance_uusd == standard.initial_uusd == 0
    line = get_line(portfolio, CALL)
    assert line.equity_uusd == line.value_uusd - 100 * USD > 0
    assert line.equity_initial_uusd == line.equity_uusd * 8 // 10
    assert portfolio.maintenance_uusd <= line.value_uusd + 1


def test_spot_counts_at_the_base_factor_or_in_the_stable(ctx):
    held = {"ETH-SPOT": Position(5 * WAD // 2)}
    standard = compute(ctx, held)
    assert standard.base_uusd == 5_000 * USD * 8 // 10
    assert standard.unrealised_uusd == standard.maintenance_uusd == standard.initial_uusd == 0
    assert standard.worst_notional_uusd == 0
    oracle.set_price(ctx, replace(oracle.get_price(ctx, "USDC"), price_wad=WAD * 5 // 4))
    portfolio = compute(ctx, held, mode=PORTFOLIO)
    assert portfolio.base_uusd == 4_000 * USD
    # 15 % of the worst scenario and 2 % static, at 2,000 and in the stable.
    assert portfolio.maintenance_uusd == 4_000 * USD * 15 // 100 + 5_000 * USD * 2 // 100


def test_spot_without_a_price_is_worth_nothing():
    context = build_instruments()
    context.kv("oracle").delete(b"\x01ETH")
    result = compute(context, {"ETH-SPOT": Position(WAD)})
    assert result.base_uusd == result.maintenance_uusd == 0


def test_an_underlying_without_a_set_keeps_the_standard_rules_under_portfolio_margin(ctx):
    ctx.kv("scenarios").delete(b"\x01ETH")
    held = {
        CALL: Position(-2 * ETHER, -100 * USD),
        "ETH-SPOT": Position(WAD),
        NEAR: Position(ETHER, 0),
    }
    standard, portfolio = (compute(ctx, held, mode=mode) for mode in MODES)
    assert portfolio.equity_uusd == standard.equity_uusd
    assert portfolio.maintenance_uusd == standard.maintenance_uusd > 0
    assert portfolio.initial_uusd == standard.initial_uusd
    assert portfolio.portfolio.underlyings == ()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("price", "worth"), [(2_600, 600), (1_900, 0)])
def test_what_has_settled_is_a_constant_without_risk(ctx, mode, price, worth):
    settled = SettlementAverage(price_wad=price * WAD)
    markets.set_settlement(ctx, "ETH", MONTH_S, settled)
    for sign in (1, -1):
        held = {CALL: Position(sign * ETHER, sign * 100 * USD), NEAR: Position(sign * ETHER, 0)}
        result = compute(ctx, held, mode=mode)
        expected = sign * (worth - 100 + price) * USD
        assert result.unrealised_uusd == expected
        assert result.maintenance_uusd == result.initial_uusd == 0


# Standard margin of options (row 15)


def test_a_naked_short_is_asked_its_leg(ctx):
    result = compute(ctx, {CALL: Position(-2 * ETHER, -200 * USD)})
    mark = get_line(result, CALL).price_wad
    # At the money: 15 % initial, 7.5 % maintenance of 2,000, and the mark.
    assert result.maintenance_uusd == ceil_div(2 * (150 * WAD + mark), 10**12)
    assert result.initial_uusd == ceil_div(2 * (300 * WAD + mark), 10**12)
    assert result.equity_uusd == (10**6 + 200) * USD
    (row,) = result.standard
    assert row.asset == "ETH"
    assert row.maintenance_uusd == result.maintenance_uusd


def test_a_spread_is_asked_its_bounded_loss(ctx):
    held = {"ETH-C1600X1": Position(-ETHER), CALL: Position(ETHER)}
    spread = compute(ctx, held)
    assert spread.maintenance_uusd == spread.initial_uusd == 400 * USD
    # A long of another expiry does not bound the loss.
    other = {"ETH-C1600X1": Position(-ETHER), "ETH-C2000X2": Position(ETHER)}
    assert compute(ctx, other).maintenance_uusd > 550 * USD


def test_a_depeg_and_a_doubtful_price_charge_initial_margin_alone(ctx):
    held = {CALL: Position(-ETHER), NEAR: Position(-2 * ETHER, 0), "ETH-USD": Position(3 * ETHER)}
    before = compute(ctx, held)
    oracle.set_price(ctx, replace(oracle.get_price(ctx, "USDC"), price_wad=88 * WAD // 100))
    depegged = compute(ctx, held)
    # (0.98 - 0.88)·1.2·2,000 a short option, future and perpetual: six units.
    assert depegged.initial_uusd - before.initial_uusd == 6 * 240 * USD
    assert depegged.maintenance_uusd == before.maintenance_uusd
    oracle.set_price(ctx, replace(oracle.get_price(ctx, "ETH"), confidence_ppm=300_000))
    doubted = compute(ctx, held)
    # (1 - 0.3)·0.4·2,000 each.
    assert doubted.initial_uusd - depegged.initial_uusd == 6 * 560 * USD
    assert doubted.maintenance_uusd == before.maintenance_uusd


def set_underlying(ctx, previous=None, start=0, end=0, **fields):
    current = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", stable_asset="USDC")
    for name, value in fields.items():
        current.standard_parameters.add(name=name, value=str(value))
    scenarios.set_underlying_state(
        ctx,
        scenarios_pb2.UnderlyingState(
            current=current, previous=previous, ramp_start_s=start, ramp_end_s=end
        ),
    )
    return current


def test_harsher_standard_parameters_ramp_into_maintenance(ctx):
    before = set_underlying(ctx)
    held = {CALL: Position(-ETHER, 0), "ETH-SPOT": Position(WAD)}
    first = compute(ctx, held)
    harsher = {"base_factor_wad": 4 * WAD // 10, "mm_call_wad": WAD // 5}
    set_underlying(ctx, before, ctx.time_s, ctx.time_s + 3_600, **harsher)
    started = compute(ctx, held)
    assert started.maintenance_uusd == first.maintenance_uusd
    assert started.base_uusd == first.base_uusd == 1_600 * USD
    # New risk sees the new factor at once.
    assert first.equity_initial_uusd - started.equity_initial_uusd == 800 * USD
    ctx.time_ns += 1_800 * 10**9
    half = compute(ctx, held)
    assert half.base_uusd == 1_200 * USD
    assert half.maintenance_uusd == pytest.approx(first.maintenance_uusd + 125 * USD, abs=2 * USD)
    ctx.time_ns += 1_800 * 10**9
    assert compute(ctx, held).base_uusd == 800 * USD


def test_softer_standard_parameters_bind_at_once(ctx):
    before = set_underlying(ctx)
    held = {CALL: Position(-ETHER, 0), "ETH-SPOT": Position(WAD)}
    first = compute(ctx, held)
    softer = {"base_factor_wad": 9 * WAD // 10, "mm_call_wad": WAD // 20}
    set_underlying(ctx, before, ctx.time_s, ctx.time_s + 3_600, **softer)
    after = compute(ctx, held)
    assert after.base_uusd == 1_800 * USD
    assert first.maintenance_uusd - after.maintenance_uusd == 50 * USD


# Portfolio margin


@pytest.mark.parametrize("mode", MODES)
def test_a_covered_call_asks_less_than_a_naked_one(ctx, mode):
    call = {CALL: Position(-ETHER, 0)}
    naked = compute(ctx, call, mode=mode)
    covered = compute(ctx, {**call, "ETH-SPOT": Position(WAD)}, mode=mode)
    free = [result.equity_uusd - result.maintenance_uusd for result in (naked, covered)]
    assert free[1] > free[0]
    if mode is PORTFOLIO:
        # Half a unit, about the call's delta.
        half = compute(ctx, {**call, "ETH-SPOT": Position(WAD // 2)}, mode=mode)
        assert half.maintenance_uusd < naked.maintenance_uusd * 2 // 3


def test_put_call_parity_leaves_the_discount_alone(ctx):
    legs = {CALL: Position(ETHER), PUT: Position(-ETHER)}
    hedged = compute(ctx, {**legs, NEAR: Position(-ETHER)}, mode=PORTFOLIO)
    naked = compute(ctx, legs, mode=PORTFOLIO)
    worst, alone = (
        -min(row.profit_wad for row in result.portfolio.underlyings[0].margin.scenarios)
        for result in (hedged, naked)
    )
    # 15 % up: the options gain 300, of which 5 % and the rate of a month are discounted.
    assert worst < 18 * WAD
    assert alone > 250 * WAD


def test_options_net_with_perpetuals_of_their_underlying(ctx):
    put = {PUT: Position(-5 * ETHER, 0)}
    naked = compute(ctx, put, mode=PORTFOLIO).maintenance_uusd
    hedged = compute(ctx, {**put, "ETH-USD": Position(-2 * ETHER, -4_000 * USD)}, mode=PORTFOLIO)
    assert hedged.maintenance_uusd < naked


def test_a_straddle_hurts_both_ways_whatever_it_is_correlated_with(ctx):
    straddle = {CALL: Position(-ETHER, 0), PUT: Position(-ETHER, 0)}
    one = compute(ctx, straddle, mode=PORTFOLIO)
    (line,) = one.portfolio.underlyings
    assert line.is_two_way
    assert line.loss_low_uusd < 0 < line.loss_high_uusd
    assert one.maintenance_uusd == max(-line.loss_low_uusd, line.loss_high_uusd)
    for sign in (1, -1):
        bitcoin = {"BTC-USD": Position(sign * 20_000, sign * 1_000 * USD)}
        alone = compute(ctx, bitcoin, mode=PORTFOLIO)
        both = compute(ctx, {**straddle, **bitcoin}, mode=PORTFOLIO)
        # Whichever way bitcoin hurts, some side of the straddle hurts with it.
        least = min(-line.loss_low_uusd, line.loss_high_uusd)
        assert both.maintenance_uusd**2 >= least**2 + alone.maintenance_uusd**2
        assert both.maintenance_uusd <= one.maintenance_uusd + alone.maintenance_uusd


def test_the_slowest_route_discounts_what_options_gain(ctx, monkeypatch):
    held = {"ETH-C2000X2": Position(20 * ETHER, 0), "ETH-USD": Position(-10 * ETHER, -20_000 * USD)}
    fast = compute(ctx, held, mode=PORTFOLIO)
    monkeypatch.setattr(
        margin.collateral, "get_account_latency_ppm", lambda *_: 332_364, raising=True
    )
    slow = compute(ctx, held, mode=PORTFOLIO)
    (line,) = slow.portfolio.underlyings
    assert line.portfolio.expiries[0].latency_wad == 332_364 * 10**12
    assert slow.maintenance_uusd > fast.maintenance_uusd
    assert slow.equity_uusd == fast.equity_uusd


def test_a_first_set_ramps_from_the_standard_rules_without_a_jump(ctx):
    held = {CALL: Position(-2 * ETHER, 0), "ETH-SPOT": Position(WAD), NEAR: Position(-ETHER, 0)}
    ctx.kv("scenarios").delete(b"\x01ETH")
    before = compute(ctx, held, mode=PORTFOLIO)
    set_underlying(ctx, None, ctx.time_s, ctx.time_s + 3_600)
    started = compute(ctx, held, mode=PORTFOLIO)
    assert started.excess_uusd >= before.excess_uusd
    ctx.time_ns += 3_600 * 10**9
    ended = compute(ctx, held, mode=PORTFOLIO)
    set_underlying(ctx)
    assert ended.portfolio == compute(ctx, held, mode=PORTFOLIO).portfolio


# Orders


@pytest.mark.parametrize("mode", MODES)
def test_option_orders_count_without_the_premium_that_a_sale_would_bring(ctx, mode):
    bare = compute(ctx, {}, mode=mode)
    sale = compute(ctx, {}, [order(CALL, Side.SELL, 50_000, 1_000)], mode)
    assert sale.initial_uusd > 300 * USD
    assert sale.maintenance_uusd == 0
    # The fee: 200 ppm of 500 USD.
    assert bare.equity_initial_uusd - sale.equity_initial_uusd == 100_000
    bought = compute(ctx, {}, [order(CALL, Side.BUY, 50_000, 1_000)], mode)
    lost = bare.equity_initial_uusd - bought.equity_initial_uusd
    if mode is STANDARD:
        assert lost == 500 * USD + 100_000
        assert bought.initial_uusd == 0
    else:
        mark = get_line(bought, CALL).mark.price_wad
        assert lost == 500 * USD - mark // 10**12 + 100_000
        assert bought.initial_uusd > 0


def fill(ctx, positions, orders, chosen):
    """(positions, cash paid) once these orders have filled at their prices."""
    held = {name: replace_position(p) for name, p in positions.items()}
    paid = 0
    for one, is_filled in zip(orders, chosen, strict=True):
        if not is_filled:
            continue
        market = markets.require_market(ctx, one.market)
        notional = market.compute_notional_uusd(one.ticks, one.remaining_steps)
        paid += ceil_div(notional * market.maker_fee_ppm, PPM)
        size = one.side.sign * one.remaining_steps * market.step_quantums
        position = held.setdefault(one.market, Position())
        position.size_quantums += size
        if market.kind is InstrumentKind.SPOT:
            paid += one.side.sign * notional
        else:
            position.cost_uusd += one.side.sign * notional
    return {name: p for name, p in held.items() if p.size_quantums or p.cost_uusd}, paid


def replace_position(position):
    return Position(position.size_quantums, position.cost_uusd, position.funding_index_wad)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_initial_margin_of_orders_bounds_every_subset_of_their_fills(mode, data):
    ctx = build_mixed_economy(data.draw(st.sampled_from(PRESETS)))
    positions, orders = data.draw(holdings(ctx))
    orders = [one for one in orders if not one.reduce_only][:4]
    before = compute(ctx, positions, orders, mode)
    free = before.equity_initial_uusd - before.initial_uusd
    for chosen in product((False, True), repeat=len(orders)):
        held, paid = fill(ctx, positions, orders, chosen)
        spots = [
            position.size_quantums
            for name, position in held.items()
            if markets.require_market(ctx, name).kind is InstrumentKind.SPOT
        ]
        if min(spots, default=0) < 0:
            continue  # Base that is not there cannot be sold.
        after = compute(ctx, held, (), mode)
        # The floors of a few lines and, under portfolio margin, of its WAD figures.
        slack = 2 * len(orders) + 4
        assert after.equity_initial_uusd - paid - after.initial_uusd >= free - slack


# Properties over mixed portfolios


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_neither_order_nor_caches_change_an_answer(mode, data):
    ctx = build_mixed_economy(data.draw(st.sampled_from(PRESETS)))
    positions, orders = data.draw(holdings(ctx))
    names = data.draw(st.permutations(sorted(positions)))
    warm = compute(ctx, positions, orders, mode)
    for cached in (
        risk_portfolio.compute_option_price_wad,
        risk_portfolio.compute_option_prices_wad,
        risk_portfolio.get_scenario_pricer,
    ):
        cached.cache_clear()
    shuffled = {name: positions[name] for name in names}
    cold = compute(ctx, shuffled, list(reversed(orders)), mode)
    assert cold == warm


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_netting_never_asks_more_than_gross(preset, data):
    ctx = build_mixed_economy(preset, data.draw(st.sampled_from((0, 600_000, PPM))))
    positions, _ = data.draw(holdings(ctx, orders=False))
    whole = compute(ctx, positions, mode=PORTFOLIO)
    parts = [compute(ctx, {name: position}, mode=PORTFOLIO) for name, position in positions.items()]
    slack = len(parts) + 1
    assert whole.maintenance_uusd <= sum(part.maintenance_uusd for part in parts) + slack
    assert whole.initial_uusd <= sum(part.initial_uusd for part in parts) + slack


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_unit_terms_bound_every_account(mode, data):
    """What a unit asks at most, times the units held, is at least what the account is asked."""
    ctx = build_mixed_economy(data.draw(st.sampled_from(PRESETS)))
    positions, _ = data.draw(holdings(ctx, orders=False))
    result = compute(ctx, positions, mode=mode)
    bound = 0
    for line in result.positions:
        reads = read_market(ctx, line.market, SharedReads())
        terms = margin.compute_unit_terms(ctx, reads, mode)
        scale = 10 ** (18 - reads.market.quantum_decimals)
        units = line.position.size_quantums * scale
        asked = terms.requirement_long_wad if units > 0 else terms.requirement_short_wad
        bound += ceil_div(abs(units) * asked, 10**30) + 2
        equity = line.equity_uusd + line.position.cost_uusd
        assert abs(equity - floor_div(units * terms.equity_wad, 10**30)) <= 1 + abs(units) // 10**29
    assert result.maintenance_uusd <= bound


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_attributed_parts_are_what_the_account_is_asked_less(mode, data):
    ctx = build_mixed_economy()
    positions, orders = data.draw(holdings(ctx))
    whole = compute(ctx, positions, orders, mode)
    attributed = margin.attribute_requirements(ctx, whole)
    assert [line.market for line in attributed.positions] == [x.market for x in whole.positions]
    for line in attributed.positions:
        rest = {name: p for name, p in positions.items() if name != line.market}
        kept = [one for one in orders if one.market != line.market]
        without = compute(ctx, rest, kept, mode)
        fallen = whole.maintenance_uusd - without.maintenance_uusd
        assert line.maintenance_uusd == max(0, fallen)


# Leverage and withdrawals


def test_longs_of_options_count_their_premium_and_shorts_the_spot_for_leverage(ctx):
    long = compute(ctx, {CALL: Position(ETHER)})
    assert long.worst_notional_uusd == ceil_div(get_line(long, CALL).price_wad, 10**12)
    short = compute(ctx, {CALL: Position(-ETHER)})
    assert short.worst_notional_uusd == 2_000 * USD
    turned = compute(ctx, {CALL: Position(ETHER)}, [order(CALL, Side.SELL, 1, 3_000)])
    assert turned.worst_notional_uusd == 4_000 * USD


def test_spot_alone_leaves_without_a_price_and_never_below_what_positions_need():
    context = build_instruments()
    deposit_base(context, ALICE, 2 * WAD)
    price = oracle.get_price(context, "ETH")
    oracle.set_price(context, replace(price, time_ns=0))
    withdraw_base(context, ALICE, WAD)
    oracle.set_price(context, price)
    account = get_account(context, ALICE)
    account.positions["ETH-CALL"] = Position(-60 * ETHER, 0)
    account.cash_uusd = 20_000 * USD
    with pytest.raises(InsufficientMargin):
        margin.require_withdrawable(context, account)
    deposit(context, BOB, 1)


# Pricing: each instrument once a scenario a block


class _Counter:
    def __init__(self, priced):
        self.priced = priced
        self.calls = []

    def __call__(self, *args, **kwargs):
        self.calls.append((args, tuple(sorted(kwargs.items()))))
        return self.priced(*args, **kwargs)

    def take(self):
        calls, self.calls = self.calls, []
        return calls


def test_an_instrument_is_priced_once_a_scenario_for_all_accounts_of_a_block(ctx, monkeypatch):
    for cached in (
        risk_portfolio.compute_option_price_wad,
        risk_portfolio.compute_option_prices_wad,
    ):
        cached.cache_clear()
    counter = _Counter(risk_portfolio.compute_black76_price_wad)
    monkeypatch.setattr(risk_portfolio, "compute_black76_price_wad", counter)

    def run_block():
        for size in range(1, 9):
            held = {CALL: Position(size * ETHER), PUT: Position(-size * ETHER), NEAR: Position(1)}
            compute(ctx, held, mode=PORTFOLIO)
            compute(ctx, held)
        return counter.take()

    calls = run_block()
    # 21 scenarios, of which (1, unchanged) is the mark; the basis spots +-5 % are scenarios too.
    assert len(calls) == 2 * 21
    assert len({repr(call) for call in calls}) == len(calls)
    ctx.time_ns += 10**9
    price = oracle.get_price(ctx, "ETH")
    run_block()
    oracle.set_price(ctx, replace(price, price_wad=price.price_wad + WAD // 1_000))
    ctx.time_ns += 10**9
    assert run_block() == []
    oracle.set_price(ctx, replace(price, price_wad=price.price_wad + WAD))
    assert len(run_block()) == 2 * 21


def test_what_is_kept_of_prices_is_bounded():
    assert risk_portfolio.compute_option_prices_wad.cache_info().maxsize
    assert risk_portfolio.compute_option_price_wad.cache_info().maxsize
    assert risk_portfolio.get_scenario_pricer.cache_info().maxsize


def test_every_kind_is_listed(ctx):
    kinds = {markets.require_market(ctx, name).kind for name in get_market_ids(ctx)}
    assert kinds == {*InstrumentKind}
