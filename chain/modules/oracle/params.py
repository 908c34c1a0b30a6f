"""The oracle's parameters: defaults and bounds."""

from collections.abc import Sequence
from itertools import pairwise

from chain._pb.margin.oracle.v1 import oracle_pb2 as pb
from chain.modules.oracle.errors import InvalidOracleParams
from chain.risk.correlation import validate_correlation
from chain.units import PPM, WAD, parse_amount

ASSETS_MAX = 64
AGE_S_MAX = 86_400
RAMP_S = 3_600
"""The ramp of a changed volatility model where parameters name none."""
EFFECTIVE_AGE_S_MAX = 3_600
"""The limit of price age and proof age together where parameters name none."""
VOLATILITY_MAX_WAD = 100 * WAD
USD_MAX = 10**15
CORRELATED_ASSETS_MAX = 24
"""Assets of the correlation matrix: it is repaired on chain at every sample."""


def _require(value: int, low: int, high: int, field: str) -> None:
    if not low <= value <= high:
        raise InvalidOracleParams(f"{field} {value} must lie within [{low}, {high}]")


def validate_params(params: pb.Params) -> None:
    """Raise InvalidOracleParams (InvalidAmount, InvalidCorrelation) at the first broken bound."""
    _require(len(params.assets), 0, ASSETS_MAX, "number of assets")
    names = [asset.asset for asset in params.assets]
    if any(left >= right for left, right in pairwise(names)):
        raise InvalidOracleParams("assets must be in ascending order, each once")
    for asset in params.assets:
        name = asset.asset
        if not (name.isascii() and name.isalnum() and name.isupper() and len(name) <= 16):
            raise InvalidOracleParams(
                f"asset {name[:40]!r} must be 1 to 16 upper-case letters and digits, as ETH"
            )
        _require(asset.sources_min, 1, 32, f"{name} sources_min")
        _require(asset.step_ppm_max, 1, PPM, f"{name} step_ppm_max")
        _require(asset.outlier_ppm, 1, PPM, f"{name} outlier_ppm")
        _require(asset.confidence_ppm_min, 0, PPM, f"{name} confidence_ppm_min")
        largest = parse_amount(asset.volatility_max_wad, f"{name} volatility_max_wad")
        _require(largest, 1, VOLATILITY_MAX_WAD, f"{name} volatility_max_wad")
        initial = parse_amount(asset.volatility_initial_wad, f"{name} volatility_initial_wad")
        _require(initial, 1, largest, f"{name} volatility_initial_wad")
        if asset.volatility_long_run_wad:
            long_run = parse_amount(
                asset.volatility_long_run_wad, f"{name} volatility_long_run_wad"
            )
            _require(long_run, 1, largest, f"{name} volatility_long_run_wad")
        _require(asset.depth_usd_max, 0, USD_MAX, f"{name} depth_usd_max")
        _require(asset.volume_usd_max, 0, USD_MAX, f"{name} volume_usd_max")
        _require(asset.index_weight_ppm, 0, PPM, f"{name} index_weight_ppm")
    shares = sum(asset.index_weight_ppm for asset in params.assets)
    if shares not in {0, PPM}:
        raise InvalidOracleParams(f"index_weight_ppm add up to {shares}, must be {PPM} or all 0")
    _validate_correlation_params(params.correlation, names)
    _require(params.market_time_scale, 1, 100_000, "market_time_scale")
    _require(params.source_age_s_max, 1, AGE_S_MAX, "source_age_s_max")
    _require(params.risk_age_s_max, 1, AGE_S_MAX, "risk_age_s_max")
    _require(params.liquidation_age_s_max, 1, AGE_S_MAX, "liquidation_age_s_max")
    if params.ramp_s:
        _require(params.ramp_s, 60, 7 * AGE_S_MAX, "ramp_s")
    _require(params.effective_age_s_max, 0, AGE_S_MAX, "effective_age_s_max")
    _require(params.volatility_interval_s, 1, AGE_S_MAX, "volatility_interval_s")
    _require(params.lambda_ppm, 0, PPM, "lambda_ppm")
    _require(params.return_ppm_max, 1, 5 * PPM, "return_ppm_max")
    _require(params.garch_alpha_ppm + params.garch_beta_ppm, 0, PPM, "garch alpha + beta")


def _validate_correlation_params(correlation: pb.CorrelationParams, priced: list[str]) -> None:
    assets = list(correlation.assets)
    _require(len(assets), 0, CORRELATED_ASSETS_MAX, "number of correlation.assets")
    if any(left >= right for left, right in pairwise(assets)):
        raise InvalidOracleParams("correlation.assets must be in ascending order, each once")
    unpriced = [asset for asset in assets if asset not in priced]
    if unpriced:
        raise InvalidOracleParams(
            f"correlation.assets: {unpriced[0][:40]!r} is not among the priced assets"
        )
    _require(
        len(correlation.prior_ppm),
        len(assets) ** 2,
        len(assets) ** 2,
        "number of correlation.prior_ppm",
    )
    _require(correlation.band_ppm, 0, 2 * PPM, "correlation.band_ppm")
    _require(correlation.lambda_ppm, 0, PPM, "correlation.lambda_ppm")
    if assets:
        validate_correlation(split_rows(correlation.prior_ppm, len(assets)))


def split_rows(entries: Sequence[int], size: int) -> tuple[tuple[int, ...], ...]:
    """A square matrix that is written row by row."""
    return tuple(tuple(entries[row * size : (row + 1) * size]) for row in range(size))


def build_default_params() -> pb.Params:
    """The rules of a chain that prices nothing yet; docs/specs/calibration.md supports them."""
    return pb.Params(
        market_time_scale=1,
        source_age_s_max=30,
        risk_age_s_max=30,
        liquidation_age_s_max=60,
        effective_age_s_max=EFFECTIVE_AGE_S_MAX,
        ramp_s=RAMP_S,
        volatility_interval_s=3_600,
        lambda_ppm=940_000,
        return_ppm_max=PPM,
        garch_alpha_ppm=70_000,
        garch_beta_ppm=917_000,
        correlation=pb.CorrelationParams(lambda_ppm=940_000, band_ppm=400_000),
    )
