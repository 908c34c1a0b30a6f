import pytest

from chain._pb.margin.oracle.v1 import oracle_pb2, query_pb2
from chain.modules.oracle import genesis, market_risk, queries, state
from chain.modules.oracle.errors import InvalidOracleParams
from chain.modules.oracle.params import build_default_params, validate_params
from chain.modules.oracle.votes import OracleVoteExtensions, encode_votes
from chain.risk.correlation import HYSTERESIS_BLOCKS, InvalidCorrelation, is_positive_semidefinite
from chain.runtime.context import Context
from chain.runtime.module import Vote
from chain.runtime.store import Branch, EmptyState
from chain.units import PPM, WAD
from tests.modules.economy import advance, build_asset_params, build_economy, vote

HOUR_S = 3_600


def build_risk_params(*, prior=800_000, band=100_000, btc="0.6", eth="0.8"):
    params = build_default_params()
    for asset, volatility in (("BTC", btc), ("ETH", eth)):
        params.assets.append(
            build_asset_params(
                asset,
                volatility_initial_wad=str(int(float(volatility) * 100) * WAD // 100),
                index_weight_ppm=PPM // 2,
                depth_usd_max=1_000_000,
                volume_usd_max=50_000_000,
            )
        )
    params.correlation.assets.extend(["BTC", "ETH"])
    params.correlation.prior_ppm.extend([PPM, prior, prior, PPM])
    params.correlation.band_ppm = band
    return params


def build_context(**changes):
    ctx = Context("hub-1", 1, 1_800_000_000 * 10**9, Branch(EmptyState()))
    genesis.init_genesis(ctx, oracle_pb2.GenesisState(params=build_risk_params(**changes)))
    return ctx


def play(ctx, seconds, **prices):
    """The next block with these prices, its begin-block hook run."""
    advance(ctx, seconds, **prices)
    market_risk.begin_block(ctx)


def get_correlation(ctx):
    return state.get_correlation_ppm(ctx, ["BTC", "ETH"])[0][1]


def test_sample_of_row_19():
    ctx = build_context()
    market_risk.begin_block(ctx)
    assert state.get_volatility_index(ctx).index_ppm == 664_830
    answer = queries.query_volatility_index(ctx, query_pb2.QueryVolatilityIndexRequest())
    assert answer.volatility_index.height == 1


def test_sample_of_row_18_on_chain():
    ctx = build_context()
    params = build_risk_params()
    params.garch_alpha_ppm = params.garch_beta_ppm = 0
    state.set_params(ctx, params)
    play(ctx, 1, ETH=2_000)
    play(ctx, HOUR_S, ETH=1_900)
    record = state.get_volatility_record(ctx, "ETH")
    assert record.ewma_variance_wad // 10**10 == 198_445_467
    assert state.get_volatility_wad(ctx, "ETH") ** 2 >= record.ewma_variance_wad * WAD


def test_margin_uses_the_larger_of_both_forecasts():
    ctx = build_context()
    params = build_risk_params()
    params.garch_alpha_ppm, params.garch_beta_ppm = 500_000, 500_000
    state.set_params(ctx, params)
    play(ctx, 1, ETH=2_000)
    play(ctx, HOUR_S, ETH=1_900)
    record = state.get_volatility_record(ctx, "ETH")
    assert record.garch_variance_wad > record.ewma_variance_wad
    root = state.get_volatility_wad(ctx, "ETH")
    assert (root - 1) ** 2 < record.garch_variance_wad * WAD <= root**2


def test_forecast_of_a_still_market_comes_to_rest_below_its_long_run_volatility():
    ctx = build_context()
    params = build_risk_params()
    params.assets[1].volatility_long_run_wad = str(WAD)
    params.garch_alpha_ppm, params.garch_beta_ppm = 100_000, 800_000
    state.set_params(ctx, params)
    play(ctx, 1, ETH=2_000)
    for _ in range(60):
        play(ctx, HOUR_S, ETH=2_000)
    # With no returns at all the fixed point of v = 0.1 + 0.8·v is one half.
    record = state.get_volatility_record(ctx, "ETH")
    assert abs(record.garch_variance_wad - WAD // 2) < WAD // 10**5
    assert record.ewma_variance_wad < WAD // 50
    assert abs(state.get_volatility_wad(ctx, "ETH") - 707_107 * WAD // 10**6) < WAD // 10**4


def test_governed_correlation_holds_until_the_first_sample():
    ctx = build_context()
    assert get_correlation(ctx) == 800_000
    play(ctx, 1, BTC=50_000, ETH=2_000)
    assert get_correlation(ctx) == 800_000
    play(ctx, HOUR_S - 1, BTC=60_000, ETH=1_500)
    assert get_correlation(ctx) == 800_000


@pytest.mark.parametrize(
    ("eth", "expected"), [(1_000, 700_000), (3_000, 900_000)], ids=["opposite", "together"]
)
def test_measured_correlation_stays_within_its_band(eth, expected):
    ctx = build_context()
    play(ctx, 1, BTC=50_000, ETH=2_000)
    btc, price = 50_000, 2_000
    for _ in range(4):
        btc, price = btc * 11 // 10, price * eth // 2_000
        play(ctx, HOUR_S, BTC=btc, ETH=price)
    assert get_correlation(ctx) == expected
    assert sum(event.type == "correlations_sampled" for event in ctx.events) == 4


def test_measured_correlation_inside_the_band_is_that_of_the_returns():
    ctx = build_context(prior=0, band=PPM)
    play(ctx, 1, BTC=50_000, ETH=2_000)
    state.set_correlation_record(
        ctx,
        state.decode_correlations(
            oracle_pb2.Correlations(
                assets=["BTC", "ETH"],
                covariance_wad=["0"] * 4,
                correlation_ppm=[PPM, 0, 0, PPM],
                sample_prices_wad=[str(50_000 * WAD), str(2_000 * WAD)],
                sample_time_ns=ctx.time_ns,
            )
        ),
    )
    play(ctx, HOUR_S, BTC=55_000, ETH=2_200)
    assert get_correlation(ctx) >= 999_999  # one return each, in step


def test_asset_without_a_price_keeps_its_governed_correlation():
    ctx = build_context()
    play(ctx, 1, ETH=2_000)
    play(ctx, HOUR_S, ETH=1_800)
    record = state.get_correlation_record(ctx)
    assert record.sample_prices_wad == (0, 1_800 * WAD)
    assert 700_000 <= get_correlation(ctx) <= 900_000


def test_asset_outside_the_matrix_correlates_with_nothing_but_itself():
    ctx = build_context()
    matrix = state.get_correlation_ppm(ctx, ["ETH", "DOGE", "BTC"])
    assert matrix == ((PPM, 0, 800_000), (0, PPM, 0), (800_000, 0, PPM))
    assert is_positive_semidefinite(matrix)
    assert state.get_correlated_assets(ctx) == ("BTC", "ETH")


def test_other_assets_start_from_their_governed_matrix():
    ctx = build_context()
    play(ctx, 1, BTC=50_000, ETH=2_000)
    params = build_risk_params()
    params.correlation.CopyFrom(
        oracle_pb2.CorrelationParams(assets=["ETH"], prior_ppm=[PPM], lambda_ppm=940_000)
    )
    state.set_params(ctx, params)
    assert state.get_correlation_ppm(ctx, ["BTC", "ETH"])[0][1] == 0
    play(ctx, 1)
    assert state.get_correlation_record(ctx).assets == ("ETH",)


def test_tier_moves_after_ten_blocks_and_returns_after_ten():
    ctx = build_context(btc="1.4", eth="1.4", prior=PPM, band=0)
    for block in range(1, HYSTERESIS_BLOCKS):
        play(ctx, 1)
        assert state.get_volatility_index(ctx).blocks_elsewhere == block
        assert state.get_volatility_tier_multiplier_ppm(ctx) == PPM
    play(ctx, 1)
    assert state.get_volatility_index(ctx).index_ppm == 1_400_000
    assert state.get_volatility_tier_multiplier_ppm(ctx) == 1_300_000
    changed = [event for event in ctx.events if event.type == "volatility_tier_changed"]
    assert len(changed) == 1
    assert dict(changed[0].attributes)["multiplier_ppm"] == "1300000"
    state.set_params(ctx, build_risk_params(btc="0.5", eth="0.5", prior=PPM))
    for _ in range(HYSTERESIS_BLOCKS - 1):
        play(ctx, 1)
    assert state.get_volatility_tier_multiplier_ppm(ctx) == 1_300_000
    play(ctx, 1)
    assert state.get_volatility_tier_multiplier_ppm(ctx) == PPM


def test_one_calm_block_starts_the_count_again():
    ctx = build_context(btc="1.4", eth="1.4", prior=PPM, band=0)
    for _ in range(HYSTERESIS_BLOCKS - 1):
        play(ctx, 1)
    state.set_params(ctx, build_risk_params(btc="0.5", eth="0.5", prior=PPM))
    play(ctx, 1)
    assert state.get_volatility_index(ctx).blocks_elsewhere == 0


def test_chain_without_weights_has_no_index():
    ctx = build_economy()
    market_risk.begin_block(ctx)
    assert state.get_volatility_index(ctx).index_ppm == 0
    assert state.get_volatility_tier_multiplier_ppm(ctx) == PPM
    answer = queries.query_correlations(ctx, query_pb2.QueryCorrelationsRequest())
    assert not answer.correlations.assets


def test_a_broken_correlation_does_not_stop_the_index(monkeypatch):
    ctx = build_context()

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(market_risk, "update_correlations", fail)
    market_risk.begin_block(ctx)
    assert state.get_volatility_index(ctx).index_ppm == 664_830
    assert [event.type for event in ctx.events] == ["oracle_market_risk_failed"]


def say_depths(ctx, *figures):
    """One validator a (depth, volume)."""
    cast = []
    for index, (depth, volume) in enumerate(figures):
        said = vote("ETH", 2_000 * WAD, ctx.time_ns)
        said = type(said)(
            said.asset,
            said.price_wad,
            said.source_count,
            said.confidence_ppm,
            said.time_ns,
            depth,
            volume,
        )
        cast.append(Vote(bytes([index]) * 20, 10, encode_votes([said])))
    OracleVoteExtensions().process_votes(ctx, cast)
    return state.get_depth(ctx, "ETH")


def test_depth_is_the_lower_of_governed_and_said():
    ctx = build_context()
    assert state.get_depth(ctx, "ETH") == (depth := type(state.get_depth(ctx, "ETH")))(
        1_000_000, 50_000_000
    )
    low = (400_000, 9_000_000)
    assert say_depths(ctx, low, low, (10, 10), (10**14, 10**14)) == depth(400_000, 9_000_000)
    assert say_depths(ctx, *[(10**14, 10**14)] * 4) == depth(1_000_000, 50_000_000)
    answer = queries.query_depths(ctx, query_pb2.QueryDepthsRequest())
    assert [(d.asset, d.depth_usd) for d in answer.depths] == [("BTC", 10**6), ("ETH", 10**6)]


def test_depth_that_few_validators_say_changes_nothing():
    ctx = build_context()
    assert say_depths(ctx, (5, 5), (5, 5), (0, 0), (0, 0)).depth_usd == 1_000_000


def test_asset_without_rules_has_no_depth():
    assert state.get_depth(build_context(), "DOGE").depth_usd == 0


def test_genesis_round_trip():
    ctx = build_context(btc="1.4", eth="1.4")
    play(ctx, 1, BTC=50_000, ETH=2_000)
    play(ctx, HOUR_S, BTC=55_000, ETH=1_900)
    say_depths(ctx, *[(5, 7)] * 4)
    exported = genesis.export_genesis(ctx)
    assert exported.volatility_index.blocks_elsewhere == 2
    fresh = Context("hub-1", 1, ctx.time_ns, Branch(EmptyState()))
    genesis.init_genesis(fresh, exported)
    assert genesis.export_genesis(fresh) == exported


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda g: g.correlations.assets.append("SOL"), "correlations"),
        (lambda g: g.correlations.covariance_wad.pop(), "correlations"),
        (lambda g: setattr(g.volatility_index, "tier", 9), "tier 9"),
        (lambda g: setattr(g.volatility_index, "blocks_elsewhere", 10), "blocks_elsewhere 10"),
    ],
)
def test_bad_genesis_is_refused(change, named):
    ctx = build_context()
    market_risk.begin_block(ctx)
    exported = genesis.export_genesis(ctx)
    change(exported)
    with pytest.raises(InvalidOracleParams, match=named):
        genesis.init_genesis(Context("hub-1", 1, ctx.time_ns, Branch(EmptyState())), exported)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda p: p.correlation.assets.pop(), InvalidOracleParams, "prior_ppm"),
        (lambda p: p.correlation.assets.reverse(), InvalidOracleParams, "ascending"),
        (lambda p: setattr(p.correlation, "band_ppm", 2 * PPM + 1), InvalidOracleParams, "band"),
        (lambda p: setattr(p.correlation, "lambda_ppm", PPM + 1), InvalidOracleParams, "lambda"),
        (lambda p: p.correlation.prior_ppm.__setitem__(1, 1), InvalidCorrelation, r"\[0\]\[1\]"),
        (lambda p: p.correlation.prior_ppm.__setitem__(0, 1), InvalidCorrelation, r"\[0\]\[0\]"),
        (lambda p: p.assets.__delitem__(0), InvalidOracleParams, "index_weight_ppm"),
        (lambda p: setattr(p.assets[0], "depth_usd_max", 10**16), InvalidOracleParams, "BTC depth"),
    ],
)
def test_bad_parameters_name_the_field(change, error, named):
    params = build_risk_params()
    validate_params(params)
    change(params)
    with pytest.raises(error, match=named):
        validate_params(params)


def test_matrix_that_is_not_semidefinite_is_refused():
    params = build_default_params()
    params.assets.extend(build_asset_params(name) for name in ("A", "B", "C"))
    params.correlation.assets.extend(["A", "B", "C"])
    x = 900_000
    params.correlation.prior_ppm.extend([PPM, x, -x, x, PPM, x, -x, x, PPM])
    with pytest.raises(InvalidCorrelation, match="positive semi-definite"):
        validate_params(params)


def test_correlated_asset_must_be_priced():
    params = build_risk_params()
    params.correlation.assets[1] = "SOL"
    with pytest.raises(InvalidOracleParams, match="'SOL'"):
        validate_params(params)
