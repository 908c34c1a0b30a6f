"""The parameters that the chain and its local network ship with, as the report judges them."""

from dataclasses import dataclass

from chain.modules.oracle.params import build_default_params
from chain.risk.haircut import CONFIDENCE_Z, compute_market_haircut_ppm
from localnet.genesis import make_collateral, make_markets


@dataclass(frozen=True)
class Shipped:
    """Defaults of the oracle, and the listings of ETH and USDC; named as their parameters."""

    lambda_ppm: int
    garch_alpha_ppm: int
    garch_beta_ppm: int
    confidence_z: int
    volatility_floor_wad: int
    market_haircut_ppm: int
    market_haircut_min_ppm: int
    market_haircut_max_ppm: int
    volatility_beta_ppm: int
    volatility_reference_wad: int
    maintenance_ppm: int
    horizon_s: int
    stable_haircut_ppm: int
    correlation_band_ppm: int

    def compute_market_haircut_ppm(self, volatility_wad: int) -> int:
        """The market haircut that the chain aims at for this volatility (row 20)."""
        return compute_market_haircut_ppm(
            base_ppm=self.market_haircut_ppm,
            beta_ppm=self.volatility_beta_ppm,
            excess_wad=volatility_wad - self.volatility_reference_wad,
            min_ppm=self.market_haircut_min_ppm,
            max_ppm=self.market_haircut_max_ppm,
        )


def get_shipped() -> Shipped:
    """The defaults of the oracle module and ETH as the local network lists it."""
    oracle = build_default_params()
    market = make_markets().markets[0]
    assets = {item.asset: item for item in make_collateral().assets}
    asset, stable = assets["ETH"], assets["USDC"]
    return Shipped(
        lambda_ppm=oracle.lambda_ppm,
        garch_alpha_ppm=oracle.garch_alpha_ppm,
        garch_beta_ppm=oracle.garch_beta_ppm,
        confidence_z=CONFIDENCE_Z,
        volatility_floor_wad=int(market.volatility_floor_wad),
        market_haircut_ppm=asset.market_haircut_ppm,
        market_haircut_min_ppm=asset.market_haircut_min_ppm,
        market_haircut_max_ppm=asset.market_haircut_max_ppm,
        volatility_beta_ppm=asset.volatility_beta_ppm,
        volatility_reference_wad=int(asset.volatility_reference_wad),
        maintenance_ppm=market.maintenance_ppm,
        horizon_s=market.horizon_s,
        stable_haircut_ppm=stable.market_haircut_ppm,
        correlation_band_ppm=oracle.correlation.band_ppm,
    )
