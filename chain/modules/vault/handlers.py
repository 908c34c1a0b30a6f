"""Messages of the vault: deposits by anyone, the hub by the council."""

from typing import Final

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.vault.v1 import tx_pb2
from chain._pb.margin.vault.v1 import vault_pb2 as pb
from chain.ibc.apps.margin import PORT, VERSION, send_margin_packet
from chain.ibc.channel import state as channels
from chain.ibc.client import state as clients
from chain.ibc.connection import state as connections
from chain.modules.bank import state as bank
from chain.modules.council import state as council
from chain.modules.vault import state
from chain.modules.vault.errors import HubExists, InvalidHub, InvalidLock
from chain.modules.vault.types import ACCOUNT_NUMBER_MAX, MODULE_ADDRESS
from chain.runtime.address import decode_address
from chain.runtime.context import Context
from chain.runtime.module import MessageRoute
from chain.units import NANOSECONDS, Address, parse_amount


def handle_lock_collateral(
    ctx: Context, msg: tx_pb2.MsgLockCollateral
) -> tx_pb2.MsgLockCollateralResponse:
    """Lock coins in the vault and tell the hub; they count there once the hub has proven it."""
    # Check
    hub = state.require_hub(ctx)
    decode_address(msg.owner, "owner")
    if msg.account > ACCOUNT_NUMBER_MAX:
        raise InvalidLock(f"account {msg.account} must lie within [0, {ACCOUNT_NUMBER_MAX}]")
    amount = parse_amount(msg.amount)
    # Compute
    number = state.get_next_lock_number(ctx)
    lock = pb.Lock(
        lock_id=state.build_lock_id(number),
        depositor=msg.depositor,
        owner=msg.owner,
        account=msg.account,
        denom=msg.denom,
        amount=msg.amount,
        status=pb.LOCK_STATUS_PENDING,
        created_height=ctx.height,
    )
    body = packet_pb2.LockCollateral(
        lock_id=lock.lock_id,
        depositor=lock.depositor,
        owner=lock.owner,
        account=lock.account,
        denom=lock.denom,
        amount=lock.amount,
    )
    # Apply
    bank.move(ctx, Address(msg.depositor), MODULE_ADDRESS, msg.denom, amount)
    timeout_s = state.get_params(ctx).lock_timeout_s
    lock.sequence = send_margin_packet(ctx, hub.channel_id, body, timeout_s)
    state.set_next_lock_number(ctx, number + 1)
    state.set_lock(ctx, lock)
    state.add_pending(ctx, lock)
    ctx.emit(
        "collateral_locked",
        {
            "lock_id": lock.lock_id,
            "depositor": lock.depositor,
            "owner": lock.owner,
            "account": lock.account,
            "denom": lock.denom,
            "amount": lock.amount,
            "sequence": lock.sequence,
        },
    )
    return tx_pb2.MsgLockCollateralResponse(lock_id=lock.lock_id, sequence=lock.sequence)


def handle_register_hub(ctx: Context, msg: tx_pb2.MsgRegisterHub) -> tx_pb2.MsgRegisterHubResponse:
    """Name the one hub channel this vault obeys from here on."""
    # Check
    council.require_authority(ctx, msg.authority)
    known = state.get_hub(ctx)
    if known is not None:
        raise HubExists(f"the vault obeys {known.channel_id} of {known.chain_id}")
    _validate_hub(ctx, msg.hub)
    # Apply
    state.set_hub(ctx, msg.hub)
    ctx.emit("hub_registered", {"chain_id": msg.hub.chain_id, "channel_id": msg.hub.channel_id})
    return tx_pb2.MsgRegisterHubResponse()


def _validate_hub(ctx: Context, hub: pb.Hub) -> None:
    """Raises InvalidHub unless channel, connection and client exist, are open and are as stated."""
    channel = channels.get_channel(ctx, PORT, hub.channel_id)
    if channel.state != channel_pb2.STATE_OPEN or channel.version != VERSION:
        raise InvalidHub(f"{hub.channel_id} is not an open {VERSION} channel")
    if channel.ordering != channel_pb2.ORDER_UNORDERED or channel.counterparty.port_id != PORT:
        raise InvalidHub(f"{hub.channel_id} must be unordered, between ports {PORT!r}")
    if list(channel.connection_hops) != [hub.connection_id]:
        raise InvalidHub(f"{hub.channel_id} runs over {list(channel.connection_hops)}")
    connection = connections.get_connection(ctx, hub.connection_id)
    if connection.state != connection_pb2.STATE_OPEN or connection.client_id != hub.client_id:
        raise InvalidHub(f"{hub.connection_id} is open over {connection.client_id} alone")
    client = clients.get_client_state(ctx, hub.client_id)
    stated = (
        hub.chain_id,
        hub.trust_level_numerator,
        hub.trust_level_denominator,
        hub.trusting_period_s,
        hub.unbonding_period_s,
        hub.max_clock_drift_s,
    )
    found = (
        client.chain_id,
        client.trust_level.numerator,
        client.trust_level.denominator,
        clients.duration_ns(client.trusting_period) // NANOSECONDS,
        clients.duration_ns(client.unbonding_period) // NANOSECONDS,
        clients.duration_ns(client.max_clock_drift) // NANOSECONDS,
    )
    if stated != found:
        raise InvalidHub(f"{hub.client_id} is {found}, not {stated}")
    clients.require_active(ctx, hub.client_id)


MESSAGES: Final = (
    MessageRoute(tx_pb2.MsgLockCollateral, handle_lock_collateral, "depositor"),
    MessageRoute(tx_pb2.MsgRegisterHub, handle_register_hub, "authority"),
)
