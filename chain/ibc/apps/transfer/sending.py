"""Sending tokens, issuing vouchers, paying out of escrow, and giving back what was sent."""

from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.denoms import PORT, Denom, compute_escrow_address
from chain.ibc.apps.transfer.errors import SendDisabled
from chain.ibc.apps.transfer.packet_data import TransferData, encode_packet_data, validate_texts
from chain.ibc.channel.packets import send_packet
from chain.ibc.height import Height
from chain.modules.bank import state as bank
from chain.modules.bank.types import is_send_enabled
from chain.runtime.context import Context
from chain.units import Address


def send_transfer(
    ctx: Context,
    channel_id: str,
    sender: Address,
    receiver: str,
    local_denom: str,
    amount: int,
    timeout_height: Height,
    timeout_timestamp_ns: int,
    memo: str = "",
) -> int:
    """The sequence of a packet just sent that carries an amount to a receiver on the other chain.

    A voucher going home is burned, anything else escrowed. Raises SendDisabled, DenomNotFound,
    InvalidDenom, InvalidTransferAddress, InvalidMemo, bank's InsufficientFunds and what send_packet
    raises.
    """
    validate_texts(sender, receiver, memo)
    if not state.PARAMS.get(ctx).send_enabled:
        raise SendDisabled("the council switched sending off")
    if not is_send_enabled(bank.PARAMS.get(ctx), local_denom):
        raise SendDisabled(f"{local_denom} transfers are currently disabled")
    denom = state.require_denom(ctx, local_denom)
    _take(ctx, channel_id, sender, denom, amount)
    data = TransferData(denom, amount, sender, receiver, memo)
    sequence = send_packet(
        ctx, PORT, channel_id, timeout_height, timeout_timestamp_ns, encode_packet_data(data)
    )
    ctx.emit("ibc_transfer", build_attributes(data))
    ctx.emit("message", {"module": state.STORE})
    return sequence


def build_attributes(data: TransferData) -> dict[str, str | int]:
    """What the events of a transfer say of it."""
    return {
        "sender": data.sender,
        "receiver": data.receiver,
        "denom": data.denom.path,
        "amount": data.amount,
        "memo": data.memo,
    }


def _take(ctx: Context, channel_id: str, sender: Address, denom: Denom, amount: int) -> None:
    local_denom = denom.local_denom
    if denom.has_first_hop(PORT, channel_id):
        bank.move(ctx, sender, state.MODULE_ADDRESS, local_denom, amount)
        bank.burn(ctx, state.MODULE_ADDRESS, local_denom, amount)
        return
    bank.move(ctx, sender, compute_escrow_address(PORT, channel_id), local_denom, amount)
    state.add_total_escrow(ctx, local_denom, amount)


def refund_transfer(ctx: Context, channel_id: str, data: TransferData) -> None:
    """Give the sender back exactly what the sending of a packet took."""
    sender = Address(data.sender)
    if data.denom.has_first_hop(PORT, channel_id):
        mint_voucher(ctx, sender, data.denom, data.amount)
    else:
        release_escrow(ctx, channel_id, sender, data.denom, data.amount)


def mint_voucher(ctx: Context, receiver: Address, denom: Denom, amount: int) -> None:
    """Issue vouchers to a receiver; raises bank's BalanceOverflow."""
    bank.mint(ctx, state.MODULE_ADDRESS, denom.local_denom, amount)
    bank.move(ctx, state.MODULE_ADDRESS, receiver, denom.local_denom, amount)


def release_escrow(
    ctx: Context, channel_id: str, receiver: Address, denom: Denom, amount: int
) -> None:
    """Pay originals out of a channel's escrow.

    Raises bank's InsufficientFunds when the other chain sends back more than it was ever sent: a
    faulty counterparty can empty its own escrow, nobody else's.
    """
    escrow = compute_escrow_address(PORT, channel_id)
    bank.move(ctx, escrow, receiver, denom.local_denom, amount)
    state.add_total_escrow(ctx, denom.local_denom, -amount)
