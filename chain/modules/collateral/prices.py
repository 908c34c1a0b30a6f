"""Prices of collateral: the oracle's; of yield-bearing assets base price times exchange rate.

The exchange rate (row 11) is a feed of its own. What counts falls with the feed at once and
rises by at most a governed share a day, so that a bent feed cannot mint collateral.
"""

from dataclasses import replace
from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.modules.collateral import state
from chain.modules.collateral.errors import InvalidListing
from chain.modules.oracle import state as oracle
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action, Price
from chain.risk.haircut import compute_capped_rate_wad
from chain.runtime.context import Context
from chain.units import NANOSECONDS, WAD, floor_div, mul_div_floor

_RATE_LIMIT: Final = 1_000 * WAD


def get_exchange_rate_wad(ctx: Context, asset: pb.Asset) -> int:
    """Base units that one unit of an asset is worth now; WAD for an asset that bears no yield."""
    if not asset.base_asset:
        return WAD
    feed = oracle.get_price(ctx, asset.exchange_rate_feed)
    if feed is None:
        return 0
    known = state.get_exchange_rate(ctx, asset.asset)
    if known is None:
        return min(feed.price_wad, int(asset.exchange_rate_wad))
    scale = max(1, oracle.get_rules(ctx).market_time_scale)
    elapsed_ns = max(0, ctx.time_ns - known.updated_at_ns) * scale
    rate = compute_capped_rate_wad(
        int(known.rate_wad), feed.price_wad, asset.rate_growth_day_ppm, elapsed_ns
    )
    return min(rate, _RATE_LIMIT)


def refresh_exchange_rate(ctx: Context, asset: pb.Asset) -> None:
    """Store the exchange rate of a yield-bearing asset as it stands in this block."""
    if not asset.base_asset:
        return
    rate_wad = get_exchange_rate_wad(ctx, asset)
    known = state.get_exchange_rate(ctx, asset.asset)
    # A rate at its cap moves in every block; one that stands keeps the time it may grow from.
    if rate_wad == 0 or (known is not None and int(known.rate_wad) == rate_wad):
        return
    state.set_exchange_rate(
        ctx,
        pb.ExchangeRate(asset=asset.asset, rate_wad=str(rate_wad), updated_at_ns=ctx.time_ns),
    )


def get_priced_asset(ctx: Context, name: str) -> str:
    """The oracle's asset behind a collateral asset: its base when it bears yield, else itself."""
    asset = state.get_asset(ctx, name)
    return asset.base_asset if asset is not None and asset.base_asset else name


def _scale_price(price: Price, name: str, rate_wad: int) -> Price | None:
    price_wad = mul_div_floor(price.price_wad, rate_wad, WAD)
    if price_wad == 0:
        return None
    return replace(
        price,
        asset=name,
        price_wad=price_wad,
        raw_median_wad=mul_div_floor(price.raw_median_wad, rate_wad, WAD),
    )


def get_asset_price(ctx: Context, name: str) -> Price | None:
    """The price of a collateral asset, however old; None before the first."""
    asset = state.get_asset(ctx, name)
    if asset is None or not asset.base_asset:
        return oracle.get_price(ctx, name)
    price = oracle.get_price(ctx, asset.base_asset)
    rate_wad = get_exchange_rate_wad(ctx, asset)
    return None if price is None else _scale_price(price, name, rate_wad)


def require_asset_price(ctx: Context, name: str, action: Action, *, proof_age_ns: int = 0) -> Price:
    """The price of a collateral asset when it allows the action; raises as `require_price` does.

    Of a yield-bearing asset both feeds must allow it. `proof_age_ns` is that of a lien's route.
    """
    asset = state.get_asset(ctx, name)
    if asset is None or not asset.base_asset:
        return require_price(ctx, name, action, proof_age_ns=proof_age_ns)
    price = require_price(ctx, asset.base_asset, action, proof_age_ns=proof_age_ns)
    require_price(ctx, asset.exchange_rate_feed, action, proof_age_ns=proof_age_ns)
    scaled = _scale_price(price, name, get_exchange_rate_wad(ctx, asset))
    return scaled or replace(price, asset=name, price_wad=0, raw_median_wad=0)


def get_daily_volume_wad(ctx: Context, asset: pb.Asset) -> int:
    """What of an asset is traded in a day, whole units (WAD): its depth figure (row 8).

    The governed figure, or the oracle's at its price if that is lower. At least one atom, so that
    the slippage of a market that dried up is all of its value and not undefined.
    """
    governed: int = int(asset.daily_volume_wad)
    price = oracle.get_price(ctx, asset.asset)
    volume_usd = oracle.get_depth(ctx, asset.asset).volume_usd
    if price is None or volume_usd == 0:
        return governed
    return max(1, min(governed, floor_div(volume_usd * WAD * WAD, price.price_wad)))


def validate_feed(ctx: Context, asset: pb.Asset) -> None:
    """Raises InvalidListing unless enough sources price the asset now (row 8).

    A listing needs a live feed and a depth figure: an asset that only few sources price, or none
    lately, would be worth what those few say.
    """
    if get_daily_volume_wad(ctx, asset) <= 1:
        raise InvalidListing(f"{asset.asset} is not traded; a listing needs a depth figure")
    sources_min = state.get_params(ctx).listing_sources_min
    age_s_max = oracle.get_rules(ctx).liquidation_age_s_max
    names = [asset.base_asset, asset.exchange_rate_feed] if asset.base_asset else [asset.asset]
    for name in names:
        price = oracle.get_price(ctx, name)
        if price is None:
            raise InvalidListing(
                f"{name} has no price; list it when {sources_min} sources price it"
            )
        source_count = oracle.get_source_count(ctx, name)
        if source_count < sources_min:
            raise InvalidListing(
                f"{source_count} sources price {name}, a listing needs {sources_min}"
            )
        age_s = floor_div(ctx.time_ns - price.time_ns, NANOSECONDS)
        if age_s > age_s_max:
            raise InvalidListing(
                f"the price of {name} is {age_s} s old, above {age_s_max}; its feed must be live"
            )
