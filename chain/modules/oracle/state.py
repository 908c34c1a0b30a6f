"""The oracle store: the only place that knows its keys."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from chain._pb.margin.oracle.v1 import oracle_pb2 as pb
from chain.modules.oracle.params import build_default_params, validate_params
from chain.modules.oracle.types import AssetRules, OracleRules, Price, VolatilityRecord
from chain.modules.params import state as params_state
from chain.runtime.context import Context
from chain.units import NANOSECONDS, floor_div

STORE: Final = "oracle"
PARAMS: Final = params_state.declare_params(STORE, pb.Params, build_default_params, validate_params)
_PRICE: Final = b"\x01"
_VOLATILITY: Final = b"\x02"
_LAST_VOTES: Final = b"\x03"


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
        garch_omega_wad=int(params.garch_omega_wad or "0"),
        garch_alpha_ppm=params.garch_alpha_ppm,
        garch_beta_ppm=params.garch_beta_ppm,
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


def get_volatility_wad(ctx: Context, asset: str) -> int:
    """Annual volatility in market time: measured, or the governed initial one before any price."""
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
