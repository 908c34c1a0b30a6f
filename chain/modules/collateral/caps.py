"""What may still be deposited: caps of listing, asset, owner, route and stake (systems row 5)."""

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.collateral import state
from chain.modules.collateral.errors import AmountBelowMinimum, CapExceeded, PriceUnavailable
from chain.modules.collateral.measurement import get_route_value_uusd
from chain.modules.collateral.prices import get_asset_price
from chain.modules.collateral.ramps import compute_capacity_uusd
from chain.risk.haircut import compute_asset_value_uusd
from chain.runtime.context import Context


def validate_caps(
    ctx: Context, route: pb.Route, listing: pb.Listing, account_id: AccountId, amount: int
) -> None:
    """Raises unless the amount fits the listing, the asset, the owner, the route and its stake."""
    if amount < int(listing.amount_min):
        raise AmountBelowMinimum(f"{amount} {listing.denom} is below {listing.amount_min}")
    asset = state.require_asset(ctx, listing.asset)
    held = accounts.get_route_lien_total(ctx, route.route_id, route.chain_id, listing.denom)
    _require_below(held + amount, int(listing.amount_cap), f"{listing.denom} on {route.route_id}")
    quantity = state.compute_quantity_wad(amount, listing.decimals)
    _require_below(
        state.get_asset_quantity_wad(ctx, asset.asset) + quantity,
        int(asset.quantity_cap_wad),
        f"{asset.asset} over all routes (WAD)",
    )
    _require_below(
        state.get_owner_quantity_wad(ctx, asset.asset, account_id.owner) + quantity,
        int(asset.owner_quantity_cap_wad),
        f"{asset.asset} of {account_id.owner} (WAD)",
    )
    price = get_asset_price(ctx, asset.asset)
    value = get_route_value_uusd(ctx, route)
    if price is None or value is None:
        raise PriceUnavailable(f"{asset.asset} or another asset of {route.route_id} has no price")
    added = compute_asset_value_uusd(amount, price.price_wad, listing.decimals)
    _validate_line(ctx, route, listing, account_id, added)
    value += added
    _require_below(value, int(route.value_cap_uusd), f"uusd on {route.route_id}")
    # A route is believed for no more than a share of what its validators stand to lose (row 5).
    capacity = compute_capacity_uusd(ctx, route)
    _require_below(value, capacity, f"uusd against the stake of {route.route_id}")


def _validate_line(
    ctx: Context, route: pb.Route, listing: pb.Listing, account_id: AccountId, value_uusd: int
) -> None:
    """Raises AmountBelowMinimum when dust would open one of the owner's lines (row 8)."""
    least = int(state.get_params(ctx).line_value_min_uusd or "0")
    if value_uusd >= least:
        return
    if accounts.get_lien(ctx, account_id, state.compute_lien_key(route, listing.denom)) == 0:
        raise AmountBelowMinimum(
            f"{value_uusd} uusd opens no line of an account, the least is {least}; deposit more"
        )


def _require_below(total: int, cap: int, what: str) -> None:
    if total > cap:
        raise CapExceeded(
            f"{total} {what} would pass the cap {cap}; deposit at most the difference"
        )
