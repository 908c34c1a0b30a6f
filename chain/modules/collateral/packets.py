"""The hub's side of margin-1: locks credited, releases settled, heartbeats measured.

Every sending takes something at once (a lien leaves the account) and every outcome settles exactly
that: an acknowledgement keeps it gone, an error or a timeout restores it to the unit.
"""

from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain._pb.margin.packet.v1 import packet_pb2
from chain.ibc.apps.margin import PacketHandlers, PacketInfo, send_margin_packet
from chain.modules.accounts.types import AccountId
from chain.modules.collateral import state
from chain.modules.collateral.caps import validate_caps
from chain.modules.collateral.errors import (
    LockConflict,
    RouteClosed,
)
from chain.modules.collateral.measurement import (
    get_route_status,
    record_delivery,
    record_sample,
)
from chain.modules.collateral.vouchers import send_home
from chain.runtime.address import decode_address
from chain.runtime.context import Context
from chain.runtime.errors import InvalidRequest
from chain.units import Address, parse_amount

LOCK_ID_BYTES_MAX: Final = 64


# Locks: spoke to hub


def receive_lock(ctx: Context, info: PacketInfo, body: packet_pb2.LockCollateral) -> None:
    """Credit a proven lock as a lien; any refusal is an error acknowledgement that refunds it."""
    # Check
    route = state.require_route_of_channel(ctx, info.channel_id)
    if get_route_status(ctx, route) != pb.ROUTE_STATUS_NORMAL:
        raise RouteClosed(f"{route.route_id} takes no new collateral until it is NORMAL again")
    decode_address(body.owner, "owner")
    if not 0 < len(body.lock_id.encode()) <= LOCK_ID_BYTES_MAX:
        raise InvalidRequest(f"a lock id has 1 to {LOCK_ID_BYTES_MAX} bytes")
    listing = state.require_listing(ctx, route.route_id, body.denom)
    amount = parse_amount(body.amount)
    account_id = AccountId(Address(body.owner), body.account)
    lock = pb.CreditedLock(
        route_id=route.route_id,
        lock_id=body.lock_id,
        owner=body.owner,
        account=body.account,
        denom=body.denom,
        amount=body.amount,
        height=ctx.height,
    )
    if _is_credited(ctx, lock):
        return
    validate_caps(ctx, route, listing, account_id, amount)
    # Apply
    state.credit_lien(ctx, account_id, route, body.denom, amount)
    state.set_credited_lock(ctx, lock)
    record_delivery(ctx, route, ctx.time_ns - info.sender_time_ns, info.relayer)
    ctx.emit(
        "collateral_credited",
        {
            "owner": body.owner,
            "account": body.account,
            "route_id": route.route_id,
            "denom": body.denom,
            "amount": body.amount,
            "lock_id": body.lock_id,
        },
    )


def _is_credited(ctx: Context, lock: pb.CreditedLock) -> bool:
    """Whether this very lock was credited before; raises LockConflict for another under its id."""
    known = state.get_credited_lock(ctx, lock.route_id, lock.lock_id)
    if known is None:
        return False
    known.height = lock.height
    if known != lock:
        raise LockConflict(f"{lock.lock_id} of {lock.route_id} was another lock")
    return True


# Releases: hub to spoke


def send_release(
    ctx: Context, account_id: AccountId, route: pb.Route, denom: str, amount: int, receiver: str
) -> pb.Flight:
    """Take an amount off a lien and order its release; the lien is gone at once (row 9)."""
    number = state.get_next_release_number(ctx)
    state.set_next_release_number(ctx, number + 1)
    state.debit_lien(ctx, account_id, route, denom, amount)
    flight = pb.Flight(
        flight_id=f"release-{number}",
        kind=pb.FLIGHT_KIND_RELEASE,
        owner=account_id.owner,
        account=account_id.number,
        route_id=route.route_id,
        denom=denom,
        amount=str(amount),
        receiver=receiver,
        attempts=1,
        sent_at_ns=ctx.time_ns,
    )
    timeout_s = state.get_params(ctx).release_timeout_s
    if route.kind == pb.ROUTE_KIND_VOUCHER:
        flight.sequence = send_home(ctx, route, flight, timeout_s)
    else:
        body = packet_pb2.ReleaseCollateral(
            release_id=flight.flight_id,
            owner=flight.owner,
            account=flight.account,
            receiver=receiver,
            denom=denom,
            amount=flight.amount,
        )
        flight.sequence = send_margin_packet(ctx, route.channel_id, body, timeout_s)
    state.set_flight(ctx, flight)
    return flight


def acknowledge_release(
    ctx: Context,
    info: PacketInfo,
    body: packet_pb2.ReleaseCollateral,
    result: packet_pb2.MarginAcknowledgement,
) -> None:
    """Settle a release: success keeps the lien gone, an error restores it."""
    refusal = f"{result.codespace}/{result.code}" if result.code else ""
    settle_release(ctx, info, body.release_id, refusal)


def settle_release(ctx: Context, info: PacketInfo, release_id: str, refusal: str) -> None:
    """Forget a release that was carried out (no refusal), or restore the lien of a refused one."""
    route = state.require_route_of_channel(ctx, info.channel_id)
    flight = state.get_flight(ctx, release_id)
    if flight is None:
        return
    if refusal:
        return_flight(ctx, flight, refusal)
        return
    state.delete_flight(ctx, flight.flight_id)
    record_delivery(ctx, route, ctx.time_ns - info.sender_time_ns, info.relayer)
    ctx.emit("collateral_released", _flight_attributes(flight))


def time_out_release(ctx: Context, info: PacketInfo, body: packet_pb2.ReleaseCollateral) -> None:
    """Restore the lien of a release that never arrived."""
    del info
    flight = state.get_flight(ctx, body.release_id)
    if flight is not None:
        return_flight(ctx, flight, "timeout")


def return_flight(ctx: Context, flight: pb.Flight, reason: str) -> None:
    """Put collateral in flight back on its lien, to the unit; it was within the caps once."""
    route = state.require_route(ctx, flight.route_id)
    account_id = AccountId(Address(flight.owner), flight.account)
    state.credit_lien(ctx, account_id, route, flight.denom, int(flight.amount))
    state.delete_flight(ctx, flight.flight_id)
    ctx.emit("collateral_restored", {**_flight_attributes(flight), "reason": reason})


# Seizures: hub to spoke. Whoever orders one (liquidation) settles it with these verbs.


def send_seizure(
    ctx: Context,
    seize_id: str,
    account_id: AccountId,
    route: pb.Route,
    denom: str,
    amount: int,
    destination: int,
    receiver: str,
) -> pb.Flight:
    """Take an amount off a lien and order its seizure under an id that never changes."""
    state.debit_lien(ctx, account_id, route, denom, amount)
    flight = pb.Flight(
        flight_id=seize_id,
        kind=pb.FLIGHT_KIND_SEIZURE,
        owner=account_id.owner,
        account=account_id.number,
        route_id=route.route_id,
        denom=denom,
        amount=str(amount),
        receiver=receiver,
        destination=destination,
        sent_at_ns=ctx.time_ns,
    )
    return resend_seizure(ctx, flight)


def resend_seizure(ctx: Context, flight: pb.Flight) -> pb.Flight:
    """Order a seizure once more with the same id; the vault carries an id out at most once."""
    route = state.require_route(ctx, flight.route_id)
    timeout_s = state.get_params(ctx).seize_timeout_s
    if route.kind == pb.ROUTE_KIND_VOUCHER:
        flight.sequence = send_home(ctx, route, flight, timeout_s)
    else:
        body = packet_pb2.SeizeCollateral(
            seize_id=flight.flight_id,
            owner=flight.owner,
            account=flight.account,
            destination=flight.destination,  # type: ignore[arg-type]
            receiver=flight.receiver,
            denom=flight.denom,
            amount=flight.amount,
        )
        flight.sequence = send_margin_packet(ctx, route.channel_id, body, timeout_s)
    flight.attempts += 1
    state.set_flight(ctx, flight)
    return flight


def settle_seizure(ctx: Context, info: PacketInfo, flight: pb.Flight) -> None:
    """Forget a seizure that the vault confirmed."""
    route = state.require_route_of_channel(ctx, info.channel_id)
    state.delete_flight(ctx, flight.flight_id)
    record_delivery(ctx, route, ctx.time_ns - info.sender_time_ns, info.relayer)
    ctx.emit("collateral_seized", _flight_attributes(flight))


def _flight_attributes(flight: pb.Flight) -> dict[str, str | int]:
    return {
        "flight_id": flight.flight_id,
        "owner": flight.owner,
        "account": flight.account,
        "route_id": flight.route_id,
        "denom": flight.denom,
        "amount": flight.amount,
        "receiver": flight.receiver,
    }


# Heartbeats: hub to spoke


def send_heartbeat(ctx: Context, route: pb.Route) -> None:
    """Send the next heartbeat of a route and remember when."""
    measurements = state.get_measurements(ctx, route.route_id)
    number = measurements.next_heartbeat
    sequence = send_margin_packet(
        ctx,
        route.channel_id,
        packet_pb2.Heartbeat(number=number),
        state.get_params(ctx).heartbeat_timeout_s,
    )
    measurements.next_heartbeat = number + 1
    measurements.last_heartbeat_ns = ctx.time_ns
    state.set_measurements(ctx, measurements)
    state.set_heartbeat(
        ctx,
        pb.Heartbeat(
            route_id=route.route_id, number=number, sent_at_ns=ctx.time_ns, sequence=sequence
        ),
    )


def acknowledge_heartbeat(
    ctx: Context,
    info: PacketInfo,
    body: packet_pb2.Heartbeat,
    result: packet_pb2.MarginAcknowledgement,
) -> None:
    """Measure the round trip; a refusal too crossed the route twice."""
    del result
    route = state.require_route_of_channel(ctx, info.channel_id)
    heartbeat = state.get_heartbeat(ctx, route.route_id, body.number)
    if heartbeat is None:
        return
    state.delete_heartbeat(ctx, route.route_id, body.number)
    record_delivery(ctx, route, ctx.time_ns - heartbeat.sent_at_ns, info.relayer)


def time_out_heartbeat(ctx: Context, info: PacketInfo, body: packet_pb2.Heartbeat) -> None:
    """A heartbeat without an answer counts at its age."""
    route = state.require_route_of_channel(ctx, info.channel_id)
    heartbeat = state.get_heartbeat(ctx, route.route_id, body.number)
    if heartbeat is None:
        return
    state.delete_heartbeat(ctx, route.route_id, body.number)
    record_sample(ctx, route, ctx.time_ns - heartbeat.sent_at_ns)


PACKET_HANDLERS: Final = {
    "lock_collateral": PacketHandlers(receive=receive_lock),
    "release_collateral": PacketHandlers(acknowledge=acknowledge_release, timeout=time_out_release),
    "heartbeat": PacketHandlers(acknowledge=acknowledge_heartbeat, timeout=time_out_heartbeat),
}
"""What the hub does with the messages of collateral; the chain wires them into the application."""
