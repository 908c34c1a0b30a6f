"""Terms of a market that worsen: new risk sees them at once, what exists over an hour."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.margin.markets.v1 import markets_pb2, query_pb2, tx_pb2
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain.errors import ChainError
from chain.modules.accounts import margin, queries
from chain.modules.accounts.recompute import recompute_explanation
from chain.modules.council import state as council
from chain.modules.markets import genesis, handlers, marks, state
from chain.modules.markets import queries as market_queries
from chain.modules.markets.errors import InvalidMarket, RampRunning
from chain.modules.oracle import state as oracle
from chain.risk.haircut import compute_latency_premium_ppm
from chain.risk.margin import MarginState
from chain.risk.ramp import compute_between
from chain.units import PPM, WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    MARKET,
    NOW,
    SELL,
    USD,
    advance,
    build_economy,
    build_market,
    deliver,
    deposit,
    get_account,
    place,
)
from tests.modules.instruments import CALL, build_instruments, build_option

RAMP_S = 3_600
VALUE_UUSD = 20_000 * USD


@pytest.fixture
def ctx():
    """BOB is long 10 ETH at 2,000 with 4,000 of cash; no volatility sample falls into the ramp."""
    ctx = build_economy()
    params = oracle_pb2.Params()
    params.CopyFrom(oracle.get_params(ctx))
    params.volatility_interval_s = 86_400
    oracle.set_params(ctx, params)
    deposit(ctx, ALICE, 500_000)
    deposit(ctx, BOB, 4_000)
    place(ctx, ALICE, SELL, 10 * ETHER, 200_000)
    place(ctx, BOB, BUY, 10 * ETHER, tif=NOW)
    return ctx


def update(ctx, market=None, **changes):
    msg = tx_pb2.MsgUpdateMarket(
        authority=council.get_authority(ctx), market=market or build_market(**changes)
    )
    deliver(ctx, handlers.handle_update_market, msg)


def get_margin(ctx):
    return margin.compute_account_margin(ctx, get_account(ctx, BOB))


def wait(ctx, seconds):
    advance(ctx, seconds, ETH=2_000, USDC=1)


def test_a_worse_rate_binds_new_risk_at_once_and_what_exists_in_a_straight_line(ctx):
    before = get_margin(ctx)
    update(ctx, maintenance_ppm=250_000, initial_ppm=400_000)
    after = get_margin(ctx)
    assert (after.maintenance_uusd, after.state) == (before.maintenance_uusd, MarginState.HEALTHY)
    assert after.initial_uusd == before.initial_uusd + VALUE_UUSD * 300_000 // PPM
    with pytest.raises(ChainError, match="initial equity would be"):
        place(ctx, BOB, BUY, ETHER, 200_000)
    rise = VALUE_UUSD * 200_000 // PPM
    for elapsed, share in ((900, 4), (1_800, 2)):
        wait(ctx, 900)
        assert get_margin(ctx).maintenance_uusd == before.maintenance_uusd + rise // share
        assert recompute_explanation(queries.explain_margin(ctx, get_account(ctx, BOB))) == []
        (ramp,) = market_queries.query_markets(ctx, query_pb2.QueryMarketsRequest()).ramps
        assert (ramp.market, ramp.end_s - ctx.time_s) == (MARKET, RAMP_S - elapsed)
    wait(ctx, 1_800)
    last = get_margin(ctx)
    assert last.maintenance_uusd == before.maintenance_uusd + rise
    assert last.state is MarginState.LIQUIDATE
    assert not market_queries.query_markets(ctx, query_pb2.QueryMarketsRequest()).ramps


@pytest.mark.parametrize(
    "changes", [{"volatility_floor_wad": str(5 * WAD)}, {"horizon_s": 6_000}], ids=str
)
def test_what_raises_the_latency_rate_ramps_too(ctx, changes):
    (line,) = get_margin(ctx).positions
    low = line.terms.latency_ppm
    update(ctx, **changes)
    (line,) = get_margin(ctx).positions
    high = line.terms.latency_target_ppm
    assert line.terms.latency_ppm == low < high
    assert line.terms.latency_initial_ppm > high
    wait(ctx, 1_200)
    (line,) = get_margin(ctx).positions
    assert line.terms.latency_ppm == low + -(-(high - low) // 3)
    wait(ctx, 2_400)
    (line,) = get_margin(ctx).positions
    assert line.terms.latency_ppm == high


def test_the_measured_volatility_binds_within_a_ramp(ctx):
    """Only the vote is ramped: the market's own move is seen in its block, by old terms and new."""
    update(ctx, horizon_s=240)
    wait(ctx, 1_800)
    (calm,) = get_margin(ctx).positions
    advance(ctx, 1, ETH=1_700, USDC=1)
    (line,) = get_margin(ctx).positions
    volatility = line.terms.volatility_wad
    assert volatility > calm.terms.volatility_wad
    ends = [compute_latency_premium_ppm(volatility, horizon) for horizon in (60, 240)]
    assert line.terms.latency_ppm == compute_between(*ends, 1_801, 0, RAMP_S)


def test_a_better_rate_binds_at_once_also_within_a_ramp(ctx):
    before = get_margin(ctx).maintenance_uusd
    update(ctx, maintenance_ppm=30_000)
    assert get_margin(ctx).maintenance_uusd == before - VALUE_UUSD * 20_000 // PPM
    update(ctx, maintenance_ppm=70_000)
    wait(ctx, 1_800)
    assert get_margin(ctx).positions[0].terms.maintenance_ppm == 50_000
    update(ctx, maintenance_ppm=40_000)
    assert get_margin(ctx).positions[0].terms.maintenance_ppm == 35_000
    update(ctx, maintenance_ppm=20_000)
    assert get_margin(ctx).positions[0].terms.maintenance_ppm == 20_000


def test_a_second_rise_waits_for_the_first(ctx):
    update(ctx, maintenance_ppm=70_000)
    wait(ctx, 600)
    stored = dict(ctx.store.net_writes()["markets"])
    with pytest.raises(RampRunning, match="change it 3000 s later"):
        update(ctx, maintenance_ppm=70_001)
    with pytest.raises(RampRunning):
        update(ctx, maintenance_ppm=60_000, horizon_s=61)
    assert ctx.store.net_writes()["markets"] == stored
    wait(ctx, 3_000)
    update(ctx, maintenance_ppm=70_001)


def test_the_ramp_is_governed_in_market_time(ctx):
    params = markets_pb2.Params()
    params.CopyFrom(state.get_params(ctx))
    params.ramp_s = 600
    state.set_params(ctx, params)
    update(ctx, maintenance_ppm=70_000)
    wait(ctx, 300)
    assert get_margin(ctx).positions[0].terms.maintenance_ppm == 60_000
    for wrong in (59, 604_801):
        params.ramp_s = wrong
        with pytest.raises(InvalidMarket, match="ramp_s"):
            state.set_params(ctx, params)


def test_a_figure_of_a_ramp_that_was_tampered_with_is_named(ctx):
    update(ctx, maintenance_ppm=70_000, horizon_s=600)
    wait(ctx, 600)
    explanation = queries.explain_margin(ctx, get_account(ctx, BOB))
    assert recompute_explanation(explanation) == []
    explanation.positions[0].ramp.maintenance_before_ppm += 1_000
    (difference,) = recompute_explanation(explanation)
    assert difference.startswith("positions[0].maintenance_ppm: printed 53334")


def test_a_ramp_goes_on_after_export_and_import(ctx):
    update(ctx, maintenance_ppm=70_000)
    wait(ctx, 600)
    exported = genesis.export_genesis(ctx)
    (ramp,) = exported.ramps
    assert (ramp.maintenance_ppm, ramp.end_s - ramp.start_s) == (50_000, RAMP_S)

    def start():
        fresh = build_economy()
        state.delete_market(fresh, state.require_market(fresh, MARKET))
        genesis.init_genesis(fresh, exported)
        return fresh

    assert genesis.export_genesis(start()) == exported
    for times in ((5, 5), (0, 5)):
        ramp.start_s, ramp.end_s = times
        with pytest.raises(InvalidMarket, match="must end after it starts"):
            start()


@pytest.mark.parametrize("floor", [3 * WAD, WAD // 10], ids=["up", "down"])
def test_no_vote_moves_an_option_mark_at_once(floor):
    """A higher floor hurts who is short, a lower one who is long: both wait."""
    start = 2 * WAD
    ctx = build_instruments(build_option(volatility_floor_wad=str(start)))

    def mark():
        return marks.compute_mark(ctx, state.require_market(ctx, CALL), 2_000 * WAD)

    before = mark()
    update(ctx, market=build_option(volatility_floor_wad=str(floor)))
    assert mark() == before
    ctx.time_ns += RAMP_S // 2 * 10**9
    assert mark().volatility_wad == max(8 * WAD // 10, (start + floor) // 2)
    ctx.time_ns += RAMP_S // 2 * 10**9
    assert mark().volatility_wad == max(8 * WAD // 10, floor)


@settings(max_examples=200, deadline=None)
@given(
    before=st.integers(0, 10**6),
    after=st.integers(0, 10**6),
    times=st.lists(st.integers(-10, 5_000), min_size=2, max_size=2).map(sorted),
)
def test_a_reading_lies_between_its_ends_and_never_turns_back(before, after, times):
    first, second = (compute_between(before, after, now, 0, RAMP_S) for now in times)
    assert min(before, after) <= first <= second <= max(before, after)
