"""The collateral store: the only place that knows its keys.

Liens themselves live in accounts; here are the routes they came over, the assets and listings that
value them, what is measured of each route, and collateral in flight.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf.message import Message

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, LienKey
from chain.modules.collateral.errors import DenomNotListed, RouteNotRegistered
from chain.modules.collateral.types import build_default_params, validate_params
from chain.modules.params.state import declare_params
from chain.runtime.context import Context
from chain.units import Address

STORE: Final = "collateral"
PARAMS: Final = declare_params(STORE, pb.Params, build_default_params, validate_params)
_ROUTE: Final = b"\x01"
_ROUTE_BY_CHANNEL: Final = b"\x02"
_ASSET: Final = b"\x03"
_LISTING: Final = b"\x04"
_MEASUREMENTS: Final = b"\x05"
_HEARTBEAT: Final = b"\x06"
_RELAYER: Final = b"\x07"
_FLIGHT: Final = b"\x08"
_CREDITED_LOCK: Final = b"\x09"
_NEXT_RELEASE: Final = b"\x0a"
_ASSET_RAMPS: Final = b"\x0b"
_PARAM_RAMP: Final = b"\x0c"
_RECOGNITION: Final = b"\x0d"
_EXCHANGE_RATE: Final = b"\x0e"
_SOLVENCY_PASS: Final = b"\x0f"
_SOLVENCY_REPORT: Final = b"\x10"

RELAYERS_REMEMBERED: Final = 2
"""Only "fewer than two" matters, so no stranger can grow the list."""


def _set(ctx: Context, key: bytes, message: Message) -> None:
    ctx.kv(STORE).set(key, message.SerializeToString(deterministic=True))


# Parameters


def get_params(ctx: Context) -> pb.Params:
    """The governed parameters, shared: nobody may change the message."""
    return PARAMS.get(ctx)


# Routes


def get_route(ctx: Context, route_id: str) -> pb.Route | None:
    """The route, or None."""
    value = ctx.kv(STORE).get(_ROUTE + route_id.encode())
    return pb.Route.FromString(value) if value else None


def require_route(ctx: Context, route_id: str) -> pb.Route:
    """The route; raises RouteNotRegistered."""
    route = get_route(ctx, route_id)
    if route is None:
        raise RouteNotRegistered(f"no route is called {route_id[:64]!r}; query the routes")
    return route


def require_route_of_channel(ctx: Context, channel_id: str) -> pb.Route:
    """The route that owns a channel; raises RouteNotRegistered.

    The one gate between "anyone may open a channel" and "a packet counts".
    """
    value = ctx.kv(STORE).get(_ROUTE_BY_CHANNEL + channel_id.encode())
    if value is None:
        raise RouteNotRegistered(f"{channel_id} belongs to no route; the council registers routes")
    return require_route(ctx, value.decode())


def has_route_of_channel(ctx: Context, channel_id: str) -> bool:
    """Whether a channel is some route's."""
    return ctx.kv(STORE).has(_ROUTE_BY_CHANNEL + channel_id.encode())


def set_route(ctx: Context, route: pb.Route) -> None:
    """Write a route and the index of its channel."""
    _set(ctx, _ROUTE + route.route_id.encode(), route)
    ctx.kv(STORE).set(_ROUTE_BY_CHANNEL + route.channel_id.encode(), route.route_id.encode())


def iterate_routes(ctx: Context) -> Iterator[pb.Route]:
    """All routes by id; the council bounds their number."""
    for _, value in ctx.kv(STORE).iterate(_ROUTE):
        yield pb.Route.FromString(value)


def compute_lien_key(route: pb.Route, denom: str) -> LienKey:
    """The lien of a denom held over a route."""
    return LienKey(route.chain_id, denom, route.vault, route.route_id)


# Assets and listings


def get_asset(ctx: Context, asset: str) -> pb.Asset | None:
    """How an asset is valued, or None."""
    value = ctx.kv(STORE).get(_ASSET + asset.encode())
    return pb.Asset.FromString(value) if value else None


def require_asset(ctx: Context, asset: str) -> pb.Asset:
    """How an asset is valued; raises DenomNotListed."""
    found = get_asset(ctx, asset)
    if found is None:
        raise DenomNotListed(f"asset {asset[:32]!r} is not collateral; query the assets")
    return found


def set_asset(ctx: Context, asset: pb.Asset) -> None:
    """Write a validated asset."""
    _set(ctx, _ASSET + asset.asset.encode(), asset)


def iterate_assets(ctx: Context) -> Iterator[pb.Asset]:
    """All assets by name."""
    for _, value in ctx.kv(STORE).iterate(_ASSET):
        yield pb.Asset.FromString(value)


def get_listing(ctx: Context, route_id: str, denom: str) -> pb.Listing | None:
    """The listing of a denom on a route, or None."""
    value = ctx.kv(STORE).get(_LISTING + route_id.encode() + b"\x00" + denom.encode())
    return pb.Listing.FromString(value) if value else None


def require_listing(ctx: Context, route_id: str, denom: str) -> pb.Listing:
    """The listing of a denom on a route; raises DenomNotListed."""
    listing = get_listing(ctx, route_id, denom)
    if listing is None:
        raise DenomNotListed(f"{denom[:128]!r} is not collateral on {route_id}; query the listings")
    return listing


def set_listing(ctx: Context, listing: pb.Listing) -> None:
    """Write a validated listing."""
    _set(ctx, _LISTING + listing.route_id.encode() + b"\x00" + listing.denom.encode(), listing)


def iterate_listings(ctx: Context, route_id: str | None = None) -> Iterator[pb.Listing]:
    """All listings, or one route's, by route and denom."""
    prefix = _LISTING if route_id is None else _LISTING + route_id.encode() + b"\x00"
    for _, value in ctx.kv(STORE).iterate(prefix):
        yield pb.Listing.FromString(value)


def get_denoms_of_asset(ctx: Context, asset: str) -> list[tuple[str, str, int]]:
    """Chain, denom and decimals of every denom of an asset; a denom on two routes comes once."""
    found: dict[tuple[str, str], int] = {}
    chain_ids: dict[str, str] = {}
    for listing in iterate_listings(ctx):
        if listing.asset != asset:
            continue
        route_id = listing.route_id
        if route_id not in chain_ids:
            chain_ids[route_id] = require_route(ctx, route_id).chain_id
        found.setdefault((chain_ids[route_id], listing.denom), listing.decimals)
    return [(chain_id, denom, decimals) for (chain_id, denom), decimals in found.items()]


def compute_quantity_wad(amount: int, decimals: int) -> int:
    """An amount of atomic units in WAD whole units; exact, since decimals are at most 18."""
    return int(amount * 10 ** (18 - decimals))


def get_asset_quantity_wad(
    ctx: Context, asset: str, denoms: Sequence[tuple[str, str, int]] | None = None
) -> int:
    """All liens in an asset, over all chains, routes and accounts, in WAD whole units.

    `denoms` are those of the asset when the caller has them.
    """
    return sum(
        compute_quantity_wad(accounts.get_lien_total(ctx, chain_id, denom), decimals)
        for chain_id, denom, decimals in denoms or get_denoms_of_asset(ctx, asset)
    )


def get_owner_quantity_wad(
    ctx: Context,
    asset: str,
    owner: Address,
    denoms: Sequence[tuple[str, str, int]] | None = None,
) -> int:
    """An owner's liens in an asset, over all chains, routes and numbers, in WAD whole units.

    `denoms` are those of the asset when the caller has them.
    """
    return sum(
        compute_quantity_wad(accounts.get_owner_lien_total(ctx, owner, chain_id, denom), decimals)
        for chain_id, denom, decimals in denoms or get_denoms_of_asset(ctx, asset)
    )


# Measurements


def get_measurements(ctx: Context, route_id: str) -> pb.RouteMeasurements:
    """What is measured of a route; empty at first."""
    value = ctx.kv(STORE).get(_MEASUREMENTS + route_id.encode())
    if value is None:
        return pb.RouteMeasurements(route_id=route_id)
    return pb.RouteMeasurements.FromString(value)


def set_measurements(ctx: Context, measurements: pb.RouteMeasurements) -> None:
    """Write the measurements of a route."""
    _set(ctx, _MEASUREMENTS + measurements.route_id.encode(), measurements)


def _heartbeat_key(route_id: str, number: int) -> bytes:
    return _HEARTBEAT + route_id.encode() + b"\x00" + number.to_bytes(8, "big")


def get_heartbeat(ctx: Context, route_id: str, number: int) -> pb.Heartbeat | None:
    """An unanswered heartbeat, or None when it was answered or never sent."""
    value = ctx.kv(STORE).get(_heartbeat_key(route_id, number))
    return pb.Heartbeat.FromString(value) if value else None


def set_heartbeat(ctx: Context, heartbeat: pb.Heartbeat) -> None:
    """Remember a heartbeat until it is answered or times out."""
    _set(ctx, _heartbeat_key(heartbeat.route_id, heartbeat.number), heartbeat)


def delete_heartbeat(ctx: Context, route_id: str, number: int) -> None:
    """Forget a heartbeat."""
    ctx.kv(STORE).delete(_heartbeat_key(route_id, number))


def iterate_heartbeats(ctx: Context, route_id: str | None = None) -> Iterator[pb.Heartbeat]:
    """Unanswered heartbeats of a route (all routes: None), the oldest first."""
    prefix = _HEARTBEAT if route_id is None else _HEARTBEAT + route_id.encode() + b"\x00"
    for _, value in ctx.kv(STORE).iterate(prefix):
        yield pb.Heartbeat.FromString(value)


def iterate_relayers(ctx: Context, route_id: str | None = None) -> Iterator[pb.RelayerSeen]:
    """The relayers last seen on a route, at most RELAYERS_REMEMBERED."""
    prefix = _RELAYER if route_id is None else _RELAYER + route_id.encode() + b"\x00"
    for _, value in ctx.kv(STORE).iterate(prefix):
        yield pb.RelayerSeen.FromString(value)


def set_relayer_seen(ctx: Context, route_id: str, relayer: str, seen_at_ns: int) -> None:
    """Remember that a relayer delivered now, instead of the one not seen for longest."""
    prefix = _RELAYER + route_id.encode() + b"\x00"
    others = [seen for seen in iterate_relayers(ctx, route_id) if seen.relayer != relayer]
    if len(others) >= RELAYERS_REMEMBERED:
        oldest = min(others, key=lambda seen: (seen.seen_at_ns, seen.relayer))
        ctx.kv(STORE).delete(prefix + oldest.relayer.encode())
    _set(
        ctx,
        prefix + relayer.encode(),
        pb.RelayerSeen(route_id=route_id, relayer=relayer, seen_at_ns=seen_at_ns),
    )


# Ramps, recognition, exchange rates


def get_asset_ramps(ctx: Context, asset: str) -> pb.AssetRamps | None:
    """What of an asset's terms ramps in; None before the first block that values it."""
    value = ctx.kv(STORE).get(_ASSET_RAMPS + asset.encode())
    return pb.AssetRamps.FromString(value) if value else None


def set_asset_ramps(ctx: Context, ramps: pb.AssetRamps) -> None:
    """Write the ramps of an asset."""
    _set(ctx, _ASSET_RAMPS + ramps.asset.encode(), ramps)


def iterate_asset_ramps(ctx: Context) -> Iterator[pb.AssetRamps]:
    """The ramps of all assets by name."""
    for _, value in ctx.kv(STORE).iterate(_ASSET_RAMPS):
        yield pb.AssetRamps.FromString(value)


def set_param_ramp(ctx: Context, ramp: pb.ParamRamp) -> None:
    """Write the ramp of a governed haircut."""
    _set(ctx, _PARAM_RAMP + ramp.name.encode(), ramp)


def iterate_param_ramps(ctx: Context) -> Iterator[pb.ParamRamp]:
    """The ramps of governed haircuts by name."""
    for _, value in ctx.kv(STORE).iterate(_PARAM_RAMP):
        yield pb.ParamRamp.FromString(value)


def get_recognition(ctx: Context, route_id: str) -> pb.RouteRecognition | None:
    """What of a route's value counts since its stake fell; None before its first block."""
    value = ctx.kv(STORE).get(_RECOGNITION + route_id.encode())
    return pb.RouteRecognition.FromString(value) if value else None


def set_recognition(ctx: Context, recognition: pb.RouteRecognition) -> None:
    """Write what of a route's value counts."""
    _set(ctx, _RECOGNITION + recognition.route_id.encode(), recognition)


def iterate_recognitions(ctx: Context) -> Iterator[pb.RouteRecognition]:
    """The recognition of all routes by id."""
    for _, value in ctx.kv(STORE).iterate(_RECOGNITION):
        yield pb.RouteRecognition.FromString(value)


def get_exchange_rate(ctx: Context, asset: str) -> pb.ExchangeRate | None:
    """The capped exchange rate of a yield-bearing asset, or None before its first."""
    value = ctx.kv(STORE).get(_EXCHANGE_RATE + asset.encode())
    return pb.ExchangeRate.FromString(value) if value else None


def set_exchange_rate(ctx: Context, rate: pb.ExchangeRate) -> None:
    """Write an exchange rate."""
    _set(ctx, _EXCHANGE_RATE + rate.asset.encode(), rate)


def iterate_exchange_rates(ctx: Context) -> Iterator[pb.ExchangeRate]:
    """All exchange rates by asset."""
    for _, value in ctx.kv(STORE).iterate(_EXCHANGE_RATE):
        yield pb.ExchangeRate.FromString(value)


# Solvency


def get_solvency_pass(ctx: Context) -> pb.SolvencyPass | None:
    """The pass over the accounts that is under way, or None between two."""
    value = ctx.kv(STORE).get(_SOLVENCY_PASS)
    return pb.SolvencyPass.FromString(value) if value else None


def set_solvency_pass(ctx: Context, current: pb.SolvencyPass | None) -> None:
    """Write the pass under way; None ends it."""
    if current is None:
        ctx.kv(STORE).delete(_SOLVENCY_PASS)
    else:
        _set(ctx, _SOLVENCY_PASS, current)


def get_solvency_report(ctx: Context) -> pb.SolvencyReport | None:
    """What the last whole pass found, or None before the first."""
    value = ctx.kv(STORE).get(_SOLVENCY_REPORT)
    return pb.SolvencyReport.FromString(value) if value else None


def set_solvency_report(ctx: Context, report: pb.SolvencyReport) -> None:
    """Publish what a whole pass found."""
    _set(ctx, _SOLVENCY_REPORT, report)


# Collateral in flight


def get_flight(ctx: Context, flight_id: str) -> pb.Flight | None:
    """Collateral that left a lien and is not settled, or None."""
    value = ctx.kv(STORE).get(_FLIGHT + flight_id.encode())
    return pb.Flight.FromString(value) if value else None


def set_flight(ctx: Context, flight: pb.Flight) -> None:
    """Remember collateral in flight."""
    _set(ctx, _FLIGHT + flight.flight_id.encode(), flight)


def delete_flight(ctx: Context, flight_id: str) -> None:
    """Forget a flight: it is settled."""
    ctx.kv(STORE).delete(_FLIGHT + flight_id.encode())


def iterate_flights(ctx: Context) -> Iterator[pb.Flight]:
    """All flights by id; bound the work at the call site."""
    for _, value in ctx.kv(STORE).iterate(_FLIGHT):
        yield pb.Flight.FromString(value)


def get_next_release_number(ctx: Context) -> int:
    """The number of the next release."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_RELEASE) or b"\x00", "big")


def set_next_release_number(ctx: Context, number: int) -> None:
    """Write the number of the next release."""
    ctx.kv(STORE).set(_NEXT_RELEASE, number.to_bytes(8, "big"))


# Credited locks


def _credited_key(route_id: str, lock_id: str) -> bytes:
    return _CREDITED_LOCK + route_id.encode() + b"\x00" + lock_id.encode()


def get_credited_lock(ctx: Context, route_id: str, lock_id: str) -> pb.CreditedLock | None:
    """The lock that was credited under an id, or None."""
    value = ctx.kv(STORE).get(_credited_key(route_id, lock_id))
    return pb.CreditedLock.FromString(value) if value else None


def set_credited_lock(ctx: Context, lock: pb.CreditedLock) -> None:
    """Remember a credited lock, so that its id never counts twice."""
    _set(ctx, _credited_key(lock.route_id, lock.lock_id), lock)


def iterate_credited_locks(ctx: Context) -> Iterator[pb.CreditedLock]:
    """All credited locks by route and id (for the export)."""
    for _, value in ctx.kv(STORE).iterate(_CREDITED_LOCK):
        yield pb.CreditedLock.FromString(value)


# Liens


def credit_lien(
    ctx: Context, account_id: AccountId, route: pb.Route, denom: str, amount: int
) -> None:
    """Add to the lien of a denom over a route; raises accounts' TooManyLines."""
    accounts.credit_lien(ctx, account_id, compute_lien_key(route, denom), amount)


def debit_lien(
    ctx: Context, account_id: AccountId, route: pb.Route, denom: str, amount: int
) -> None:
    """Take from the lien of a denom over a route; raises accounts' InsufficientLien."""
    accounts.debit_lien(ctx, account_id, compute_lien_key(route, denom), amount)
