"""Position reports of venues: proven, whole, in epochs, and judged before a leg is closed."""

from typing import Final

from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.venues.v1 import venues_pb2 as pb
from chain.ibc.apps.margin import PacketHandlers, PacketInfo
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, AccountMargin
from chain.modules.collateral import state as collateral
from chain.modules.collateral.measurement import record_delivery
from chain.modules.venues import state
from chain.modules.venues.errors import InvalidReport, RequirementRaised, VenueNotFound
from chain.modules.venues.types import find_market
from chain.risk.margin import compute_shortfall_uusd
from chain.runtime.context import Context
from chain.units import Address, parse_signed


def receive_report(ctx: Context, info: PacketInfo, body: packet_pb2.PositionReport) -> None:
    """Replace a venue's positions by those of a newer epoch; an older one changes nothing.

    A report says what is; a request asks for a change, and is refused when it would raise the
    requirement of an account that cannot carry it: the venue closes a leg only after the hub has
    acknowledged. Raises VenueNotFound, InvalidReport, RequirementRaised.
    """
    # Check
    route = collateral.require_route_of_channel(ctx, info.channel_id)
    venue = state.get_venue_of_route(ctx, route.route_id)
    if venue is None:
        raise VenueNotFound(f"no venue reports over {route.route_id}; the council registers one")
    if body.epoch <= state.get_report(ctx, venue.venue_id).epoch:
        return
    legs = _read_legs(ctx, venue, body)
    account_ids = sorted(
        {
            AccountId(Address(leg.owner), leg.number)
            for leg in (*legs, *state.iterate_venue_legs(ctx, venue.venue_id))
        }
    )
    before = _compute_margins(ctx, account_ids) if body.is_request else []
    # Apply
    state.replace_legs(ctx, venue.venue_id, legs)
    report = pb.Report(venue_id=venue.venue_id, epoch=body.epoch, sent_at_ns=info.sender_time_ns)
    state.set_report(ctx, report)
    record_delivery(ctx, route, ctx.time_ns - info.sender_time_ns, info.relayer)
    ctx.emit(
        "positions_reported",
        {
            "venue_id": venue.venue_id,
            "epoch": body.epoch,
            "positions": len(legs),
            "is_request": "true" if body.is_request else "false",
        },
    )
    # A refusal drops all of it.
    if body.is_request:
        for account_id, old, new in zip(
            account_ids, before, _compute_margins(ctx, account_ids), strict=True
        ):
            _require_carried(account_id, old, new)


def _read_legs(ctx: Context, venue: pb.Venue, body: packet_pb2.PositionReport) -> list[pb.Leg]:
    limit = state.PARAMS.get(ctx).rows_max
    if len(body.positions) > limit:
        raise InvalidReport(f"{len(body.positions)} positions, the most of one report is {limit}")
    legs: dict[tuple[str, int, str], pb.Leg] = {}
    total_pnl = 0
    for row in body.positions:
        key = row.owner, row.account, row.market
        if key in legs:
            raise InvalidReport(f"{row.market[:64]} of account {row.account} is there twice")
        if find_market(venue, row.market) is None:
            raise InvalidReport(f"{row.market[:64]!r} is no market of {venue.venue_id}")
        member = pb.Member(venue_id=venue.venue_id, owner=row.owner, number=row.account)
        if not state.has_member(ctx, member):
            raise InvalidReport(
                f"account {row.account} of {row.owner[:90]} has not joined {venue.venue_id}"
            )
        size = parse_signed(row.size_quantums, "size_quantums")
        pnl = parse_signed(row.pnl_uusd or "0", "pnl_uusd")
        if size == 0:
            raise InvalidReport(f"{row.market[:64]} has no size; leave a closed leg out")
        total_pnl += pnl
        legs[key] = pb.Leg(
            venue_id=venue.venue_id,
            owner=row.owner,
            number=row.account,
            market=row.market,
            size_quantums=str(size),
            pnl_uusd=str(pnl),
        )
    # A venue's winners are paid by its losers; more profit than loss would be made of nothing.
    if total_pnl > 0:
        raise InvalidReport(f"profits exceed losses by {total_pnl} uusd over the venue")
    return list(legs.values())


def _compute_margins(ctx: Context, account_ids: list[AccountId]) -> list[AccountMargin]:
    return [
        accounts_margin.compute_account_margin(ctx, accounts.require_account(ctx, account_id))
        for account_id in account_ids
    ]


def _require_carried(account_id: AccountId, before: AccountMargin, after: AccountMargin) -> None:
    """Raises RequirementRaised when a change asks more of an account than it carries."""
    if after.maintenance_uusd <= before.maintenance_uusd:
        return
    missing = max(
        after.initial_uusd - after.equity_initial_uusd,
        compute_shortfall_uusd(
            after.equity_uusd, after.maintenance_uusd, accounts_margin.WITHDRAWAL_RATIO
        ),
    )
    if missing > 0:
        raise RequirementRaised(
            f"the requirement of account {account_id.number} of {account_id.owner} would rise from "
            f"{before.maintenance_uusd} to {after.maintenance_uusd} uusd; deposit {missing} "
            f"uusd or close the other leg first"
        )


PACKET_HANDLERS: Final = {"position_report": PacketHandlers(receive=receive_report)}
"""What the hub does with reports of venues; the chain wires them into the application."""
