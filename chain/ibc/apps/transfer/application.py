"""The ics20-1 application on port "transfer": channels, receipt, refunds, and what hangs on them.

A chain may hang its own meaning on transfers (a memo that is an instruction, a transfer a module
sent) with hooks, which run inside the packet's branch: what they refuse never happened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chain.errors import ChainError
from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.denoms import VERSION, Denom
from chain.ibc.apps.transfer.errors import (
    InvalidTransferAddress,
    InvalidVersion,
    ReceiveDisabled,
)
from chain.ibc.apps.transfer.packet_data import (
    SUCCESS,
    Acknowledgement,
    TransferData,
    decode_acknowledgement,
    decode_packet_data,
    encode_error,
    format_denom,
    format_token,
)
from chain.ibc.apps.transfer.sending import (
    build_attributes,
    mint_voucher,
    refund_transfer,
    release_escrow,
)
from chain.ibc.errors import (
    InvalidAcknowledgement,
    InvalidChannelOrdering,
    InvalidMessage,
    Unauthorized,
)
from chain.ibc.router import ORDER_UNORDERED, ChannelOpening, Packet
from chain.modules.auth import state as auth
from chain.runtime.address import decode_address
from chain.runtime.context import Context
from chain.runtime.errors import InvalidAddress
from chain.units import Address


@dataclass(frozen=True, slots=True)
class ReceivedTransfer:
    """A transfer just credited: what came, under which denom it lies with whom, who brought it."""

    packet: Packet
    data: TransferData
    denom: Denom
    receiver: Address
    relayer: str


@dataclass(frozen=True, slots=True)
class SentTransfer:
    """A transfer sent from here whose fate is known; its refund, if any, is already made."""

    packet: Packet
    data: TransferData
    relayer: str


@dataclass(frozen=True, slots=True)
class TransferHooks:
    """What a chain adds to transfers. `receive` may raise to refuse the packet as a whole."""

    receive: Callable[[Context, ReceivedTransfer], None] | None = None
    acknowledge: Callable[[Context, SentTransfer, Acknowledgement], None] | None = None
    timeout: Callable[[Context, SentTransfer], None] | None = None


NO_HOOKS: Final = TransferHooks()


class TransferApplication:
    """The IBC application of port "transfer"."""

    def __init__(self, hooks: TransferHooks = NO_HOOKS) -> None:
        self._hooks = hooks

    # Channels

    def on_chan_open_init(self, ctx: Context, opening: ChannelOpening) -> str:
        """ics20-1, also for a blank proposal; raises on another version or an ordered channel."""
        del ctx
        _validate_opening(opening)
        if opening.version.strip() not in ("", VERSION):
            raise InvalidVersion(f"expected {VERSION}, got {opening.version[:60]!r}")
        return VERSION

    def on_chan_open_try(self, ctx: Context, opening: ChannelOpening) -> str:
        """ics20-1, whatever was proposed: the other side decides whether it speaks that."""
        del ctx
        _validate_opening(opening)
        return VERSION

    def on_chan_open_ack(
        self,
        ctx: Context,
        port_id: str,
        channel_id: str,
        counterparty_channel_id: str,
        counterparty_version: str,
    ) -> None:
        """Raises InvalidVersion when the counterparty answered with another version."""
        del ctx, port_id, channel_id, counterparty_channel_id
        if counterparty_version != VERSION:
            raise InvalidVersion(f"expected {VERSION}, got {counterparty_version[:60]!r}")

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Nothing to do."""

    def on_chan_close_init(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Always raises InvalidMessage: a user must not strand what is in escrow."""
        del ctx, port_id
        raise InvalidMessage(f"user cannot close channel {channel_id}")

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        """Nothing to do: packets in flight time out on the closed channel."""

    # Packets

    def on_recv_packet(self, ctx: Context, packet: Packet, relayer: str) -> bytes:
        """The success acknowledgement of tokens credited; raises ChainError to refuse them."""
        data = decode_packet_data(packet.data)
        receiver = _get_receiver(ctx, data)
        denom = _credit(ctx, packet, data, receiver)
        if self._hooks.receive is not None:
            self._hooks.receive(ctx, ReceivedTransfer(packet, data, denom, receiver, relayer))
        ctx.emit("fungible_token_packet", {**build_attributes(data), "success": "true"})
        ctx.emit("message", {"module": state.STORE})
        return SUCCESS

    def error_acknowledgement(self, error: ChainError) -> bytes:
        """The code and a fixed text."""
        return encode_error(error)

    def on_acknowledgement_packet(
        self, ctx: Context, packet: Packet, acknowledgement: bytes, relayer: str
    ) -> None:
        """Keeps what a success took, refunds what an error refused; raises
        InvalidAcknowledgement.
        """
        answer = decode_acknowledgement(acknowledgement)
        if answer.result is None and answer.error is None:
            raise InvalidAcknowledgement("the acknowledgement has neither result nor error")
        data = decode_packet_data(packet.data)
        if answer.error is not None:
            refund_transfer(ctx, packet.source_channel, data)
        if self._hooks.acknowledge is not None:
            self._hooks.acknowledge(ctx, SentTransfer(packet, data, relayer), answer)
        text = acknowledgement.decode()
        ctx.emit("fungible_token_packet", {**build_attributes(data), "acknowledgement": text})
        ctx.emit("message", {"module": state.STORE})
        outcome = (
            {"success": (answer.result or b"").decode(errors="replace")}
            if answer.error is None
            else {"error": answer.error}
        )
        ctx.emit("fungible_token_packet", outcome)

    def on_timeout_packet(self, ctx: Context, packet: Packet, relayer: str) -> None:
        """Refunds the sender."""
        data = decode_packet_data(packet.data)
        refund_transfer(ctx, packet.source_channel, data)
        if self._hooks.timeout is not None:
            self._hooks.timeout(ctx, SentTransfer(packet, data, relayer))
        ctx.emit(
            "timeout",
            {
                "receiver": data.sender,
                "refund_tokens": format_token(data.denom, data.amount),
                "memo": data.memo,
            },
        )
        ctx.emit("message", {"module": state.STORE})


def _validate_opening(opening: ChannelOpening) -> None:
    if opening.ordering != ORDER_UNORDERED:
        raise InvalidChannelOrdering("a transfer channel is unordered: no transfer stops another")


def _get_receiver(ctx: Context, data: TransferData) -> Address:
    if not state.PARAMS.get(ctx).receive_enabled:
        raise ReceiveDisabled("the council switched receiving off")
    try:
        decode_address(data.receiver, "receiver")
    except InvalidAddress as error:
        raise InvalidTransferAddress(error.detail) from None
    receiver = Address(data.receiver)
    if auth.is_module_account(ctx, receiver):
        raise Unauthorized(f"{receiver} is a module's account and not allowed to receive funds")
    return receiver


def _credit(ctx: Context, packet: Packet, data: TransferData, receiver: Address) -> Denom:
    """Pay a returning token out of escrow, or issue a voucher for an arriving one."""
    if data.denom.has_first_hop(packet.source_port, packet.source_channel):
        denom = data.denom.without_hop()
        release_escrow(ctx, packet.destination_channel, receiver, denom, data.amount)
        return denom
    denom = data.denom.with_hop(packet.destination_port, packet.destination_channel)
    if state.get_denom(ctx, denom.hash) is None:
        state.set_denom(ctx, denom)
    ctx.emit(
        "denomination",
        {"denom_hash": denom.hash.hex().upper(), "denom": format_denom(denom)},
    )
    mint_voucher(ctx, receiver, denom, data.amount)
    return denom
