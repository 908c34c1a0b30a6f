import pytest

from chain._pb.margin.scenarios.v1 import scenarios_pb2 as pb
from chain._pb.margin.scenarios.v1 import tx_pb2
from chain.modules.council import state as council_state
from chain.modules.council.errors import NotAuthority
from chain.modules.scenarios import genesis, handlers, queries, state
from chain.modules.scenarios.errors import InvalidUnderlying, RampRunning
from chain.modules.scenarios.types import build_default_params, parse_underlying
from chain.risk.scenarios import InvalidParameter, InvalidScenarioSet
from chain.units import WAD, InvalidAmount
from tests.modules.economy import build_economy


def build_underlying(**changes):
    return pb.Underlying(**{"asset": "ETH", "preset": "pmrm21", "stable_asset": "USDC", **changes})


def row(**changes):
    fields = {"spot_wad": str(WAD), "volatility": pb.VOLATILITY_SHOCK_UP, "weight_ppm": 1_000_000}
    return pb.Scenario(**{**fields, **changes})


@pytest.fixture
def ctx():
    context = build_economy()
    genesis.init_genesis(context, genesis.build_default_genesis())
    return context


def update(ctx, **changes):
    message = tx_pb2.MsgUpdateUnderlying(
        authority=council_state.get_authority(ctx), underlying=build_underlying(**changes)
    )
    return handlers.handle_update_underlying(ctx, message)


def test_presets_parse_with_their_rows():
    assert len(parse_underlying(build_underlying()).scenario_set.scenarios) == 21
    assert len(parse_underlying(build_underlying(preset="span16")).scenario_set.scenarios) == 16


def test_custom_rows_and_parameters_are_taken():
    changed = parse_underlying(
        build_underlying(
            preset="custom",
            scenarios=[row(spot_wad=str(WAD // 2))],
            parameters=[pb.Parameter(name="perp_pct_wad", value=str(WAD // 100))],
        )
    )
    assert changed.scenario_set.scenarios[0].spot_wad == WAD // 2
    assert changed.scenario_set.parameters.perp_pct_wad == WAD // 100


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"asset": "eth"}, InvalidUnderlying, "asset"),
        ({"stable_asset": "us dc"}, InvalidUnderlying, "stable_asset"),
        ({"preset": "var99"}, InvalidUnderlying, "none of"),
        ({"scenarios": [row()]}, InvalidUnderlying, "own rows"),
        ({"preset": "custom"}, InvalidScenarioSet, "0 rows"),
        ({"preset": "custom", "scenarios": [row()] * 65}, InvalidUnderlying, "65 scenarios"),
        (
            {"preset": "custom", "scenarios": [row(volatility=0)]},
            InvalidUnderlying,
            r"scenarios\[0\].volatility",
        ),
        (
            {"preset": "custom", "scenarios": [row(), row(weight_ppm=0)]},
            InvalidScenarioSet,
            r"scenarios\[1\].weight",
        ),
        (
            {"preset": "custom", "scenarios": [row(spot_wad=str(101 * WAD))]},
            InvalidScenarioSet,
            r"scenarios\[0\].spot",
        ),
        ({"preset": "custom", "scenarios": [row(spot_wad="1e18")]}, InvalidAmount, "spot_wad"),
        ({"parameters": [pb.Parameter(name="alpha", value="1")]}, InvalidParameter, "alpha"),
        (
            {"parameters": [pb.Parameter(name="im_factor_wad", value=str(11 * WAD))]},
            InvalidParameter,
            "im_factor",
        ),
        (
            {"parameters": [pb.Parameter(name="im_factor_wad", value=str(WAD))] * 2},
            InvalidUnderlying,
            "once each",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_field(ctx, changes, error, text):
    with pytest.raises(error, match=text):
        update(ctx, **changes)
    assert list(state.iterate_underlying_states(ctx)) == []


def test_only_the_council_may_change_a_set(ctx):
    message = tx_pb2.MsgUpdateUnderlying(authority="margin1x", underlying=build_underlying())
    with pytest.raises(NotAuthority):
        handlers.handle_update_underlying(ctx, message)


def test_a_change_ramps_and_another_one_waits_for_it(ctx):
    update(ctx)
    rules = state.get_rules(ctx, "ETH")
    assert rules.previous is None
    assert rules.compute_ramped(100, 200, rules.ramp_start_s) == 100
    assert rules.compute_ramped(100, 200, rules.ramp_start_s + 900) == 125
    assert rules.compute_ramped(100, 200, rules.ramp_end_s) == 200
    assert rules.compute_ramped(200, 100, rules.ramp_start_s) == 100
    with pytest.raises(RampRunning):
        update(ctx, preset="scan24")
    ctx.time_ns += build_default_params().ramp_s * 10**9
    update(ctx, preset="scan24")
    assert state.get_rules(ctx, "ETH").previous.scenario_set.name == "pmrm21"


def test_export_and_import_give_the_same_bytes(ctx):
    update(ctx)
    exported = genesis.export_genesis(ctx)
    other = build_economy()
    genesis.init_genesis(other, exported)
    again = genesis.export_genesis(other)
    assert again.SerializeToString(deterministic=True) == exported.SerializeToString(
        deterministic=True
    )
    with pytest.raises(InvalidUnderlying, match="twice"):
        genesis.init_genesis(other, exported)


@pytest.mark.parametrize("ramp", [(5, 0), (0, 5), (5, 5), (-1, 3)])
def test_a_genesis_ramp_must_end_after_it_starts(ctx, ramp):
    start, end = ramp
    message = pb.UnderlyingState(current=build_underlying(), ramp_start_s=start, ramp_end_s=end)
    with pytest.raises(InvalidUnderlying, match="ramp"):
        state.set_underlying_state(ctx, message)


def test_the_query_lists_every_underlying(ctx):
    update(ctx)
    update(ctx, asset="BTC")
    answer = queries.query_underlyings(ctx, None)
    assert [line.current.asset for line in answer.underlyings] == ["BTC", "ETH"]
