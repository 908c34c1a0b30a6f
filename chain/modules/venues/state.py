"""The venues store: the only place that knows its keys."""

from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf.message import Message

from chain._pb.margin.venues.v1 import venues_pb2 as pb
from chain.modules.accounts.types import AccountId, decode_account_id, encode_account_id
from chain.modules.params.state import declare_params
from chain.modules.venues.errors import VenueNotFound
from chain.modules.venues.types import build_default_params, validate_params
from chain.runtime.context import Context
from chain.units import Address

STORE: Final = "venues"
PARAMS: Final = declare_params(STORE, pb.Params, build_default_params, validate_params)
_VENUE: Final = b"\x01"
_VENUE_BY_ROUTE: Final = b"\x02"
_REPORT: Final = b"\x03"
_LEG: Final = b"\x04"
_LEG_BY_VENUE: Final = b"\x05"
_MEMBER: Final = b"\x06"
_CURSOR: Final = b"\x07"
_END: Final = b"\x00"


def _set(ctx: Context, key: bytes, message: Message) -> None:
    ctx.kv(STORE).set(key, message.SerializeToString(deterministic=True))


# Venues


def get_venue(ctx: Context, venue_id: str) -> pb.Venue | None:
    """The venue, or None."""
    value = ctx.kv(STORE).get(_VENUE + venue_id.encode())
    return pb.Venue.FromString(value) if value else None


def require_venue(ctx: Context, venue_id: str) -> pb.Venue:
    """The venue; raises VenueNotFound."""
    venue = get_venue(ctx, venue_id)
    if venue is None:
        raise VenueNotFound(f"no venue is called {venue_id[:64]!r}; query the venues")
    return venue


def get_venue_of_route(ctx: Context, route_id: str) -> pb.Venue | None:
    """The venue that reports over a route, or None."""
    value = ctx.kv(STORE).get(_VENUE_BY_ROUTE + route_id.encode())
    return get_venue(ctx, value.decode()) if value else None


def set_venue(ctx: Context, venue: pb.Venue) -> None:
    """Write a validated venue and the index of its route."""
    _set(ctx, _VENUE + venue.venue_id.encode(), venue)
    ctx.kv(STORE).set(_VENUE_BY_ROUTE + venue.route_id.encode(), venue.venue_id.encode())


def iterate_venues(ctx: Context) -> Iterator[pb.Venue]:
    """All venues by id; the council bounds their number."""
    for _, value in ctx.kv(STORE).iterate(_VENUE):
        yield pb.Venue.FromString(value)


# Reports


def get_report(ctx: Context, venue_id: str) -> pb.Report:
    """The last report of a venue that counts; empty before the first."""
    value = ctx.kv(STORE).get(_REPORT + venue_id.encode())
    return pb.Report.FromString(value) if value else pb.Report(venue_id=venue_id)


def set_report(ctx: Context, report: pb.Report) -> None:
    """Remember the last report of a venue."""
    _set(ctx, _REPORT + report.venue_id.encode(), report)


def iterate_reports(ctx: Context) -> Iterator[pb.Report]:
    """The last report of every venue by id."""
    for _, value in ctx.kv(STORE).iterate(_REPORT):
        yield pb.Report.FromString(value)


# Legs


def _leg_key(leg: pb.Leg) -> bytes:
    account = encode_account_id(AccountId(Address(leg.owner), leg.number))
    return account + leg.venue_id.encode() + _END + leg.market.encode()


def iterate_legs(ctx: Context, account_id: AccountId) -> Iterator[pb.Leg]:
    """An account's positions at all venues, by venue and market."""
    for _, value in ctx.kv(STORE).iterate(_LEG + encode_account_id(account_id)):
        yield pb.Leg.FromString(value)


def iterate_legs_after(ctx: Context, after: AccountId | None) -> Iterator[pb.Leg]:
    """All positions in order of account, from behind one of them; bound the work at the caller."""
    # Every key goes on with a venue's name behind its account.
    start = _LEG if after is None else _LEG + encode_account_id(after) + b"\xff"
    for _, value in ctx.kv(STORE).iterate_range(start, _LEG_BY_VENUE):
        yield pb.Leg.FromString(value)


def get_cursor(ctx: Context) -> AccountId | None:
    """The account that the refresh of margin states looked at last."""
    value = ctx.kv(STORE).get(_CURSOR)
    return decode_account_id(value) if value else None


def set_cursor(ctx: Context, account_id: AccountId | None) -> None:
    """Remember where the refresh stopped; None starts over."""
    if account_id is None:
        ctx.kv(STORE).delete(_CURSOR)
    else:
        ctx.kv(STORE).set(_CURSOR, encode_account_id(account_id))


def iterate_venue_legs(ctx: Context, venue_id: str | None = None) -> Iterator[pb.Leg]:
    """All positions, or those of one venue, by venue, account and market."""
    prefix = _LEG_BY_VENUE if venue_id is None else _LEG_BY_VENUE + venue_id.encode() + _END
    for _, value in ctx.kv(STORE).iterate(prefix):
        yield pb.Leg.FromString(value)


def add_leg(ctx: Context, leg: pb.Leg) -> None:
    """Write a position under its account and under its venue."""
    _set(ctx, _LEG + _leg_key(leg), leg)
    _set(ctx, _LEG_BY_VENUE + leg.venue_id.encode() + _END + _leg_key(leg), leg)


def replace_legs(ctx: Context, venue_id: str, legs: Sequence[pb.Leg]) -> None:
    """Forget all positions of a venue and write these."""
    for leg in list(iterate_venue_legs(ctx, venue_id)):
        ctx.kv(STORE).delete(_LEG + _leg_key(leg))
        ctx.kv(STORE).delete(_LEG_BY_VENUE + venue_id.encode() + _END + _leg_key(leg))
    for leg in legs:
        add_leg(ctx, leg)


# Members


def _member_key(member: pb.Member) -> bytes:
    account = encode_account_id(AccountId(Address(member.owner), member.number))
    return _MEMBER + account + member.venue_id.encode()


def has_member(ctx: Context, member: pb.Member) -> bool:
    """Whether an account lets a venue report its positions."""
    return ctx.kv(STORE).has(_member_key(member))


def set_member(ctx: Context, member: pb.Member) -> None:
    """Remember an owner's consent."""
    _set(ctx, _member_key(member), member)


def delete_member(ctx: Context, member: pb.Member) -> None:
    """Forget an owner's consent."""
    ctx.kv(STORE).delete(_member_key(member))


def iterate_members(ctx: Context) -> Iterator[pb.Member]:
    """All members by account and venue."""
    for _, value in ctx.kv(STORE).iterate(_MEMBER):
        yield pb.Member.FromString(value)
