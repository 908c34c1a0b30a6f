"""The messages of ibc.applications.transfer.v1.Msg."""

from collections.abc import Callable
from typing import Final

from chain._pb.ibc.applications.transfer.v1 import tx_pb2
from chain.ibc import host
from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.denoms import PORT
from chain.ibc.apps.transfer.errors import InvalidPacketTimeout, InvalidTransferAmount
from chain.ibc.apps.transfer.sending import send_transfer
from chain.ibc.errors import ChannelNotFound, InvalidMessage, Unauthorized
from chain.ibc.height import Height
from chain.modules.bank import state as bank
from chain.runtime.coins import parse_coins
from chain.runtime.context import Context
from chain.runtime.errors import InvalidCoins
from chain.runtime.module import MessageRoute
from chain.units import AMOUNT_LIMIT, Address

WHOLE_BALANCE: Final = AMOUNT_LIMIT - 1
"""The amount that asks for everything the sender has of a denom, as in ibc-go."""
_ENCODINGS: Final = ("", "application/json")


def handle_transfer(ctx: Context, msg: tx_pb2.MsgTransfer) -> tx_pb2.MsgTransferResponse:
    """Send tokens to another chain.

    Raises InvalidPacketTimeout, InvalidMessage, InvalidCoins, ChannelNotFound and what
    send_transfer raises.
    """
    host.validate_port_id(msg.source_port)
    host.validate_channel_id(msg.source_channel)
    if msg.source_port != PORT:
        raise ChannelNotFound(f"transfers leave from port {PORT!r}, not {msg.source_port!r}")
    height = Height.from_proto(msg.timeout_height)
    if height.is_zero and msg.timeout_timestamp == 0:
        raise InvalidPacketTimeout("give a timeout height, a timeout time, or both")
    if msg.encoding not in _ENCODINGS:
        raise InvalidMessage(f"encoding {msg.encoding[:60]!r} must be empty or application/json")
    coins = parse_coins([msg.token], "token")
    if not coins:
        raise InvalidCoins("token is empty")
    ((denom, amount),) = coins
    if amount == WHOLE_BALANCE:
        amount = bank.get_balance(ctx, Address(msg.sender), denom)
        if not amount:
            raise InvalidTransferAmount(f"{msg.sender} has no {denom} to send")
    sequence = send_transfer(
        ctx,
        msg.source_channel,
        Address(msg.sender),
        msg.receiver,
        denom,
        amount,
        height,
        msg.timeout_timestamp,
        msg.memo,
    )
    return tx_pb2.MsgTransferResponse(sequence=sequence)


def build_messages(get_authority: Callable[[Context], str]) -> tuple[MessageRoute, ...]:
    """The routes; `get_authority` names who may switch transfers on and off."""

    def handle_update_params(
        ctx: Context, msg: tx_pb2.MsgUpdateParams
    ) -> tx_pb2.MsgUpdateParamsResponse:
        authority = get_authority(ctx)
        if msg.signer != authority:
            raise Unauthorized(f"{msg.signer} is not {authority}, who sets parameters")
        state.PARAMS.set(ctx, msg.params)
        return tx_pb2.MsgUpdateParamsResponse()

    return (
        MessageRoute(tx_pb2.MsgTransfer, handle_transfer, "sender"),
        MessageRoute(tx_pb2.MsgUpdateParams, handle_update_params, "signer"),
    )
