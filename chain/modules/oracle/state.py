"""The oracle store: the only place that knows its keys."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from chain._pb.margin.oracle.v1 import oracle_pb2 as pb
from chain.modules.oracle.params import (
    CORRELATED_ASSETS_MAX,
    EFFECTIVE_AGE_S_MAX,
    build_default_params,
    split_rows,
    validate_params,
)
from chain.modules.oracle.types import (
    AssetRules,
    CorrelationRecord,
    CorrelationRules,
    Depth,
    ModelRamp,
    OracleRules,
    Price,
    VolatilityRecord,
)
from chain.modules.params import state as params_state
from chain.risk.correlation import TierState, compute_tier_multiplier_ppm
from chain.risk.ramp import compute_between
from chain.runtime.context import Context
from chain.units import NANOSECONDS, PPM, floor_div

STORE: Final = "oracle"
PARAMS: Final = params_state.declare_params(STORE, pb.Params, build_default_params, validate_params)
_PRICE: Final = b"\x01"
_VOLATILITY: Final = b"\x02"
_LAST_VOTES: Final = b"\x03"
_DEPTH: Final = b"\x04"
_CORRELATIONS: Final = b"\x05"
_INDEX: Final = b"\x06"
_RAMP: Final = b"\x07"


def get_params(ctx: Context) -> pb.Params:
    """The governed parameters, shared: nobody may change the message."""
    return PARAMS.get(ctx)


def set_params(ctx: Context, params: pb.Params) -> None:
    """Store parameters; raises what their bounds raise."""
    PARAMS.set(ctx, params)


@lru_cache(maxsize=16)
def _parse_rules(encoded: bytes) -> OracleRules:
    return parse_rules(pb.Params.FromString(encoded))


def parse_rules(params: pb.Params) -> OracleRules:
    """The parsed form of parameters."""
    return OracleRules(
        assets=tuple(
            AssetRules(
                asset=a.asset,
                sources_min=a.sources_min,
                step_ppm_max=a.step_ppm_max,
                outlier_ppm=a.outlier_ppm,
                confidence_ppm_min=a.confidence_ppm_min,
                volatility_initial_wad=int(a.volatility_initial_wad or "0"),
                volatility_max_wad=int(a.volatility_max_wad or "0"),
                volatility_long_run_wad=int(
                    a.volatility_long_run_wad or a.volatility_initial_wad or "0"
                ),
                depth_usd_max=a.depth_usd_max,
                volume_usd_max=a.volume_usd_max,
                index_weight_ppm=a.index_weight_ppm,
            )
            for a in params.assets
        ),
        market_time_scale=params.market_time_scale,
        source_age_s_max=params.source_age_s_max,
        risk_age_s_max=params.risk_age_s_max,
        liquidation_age_s_max=params.liquidation_age_s_max,
        volatility_interval_s=params.volatility_interval_s,
        lambda_ppm=params.lambda_ppm,
        return_ppm_max=params.return_ppm_max,
        garch_alpha_ppm=params.garch_alpha_ppm,
        garch_beta_ppm=params.garch_beta_ppm,
        correlation=CorrelationRules(
            assets=tuple(params.correlation.assets),
            prior_ppm=split_rows(params.correlation.prior_ppm, len(params.correlation.assets)),
            band_ppm=params.correlation.band_ppm,
            lambda_ppm=params.correlation.lambda_ppm,
        ),
        effective_age_s_max=params.effective_age_s_max or EFFECTIVE_AGE_S_MAX,
    )


def get_rules(ctx: Context) -> OracleRules:
    """The governed parameters, parsed."""
    encoded = ctx.kv(STORE).get(params_state.KEY)
    return parse_rules(build_default_params()) if encoded is None else _parse_rules(encoded)


def compute_market_seconds(ctx: Context, duration_ns: int) -> int:
    """A duration of block time in seconds of market time, for volatilities and delta t."""
    return floor_div(duration_ns * max(1, get_rules(ctx).market_time_scale), NANOSECONDS)


@lru_cache(maxsize=1_024)
def _parse_price(encoded: bytes) -> Price:
    message = pb.Price.FromString(encoded)
    return Price(
        asset=message.asset,
        price_wad=int(message.price_wad),
        raw_median_wad=int(message.raw_median_wad),
        time_ns=message.time_ns,
        height=message.height,
        confidence_ppm=message.confidence_ppm,
        source_count=message.source_count,
        step_bound_active=message.step_bound_active,
    )


def encode_price(price: Price) -> pb.Price:
    """The price as its protobuf."""
    return pb.Price(
        asset=price.asset,
        price_wad=str(price.price_wad),
        raw_median_wad=str(price.raw_median_wad),
        time_ns=price.time_ns,
        height=price.height,
        confidence_ppm=price.confidence_ppm,
        source_count=price.source_count,
        step_bound_active=price.step_bound_active,
    )


def get_price(ctx: Context, asset: str) -> Price | None:
    """The agreed price, however old; None before the first. `permissions` says what it allows."""
    value = ctx.kv(STORE).get(_PRICE + asset.encode())
    return _parse_price(value) if value else None


def set_price(ctx: Context, price: Price) -> None:
    """Publish a price."""
    encoded = encode_price(price).SerializeToString(deterministic=True)
    ctx.kv(STORE).set(_PRICE + price.asset.encode(), encoded)


def iterate_prices(ctx: Context) -> Iterator[Price]:
    """All prices in order of asset."""
    for _, value in ctx.kv(STORE).iterate(_PRICE):
        yield _parse_price(value)


def encode_volatility(asset: str, record: VolatilityRecord) -> pb.Volatility:
    """The record as its protobuf."""
    return pb.Volatility(
        asset=asset,
        volatility_wad=str(record.volatility_wad),
        ewma_variance_wad=str(record.ewma_variance_wad),
        garch_variance_wad=str(record.garch_variance_wad),
        sample_price_wad=str(record.sample_price_wad),
        sample_time_ns=record.sample_time_ns,
        base_ewma_variance_wad=str(record.base_ewma_variance_wad),
        base_garch_variance_wad=str(record.base_garch_variance_wad),
    )


@lru_cache(maxsize=1_024)
def _parse_volatility(encoded: bytes) -> VolatilityRecord:
    return decode_volatility(pb.Volatility.FromString(encoded))


def decode_volatility(message: pb.Volatility) -> VolatilityRecord:
    """The record that a protobuf holds."""
    return VolatilityRecord(
        base_ewma_variance_wad=int(message.base_ewma_variance_wad),
        base_garch_variance_wad=int(message.base_garch_variance_wad),
        ewma_variance_wad=int(message.ewma_variance_wad),
        garch_variance_wad=int(message.garch_variance_wad),
        volatility_wad=int(message.volatility_wad),
        sample_price_wad=int(message.sample_price_wad),
        sample_time_ns=message.sample_time_ns,
    )


def get_volatility_record(ctx: Context, asset: str) -> VolatilityRecord | None:
    """The measured variance; None before the first price."""
    value = ctx.kv(STORE).get(_VOLATILITY + asset.encode())
    return _parse_volatility(value) if value else None


def set_volatility_record(ctx: Context, asset: str, record: VolatilityRecord) -> None:
    """Store the measured variance."""
    encoded = encode_volatility(asset, record).SerializeToString(deterministic=True)
    ctx.kv(STORE).set(_VOLATILITY + asset.encode(), encoded)


def iterate_volatilities(ctx: Context) -> Iterator[tuple[str, VolatilityRecord]]:
    """(asset, record) in order of asset."""
    for key, value in ctx.kv(STORE).iterate(_VOLATILITY):
        yield key[1:].decode(), _parse_volatility(value)


@lru_cache(maxsize=64)
def _parse_ramp(encoded: bytes) -> ModelRamp:
    message = pb.ModelRamp.FromString(encoded)
    return ModelRamp(
        rules=parse_rules(message.before),
        start_s=message.start_s,
        end_s=message.end_s,
        records=tuple((v.asset, decode_volatility(v)) for v in message.volatilities),
        correlated_assets=tuple(message.correlated_assets),
        correlation_ppm=split_rows(message.correlation_ppm, len(message.correlated_assets)),
    )


def get_running_ramp(ctx: Context) -> ModelRamp | None:
    """The change of the volatility model that ramps in now, or None."""
    value = ctx.kv(STORE).get(_RAMP)
    ramp = _parse_ramp(value) if value else None
    return ramp if ramp is not None and ctx.time_s < ramp.end_s else None


def has_ramp(ctx: Context) -> bool:
    """Whether a change of the model is stored, under way or over."""
    return ctx.kv(STORE).get(_RAMP) is not None


def get_ramp_message(ctx: Context) -> pb.ModelRamp | None:
    """The stored change of the model."""
    value = ctx.kv(STORE).get(_RAMP)
    return pb.ModelRamp.FromString(value) if value else None


def set_ramp(ctx: Context, ramp: pb.ModelRamp) -> None:
    """Store a change of the model."""
    ctx.kv(STORE).set(_RAMP, ramp.SerializeToString(deterministic=True))


def set_ramp_record(ctx: Context, asset: str, record: VolatilityRecord) -> None:
    """Store what the rules before the change measure of an asset that they measured before."""
    ramp = get_ramp_message(ctx)
    assert ramp is not None, "a change ramps in"
    for volatility in ramp.volatilities:
        if volatility.asset == asset:
            volatility.CopyFrom(encode_volatility(asset, record))
    set_ramp(ctx, ramp)


def delete_ramp(ctx: Context) -> None:
    """Forget a change of the model."""
    ctx.kv(STORE).delete(_RAMP)


def _get_volatility_change(ctx: Context, asset: str) -> tuple[ModelRamp, int] | None:
    """The change that ramps in and the volatility by the rules before it, if there is one."""
    ramp = get_running_ramp(ctx)
    record = None if ramp is None else ramp.get_record(asset)
    return None if ramp is None or record is None else (ramp, record.volatility_wad)


def get_volatility_wad(ctx: Context, asset: str) -> int:
    """The annual volatility, market time, that what exists is margined at: while a change of the
    model ramps in, between the estimates by the rules before and after it; only rises are ramped.
    """
    after = get_new_risk_volatility_wad(ctx, asset)
    change = _get_volatility_change(ctx, asset)
    if change is None:
        return after
    ramp, before = change
    return compute_between(before, after, ctx.time_s, ramp.start_s, ramp.end_s)


def get_mark_volatility_wad(ctx: Context, asset: str) -> int:
    """The volatility that options are marked at: within a ramp on a straight way, up or down."""
    after = get_new_risk_volatility_wad(ctx, asset)
    change = _get_volatility_change(ctx, asset)
    if change is None:
        return after
    ramp, before = change
    elapsed = max(0, ctx.time_s - ramp.start_s)
    return before + floor_div((after - before) * elapsed, ramp.end_s - ramp.start_s)


def get_new_risk_volatility_wad(ctx: Context, asset: str) -> int:
    """Annual volatility in market time by the parameters in force: the larger of the EWMA and the
    GARCH forecast.

    Before an asset's first price it is the governed initial one, 0 for an asset without rules.
    """
    record = get_volatility_record(ctx, asset)
    if record is not None:
        return record.volatility_wad
    rules = get_rules(ctx).get_asset(asset)
    return rules.volatility_initial_wad if rules else 0


def get_last_votes(ctx: Context) -> pb.LastVotes:
    """What became of the votes of the last block that had any."""
    value = ctx.kv(STORE).get(_LAST_VOTES)
    return pb.LastVotes.FromString(value) if value else pb.LastVotes()


def set_last_votes(ctx: Context, votes: pb.LastVotes) -> None:
    """Record what became of the votes."""
    ctx.kv(STORE).set(_LAST_VOTES, votes.SerializeToString(deterministic=True))


def get_source_count(ctx: Context, asset: str) -> int:
    """How many sources stand behind the agreed price of an asset; 0 without a price."""
    price = get_price(ctx, asset)
    return 0 if price is None else price.source_count


def get_depth(ctx: Context, asset: str) -> Depth:
    """Depth and a day's volume: the governed figures, or the validators' median if it is lower.

    Both are 0 for an asset without rules or without a governed figure.
    """
    rules = get_rules(ctx).get_asset(asset)
    if rules is None:
        return Depth(0, 0)
    record = get_depth_record(ctx, asset)
    return Depth(
        rules.depth_usd_max if record is None else min(rules.depth_usd_max, record.depth_usd),
        rules.volume_usd_max if record is None else min(rules.volume_usd_max, record.volume_usd),
    )


def get_depth_record(ctx: Context, asset: str) -> pb.Depth | None:
    """What the validators last said of an asset's depth; None when they never did."""
    value = ctx.kv(STORE).get(_DEPTH + asset.encode())
    return pb.Depth.FromString(value) if value else None


def set_depth_record(ctx: Context, record: pb.Depth) -> None:
    """Store what the validators say of an asset's depth."""
    encoded = record.SerializeToString(deterministic=True)
    ctx.kv(STORE).set(_DEPTH + record.asset.encode(), encoded)


def iterate_depth_records(ctx: Context) -> Iterator[pb.Depth]:
    """All that the validators said of depths, in order of asset."""
    for _, value in ctx.kv(STORE).iterate(_DEPTH):
        yield pb.Depth.FromString(value)


def encode_correlations(record: CorrelationRecord) -> pb.Correlations:
    """The record as its protobuf."""
    return pb.Correlations(
        assets=record.assets,
        covariance_wad=[str(value) for row in record.covariance_wad for value in row],
        correlation_ppm=[value for row in record.correlation_ppm for value in row],
        sample_prices_wad=[str(price) for price in record.sample_prices_wad],
        sample_time_ns=record.sample_time_ns,
    )


def decode_correlations(message: pb.Correlations) -> CorrelationRecord:
    """The record that a protobuf holds."""
    size = len(message.assets)
    return CorrelationRecord(
        assets=tuple(message.assets),
        covariance_wad=split_rows([int(text) for text in message.covariance_wad], size),
        correlation_ppm=split_rows(message.correlation_ppm, size),
        sample_prices_wad=tuple(int(text) for text in message.sample_prices_wad),
        sample_time_ns=message.sample_time_ns,
    )


@lru_cache(maxsize=16)
def _parse_correlations(encoded: bytes) -> CorrelationRecord:
    return decode_correlations(pb.Correlations.FromString(encoded))


def get_correlation_record(ctx: Context) -> CorrelationRecord | None:
    """The measured covariances; None before the first block with governed correlations."""
    value = ctx.kv(STORE).get(_CORRELATIONS)
    return _parse_correlations(value) if value else None


def set_correlation_record(ctx: Context, record: CorrelationRecord) -> None:
    """Store the measured covariances."""
    encoded = encode_correlations(record).SerializeToString(deterministic=True)
    ctx.kv(STORE).set(_CORRELATIONS, encoded)


def _compute_ramped_ppm(ramp: ModelRamp, before_ppm: int, after_ppm: int, now_s: int) -> int:
    """A correlation on its straight way, up or down, rounded toward zero.

    A mixture of two positive semi-definite matrices is one; two millionths an asset off every
    entry make good for the roundings.
    """
    duration_s = ramp.end_s - ramp.start_s
    elapsed_s = max(0, now_s - ramp.start_s)
    mixed = before_ppm * (duration_s - elapsed_s) + after_ppm * elapsed_s
    kept = floor_div(abs(mixed) * (PPM - 2 * CORRELATED_ASSETS_MAX), duration_s * PPM)
    return kept if mixed > 0 else -kept


def get_correlation_ppm(ctx: Context, assets: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """The correlation matrix (ppm) of these assets in their order; positive semi-definite.

    It is measured within governed bounds, and the governed one before anything is measured; while a
    change of the parameters ramps in it goes from what was in force in a straight line. An
    asset outside the governed matrix correlates 0 with every other: whoever margins it adds its
    loss in full (`get_correlated_assets` tells which are inside).
    """
    rules = get_rules(ctx).correlation
    record = get_correlation_record(ctx)
    is_current = record is not None and record.assets == rules.assets
    matrix = record.correlation_ppm if record is not None and is_current else rules.prior_ppm
    index = {asset: place for place, asset in enumerate(rules.assets)}
    ramp = get_running_ramp(ctx)

    def get_entry(left: str, right: str) -> int:
        if left == right:
            return PPM
        i, j = index.get(left), index.get(right)
        entry = 0 if i is None or j is None else matrix[i][j]
        if ramp is None:
            return entry
        return _compute_ramped_ppm(ramp, ramp.get_correlation_ppm(left, right), entry, ctx.time_s)

    return tuple(tuple(get_entry(left, right) for right in assets) for left in assets)


def get_correlated_assets(ctx: Context) -> tuple[str, ...]:
    """The assets of the governed correlation matrix, ascending."""
    return get_rules(ctx).correlation.assets


def get_volatility_index(ctx: Context) -> pb.VolatilityIndex:
    """The index of the last block and its tier; all zero but the multiplier before the first."""
    value = ctx.kv(STORE).get(_INDEX)
    return pb.VolatilityIndex.FromString(value) if value else pb.VolatilityIndex(multiplier_ppm=PPM)


def set_volatility_index(ctx: Context, index_ppm: int, tier: TierState) -> None:
    """Store the index of this block and the tier in force."""
    restore_volatility_index(
        ctx,
        pb.VolatilityIndex(
            index_ppm=index_ppm,
            tier=tier.tier,
            blocks_elsewhere=tier.blocks_elsewhere,
            height=ctx.height,
        ),
    )


def restore_volatility_index(ctx: Context, message: pb.VolatilityIndex) -> None:
    """Store an exported index; its multiplier follows from its tier."""
    tier = TierState(message.tier, message.blocks_elsewhere)
    restored = pb.VolatilityIndex(
        index_ppm=message.index_ppm,
        tier=message.tier,
        blocks_elsewhere=message.blocks_elsewhere,
        multiplier_ppm=compute_tier_multiplier_ppm(tier),
        height=message.height,
    )
    ctx.kv(STORE).set(_INDEX, restored.SerializeToString(deterministic=True))


def get_volatility_tier_multiplier_ppm(ctx: Context) -> int:
    """What initial margin is multiplied by in the volatility tier in force (row 19), ppm."""
    return get_volatility_index(ctx).multiplier_ppm
