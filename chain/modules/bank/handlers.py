"""Transfers between users."""

from collections.abc import Sequence

from chain._pb.cosmos.bank.v1beta1 import tx_pb2
from chain.modules.auth import state as auth_state
from chain.modules.bank import state
from chain.modules.bank.errors import SendDisabled
from chain.modules.bank.types import OUTPUTS_MAX, is_send_enabled
from chain.runtime.address import decode_address
from chain.runtime.coins import parse_coins
from chain.runtime.context import Context
from chain.runtime.errors import InvalidCoins, InvalidRequest, Unauthorized
from chain.units import Address


def handle_send(ctx: Context, msg: tx_pb2.MsgSend) -> tx_pb2.MsgSendResponse:
    """Move coins; raises InvalidCoins, InvalidAddress, SendDisabled, Unauthorized,
    InsufficientFunds.
    """
    decode_address(msg.to_address, "to_address")
    coins = parse_coins(msg.amount)
    if not coins:
        raise InvalidCoins("amount is empty; name at least one coin")
    _validate_sendable(ctx, coins)
    _validate_receiver(ctx, msg.to_address)
    state.move_coins(ctx, Address(msg.from_address), Address(msg.to_address), coins)
    return tx_pb2.MsgSendResponse()


def handle_multi_send(ctx: Context, msg: tx_pb2.MsgMultiSend) -> tx_pb2.MsgMultiSendResponse:
    """Move the coins of one input to many outputs of the same sum; raises as handle_send."""
    if len(msg.inputs) != 1:
        raise InvalidRequest(f"{len(msg.inputs)} inputs; exactly one sender is allowed")
    if not 1 <= len(msg.outputs) <= OUTPUTS_MAX:
        raise InvalidRequest(f"{len(msg.outputs)} outputs; allowed are 1 to {OUTPUTS_MAX}")
    sender = Address(msg.inputs[0].address)
    total = parse_coins(msg.inputs[0].coins, "inputs[0]")
    sums: dict[str, int] = {}
    outputs: list[tuple[Address, list[tuple[str, int]]]] = []
    for index, output in enumerate(msg.outputs):
        decode_address(output.address, f"outputs[{index}].address")
        coins = parse_coins(output.coins, f"outputs[{index}]")
        if not coins:
            raise InvalidCoins(f"outputs[{index}] is empty")
        for denom, amount in coins:
            sums[denom] = sums.get(denom, 0) + amount
        outputs.append((Address(output.address), coins))
    if sums != dict(total):
        raise InvalidRequest("sum of outputs differs from the input")
    _validate_sendable(ctx, total)
    for receiver, coins in outputs:
        _validate_receiver(ctx, receiver)
        state.move_coins(ctx, sender, receiver, coins)
    return tx_pb2.MsgMultiSendResponse()


def _validate_sendable(ctx: Context, coins: Sequence[tuple[str, int]]) -> None:
    params = state.PARAMS.get(ctx)
    for denom, _ in coins:
        if not is_send_enabled(params, denom):
            raise SendDisabled(f"{denom} transfers are currently disabled")


def _validate_receiver(ctx: Context, address: str) -> None:
    if auth_state.is_module_account(ctx, Address(address)):
        raise Unauthorized(f"{address} is a module's account and not allowed to receive funds")
