"""Vouchers as collateral: a transfer whose memo is a deposit, and orders that send vouchers home.

Any chain that speaks ICS-20 is a collateral chain this way (systems row 51). A voucher lies in the
module's account while it is a lien; to release or seize it is to send it back over its route.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.ibc.apps.margin import PacketInfo
from chain.ibc.apps.transfer.application import ReceivedTransfer, SentTransfer
from chain.ibc.apps.transfer.denoms import PORT
from chain.ibc.apps.transfer.errors import InvalidDenom, InvalidMemo
from chain.ibc.apps.transfer.packet_data import MEMO_BYTES_MAX
from chain.ibc.apps.transfer.sending import send_transfer
from chain.ibc.height import Height
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import NUMBER_MAX, AccountId
from chain.modules.bank import state as bank
from chain.modules.collateral import state
from chain.modules.collateral.caps import validate_caps
from chain.modules.collateral.errors import RouteClosed, Unauthorized
from chain.modules.collateral.measurement import get_route_status, record_proven_deposit
from chain.modules.collateral.types import MODULE_ADDRESS
from chain.runtime.context import Context
from chain.runtime.json_text import JsonNumber, JsonObject, TooDeep, decode_json
from chain.units import NANOSECONDS, Address

_KEY: Final = "margin"
_FORM: Final = '{"margin":{"deposit":{"owner":"margin1…","account":0}}}'
_ACCOUNT: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_ORDER: Final = re.compile(r"([a-z]+-[0-9]{1,20}) ([0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class DepositInstruction:
    """What a memo asks for: the transferred tokens as collateral of this account."""

    owner: str
    account: int


@dataclass(frozen=True, slots=True)
class VoucherOrder:
    """The order a transfer of this module carried, and where and when its packet went."""

    flight_id: str
    info: PacketInfo


def parse_deposit(memo: str) -> DepositInstruction | None:
    """The deposit a memo asks for; None for a memo that is no JSON object with the key "margin".

    With that key the memo is an instruction, of exactly one form: raises InvalidMemo for another.
    """
    if not memo.lstrip(" \t\r\n").startswith("{"):
        return None
    try:
        document = decode_json(memo, size_max=MEMO_BYTES_MAX)
    except TooDeep as error:
        # What stands in it cannot be known: better sent back than credited to the wrong place.
        raise InvalidMemo(str(error)) from None
    except ValueError:
        return None
    instructions = document.get_values(_KEY)
    if not instructions:
        return None
    if len(instructions) > 1:
        raise InvalidMemo(f"{_KEY!r} stands {len(instructions)} times in the memo")
    fields = _get_only_object(instructions[0], "deposit")
    values = dict(fields.pairs)
    owner, account = values.get("owner"), values.get("account")
    if len(fields.pairs) != 2 or not isinstance(owner, str) or isinstance(owner, JsonNumber):
        raise InvalidMemo(f"a deposit has an owner (text) and an account (number): {_FORM}")
    if not isinstance(account, JsonNumber) or _ACCOUNT.fullmatch(account) is None:
        raise InvalidMemo(f"account must be a number from 0 to {NUMBER_MAX}: {_FORM}")
    if int(account) > NUMBER_MAX:
        raise InvalidMemo(f"account {account} is above {NUMBER_MAX}")
    return DepositInstruction(owner, int(account))


def _get_only_object(document: Any, key: str) -> JsonObject:
    """The object under the one key that an object must have; raises InvalidMemo."""
    if isinstance(document, JsonObject) and [name for name, _ in document.pairs] == [key]:
        value = document.pairs[0][1]
        if isinstance(value, JsonObject):
            return value
    raise InvalidMemo(f"expected exactly {_FORM}")


def receive_deposit(ctx: Context, received: ReceivedTransfer) -> None:
    """Turn tokens just credited to the receiver into a lien, when the memo says so.

    Raises InvalidMemo, Unauthorized (owner is not the receiver), RouteNotRegistered, RouteClosed,
    InvalidDenom (no voucher of this route), DenomNotListed, AccountNotFound, what the caps raise:
    the packet is then refused as a whole and its sender refunded.
    """
    # Check
    deposit = parse_deposit(received.data.memo)
    if deposit is None:
        return
    if deposit.owner != received.receiver:
        raise Unauthorized(f"owner {deposit.owner[:90]!r} is not the receiver {received.receiver}")
    channel_id = received.packet.destination_channel
    route = state.require_route_of_channel(ctx, channel_id)
    if get_route_status(ctx, route) != pb.ROUTE_STATUS_NORMAL:
        raise RouteClosed(f"{route.route_id} takes no new collateral until it is NORMAL again")
    denom, amount = received.denom.local_denom, received.data.amount
    if not received.denom.has_first_hop(PORT, channel_id):
        raise InvalidDenom(f"{denom} came home over {route.route_id}; only its vouchers count")
    listing = state.require_listing(ctx, route.route_id, denom)
    account_id = AccountId(received.receiver, deposit.account)
    accounts.require_account(ctx, account_id)
    validate_caps(ctx, route, listing, account_id, amount)
    # Apply
    bank.move(ctx, received.receiver, MODULE_ADDRESS, denom, amount)
    state.credit_lien(ctx, account_id, route, denom, amount)
    record_proven_deposit(ctx, route, received.packet.proof_height)
    if received.relayer:
        state.set_relayer_seen(ctx, route.route_id, received.relayer, ctx.time_ns)
    ctx.emit(
        "collateral_credited",
        {
            "owner": account_id.owner,
            "account": account_id.number,
            "route_id": route.route_id,
            "denom": denom,
            "amount": amount,
            "lock_id": f"{channel_id}/{received.packet.sequence}",
        },
    )


def send_home(ctx: Context, route: pb.Route, flight: pb.Flight, timeout_s: int) -> int:
    """The sequence of a transfer that sends vouchers in flight to their receiver over the route.

    The memo names the flight and the time: nobody else can send from the module's account, so the
    packet itself says what its acknowledgement settles. Raises what send_transfer raises.
    """
    return send_transfer(
        ctx,
        route.channel_id,
        MODULE_ADDRESS,
        flight.receiver,
        flight.denom,
        int(flight.amount),
        Height(0, 0),
        ctx.time_ns + timeout_s * NANOSECONDS,
        f"{flight.flight_id} {ctx.time_ns}",
    )


def parse_order(sent: SentTransfer) -> VoucherOrder | None:
    """The order that a transfer of this module carried; None for anybody else's transfer."""
    match = _ORDER.fullmatch(sent.data.memo)
    if Address(sent.data.sender) != MODULE_ADDRESS or match is None:
        return None
    info = PacketInfo(
        channel_id=sent.packet.source_channel,
        counterparty_channel_id=sent.packet.destination_channel,
        sequence=sent.packet.sequence,
        sender_time_ns=int(match[2]),
        relayer=sent.relayer,
    )
    return VoucherOrder(match[1], info)
