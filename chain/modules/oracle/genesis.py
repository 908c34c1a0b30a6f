"""The oracle's part of the genesis file."""

from chain._pb.margin.oracle.v1 import oracle_pb2 as pb
from chain.modules.oracle import state
from chain.modules.oracle.aggregation import is_price
from chain.modules.oracle.errors import InvalidOracleParams
from chain.modules.oracle.params import build_default_params, split_rows, validate_params
from chain.modules.oracle.types import CorrelationRecord, Price
from chain.risk.correlation import HYSTERESIS_BLOCKS, TIERS_PPM, validate_correlation
from chain.runtime.context import Context
from chain.runtime.genesis import fill_amounts
from chain.units import parse_amount, parse_nonnegative


def build_default_genesis() -> pb.GenesisState:
    """Default parameters, nothing priced yet."""
    return pb.GenesisState(params=build_default_params())


def init_genesis(ctx: Context, genesis: pb.GenesisState) -> None:
    """Store parameters and what was measured; raises InvalidOracleParams, InvalidCorrelation."""
    state.set_params(ctx, genesis.params)
    for message in genesis.prices:
        price = Price(
            asset=message.asset,
            price_wad=parse_amount(message.price_wad, "price_wad"),
            raw_median_wad=parse_amount(message.raw_median_wad, "raw_median_wad"),
            time_ns=message.time_ns,
            height=message.height,
            confidence_ppm=message.confidence_ppm,
            source_count=message.source_count,
            step_bound_active=message.step_bound_active,
        )
        if not (is_price(price.price_wad) and is_price(price.raw_median_wad)):
            raise InvalidOracleParams(f"price of {price.asset} must be below 2^128")
        state.set_price(ctx, price)
    for volatility in genesis.volatilities:
        _fill_volatility(volatility)
        state.set_volatility_record(ctx, volatility.asset, state.decode_volatility(volatility))
    for depth in genesis.depths:
        state.set_depth_record(ctx, depth)
    if genesis.correlations.assets:
        state.set_correlation_record(ctx, _read_correlations(ctx, genesis.correlations))
    if genesis.HasField("model_ramp"):
        _init_ramp(ctx, genesis.model_ramp)
    index = genesis.volatility_index
    if genesis.HasField("volatility_index"):
        if index.tier >= len(TIERS_PPM) or index.blocks_elsewhere >= HYSTERESIS_BLOCKS:
            raise InvalidOracleParams(
                f"volatility_index: tier {index.tier} must be below {len(TIERS_PPM)} and "
                f"blocks_elsewhere {index.blocks_elsewhere} below {HYSTERESIS_BLOCKS}"
            )
        state.restore_volatility_index(ctx, index)


def _init_ramp(ctx: Context, ramp: pb.ModelRamp) -> None:
    validate_params(ramp.before)
    if not 0 < ramp.start_s < ramp.end_s:
        raise InvalidOracleParams(
            f"model_ramp from {ramp.start_s} to {ramp.end_s} s must end after it starts"
        )
    for volatility in ramp.volatilities:
        _fill_volatility(volatility)
    if len(ramp.correlation_ppm) != len(ramp.correlated_assets) ** 2:
        raise InvalidOracleParams("model_ramp.correlation_ppm must be a square matrix")
    if ramp.correlated_assets:
        validate_correlation(split_rows(ramp.correlation_ppm, len(ramp.correlated_assets)))
    state.set_ramp(ctx, ramp)


def _fill_volatility(volatility: pb.Volatility) -> None:
    fill_amounts(
        volatility,
        "volatility_wad",
        "ewma_variance_wad",
        "garch_variance_wad",
        "sample_price_wad",
        "base_ewma_variance_wad",
        "base_garch_variance_wad",
    )


def _read_correlations(ctx: Context, message: pb.Correlations) -> CorrelationRecord:
    size = len(message.assets)
    if (
        tuple(message.assets) != state.get_correlated_assets(ctx)
        or len(message.covariance_wad) != size * size
        or len(message.correlation_ppm) != size * size
        or len(message.sample_prices_wad) != size
    ):
        raise InvalidOracleParams(
            "correlations: assets must be those of params.correlation, with a square matrix of "
            "covariance_wad and correlation_ppm and a sample price each"
        )
    for text in message.sample_prices_wad:
        parse_nonnegative(text, "correlations.sample_prices_wad")
    for text in message.covariance_wad:
        parse_nonnegative(text.removeprefix("-"), "correlations.covariance_wad")
    record = state.decode_correlations(message)
    validate_correlation(record.correlation_ppm)
    return record


def export_genesis(ctx: Context) -> pb.GenesisState:
    """The module's state as a genesis file holds it; votes of the last block are not kept."""
    correlations = state.get_correlation_record(ctx)
    return pb.GenesisState(
        params=state.get_params(ctx),
        prices=[state.encode_price(price) for price in state.iterate_prices(ctx)],
        volatilities=[
            state.encode_volatility(asset, record)
            for asset, record in state.iterate_volatilities(ctx)
        ],
        depths=state.iterate_depth_records(ctx),
        correlations=state.encode_correlations(correlations) if correlations else None,
        volatility_index=state.get_volatility_index(ctx),
        model_ramp=state.get_ramp_message(ctx),
    )
