"""The vault's side of margin-1: locks settled, the hub's orders carried out once each.

States of collateral: FREE → LIENED → (RELEASING → FREE | SEIZING → SEIZED). An order is carried
out in the block that receives it, so RELEASING and SEIZING are states of the hub's flight.
"""

from typing import Final

from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.vault.v1 import vault_pb2 as pb
from chain.ibc.apps.margin import PacketHandlers, PacketInfo
from chain.modules.auth import state as auth
from chain.modules.bank import state as bank
from chain.modules.vault import state
from chain.modules.vault.errors import InvalidDestination, InvalidLock, NotTheHub, OrderConflict
from chain.modules.vault.types import MODULE_ADDRESS, ORDER_ID_BYTES_MAX
from chain.runtime.address import decode_address
from chain.runtime.context import Context
from chain.units import Address, parse_amount


def require_hub_channel(ctx: Context, channel_id: str) -> None:
    """Raises NotTheHub unless the channel is the one hub's: anyone may open another."""
    hub = state.require_hub(ctx)
    if channel_id != hub.channel_id:
        raise NotTheHub(f"{channel_id} is not {hub.channel_id} of {hub.chain_id}")


# Locks: their fate


def acknowledge_lock(
    ctx: Context,
    info: PacketInfo,
    body: packet_pb2.LockCollateral,
    result: packet_pb2.MarginAcknowledgement,
) -> None:
    """Put a lock under lien, or refund it to the unit when the hub refused it."""
    require_hub_channel(ctx, info.channel_id)
    lock = _get_pending(ctx, body.lock_id)
    if lock is None:
        return
    if result.code:
        lock.refusal_code = result.code
        lock.refusal_codespace = result.codespace
        refund_lock(ctx, lock)
        return
    lock.status = pb.LOCK_STATUS_LIENED
    state.set_lock(ctx, lock)
    state.confirm_pending(ctx, lock)
    ctx.emit("collateral_liened", _lock_attributes(lock))


def time_out_lock(ctx: Context, info: PacketInfo, body: packet_pb2.LockCollateral) -> None:
    """Refund a lock whose packet provably never arrived."""
    require_hub_channel(ctx, info.channel_id)
    lock = _get_pending(ctx, body.lock_id)
    if lock is not None:
        refund_lock(ctx, lock)


def _get_pending(ctx: Context, lock_id: str) -> pb.Lock | None:
    lock = state.get_lock(ctx, lock_id)
    return lock if lock is not None and lock.status == pb.LOCK_STATUS_PENDING else None


def refund_lock(ctx: Context, lock: pb.Lock) -> None:
    """Give a pending lock back to its depositor."""
    lock.status = pb.LOCK_STATUS_REFUNDED
    state.set_lock(ctx, lock)
    state.remove_pending(ctx, lock)
    bank.move(ctx, MODULE_ADDRESS, Address(lock.depositor), lock.denom, int(lock.amount))
    ctx.emit("collateral_refunded", _lock_attributes(lock))


def _lock_attributes(lock: pb.Lock) -> dict[str, str | int]:
    return {
        "lock_id": lock.lock_id,
        "depositor": lock.depositor,
        "owner": lock.owner,
        "account": lock.account,
        "denom": lock.denom,
        "amount": lock.amount,
        "refusal": f"{lock.refusal_codespace}/{lock.refusal_code}" if lock.refusal_code else "",
    }


# Orders of the hub


def receive_release(ctx: Context, info: PacketInfo, body: packet_pb2.ReleaseCollateral) -> None:
    """Give collateral back to the receiver its owner named."""
    require_hub_channel(ctx, info.channel_id)
    _execute(
        ctx,
        pb.ExecutedOrder(
            order_id=body.release_id,
            kind=pb.ORDER_KIND_RELEASE,
            owner=body.owner,
            account=body.account,
            denom=body.denom,
            amount=body.amount,
            receiver=body.receiver,
        ),
    )


def receive_seizure(ctx: Context, info: PacketInfo, body: packet_pb2.SeizeCollateral) -> None:
    """Give collateral to the winner of its auction, the treasury, or the local auction."""
    require_hub_channel(ctx, info.channel_id)
    params = state.get_params(ctx)
    receivers = {
        packet_pb2.SEIZE_DESTINATION_WINNER: body.receiver,
        packet_pb2.SEIZE_DESTINATION_TREASURY: params.treasury_address,
        packet_pb2.SEIZE_DESTINATION_LOCAL_AUCTION: params.local_auction_address,
    }
    receiver = receivers.get(body.destination, "")
    if not receiver:
        raise InvalidDestination(f"destination {body.destination} names nobody on this chain")
    _execute(
        ctx,
        pb.ExecutedOrder(
            order_id=body.seize_id,
            kind=pb.ORDER_KIND_SEIZE,
            owner=body.owner,
            account=body.account,
            denom=body.denom,
            amount=body.amount,
            receiver=receiver,
            destination=body.destination,
        ),
    )


def receive_heartbeat(ctx: Context, info: PacketInfo, body: packet_pb2.Heartbeat) -> None:
    """Answer the hub: the acknowledgement carries this chain's time."""
    del body
    require_hub_channel(ctx, info.channel_id)


def _execute(ctx: Context, order: pb.ExecutedOrder) -> None:
    """Carry an order out once; the same order again succeeds and moves nothing."""
    # Check
    if not 0 < len(order.order_id.encode()) <= ORDER_ID_BYTES_MAX:
        raise InvalidLock(f"an order id has 1 to {ORDER_ID_BYTES_MAX} bytes")
    amount = parse_amount(order.amount)
    if _is_executed(ctx, order):
        return
    decode_address(order.receiver, "receiver")
    is_user = order.destination in (0, packet_pb2.SEIZE_DESTINATION_WINNER)
    if is_user and auth.is_module_account(ctx, Address(order.receiver)):
        raise InvalidDestination(f"{order.receiver} is a module's account")
    # Apply
    state.take_liened(ctx, order)
    order.height = ctx.height
    state.set_order(ctx, order)
    bank.move(ctx, MODULE_ADDRESS, Address(order.receiver), order.denom, amount)
    name = "collateral_seized" if order.kind == pb.ORDER_KIND_SEIZE else "collateral_released"
    ctx.emit(
        name,
        {
            "order_id": order.order_id,
            "owner": order.owner,
            "account": order.account,
            "denom": order.denom,
            "amount": order.amount,
            "receiver": order.receiver,
        },
    )


def _is_executed(ctx: Context, order: pb.ExecutedOrder) -> bool:
    """Whether this very order was carried out before; raises OrderConflict for another one."""
    known = state.get_order(ctx, order.order_id)
    if known is None:
        return False
    known.height = 0
    # Treasury and local auction may have moved since; the order named them by kind.
    if known.destination not in (0, packet_pb2.SEIZE_DESTINATION_WINNER):
        known.receiver = order.receiver
    if known != order:
        raise OrderConflict(f"{order.order_id} was another order")
    return True


PACKET_HANDLERS: Final = {
    "lock_collateral": PacketHandlers(acknowledge=acknowledge_lock, timeout=time_out_lock),
    "release_collateral": PacketHandlers(receive=receive_release),
    "seize_collateral": PacketHandlers(receive=receive_seizure),
    "heartbeat": PacketHandlers(receive=receive_heartbeat),
}
"""What a collateral chain does with the messages of its vault."""
