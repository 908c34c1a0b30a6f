"""Prices and their rules as other modules see them, and the feed that a node is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

PRICE_LIMIT: Final = 1 << 128
"""Every price (WAD) is above zero and below it."""
EXTENSION_BYTES_MAX: Final = 16_384
"""Largest vote extension."""


@dataclass(frozen=True, slots=True)
class SourcePrice:
    """What one source says of one asset: USD of a whole unit in WAD, and when it said so.

    `depth_usd` is what it says can be sold near the price, `volume_usd` a day's; None: not said.
    """

    asset: str
    source: str
    price_wad: int
    time_ns: int
    depth_usd: int | None = None
    volume_usd: int | None = None


class PriceSource(Protocol):
    """A node's own local feed, given to it by its shell."""

    def read(self) -> Sequence[SourcePrice]:
        """The latest price of each (asset, source), at once and without waiting for anything."""
        ...


@dataclass(frozen=True, slots=True)
class Vote:
    """One validator's vote for one asset: median of its sources, their number and agreement."""

    asset: str
    price_wad: int
    source_count: int
    confidence_ppm: int
    time_ns: int
    depth_usd: int = 0
    volume_usd: int = 0


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of an asset can be sold near its price, and a day's volume; both in whole USD."""

    depth_usd: int
    volume_usd: int


@dataclass(frozen=True, slots=True)
class Price:
    """The agreed price of an asset: USD of a whole unit, WAD.

    `price_wad` moves by at most the step bound a block; while it has not reached `raw_median_wad`,
    `step_bound_active` is set. `time_ns` is the feed's time, never later than the block's.
    """

    asset: str
    price_wad: int
    raw_median_wad: int
    time_ns: int
    height: int
    confidence_ppm: int
    source_count: int
    step_bound_active: bool


@dataclass(frozen=True, slots=True)
class AssetRules:
    """One asset's parameters, parsed; the protobuf AssetParams tells what each means."""

    asset: str
    sources_min: int
    step_ppm_max: int
    outlier_ppm: int
    confidence_ppm_min: int
    volatility_initial_wad: int
    volatility_max_wad: int
    volatility_long_run_wad: int = 0
    depth_usd_max: int = 0
    volume_usd_max: int = 0
    index_weight_ppm: int = 0


@dataclass(frozen=True, slots=True)
class CorrelationRules:
    """The governed correlations of some assets and how far measuring may move them."""

    assets: tuple[str, ...] = ()
    prior_ppm: tuple[tuple[int, ...], ...] = ()
    band_ppm: int = 0
    lambda_ppm: int = 0


@dataclass(frozen=True, slots=True)
class OracleRules:
    """The module's parameters, parsed; the protobuf Params tells what each means."""

    assets: tuple[AssetRules, ...]
    market_time_scale: int
    source_age_s_max: int
    risk_age_s_max: int
    liquidation_age_s_max: int
    volatility_interval_s: int
    lambda_ppm: int
    return_ppm_max: int
    garch_alpha_ppm: int
    garch_beta_ppm: int
    correlation: CorrelationRules = CorrelationRules()
    effective_age_s_max: int = 3_600

    def get_asset(self, asset: str) -> AssetRules | None:
        """The asset's rules, or None when it is not priced."""
        return next((rules for rules in self.assets if rules.asset == asset), None)


@dataclass(frozen=True, slots=True)
class VolatilityRecord:
    """The measured variance of an asset: as of the last sample, and with the move since then."""

    base_ewma_variance_wad: int
    base_garch_variance_wad: int
    ewma_variance_wad: int
    garch_variance_wad: int
    volatility_wad: int
    sample_price_wad: int
    sample_time_ns: int


@dataclass(frozen=True, slots=True)
class ModelRamp:
    """A change of the volatility model or of correlations that ramps in, block seconds: the rules
    before it, what they measure, and the matrix (ppm) that was in force.
    """

    rules: OracleRules
    start_s: int
    end_s: int
    records: tuple[tuple[str, VolatilityRecord], ...]
    correlated_assets: tuple[str, ...] = ()
    correlation_ppm: tuple[tuple[int, ...], ...] = ()

    def get_correlation_ppm(self, left: str, right: str) -> int:
        """The correlation of two different assets before the change; 0 outside its matrix."""
        assets = self.correlated_assets
        if left not in assets or right not in assets:
            return 0
        return self.correlation_ppm[assets.index(left)][assets.index(right)]

    def get_record(self, asset: str) -> VolatilityRecord | None:
        """The variance of an asset by the rules before the change; None for one priced since."""
        return next((record for name, record in self.records if name == asset), None)


@dataclass(frozen=True, slots=True)
class CorrelationRecord:
    """Annual covariances (WAD, signed) of assets and the correlations (ppm) made of them."""

    assets: tuple[str, ...]
    covariance_wad: tuple[tuple[int, ...], ...]
    correlation_ppm: tuple[tuple[int, ...], ...]
    sample_prices_wad: tuple[int, ...]
    sample_time_ns: int


class Action(Enum):
    """What somebody wants to do on the strength of a price."""

    OPEN_RISK = "open_risk"
    REDUCE = "reduce"
    WITHDRAW = "withdraw"
    LIQUIDATE = "liquidate"
