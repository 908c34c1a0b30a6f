"""Bounds of routes, assets, listings and parameters, checked wherever one enters the state."""

import re
from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.ibc.apps import margin
from chain.ibc.apps.transfer import denoms
from chain.modules.auth.types import module_address
from chain.modules.collateral.errors import InvalidListing, InvalidParams, InvalidRoute
from chain.runtime.address import decode_address, decode_foreign_address
from chain.units import PPM, UUSD, parse_amount, parse_nonnegative

MODULE_NAME: Final = "collateral"
MODULE_ADDRESS: Final = module_address(MODULE_NAME)
"""The module account that holds vouchers while they are liens."""
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")
_PREFIX: Final = re.compile(r"[a-z0-9]{1,20}")
_DENOM: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9/:._-]{1,127}")
DECIMALS_MAX: Final = 18
DURATION_S_MAX: Final = 30 * 86_400
UNBONDING_S_MAX: Final = 365 * 86_400
RATE_GROWTH_DAY_PPM_MAX: Final = 100_000


def build_default_params() -> pb.Params:
    """What a chain starts with when its genesis does not say otherwise."""
    return pb.Params(
        release_timeout_s=600,
        seize_timeout_s=120,
        heartbeat_timeout_s=600,
        latency_prior_ms=30_000,
        latency_samples_min=20,
        heartbeats_unanswered_max=8,
        light_client_haircut_ppm=5_000,
        optimistic_haircut_ppm=20_000,
        attestation_haircut_ppm=50_000,
        bonded_relayer_haircut_ppm=200_000,
        age_half_step_ppm=20_000,
        age_three_quarter_step_ppm=50_000,
        relayer_step_ppm=10_000,
        concentration_step_ppm=10_000,
        stake_share_ppm=333_333,
        route_count_max=32,
        pause_ramp_s=3_600,
        voucher_hop_haircut_ppm=20_000,
        haircut_ramp_s=3_600,
        listing_sources_min=3,
        line_value_min_uusd=str(UUSD),
        asset_count_max=64,
        solvency_accounts_max=100,
    )


def validate_params(params: pb.Params) -> None:
    """Raises InvalidParams naming the first parameter out of its bounds."""
    bounds = (
        ("release_timeout_s", 1, DURATION_S_MAX),
        ("seize_timeout_s", 1, DURATION_S_MAX),
        ("heartbeat_timeout_s", 1, DURATION_S_MAX),
        ("latency_prior_ms", 1, DURATION_S_MAX * 1_000),
        ("latency_samples_min", 1, 1_000),
        ("heartbeats_unanswered_max", 1, 64),
        ("light_client_haircut_ppm", 0, PPM),
        ("optimistic_haircut_ppm", 0, PPM),
        ("attestation_haircut_ppm", 0, PPM),
        ("bonded_relayer_haircut_ppm", 0, PPM),
        ("age_half_step_ppm", 0, PPM),
        ("age_three_quarter_step_ppm", 0, PPM),
        ("relayer_step_ppm", 0, PPM),
        ("concentration_step_ppm", 0, PPM),
        ("stake_share_ppm", 1, PPM),
        ("route_count_max", 1, 128),
        ("pause_ramp_s", 1, DURATION_S_MAX),
        ("voucher_hop_haircut_ppm", 0, PPM),
        ("haircut_ramp_s", 1, DURATION_S_MAX),
        ("listing_sources_min", 1, 32),
        ("asset_count_max", 1, 256),
        ("solvency_accounts_max", 1, 10_000),
    )
    for name, low, high in bounds:
        value = getattr(params, name)
        if not low <= value <= high:
            raise InvalidParams(f"{name} {value} must lie within [{low}, {high}]")
    parse_nonnegative(params.line_value_min_uusd, "line_value_min_uusd")


def get_route_protocol(route: pb.Route) -> tuple[str, str]:
    """Port and version of the channels that a route of this kind runs over."""
    if route.kind == pb.ROUTE_KIND_VOUCHER:
        return denoms.PORT, denoms.VERSION
    return margin.PORT, margin.VERSION


def validate_route(route: pb.Route) -> None:
    """Raises InvalidRoute for names, class or figures out of their bounds; looks at no state."""
    for name in ("route_id", "vault"):
        if _NAME.fullmatch(getattr(route, name)) is None:
            raise InvalidRoute(f"{name} must be 1 to 64 letters, digits, dots, dashes")
    for name in ("chain_id", "client_id", "connection_id", "channel_id"):
        if not 0 < len(getattr(route, name)) <= 64:
            raise InvalidRoute(f"{name} must have 1 to 64 characters")
    _validate_kind(route)
    if route.route_class not in (
        pb.ROUTE_CLASS_LIGHT_CLIENT,
        pb.ROUTE_CLASS_OPTIMISTIC,
        pb.ROUTE_CLASS_ATTESTATION,
        pb.ROUTE_CLASS_BONDED_RELAYER,
    ):
        raise InvalidRoute("route_class must be one of the four classes")
    for name in ("finality_s", "auction_duration_s"):
        if getattr(route, name) > DURATION_S_MAX:
            raise InvalidRoute(f"{name} {getattr(route, name)} is above {DURATION_S_MAX}")
    if not 1 <= route.heartbeat_interval_s <= DURATION_S_MAX:
        raise InvalidRoute(f"heartbeat_interval_s must lie within [1, {DURATION_S_MAX}]")
    parse_amount(route.value_cap_uusd, "value_cap_uusd")
    parse_amount(route.stake_uusd, "stake_uusd")


def _validate_kind(route: pb.Route) -> None:
    if route.kind not in (pb.ROUTE_KIND_VAULT, pb.ROUTE_KIND_VOUCHER):
        raise InvalidRoute("kind must be VAULT or VOUCHER")
    if route.kind == pb.ROUTE_KIND_VAULT:
        if route.address_prefix:
            raise InvalidRoute("address_prefix is for voucher routes; vaults have ours")
        return
    if route.vault != denoms.PORT:
        raise InvalidRoute(f"a voucher route has no vault at its other end; write {denoms.PORT!r}")
    if _PREFIX.fullmatch(route.address_prefix) is None:
        raise InvalidRoute("address_prefix must be 1 to 20 lower-case letters and digits")


def validate_asset(asset: pb.Asset) -> None:
    """Raises InvalidListing (or InvalidAmount) for a figure out of its bounds."""
    if _NAME.fullmatch(asset.asset) is None:
        raise InvalidListing("asset must be 1 to 64 letters, digits, dots, dashes")
    low, base, high = (
        asset.market_haircut_min_ppm,
        asset.market_haircut_ppm,
        asset.market_haircut_max_ppm,
    )
    if not low <= base <= high <= PPM:
        raise InvalidListing(
            f"market haircuts must rise: min {low} <= base {base} <= max {high} <= {PPM}"
        )
    for name in ("volatility_reference_wad", "size_factor_wad", "scale_start_wad"):
        parse_nonnegative(getattr(asset, name), name)
    for name in ("quantity_cap_wad", "owner_quantity_cap_wad", "daily_volume_wad"):
        parse_amount(getattr(asset, name), name)
    if asset.slippage_factor_ppm > PPM:
        raise InvalidListing(f"slippage_factor_ppm {asset.slippage_factor_ppm} is above {PPM}")
    _validate_yield(asset)


def _validate_yield(asset: pb.Asset) -> None:
    if not asset.base_asset:
        for name in ("exchange_rate_feed", "exchange_rate_wad", "rate_growth_day_ppm"):
            if getattr(asset, name):
                raise InvalidListing(f"{name} is for an asset with a base_asset; leave it out")
    else:
        for name in ("base_asset", "exchange_rate_feed"):
            if _NAME.fullmatch(getattr(asset, name)) is None:
                raise InvalidListing(f"{name} must be 1 to 64 letters, digits, dots, dashes")
        if asset.asset in (asset.base_asset, asset.exchange_rate_feed):
            raise InvalidListing("base_asset and exchange_rate_feed must name other assets")
        if asset.base_asset == asset.exchange_rate_feed:
            raise InvalidListing("exchange_rate_feed must be another feed than that of base_asset")
        parse_amount(asset.exchange_rate_wad, "exchange_rate_wad")
        if asset.rate_growth_day_ppm > RATE_GROWTH_DAY_PPM_MAX:
            raise InvalidListing(
                f"rate_growth_day_ppm {asset.rate_growth_day_ppm} is above "
                f"{RATE_GROWTH_DAY_PPM_MAX}; a yield is no faster"
            )
    if asset.unbonding_s > UNBONDING_S_MAX:
        raise InvalidListing(f"unbonding_s {asset.unbonding_s} is above {UNBONDING_S_MAX}")


def validate_listing(listing: pb.Listing) -> None:
    """Raises InvalidListing (or InvalidAmount) for a name or figure out of its bounds."""
    if _DENOM.fullmatch(listing.denom) is None:
        raise InvalidListing("denom must be 2 to 128 letters, digits and /:._-, a letter first")
    if listing.decimals > DECIMALS_MAX:
        raise InvalidListing(f"decimals {listing.decimals} is above {DECIMALS_MAX}")
    parse_amount(listing.amount_cap, "amount_cap")
    parse_amount(listing.amount_min, "amount_min")


def validate_receiver(route: pb.Route, receiver: str) -> None:
    """Raises InvalidAddress unless the other end of a route can pay this receiver."""
    if route.kind == pb.ROUTE_KIND_VOUCHER:
        decode_foreign_address(receiver, route.address_prefix)
    else:
        # Vaults are on chains of ours: an address they would refuse would only hold a lot up.
        decode_address(receiver, "receiver")


def validate_listing_kind(route: pb.Route, denom: str) -> None:
    """Raises InvalidListing unless a denom is of the form that a route of this kind carries."""
    if route.kind != pb.ROUTE_KIND_VOUCHER:
        return
    denom_hash = denoms.parse_hash(denom)
    if denom_hash is None or denom != f"{denoms.VOUCHER_PREFIX}{denom_hash.hex().upper()}":
        raise InvalidListing(f"on a voucher route {denom[:128]!r} must be ibc/ and its hash")
