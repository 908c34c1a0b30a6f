"""What a haircut becomes for existing collateral and for new risk, block by block (rows 5, 20)."""

from dataclasses import replace

import pytest

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain._pb.margin.collateral.v1 import query_pb2, tx_pb2
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.accounts.types import AccountId
from chain.modules.collateral import errors, genesis, handlers, hooks, queries, state
from chain.modules.oracle import state as oracle
from chain.modules.params.state import set_params
from chain.units import NANOSECONDS, PPM, WAD
from tests.modules.economy import ALICE, BOB, BUY, ETHER, SELL, deposit, place
from tests.modules.margin_network import (
    AUTHORITY,
    ETH,
    build_asset,
    build_network,
)

ACCOUNT = AccountId(ALICE, 0)
STEEP = {
    "market_haircut_ppm": 200_000,
    "market_haircut_min_ppm": 0,
    "market_haircut_max_ppm": PPM,
    "volatility_beta_ppm": 800_000,
    "volatility_reference_wad": str(8 * WAD // 10),
}
"""20 % at 80 % volatility, 100 % at 180 %."""


def build_world(**asset):
    network = build_network()
    state.set_asset(network.hub.ctx, build_asset(**{**STEEP, **asset}))
    network.deposit(10 * ETH)
    hooks.end_block(network.hub.ctx)
    return network


def pass_time(ctx, seconds):
    """Time alone: no price, header or heartbeat with it."""
    ctx.height += 1
    ctx.time_ns += seconds * NANOSECONDS


def set_volatility(ctx, wad):
    record = oracle.get_volatility_record(ctx, "ETH")
    oracle.set_volatility_record(ctx, "ETH", replace(record, volatility_wad=wad))


def get_haircut(ctx):
    (view,) = queries.query_haircuts(ctx, query_pb2.QueryHaircutsRequest()).haircuts
    return view


def get_margin(ctx):
    return margin.compute_account_margin(ctx, accounts.require_account(ctx, ACCOUNT))


def test_a_rise_of_volatility_reads_400_000_ppm_after_900_s():
    """The sample of row 20, through the oracle's volatility and the chain's state."""
    ctx = build_world().hub.ctx
    assert get_haircut(ctx).reading_ppm == get_haircut(ctx).target_ppm == 200_000
    set_volatility(ctx, 18 * WAD // 10)
    hooks.end_block(ctx)
    for seconds, reading in ((0, 200_000), (900, 400_000), (900, 600_000), (1_800, PPM)):
        pass_time(ctx, seconds)
        assert (get_haircut(ctx).reading_ppm, get_haircut(ctx).target_ppm) == (reading, PPM)


def test_a_rise_binds_new_risk_at_once_and_what_exists_later():
    ctx = build_world().hub.ctx
    before = get_margin(ctx)
    set_volatility(ctx, 13 * WAD // 10)
    after = get_margin(ctx)
    (line,) = after.liens
    assert line.factors.market_ppm == 200_000
    assert line.factors.initial.market_ppm == 600_000
    assert after.equity_initial_uusd < before.equity_initial_uusd // 2 + 1
    # What exists loses only to the latency premium, which is not ramped.
    assert after.equity_uusd > before.equity_uusd * 98 // 100
    hooks.end_block(ctx)
    pass_time(ctx, 3_600)
    (line,) = get_margin(ctx).liens
    assert line.factors.market_ppm == 600_000
    assert line.factors.initial is None


def test_a_withdrawal_sees_the_target():
    network = build_world()
    ctx = network.hub.ctx
    deposit(ctx, BOB, 500_000)
    place(ctx, BOB, SELL, 20 * ETHER, 200_000)
    place(ctx, ALICE, BUY, 20 * ETHER, 200_000)
    network.hub.collect()
    with ctx.branch() as child:
        margin.require_withdrawable(child, accounts.require_account(child, ACCOUNT))
    set_volatility(ctx, 18 * WAD // 10)
    with pytest.raises(InsufficientMargin):
        margin.require_withdrawable(ctx, accounts.require_account(ctx, ACCOUNT))


def test_a_fall_binds_at_once():
    ctx = build_world().hub.ctx
    set_volatility(ctx, 18 * WAD // 10)
    hooks.end_block(ctx)
    pass_time(ctx, 900)
    set_volatility(ctx, 8 * WAD // 10)
    assert get_haircut(ctx).reading_ppm == 200_000
    hooks.end_block(ctx)
    pass_time(ctx, 1)
    assert get_haircut(ctx).reading_ppm == 200_000


def test_market_time_scales_the_ramp():
    ctx = build_world().hub.ctx
    params = oracle.pb.Params()
    params.CopyFrom(oracle.get_params(ctx))
    params.market_time_scale = 60
    oracle.set_params(ctx, params)
    set_volatility(ctx, 18 * WAD // 10)
    hooks.end_block(ctx)
    pass_time(ctx, 15)
    assert get_haircut(ctx).reading_ppm == 400_000


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({"market_haircut_ppm": 600_000}, "market_ppm"),
        ({"size_factor_wad": str(WAD)}, "size_weight_ppm"),
        ({"scale_start_wad": str(5 * WAD)}, "size_weight_ppm"),
    ],
)
def test_governed_terms_that_take_value_ramp_in(changes, factor):
    ctx = build_world(size_factor_wad="0", scale_start_wad="0").hub.ctx
    (before,) = get_margin(ctx).liens
    asset = build_asset(**{**STEEP, "size_factor_wad": "0", "scale_start_wad": "0", **changes})
    handlers.handle_set_asset(ctx, tx_pb2.MsgSetAsset(authority=AUTHORITY, asset=asset))
    (at_once,) = get_margin(ctx).liens
    assert at_once.value.counted_uusd == before.value.counted_uusd
    assert at_once.value.counted_initial_uusd < before.value.counted_uusd
    hooks.end_block(ctx)
    pass_time(ctx, 1_800)
    (halfway,) = get_margin(ctx).liens
    target = getattr(halfway.factors.initial, factor)
    reading = getattr(halfway.factors, factor)
    start = getattr(before.factors, factor)
    assert min(start, target) < reading < max(start, target)
    pass_time(ctx, 1_800)
    (arrived,) = get_margin(ctx).liens
    assert getattr(arrived.factors, factor) == target
    assert arrived.factors.initial is None


def test_a_dearer_route_class_ramps_in_and_a_cheaper_one_binds():
    ctx = build_world().hub.ctx
    for haircut, readings in ((105_000, (15_000, 65_000, 115_000)), (0, (10_000,))):
        params = pb.Params()
        params.CopyFrom(state.get_params(ctx))
        params.light_client_haircut_ppm = haircut
        set_params(ctx, "collateral", params)
        hooks.end_block(ctx)
        for reading in readings:
            (line,) = get_margin(ctx).liens
            assert line.factors.security_ppm == reading
            assert (line.factors.initial or line.factors).security_ppm == haircut + 10_000
            pass_time(ctx, 1_800)


def set_stake(ctx, uusd):
    route = state.require_route(ctx, "alpha")
    route.stake_uusd = str(uusd)
    state.set_route(ctx, route)


def get_recognized(ctx):
    (line,) = get_margin(ctx).liens
    initial = line.factors.initial or line.factors
    return line.factors.recognized_amount, initial.recognized_amount


def test_a_stake_that_falls_takes_pro_rata_and_ramps():
    """10 ETH are 20,000 USD; a stake of 30,001 USD carries 10,000 and a little."""
    ctx = build_world().hub.ctx
    set_stake(ctx, 30_000_030_001)
    now, target = get_recognized(ctx)
    assert now == 10 * ETH
    assert 4_999 * ETH // 1_000 <= target <= 5 * ETH
    hooks.end_block(ctx)
    assert [e for e in ctx.events if e.type == "recognition_reduced"]
    pass_time(ctx, 1_800)
    halfway, _ = get_recognized(ctx)
    assert 7_499 * ETH // 1_000 <= halfway <= 7_501 * ETH // 1_000
    pass_time(ctx, 1_800)
    assert get_recognized(ctx) == (target, target)
    set_stake(ctx, 10**15)
    assert get_recognized(ctx) == (10 * ETH, 10 * ETH)


def test_value_that_grows_past_the_stake_keeps_counting_but_nothing_new_does():
    network = build_world()
    ctx = network.hub.ctx
    set_stake(ctx, 60_000_060_001)
    hooks.end_block(ctx)
    assert get_recognized(ctx) == (10 * ETH, 10 * ETH)
    oracle.set_price(ctx, replace(oracle.get_price(ctx, "ETH"), price_wad=4_000 * WAD))
    hooks.end_block(ctx)
    assert get_recognized(ctx) == (10 * ETH, 10 * ETH)
    result = network.deposit(ETH)
    assert (result.codespace, result.code) == ("collateral", 7)
    assert get_recognized(ctx) == (10 * ETH, 10 * ETH)


def test_a_lost_share_comes_back_as_value_leaves_and_stays():
    ctx = build_world().hub.ctx
    set_stake(ctx, 30_000_030_001)
    hooks.end_block(ctx)
    pass_time(ctx, 3_600)
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(ctx, replace(price, price_wad=1_000 * WAD))
    assert get_recognized(ctx) == (10 * ETH, 10 * ETH)
    hooks.end_block(ctx)
    oracle.set_price(ctx, price)
    assert get_recognized(ctx) == (10 * ETH, 10 * ETH)


def test_ramps_survive_an_export():
    ctx = build_world().hub.ctx
    set_volatility(ctx, 18 * WAD // 10)
    set_stake(ctx, 30_000_030_001)
    hooks.end_block(ctx)
    pass_time(ctx, 900)
    before = get_margin(ctx)
    exported = genesis.export_genesis(ctx)
    assert exported.asset_ramps
    assert exported.recognitions
    for key, _ in list(ctx.kv(state.STORE).iterate()):
        ctx.kv(state.STORE).delete(key)
    genesis.init_genesis(ctx, exported)
    assert genesis.export_genesis(ctx) == exported
    assert get_margin(ctx) == before


@pytest.mark.parametrize(
    "break_one",
    [
        lambda g: setattr(g.asset_ramps[0].market_haircut_ppm, "origin", "-1"),
        lambda g: setattr(g.param_ramps[0], "name", "release_timeout_s"),
        lambda g: setattr(g.recognitions[0], "capacity_uusd", "x"),
    ],
)
def test_a_genesis_with_a_broken_ramp_is_refused(break_one):
    ctx = build_world().hub.ctx
    exported = genesis.export_genesis(ctx)
    break_one(exported)
    with pytest.raises((errors.InvalidParams, errors.ChainError)):
        genesis.init_genesis(ctx, exported)
