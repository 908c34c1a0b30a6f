from dataclasses import replace

import pytest

from chain._pb.margin.oracle.v1 import oracle_pb2, query_pb2
from chain.errors import ChainError
from chain.modules.oracle import queries, state
from chain.modules.oracle.errors import InvalidOracleParams, PriceNotUsable, UnknownAsset
from chain.modules.oracle.params import build_default_params, validate_params
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.units import NANOSECONDS, WAD, InvalidAmount
from tests.modules.economy import advance, build_asset_params, build_economy, set_step_bound


@pytest.fixture
def ctx():
    return build_economy()


def allowed(ctx):
    actions = []
    for action in Action:
        try:
            require_price(ctx, "ETH", action)
        except PriceNotUsable:
            continue
        actions.append(action)
    return actions


def test_matrix(ctx):
    everything = [Action.OPEN_RISK, Action.REDUCE, Action.WITHDRAW, Action.LIQUIDATE]
    assert allowed(ctx) == everything
    advance(ctx, 30)
    assert allowed(ctx) == everything
    advance(ctx, 1)
    assert allowed(ctx) == [Action.REDUCE, Action.LIQUIDATE]
    advance(ctx, 30)
    assert allowed(ctx) == [Action.REDUCE]


def test_age_of_the_proof_adds_to_the_age_of_the_price(ctx):
    advance(ctx, 20)
    require_price(ctx, "ETH", Action.OPEN_RISK, proof_age_ns=3_580 * NANOSECONDS)
    for action in (Action.OPEN_RISK, Action.WITHDRAW):
        with pytest.raises(PriceNotUsable, match=r"20 s old .* proven 3581 s ago, .* above 3600 s"):
            require_price(ctx, "ETH", action, proof_age_ns=3_581 * NANOSECONDS)
    for action in (Action.LIQUIDATE, Action.REDUCE):
        require_price(ctx, "ETH", action, proof_age_ns=10**6 * NANOSECONDS)
    params = oracle_pb2.Params()
    params.CopyFrom(state.get_params(ctx))
    params.effective_age_s_max = 0
    state.set_params(ctx, params)
    require_price(ctx, "ETH", Action.OPEN_RISK, proof_age_ns=3_580 * NANOSECONDS)
    params.effective_age_s_max = 60
    state.set_params(ctx, params)
    require_price(ctx, "ETH", Action.OPEN_RISK, proof_age_ns=40 * NANOSECONDS)
    with pytest.raises(PriceNotUsable, match="above 60 s"):
        require_price(ctx, "ETH", Action.OPEN_RISK, proof_age_ns=41 * NANOSECONDS)


def test_disputed_or_moving_price_allows_no_new_risk(ctx):
    price = state.get_price(ctx, "ETH")
    state.set_price(ctx, replace(price, confidence_ppm=899_999))
    assert allowed(ctx) == [Action.REDUCE, Action.LIQUIDATE]
    state.set_price(ctx, price)
    set_step_bound(ctx)
    assert allowed(ctx) == [Action.REDUCE, Action.LIQUIDATE]
    answer = queries.query_price(ctx, query_pb2.QueryPriceRequest(asset="ETH"))
    assert answer.refusals.open_risk
    assert not answer.refusals.liquidate


def test_asset_taken_off_the_list_can_only_be_reduced_or_liquidated(ctx):
    params = build_default_params()
    state.set_params(ctx, params)
    assert allowed(ctx) == [Action.REDUCE, Action.LIQUIDATE]


def test_unknown_asset(ctx):
    with pytest.raises(UnknownAsset):
        require_price(ctx, "DOGE", Action.REDUCE)
    with pytest.raises(UnknownAsset):
        queries.query_price(ctx, query_pb2.QueryPriceRequest(asset="DOGE"))


@pytest.mark.parametrize(
    ("asset", "changes", "error"),
    [
        ("eth", {}, InvalidOracleParams),
        ("", {}, InvalidOracleParams),
        ("ETH", {"sources_min": 0}, InvalidOracleParams),
        ("ETH", {"step_ppm_max": 0}, InvalidOracleParams),
        ("ETH", {"outlier_ppm": 1_000_001}, InvalidOracleParams),
        ("ETH", {"volatility_max_wad": str(101 * WAD)}, InvalidOracleParams),
        ("ETH", {"volatility_initial_wad": str(11 * WAD)}, InvalidOracleParams),
        ("ETH", {"volatility_initial_wad": "x"}, InvalidAmount),
        ("ETH", {"volatility_long_run_wad": str(11 * WAD)}, InvalidOracleParams),
        ("ETH", {"volatility_long_run_wad": "-1"}, InvalidAmount),
    ],
)
def test_bad_asset_parameters(asset, changes, error):
    params = build_default_params()
    params.assets.append(build_asset_params(asset, **changes))
    with pytest.raises(error):
        validate_params(params)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("market_time_scale", 0),
        ("market_time_scale", 100_001),
        ("risk_age_s_max", 0),
        ("liquidation_age_s_max", 86_401),
        ("effective_age_s_max", 86_401),
        ("volatility_interval_s", 0),
        ("lambda_ppm", 1_000_001),
        ("garch_beta_ppm", 1_000_000),
    ],
)
def test_bad_parameters(field, value):
    params = build_default_params()
    setattr(params, field, value)
    with pytest.raises(ChainError):
        validate_params(params)


def test_assets_ascend():
    params = build_default_params()
    params.assets.extend([build_asset_params("USDC"), build_asset_params("ETH")])
    with pytest.raises(InvalidOracleParams):
        validate_params(params)
