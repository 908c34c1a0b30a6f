"""Queries of venues and of what netting makes of an account."""

from typing import Final

from chain._pb.margin.venues.v1 import query_pb2 as pb
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts.state import require_account
from chain.modules.accounts.types import parse_account_id
from chain.modules.venues import state
from chain.risk.netting import VenueMargin
from chain.runtime.context import Context
from chain.runtime.module import QueryRoute
from chain.units import NANOSECONDS, ceil_div

_SERVICE: Final = "/margin.venues.v1.Query/"


def query_params(ctx: Context, request: pb.QueryParamsRequest) -> pb.QueryParamsResponse:
    """The governed parameters."""
    del request
    return pb.QueryParamsResponse(params=state.PARAMS.get(ctx))


def query_venues(ctx: Context, request: pb.QueryVenuesRequest) -> pb.QueryVenuesResponse:
    """All venues with their last report."""
    del request
    response = pb.QueryVenuesResponse()
    for venue in state.iterate_venues(ctx):
        report = state.get_report(ctx, venue.venue_id)
        age_s = ceil_div(max(0, ctx.time_ns - report.sent_at_ns), NANOSECONDS)
        response.venues.add(venue=venue, report=report, report_age_s=age_s if report.epoch else 0)
    return response


def query_netting(ctx: Context, request: pb.QueryNettingRequest) -> pb.QueryNettingResponse:
    """What netting makes of an account, leg by leg."""
    account = require_account(ctx, parse_account_id(request.owner, request.number))
    venues = accounts_margin.compute_account_margin(ctx, account).venues or VenueMargin()
    response = pb.QueryNettingResponse(
        pnl_uusd=str(venues.pnl_uusd), pnl_initial_uusd=str(venues.pnl_initial_uusd)
    )
    for row in venues.underlyings:
        response.underlyings.add(
            asset=row.asset,
            price_wad=str(row.price_wad),
            maintenance_ppm=str(row.terms.maintenance_ppm),
            basis_ppm=str(row.result.basis_ppm),
            net_wad=str(row.result.net),
            hedged_wad=str(row.result.hedged),
            requirement_uusd=str(row.result.requirement_uusd),
            siloed_uusd=str(row.siloed_uusd),
            legs=[
                pb.NettedLeg(
                    venue_id=leg.venue_id,
                    size_wad=str(leg.position.size),
                    latency_ppm=str(leg.position.latency_ppm),
                    report_age_s=str(leg.position.report_age_s),
                    staleness_ppm=str(leg.position.staleness_ppm),
                    share_ppm=str(leg.share_ppm),
                )
                for leg in row.legs
            ],
        )
    return response


QUERIES: Final = (
    QueryRoute(_SERVICE + "Params", pb.QueryParamsRequest, pb.QueryParamsResponse, query_params),
    QueryRoute(_SERVICE + "Venues", pb.QueryVenuesRequest, pb.QueryVenuesResponse, query_venues),
    QueryRoute(
        _SERVICE + "Netting", pb.QueryNettingRequest, pb.QueryNettingResponse, query_netting
    ),
)
