"""Queries of collateral."""

from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain._pb.margin.collateral.v1 import query_pb2
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, LienKey
from chain.modules.collateral import state
from chain.modules.collateral.measurement import (
    get_asset_reads,
    get_lien_haircut,
    get_route_measure,
    get_route_value_uusd,
)
from chain.modules.collateral.prices import get_asset_price, get_exchange_rate_wad
from chain.modules.collateral.ramps import compute_capacity_uusd, encode_ramp, get_asset_ramps
from chain.modules.collateral.solvency import compute_ratio_ppm, get_ratio_terms
from chain.risk.haircut import compute_lien_value
from chain.risk.latency import BUCKET_BOUNDS_MS
from chain.runtime.context import Context
from chain.runtime.module import QueryRoute
from chain.units import Address

_SERVICE: Final = "/margin.collateral.v1.Query/"
FLIGHTS_MAX: Final = 1_000
"""Rows of one answer."""


def query_params(
    ctx: Context, request: query_pb2.QueryParamsRequest
) -> query_pb2.QueryParamsResponse:
    """The governed parameters."""
    del request
    return query_pb2.QueryParamsResponse(params=state.get_params(ctx))


def _view_route(ctx: Context, route: pb.Route) -> query_pb2.RouteView:
    measure = get_route_measure(ctx, route)
    value = get_route_value_uusd(ctx, route)
    counts = state.get_measurements(ctx, route.route_id).histogram.counts
    return query_pb2.RouteView(
        route=route,
        status=measure.status,
        client_status=measure.client_status,
        proof_age_ms=measure.proof_age_ms,
        relay_p50_ms=measure.relay_p50_ms,
        relay_p95_ms=measure.relay_p95_ms,
        samples=measure.samples,
        heartbeat_age_ms=measure.heartbeat_age_ms,
        delta_t_ms=measure.delta_t_ms,
        delta_t_market_s=measure.delta_t_market_s,
        security_haircut_ppm=measure.security_ppm,
        security_initial_ppm=measure.security_initial_ppm,
        unrecognized_ppm=measure.unrecognized_ppm,
        auction_duration_ms=measure.auction_duration_ms,
        stake_capacity_uusd=str(compute_capacity_uusd(ctx, route)),
        staleness_haircut_ppm=measure.staleness_ppm,
        histogram_counts=counts,
        histogram_bounds_ms=BUCKET_BOUNDS_MS,
        relayers_24h=measure.relayers,
        value_uusd="" if value is None else str(value),
    )


def query_routes(
    ctx: Context, request: query_pb2.QueryRoutesRequest
) -> query_pb2.QueryRoutesResponse:
    """All routes with what is measured of them."""
    del request
    return query_pb2.QueryRoutesResponse(
        routes=[_view_route(ctx, route) for route in state.iterate_routes(ctx)]
    )


def query_route(ctx: Context, request: query_pb2.QueryRouteRequest) -> query_pb2.QueryRouteResponse:
    """One route with what is measured of it."""
    return query_pb2.QueryRouteResponse(
        route=_view_route(ctx, state.require_route(ctx, request.route_id))
    )


def query_assets(
    ctx: Context, request: query_pb2.QueryAssetsRequest
) -> query_pb2.QueryAssetsResponse:
    """All assets that are collateral."""
    del request
    return query_pb2.QueryAssetsResponse(assets=list(state.iterate_assets(ctx)))


def query_listings(
    ctx: Context, request: query_pb2.QueryListingsRequest
) -> query_pb2.QueryListingsResponse:
    """All denoms that are collateral, by route."""
    del request
    return query_pb2.QueryListingsResponse(listings=list(state.iterate_listings(ctx)))


def _view_lien(
    ctx: Context, account_id: AccountId, key: LienKey, amount: int
) -> query_pb2.LienView:
    view = query_pb2.LienView(
        owner=account_id.owner,
        account=account_id.number,
        route_id=key.route_id,
        chain_id=key.chain_id,
        denom=key.denom,
        amount=str(amount),
    )
    factors = get_lien_haircut(ctx, account_id.owner, key, amount)
    view.asset = factors.asset
    view.market_ppm = factors.market_ppm
    view.size_weight_ppm = factors.size_weight_ppm
    view.latency_ppm = factors.latency_ppm
    view.security_ppm = factors.security_ppm
    view.staleness_ppm = factors.staleness_ppm
    view.market_initial_ppm = (factors.initial or factors).market_ppm
    price = get_asset_price(ctx, factors.asset)
    if price is None:
        return view
    value = compute_lien_value(factors, int(price.price_wad))
    view.price_wad = str(price.price_wad)
    view.value_uusd = str(value.value_uusd)
    view.haircut_ppm = value.haircut_ppm
    view.recognised_uusd = str(value.counted_uusd)
    view.recognised_initial_uusd = str(value.counted_initial_uusd)
    asset = state.get_asset(ctx, factors.asset)
    if asset is not None and asset.base_asset:
        view.exchange_rate_wad = str(get_exchange_rate_wad(ctx, asset))
    return view


def query_liens(ctx: Context, request: query_pb2.QueryLiensRequest) -> query_pb2.QueryLiensResponse:
    """The liens of an account with every factor of their haircuts."""
    account_id = AccountId(Address(request.owner), request.account)
    account = accounts.require_account(ctx, account_id)
    return query_pb2.QueryLiensResponse(
        liens=[
            _view_lien(ctx, account_id, key, amount)
            for key, amount in sorted(account.liens.items())
        ]
    )


def query_packets_in_flight(
    ctx: Context, request: query_pb2.QueryPacketsInFlightRequest
) -> query_pb2.QueryPacketsInFlightResponse:
    """Releases and seizures that left a lien and are not settled."""
    response = query_pb2.QueryPacketsInFlightResponse()
    for flight in state.iterate_flights(ctx):
        if len(response.flights) >= FLIGHTS_MAX:
            break
        if request.route_id in ("", flight.route_id):
            response.flights.append(flight)
    return response


def query_credited_lock(
    ctx: Context, request: query_pb2.QueryCreditedLockRequest
) -> query_pb2.QueryCreditedLockResponse:
    """The lock credited under an id of a route, if it was."""
    lock = state.get_credited_lock(ctx, request.route_id, request.lock_id)
    return query_pb2.QueryCreditedLockResponse(lock=lock)


def get_lien_totals(ctx: Context) -> dict[tuple[str, str], int]:
    """All liens by route and denom."""
    totals = {}
    for listing in state.iterate_listings(ctx):
        chain_id = state.require_route(ctx, listing.route_id).chain_id
        totals[(listing.route_id, listing.denom)] = accounts.get_route_lien_total(
            ctx, listing.route_id, chain_id, listing.denom
        )
    return totals


def get_flight_totals(ctx: Context) -> dict[tuple[str, str], int]:
    """All collateral in flight from the hub, by route and denom."""
    totals: dict[tuple[str, str], int] = {}
    for flight in state.iterate_flights(ctx):
        key = (flight.route_id, flight.denom)
        totals[key] = totals.get(key, 0) + int(flight.amount)
    return totals


def _rows(totals: dict[tuple[str, str], int]) -> list[pb.AmountTotal]:
    return [
        pb.AmountTotal(route_id=route_id, denom=denom, amount=str(amount))
        for (route_id, denom), amount in sorted(totals.items())
    ]


def query_totals(
    ctx: Context, request: query_pb2.QueryTotalsRequest
) -> query_pb2.QueryTotalsResponse:
    """Liens and collateral in flight by route and denom: the hub's side of the identity."""
    del request
    return query_pb2.QueryTotalsResponse(
        liens=_rows(get_lien_totals(ctx)), in_flight=_rows(get_flight_totals(ctx))
    )


def query_haircuts(
    ctx: Context, request: query_pb2.QueryHaircutsRequest
) -> query_pb2.QueryHaircutsResponse:
    """The market haircut of every asset: target, reading and the ramp between them."""
    del request
    response = query_pb2.QueryHaircutsResponse()
    for asset in state.iterate_assets(ctx):
        reads = get_asset_reads(ctx, asset)
        ramps = get_asset_ramps(ctx, asset, reads.volatility_wad, reads.quantity_wad)
        response.haircuts.add(
            asset=asset.asset,
            volatility_wad=str(reads.volatility_wad),
            target_ppm=reads.terms_initial.market_ppm,
            reading_ppm=reads.terms.market_ppm,
            ramp=encode_ramp(ramps.market),
            exchange_rate_wad=str(reads.exchange_rate_wad),
        )
    return response


def query_solvency(
    ctx: Context, request: query_pb2.QuerySolvencyRequest
) -> query_pb2.QuerySolvencyResponse:
    """The solvency ratios of the last whole pass; empty before the first."""
    del request
    report = state.get_solvency_report(ctx)
    response = query_pb2.QuerySolvencyResponse(report=report)
    for sums in report.sums if report else ():
        ratio = compute_ratio_ppm(*get_ratio_terms(response.report, sums))
        response.ratios.add(sums=sums, ratio_ppm="" if ratio is None else str(ratio))
    return response


QUERIES: Final = tuple(
    QueryRoute(_SERVICE + name, request, response, handler)
    for name, request, response, handler in (
        ("Params", query_pb2.QueryParamsRequest, query_pb2.QueryParamsResponse, query_params),
        ("Routes", query_pb2.QueryRoutesRequest, query_pb2.QueryRoutesResponse, query_routes),
        ("Route", query_pb2.QueryRouteRequest, query_pb2.QueryRouteResponse, query_route),
        ("Assets", query_pb2.QueryAssetsRequest, query_pb2.QueryAssetsResponse, query_assets),
        (
            "Listings",
            query_pb2.QueryListingsRequest,
            query_pb2.QueryListingsResponse,
            query_listings,
        ),
        ("Liens", query_pb2.QueryLiensRequest, query_pb2.QueryLiensResponse, query_liens),
        (
            "PacketsInFlight",
            query_pb2.QueryPacketsInFlightRequest,
            query_pb2.QueryPacketsInFlightResponse,
            query_packets_in_flight,
        ),
        (
            "CreditedLock",
            query_pb2.QueryCreditedLockRequest,
            query_pb2.QueryCreditedLockResponse,
            query_credited_lock,
        ),
        ("Totals", query_pb2.QueryTotalsRequest, query_pb2.QueryTotalsResponse, query_totals),
        (
            "Haircuts",
            query_pb2.QueryHaircutsRequest,
            query_pb2.QueryHaircutsResponse,
            query_haircuts,
        ),
        (
            "Solvency",
            query_pb2.QuerySolvencyRequest,
            query_pb2.QuerySolvencyResponse,
            query_solvency,
        ),
    )
)
