"""Another volatility model: new risk sees it at once, what exists in the course of an hour."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.margin.oracle.v1 import oracle_pb2, query_pb2, tx_pb2
from chain._pb.margin.params.v1 import params_pb2
from chain.modules.accounts import margin
from chain.modules.accounts import queries as account_queries
from chain.modules.accounts.recompute import recompute_explanation
from chain.modules.collateral import state as collateral
from chain.modules.collateral.measurement import get_route_measure
from chain.modules.council import state as council
from chain.modules.markets import marks
from chain.modules.markets import state as markets
from chain.modules.oracle import genesis, handlers, market_risk, queries, state
from chain.modules.oracle.errors import InvalidOracleParams, RampRunning
from chain.modules.oracle.params import build_default_params
from chain.modules.oracle.state import _compute_ramped_ppm, parse_rules
from chain.modules.oracle.types import ModelRamp
from chain.modules.params.handlers import ParamsMessages
from chain.risk.correlation import compute_sample_correlation_ppm, is_positive_semidefinite
from chain.risk.haircut import compute_latency_premium_ppm
from chain.risk.margin import MarginState
from chain.risk.ramp import compute_between
from chain.units import PPM, WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    NOW,
    SELL,
    advance,
    build_economy,
    deliver,
    deposit,
    get_account,
    place,
)
from tests.modules.instruments import CALL, build_instruments, build_option
from tests.modules.margin_network import ETH, build_network

RAMP_S = 3_600
CALM, WILD = 80 * WAD // 100, 8 * WAD


def copy_params(ctx):
    params = oracle_pb2.Params()
    params.CopyFrom(state.get_params(ctx))
    return params


def set_calm(ctx):
    """A model that stays at 80 % between samples a month apart."""
    params = copy_params(ctx)
    params.volatility_interval_s = 86_400
    params.lambda_ppm = PPM
    params.garch_alpha_ppm, params.garch_beta_ppm = 0, PPM
    state.set_params(ctx, params)


@pytest.fixture
def ctx():
    """BOB is long 10 ETH with 4,000 of cash."""
    ctx = build_economy()
    set_calm(ctx)
    deposit(ctx, ALICE, 500_000)
    deposit(ctx, BOB, 4_000)
    place(ctx, ALICE, SELL, 10 * ETHER, 200_000)
    place(ctx, BOB, BUY, 10 * ETHER, tif=NOW)
    return ctx


def update(ctx, params):
    msg = tx_pb2.MsgUpdateParams(authority=council.get_authority(ctx), params=params)
    deliver(ctx, handlers.handle_update_params, msg)


def go_wild(ctx, volatility_wad=WILD):
    """The forecast is the long-run volatility alone, and that is 800 %."""
    params = copy_params(ctx)
    params.garch_alpha_ppm = params.garch_beta_ppm = 0
    for asset in params.assets:
        asset.volatility_long_run_wad = str(volatility_wad)
    update(ctx, params)


def wait(ctx, seconds, eth=2_000):
    advance(ctx, seconds, ETH=eth, USDC=1)
    market_risk.begin_block(ctx)


def get_margin(ctx):
    return margin.compute_account_margin(ctx, get_account(ctx, BOB))


def read(ctx):
    return state.get_volatility_wad(ctx, "ETH"), state.get_new_risk_volatility_wad(ctx, "ETH")


def test_new_risk_sees_another_model_at_once_and_what_exists_in_a_straight_line(ctx):
    before = get_margin(ctx)
    go_wild(ctx)
    assert read(ctx) == (CALM, CALM), "nothing is measured within the block of the vote"
    wait(ctx, 0)
    assert read(ctx) == (CALM, WILD)
    after = get_margin(ctx)
    assert (after.maintenance_uusd, after.state) == (before.maintenance_uusd, MarginState.HEALTHY)
    assert after.initial_uusd > before.initial_uusd
    wait(ctx, 900)
    assert read(ctx) == (CALM + (WILD - CALM) // 4, WILD)
    assert recompute_explanation(account_queries.explain_margin(ctx, get_account(ctx, BOB))) == []
    answer = queries.query_volatilities(ctx, query_pb2.QueryVolatilitiesRequest())
    assert [row.volatility_wad for row in answer.volatilities] == [str(WILD), str(WILD)]
    assert answer.readings[0].volatility_wad == str(CALM + (WILD - CALM) // 4)
    assert answer.ramp.end_s - answer.ramp.start_s == RAMP_S
    wait(ctx, 2_700)
    assert read(ctx) == (WILD, WILD)
    assert not state.has_ramp(ctx), "a ramp that is over is forgotten"
    assert get_margin(ctx).maintenance_uusd > before.maintenance_uusd
    assert not queries.query_volatilities(ctx, query_pb2.QueryVolatilitiesRequest()).HasField(
        "ramp"
    )


def test_the_market_is_seen_at_once_within_a_ramp():
    """Only the vote is ramped: a crash reaches maintenance in its block, by the old model too."""
    ctx = build_economy()
    go_wild(ctx)
    wait(ctx, 1_800)
    alone = build_economy()
    wait(alone, 1_800)
    for world in (ctx, alone):
        wait(world, 1, eth=1_500)
    crashed = state.get_volatility_wad(alone, "ETH")
    assert crashed > CALM
    reading, new_risk = read(ctx)
    assert reading == compute_between(crashed, new_risk, 1_801, 0, RAMP_S) > crashed


def test_a_calmer_model_binds_at_its_next_sample_without_a_ramp(ctx):
    params = copy_params(ctx)
    params.volatility_interval_s = 60
    state.set_params(ctx, params)
    go_wild(ctx)
    for seconds in (0, 60, RAMP_S):
        wait(ctx, seconds)
    assert read(ctx) == (WILD, WILD)
    go_wild(ctx, CALM)
    wait(ctx, 60)
    assert read(ctx) == (CALM, CALM)
    assert state.get_running_ramp(ctx) is not None


def test_a_second_change_waits_but_other_parameters_do_not(ctx):
    go_wild(ctx)
    wait(ctx, 600)
    with pytest.raises(RampRunning, match="change it 3000 s later"):
        go_wild(ctx, CALM)
    params = copy_params(ctx)
    params.assets[0].sources_min = 3
    update(ctx, params)
    assert state.get_running_ramp(ctx) is not None
    wait(ctx, 3_000)
    go_wild(ctx, CALM)


def test_the_clock_of_the_market_never_changes(ctx):
    params = copy_params(ctx)
    params.market_time_scale = 2
    with pytest.raises(InvalidOracleParams, match="market_time_scale is 1 for good"):
        update(ctx, params)
    msg = params_pb2.MsgUpdateParams(authority=council.get_authority(ctx), module="oracle")
    msg.params.Pack(params, type_url_prefix="/")
    with pytest.raises(InvalidOracleParams, match="for good"):
        deliver(ctx, ParamsMessages(["oracle"]).handle_update_params, msg)
    assert state.get_params(ctx).market_time_scale == 1


def test_both_doors_of_governance_ramp(ctx):
    params = copy_params(ctx)
    params.assets[0].volatility_max_wad = str(20 * WAD)
    msg = params_pb2.MsgUpdateParams(authority=council.get_authority(ctx), module="oracle")
    msg.params.Pack(params, type_url_prefix="/")
    deliver(ctx, ParamsMessages(["oracle"]).handle_update_params, msg)
    assert state.get_running_ramp(ctx) is not None


@pytest.mark.parametrize("long_run", [WILD, CALM])
def test_no_vote_moves_an_option_mark_at_once(long_run):
    start = 4 * WAD
    ctx = build_instruments(build_option())
    set_calm(ctx)
    wait(ctx, 0)
    go_wild(ctx, start)
    wait(ctx, 0)
    wait(ctx, RAMP_S)
    found = marks.compute_mark(ctx, markets.require_market(ctx, CALL), 2_000 * WAD)
    assert found.volatility_wad == start
    go_wild(ctx, long_run)
    wait(ctx, 0)
    again = marks.compute_mark(ctx, markets.require_market(ctx, CALL), 2_000 * WAD)
    assert again.volatility_wad == start
    wait(ctx, RAMP_S // 2)
    middle = marks.compute_mark(ctx, markets.require_market(ctx, CALL), 2_000 * WAD)
    assert middle.volatility_wad == (start + long_run) // 2


def test_a_lien_counts_less_for_new_risk_first():
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    set_calm(ctx)

    def line():
        account = get_account(ctx, ALICE)
        (found,) = margin.compute_account_margin(ctx, account).liens
        return found

    before = line()
    go_wild(ctx)
    network.advance(0, ETH=2_000, USDC=1)
    after = line()
    assert after.value.counted_uusd == before.value.counted_uusd
    assert after.value.counted_initial_uusd < before.value.counted_initial_uusd
    assert after.factors.latency_ppm == before.factors.latency_ppm
    measure = get_route_measure(ctx, collateral.require_route(ctx, "alpha"))
    premium = compute_latency_premium_ppm(WILD, measure.delta_t_market_s)
    assert after.factors.initial.latency_ppm == premium > after.factors.latency_ppm


def correlate(params, rho_ppm):
    del params.correlation.assets[:], params.correlation.prior_ppm[:]
    params.correlation.assets.extend(["ETH", "USDC"])
    params.correlation.prior_ppm.extend([PPM, rho_ppm, rho_ppm, PPM])
    params.correlation.band_ppm = 0
    return params


@pytest.mark.parametrize(("before", "after"), [(-800_000, 900_000), (900_000, -800_000)])
def test_correlations_move_in_a_straight_line(ctx, before, after):
    def get():
        matrix = state.get_correlation_ppm(ctx, ["ETH", "USDC"])
        assert is_positive_semidefinite(matrix)
        assert matrix[0][1] == matrix[1][0]
        return matrix[0][1]

    update(ctx, correlate(copy_params(ctx), before))
    wait(ctx, RAMP_S)
    assert get() == before
    params = correlate(copy_params(ctx), after)
    params.volatility_interval_s = 1
    update(ctx, params)
    assert abs(get() - before) < 100
    for quarter in range(1, 4):
        wait(ctx, RAMP_S // 4)
        assert abs(get() - (before + (after - before) * quarter // 4)) < 100
    wait(ctx, RAMP_S // 4)
    assert get() == after


def test_an_asset_never_leaves_the_matrix(ctx):
    update(ctx, correlate(copy_params(ctx), 0))
    wait(ctx, RAMP_S)
    params = copy_params(ctx)
    del params.correlation.assets[:], params.correlation.prior_ppm[:]
    with pytest.raises(InvalidOracleParams, match="must keep ETH"):
        update(ctx, params)


@given(
    before=st.lists(st.lists(st.integers(-9, 9), min_size=5, max_size=5), min_size=5, max_size=5),
    after=st.lists(st.lists(st.integers(-9, 9), min_size=5, max_size=5), min_size=5, max_size=5),
    elapsed=st.integers(0, RAMP_S - 1),
)
@settings(max_examples=100, deadline=None)
def test_a_mixture_of_correlation_matrices_is_one(before, after, elapsed):
    ends = [build_correlation(rows) for rows in (before, after)]
    assets = tuple("ABCDE")
    ramp = ModelRamp(parse_rules(build_default_params()), 0, RAMP_S, (), assets, ends[0])
    mixed = [
        [
            PPM if i == j else _compute_ramped_ppm(ramp, ends[0][i][j], ends[1][i][j], elapsed)
            for j in range(5)
        ]
        for i in range(5)
    ]
    assert is_positive_semidefinite(mixed)


def build_correlation(rows):
    """The correlations of five random series, as the chain samples them: often singular."""
    return tuple(
        tuple(
            PPM if i == j else compute_sample_correlation_ppm(left, right)
            for j, right in enumerate(rows)
        )
        for i, left in enumerate(rows)
    )


def test_a_ramp_goes_on_after_export_and_import(ctx):
    go_wild(ctx)
    wait(ctx, 600)
    exported = genesis.export_genesis(ctx)
    fresh = build_economy()
    genesis.init_genesis(fresh, exported)
    fresh.time_ns = ctx.time_ns
    assert read(fresh) == read(ctx)
    assert genesis.export_genesis(fresh).model_ramp == exported.model_ramp
    exported.model_ramp.end_s = exported.model_ramp.start_s
    with pytest.raises(InvalidOracleParams, match="must end after it starts"):
        genesis.init_genesis(build_economy(), exported)


def test_the_ramp_is_governed(ctx):
    params = copy_params(ctx)
    params.ramp_s = 600
    update(ctx, params)
    go_wild(ctx)
    ramp = state.get_running_ramp(ctx)
    assert ramp.end_s - ramp.start_s == 600
    params.ramp_s = 59
    with pytest.raises(InvalidOracleParams, match="ramp_s"):
        state.set_params(ctx, params)
